"""Words of a session find the same devices as when it is recorded, or the reason why they find none."""

import dataclasses
from pathlib import Path

import pytest

from agent.checks.kinds.plugged_devices import PluggedDevices, SessionSource
from capture.sound import inputs
from capture.sound.child_process import SoundInputs
from devices.model.device import Device
from recorder.session.request import SessionRequest
from tests.support.ports import (
    CAMERA,
    CARD,
    CARD_SOUND,
    MIC,
    WEBCAM,
    PortRoom,
    furnished,
    given_roles,
)


@pytest.fixture(autouse=True)
def _no_sound_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "list_sound_inputs", lambda *_: SoundInputs(inputs=[], sources=[]))


@pytest.fixture
def ports() -> PortRoom:
    """Provide a stick with sound, a camera and a microphone."""
    return furnished()


def asked(*videos: str, audios: tuple[str, ...] = ()) -> SessionRequest:
    return SessionRequest(title="Rapat", videos=videos, audios=audios)


def ids(sources: list[SessionSource]) -> list[str | None]:
    return [
        source.device.id if source.device else source.trouble.code if source.trouble else None for source in sources
    ]


def of(ports: PortRoom, wanted: SessionRequest, **roles: str) -> list[SessionSource]:
    devices = ports.devices()
    return list(PluggedDevices(devices, given_roles(devices, **roles)).sources(wanted))


def test_without_words_it_is_the_best_there_is(ports: PortRoom) -> None:
    assert ids(of(ports, asked())) == [CARD, CARD_SOUND]
    found = of(ports, asked(), podium=CAMERA, microphone=MIC)
    assert [(source.name, source.device and source.device.id) for source in found] == [
        ("podium", CAMERA), ("microphone", MIC),
    ]  # fmt: skip


def test_words_mean_devices_roles_and_what_belongs_to_them(ports: PortRoom) -> None:
    found = of(ports, asked("podium", "1-2", audios=("slides", "0d8c:0134@1-3")), podium=CAMERA, slides=CARD)
    assert ids(found) == [CAMERA, CARD, CARD_SOUND, MIC]


def test_what_is_no_device_is_no_equipment(ports: PortRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    film = tmp_path / "film.mkv"
    film.touch()
    assert ids(of(ports, asked("synthetic"))) == [None]
    assert ids(of(ports, asked(str(film)))) == [None]
    assert ids(of(ports, asked("screen", audios=("none",)))) == [None]
    assert ids(of(ports, asked("screen", "synthetic"))) == [None, None, CARD_SOUND]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        (asked("lectern", audios=("none",)), "not-found"),
        (asked("0d8c:0134@1-3", audios=("none",)), "wrong-kind"),
        (asked("film.mkv", audios=("none",)), "no-file"),
        (asked("screen:bad", audios=("none",)), "no-source"),
        (asked("synthetic", audios=("lectern",)), "not-found"),
        (asked("synthetic", audios=("046d:0825:A1",)), "wrong-kind"),
    ],
)
def test_a_word_that_means_nothing_says_why(ports: PortRoom, wanted: SessionRequest, code: str) -> None:
    assert ids(of(ports, wanted))[-1] == code


def test_a_word_that_means_two_devices_is_ambiguous(ports: PortRoom) -> None:
    two = PortRoom()
    two.plug(WEBCAM, "1-1")
    devices = two.devices()
    twins = [*devices, *(Device(id="other", kind=one.kind, name="Other", node=one.node, port="1-1") for one in devices)]
    assert ids(list(PluggedDevices(twins, {}).sources(asked("1-1", audios=("none",))))) == ["ambiguous"]


def test_a_screen_under_wayland_cannot_be_recorded(ports: PortRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert ids(of(ports, asked("screen", audios=("none",)))) == ["no-screen"]


# Roles whose device is not there


def test_another_one_in_its_port_is_a_replacement(ports: PortRoom) -> None:
    roles = given_roles(ports.devices(), podium=CAMERA)
    ports.unplug("1-1")
    ports.plug(dataclasses.replace(WEBCAM, serial="B2"), "1-1")
    (source,) = PluggedDevices(ports.devices(), roles).sources(asked("podium", audios=("none",)))
    assert source.trouble
    assert source.trouble.code == "replaced"
    assert "046d:0825:B2" in source.trouble.reason.english + source.trouble.advice.english


def test_one_without_a_serial_number_in_another_port_has_moved(ports: PortRoom) -> None:
    roles = given_roles(ports.devices(), slides=CARD)
    ports.plug(ports.unplug("1-2"), "1-4")
    (source,) = PluggedDevices(ports.devices(), roles).sources(asked("slides", audios=("none",)))
    assert source.trouble
    assert source.trouble.code == "moved"
    assert "1-4" in source.trouble.reason.english + source.trouble.advice.english
