"""Whose patience counts: the role's, then the kind's, then what is built in."""

import pytest

from capture.detectors.patience import Patience, patience_for
from config.settings.schema import BUILT_IN_PATIENCE, Settings
from config.settings.schema import Patience as Setting
from devices.model.device import DeviceKind


@pytest.mark.parametrize("kind", DeviceKind)
def test_every_kind_of_device_has_a_patience_of_its_own(kind: DeviceKind) -> None:
    built_in = BUILT_IN_PATIENCE[kind]
    assert patience_for(Settings(), kind) == Patience(
        built_in.frozen_s or 0, built_in.black_s or 0, built_in.silence_s or 0
    )


def test_a_role_comes_before_the_kind_and_the_kind_before_what_is_built_in() -> None:
    settings = Settings(patience={"camera": Setting(frozen_s=7.0, black_s=8.0), "slides": Setting(frozen_s=60.0)})
    assert patience_for(settings, DeviceKind.CAMERA, "slides") == Patience(60.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAMERA, "podium") == Patience(7.0, 8.0, 20.0)
    assert patience_for(settings, DeviceKind.CAPTURE_CARD, "slides") == Patience(60.0, 30.0, 20.0)


def test_microphone_is_a_role_and_a_kind() -> None:
    """The sound of a capture card that is the room's microphone: what somebody has set for either counts."""
    built_in = dict(BUILT_IN_PATIENCE)
    card = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0)})
    assert patience_for(card, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 300
    role = Settings(patience=built_in | {"capture-card": Setting(silence_s=300.0), "microphone": Setting(silence_s=60)})
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "microphone").silence_s == 60
    assert patience_for(role, DeviceKind.CAPTURE_CARD, "interpreter").silence_s == 300
    assert patience_for(role, DeviceKind.MICROPHONE).silence_s == 60
