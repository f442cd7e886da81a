"""Sessions that run: each counts, whatever it is called; one that does not answer is disturbed least of all."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.checks.check import CheckContext, CheckFunction
from agent.checks.context import check_context
from agent.checks.kinds import encoder, pictures, storage, stream_keys, uplink
from agent.checks.kinds.equipment import device_results
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from devices.usb.topology import UsbTopology
from recorder.model.status import SessionState, SessionStatus, SourceLine
from recorder.running.runtime_directory import DeviceClaims, SessionClaim
from recorder.session.request import SessionRequest
from tests.support.shown import CAMERA, CARD
from tests.support.situations import runs, session, situation


def has(device: str) -> SessionStatus:
    return session(SessionState.LIVE, SourceLine(id=device, name="it", role=None, health=CAMERA.health))


def test_two_of_one_title_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [runs("Rapat", has(CAMERA.id)), runs("Rapat", has(CARD.id))]
    monkeypatch.setattr("agent.checks.context.running_recorders", lambda: both)
    now = check_context(SessionRequest(title=""), None, Settings(), SystemClock())
    assert now.held == both
    assert [now.holder(device) for device in (CAMERA, CARD)] == both


def test_one_that_is_being_sealed_has_nothing_open_and_one_that_does_not_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = [runs(str(state), session(state)) for state in SessionState]
    monkeypatch.setattr("agent.checks.context.running_recorders", lambda: [*every, runs("silent", None)])
    now = check_context(SessionRequest(title=""), None, Settings(), SystemClock())
    assert [one.info.title for one in now.held] == ["idle", "armed", "live", "degraded", "silent"]


@pytest.fixture
def silent() -> CheckContext:
    """Return a situation in which a session that does not answer has claimed a camera."""
    running = runs("Wisuda", None)
    claims = DeviceClaims(SessionClaim(id=running.info.id, title="Wisuda", pid=1))
    claims.take([(CAMERA.id, CAMERA.name)])
    asked = SessionRequest(title="Rapat", videos=(CAMERA.id,), audios=("none",))
    return replace(situation(asked, devices=[CAMERA]), held=[running])


def test_one_that_does_not_answer_has_what_it_has_claimed(silent: CheckContext) -> None:
    assert (silent.holder(CAMERA), silent.holder(CARD)) == (silent.held[0], None)
    assert replace(silent, held=[runs("Rapat", None)]).holder(CAMERA) is None


def test_its_camera_is_left_alone(silent: CheckContext) -> None:
    assert [result.code for result in device_results(CAMERA, "podium", silent, UsbTopology({}))] == ["held-silent"]
    assert [result.code for result in pictures.look(silent)] == ["held-silent"]


@pytest.mark.parametrize(
    ("look", "code"),
    [
        (encoder.measure, "in-session"),
        (storage.look, "recording"),
        (uplink.look, "in-use"),
        (stream_keys.look, "held-silent"),
    ],
)
def test_nothing_is_measured_that_would_disturb_it(
    silent: CheckContext, tmp_path: Path, look: CheckFunction, code: str
) -> None:
    asked = SessionRequest(title="Rapat", archive=tmp_path)
    results = list(look(replace(silent, asked=asked, settings=Settings(), quick=False)))
    assert code in [result.code for result in results]
