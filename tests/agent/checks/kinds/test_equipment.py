"""What is said of the devices of a session; tests/rig/guest/guest_check.py has real drivers."""

import dataclasses
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.checks.check import CheckContext, CheckResult, CheckVerdict
from agent.checks.kinds.equipment import look
from agent.checks.kinds.plugged_devices import NAME, PluggedDevices, SessionSource
from capture.sound import inputs
from capture.sound.child_process import ServerSource, SoundInputs
from devices.health.faults import FAULT_STATES, Fault
from devices.health.log_line import LogKind
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.host.process import LIPUT_COMMAND
from devices.model.device import Device, DeviceKind, Health, Mode
from devices.monitor.holders import Holder
from devices.monitor.known_devices import KnownDevice, known_store
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from devices.usb.topology import UsbTopology
from recorder.model.status import SessionState, SourceLine
from recorder.session.request import SessionRequest
from tests.support.ports import CAMERA, CARD, CARD_SOUND, MIC, WEBCAM, PortRoom, furnished, given_roles, usb_tree
from tests.support.situations import codes, session, situation


@pytest.fixture(autouse=True)
def _no_sound_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "list_sound_inputs", lambda *_: SoundInputs(inputs=[], sources=[]))


@pytest.fixture
def ports() -> PortRoom:
    return furnished()


def asked(*videos: str, audios: tuple[str, ...] = ()) -> SessionRequest:
    return SessionRequest(title="Rapat", videos=videos, audios=audios)


def ids(sources: list[SessionSource]) -> list[str | None]:
    return [one.device.id if one.device else one.trouble.code if one.trouble else None for one in sources]


def of(ports: PortRoom, wanted: SessionRequest, **roles: str) -> list[SessionSource]:
    devices = ports.devices()
    return list(PluggedDevices(devices, given_roles(devices, **roles)).sources(wanted))


def test_words_mean_devices_roles_and_what_belongs_to_them_or_the_best_there_is(ports: PortRoom) -> None:
    assert ids(of(ports, asked())) == [CARD, CARD_SOUND]
    found = of(ports, asked(), podium=CAMERA, microphone=MIC)
    assert ids(found) == [CAMERA, MIC]
    assert [source.name for source in found] == ["podium", "microphone"]
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


def test_a_word_that_means_nothing_says_why(ports: PortRoom) -> None:
    assert ids(of(ports, asked("lectern", audios=("none",)))) == ["not-found"]
    assert ids(of(ports, asked("screen:bad", audios=("none",)))) == ["no-source"]
    assert ids(of(ports, asked("synthetic", audios=(CAMERA,)))) == [None, "wrong-kind"]


# Roles whose device is not there


def test_another_one_in_its_port_is_a_replacement(ports: PortRoom) -> None:
    roles = given_roles(ports.devices(), podium=CAMERA)
    ports.unplug("1-1")
    ports.plug(dataclasses.replace(WEBCAM, serial="B2"), "1-1")
    (source,) = PluggedDevices(ports.devices(), roles).sources(asked("podium", audios=("none",)))
    assert source.trouble
    assert source.trouble.code == "replaced"
    assert "046d:0825:B2" in source.trouble.reason.english + source.trouble.for_it.english


def test_one_without_a_serial_number_in_another_port_has_moved(ports: PortRoom) -> None:
    roles = given_roles(ports.devices(), slides=CARD)
    ports.plug(ports.unplug("1-2"), "1-4")
    (source,) = PluggedDevices(ports.devices(), roles).sources(asked("slides", audios=("none",)))
    assert source.trouble
    assert source.trouble.code == "moved"
    assert "1-4" in source.trouble.reason.english + source.trouble.advice.english


NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
FULL_HD = Mode("MJPG", 1920, 1080, (30.0,))
NOWHERE = UsbTopology({})
BUSY = Health(FAULT_STATES[Fault.BUSY], "used", NOW, Fault.BUSY)


def microphone(**changes: object) -> Device:
    microphone = Device(
        id="0d8c:0134@1-3", kind=DeviceKind.MICROPHONE, name="Mixer", vid="0d8c", pid="0134", port="1-3"
    )
    return msgspec.structs.replace(microphone, alsa="hw:CARD=Mixer,DEV=0", **changes)


def camera(**changes: object) -> Device:
    """Return a camera without controls: its node is none."""
    one = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Podium Cam", node="/dev/null", modes=(FULL_HD,))
    return msgspec.structs.replace(one, vid="046d", pid="0825", serial="A1", **changes)


def check_equipment(situation: CheckContext, tree: UsbTopology) -> list[CheckResult]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(UsbTopology, "read", lambda: tree)
        return list(look(situation))


def of_sound(device: Device, **more: object) -> CheckResult:
    wanted = asked("synthetic", audios=(device.id,))
    _, result = check_equipment(situation(wanted, devices=[device], **more), NOWHERE)  # type: ignore[arg-type]
    return result


def of_camera(device: Device, tree: UsbTopology = NOWHERE, profile: str = "1080p30") -> list[str]:
    asked = SessionRequest(title="Rapat", videos=(device.id,), audios=("none",), profile=profile)
    return [result.code for result in check_equipment(situation(asked, devices=[device]), tree)]


def test_a_microphone_that_is_there_is_well_and_an_empty_room_says_what_to_plug_in() -> None:
    result = of_sound(microphone(link_bps=12_000_000))
    assert (result.name, result.code, result.measured) == (f"{NAME}: Mixer", "ok", {"link_bps": 12_000_000})
    assert result.reason.english == "Mixer: 0d8c:0134@1-3, USB 12.0 Mbit/s"
    results = list(look(situation()))
    assert codes(results) == [(f"{NAME}: camera", "no-camera"), (f"{NAME}: microphone", "no-microphone")]
    assert all(result.verdict is CheckVerdict.FAILURE and result.advice.indonesian for result in results)


def test_a_missing_role_is_told_also_where_it_is_not_needed() -> None:
    roles_store().change(lambda _: {"mixer": binding_of(microphone(), NOW)})
    (_, result) = check_equipment(situation(asked("synthetic", audios=("mixer",))), NOWHERE)
    assert (result.name, result.code) == (f"{NAME}: mixer", "missing")
    assert result.reason.english == "Mixer is not plugged in"
    assert result.advice.english.endswith("port 1-3.")
    names = codes(check_equipment(situation(), NOWHERE))
    assert names == [(f"{NAME}: camera", "no-camera"), (f"{NAME}: mixer", "missing")]
    roles_store().change(lambda _: {"room": binding_of(camera(), NOW), "slides": binding_of(camera(id="a:b:c"), NOW)})
    found = codes(check_equipment(situation(devices=[microphone()]), NOWHERE))
    assert found == [(f"{NAME}: slides", "missing"), (f"{NAME}: Mixer", "ok"), (f"{NAME}: room", "role-missing")]


@pytest.mark.parametrize(("file", "about"), [("roles.json", NAME), ("presets.json", f"{NAME}: Podium Cam")])
def test_what_cannot_be_read_is_told(tmp_path: Path, file: str, about: str) -> None:
    broken = roles_store().path.with_name(file)
    broken.parent.mkdir(parents=True, exist_ok=True)
    broken.write_text("{")
    now = situation(asked(camera().id, audios=("none",)), devices=[camera()])
    assert (about, "unreadable") in codes(check_equipment(now, NOWHERE))


# Whose it is


def line(device: Device, fault: Fault | None = None) -> SourceLine:
    health = Health(FAULT_STATES[fault], "says why", NOW, fault) if fault else Health()
    return SourceLine(id=device.id, name=device.name, role=None, health=health)


@pytest.mark.parametrize(
    ("fault", "code"), [(None, "held"), (Fault.CLIPPING, "held-poor"), (Fault.DEAD_CHANNEL, "held-failing")]
)
def test_what_a_session_holds_is_as_that_session_says(fault: Fault | None, code: str) -> None:
    busy = microphone(health=Health(FAULT_STATES[Fault.BUSY], "used by Liput", NOW, Fault.BUSY))
    result = of_sound(busy, held={"Wisuda": session(SessionState.ARMED, line(busy, fault))})
    assert result.code == code
    assert '"Wisuda"' in result.reason.indonesian
    assert (fault is None) or result.measured == {"fault": fault}


def test_every_fault_has_words_of_its_own() -> None:
    live = [session(SessionState.LIVE, line(microphone(), fault)) for fault in Fault]
    said = {of_sound(microphone(), held={"x": status}).reason for status in live}
    assert len(said) == len(Fault)


@pytest.mark.parametrize(
    ("who", "code", "said"),
    [
        ([Holder(7, "zoom"), Holder(9, "obs")], "busy", "by zoom (pid 7), obs (pid 9)"),
        ([Holder(7, LIPUT_COMMAND)], "busy-liput", "by a session of Liput that does not answer (liput (pid 7))"),
        ([], "busy-unseen", "by another user's program"),
    ],
)
def test_a_device_in_use_names_users(monkeypatch: pytest.MonkeyPatch, who: list[Holder], code: str, said: str) -> None:
    monkeypatch.setattr("agent.checks.kinds.equipment.holders", lambda _node: who)
    result = of_sound(microphone(health=BUSY))
    assert (result.code, result.reason.english) == (code, f"Mixer is in use {said}")


def test_a_microphone_that_the_sound_server_has_can_be_recorded_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    source = ServerSource(name="alsa_input.mixer", description="Mixer", channels=2, alsa="hw:CARD=Mixer,DEV=0")
    monkeypatch.setattr("agent.checks.kinds.equipment.holders", lambda _node: [Holder(7, "pipewire")])
    monkeypatch.setattr("agent.checks.kinds.equipment.source_of_card", lambda _alsa: source)
    result = of_sound(microphone(health=BUSY))
    assert result.code == "busy-server"
    assert result.for_it.indonesian.endswith("--audio pulse:alsa_input.mixer")
    monkeypatch.setattr("agent.checks.kinds.equipment.source_of_card", lambda _alsa: None)
    assert of_sound(microphone(health=BUSY)).code == "busy"


@pytest.mark.parametrize(
    ("fault", "code"), [(Fault.DENIED, "denied"), (Fault.NO_DATA, "no-answer"), (Fault.FLAPPING, "unwell")]
)
def test_what_is_known_without_opening_it_is_told(fault: Fault, code: str) -> None:
    assert of_sound(microphone(health=Health(FAULT_STATES[fault], "says why", NOW, fault))).code == code


def test_twins_that_may_have_been_swapped_are_told() -> None:
    known = KnownDevice(
        name="Mixer", first_seen=NOW, last_seen=NOW, port="1-3", swapped="it may be its twin", swapped_at=NOW
    )
    known_store().change(lambda _: {microphone().id: known})
    assert of_sound(microphone()).code == "swapped"
    with HealthLog(clock=SystemClock(), journal=None) as log:  # as one does who has it open
        log(microphone().id, LogKind.OPENED)
        log(microphone().id, LogKind.DEGRADED, "it is so", fault=Fault.FLAPPING)  # which is worse
    result = of_sound(microphone())
    assert (result.code, result.measured) == ("unwell", {"fault": "flapping"})


# Where it is, and what it gives


@pytest.fixture
def cameras(tmp_path: Path) -> UsbTopology:
    return UsbTopology.read(usb_tree("three_cameras", tmp_path))


def test_a_usb_3_camera_behind_a_usb_2_hub_is_in_the_wrong_port(cameras: UsbTopology) -> None:
    assert of_camera(camera(port="5-1.4"), cameras) == ["slow-hub"]


def test_a_camera_that_gives_less_than_the_profile_is_told() -> None:
    assert of_camera(camera(modes=(FULL_HD,))) == ["ok"]
    assert of_camera(camera(modes=(Mode("MJPG", 1024, 768, (30.0,)),)), profile="720p30") == ["ok"]
    assert of_camera(camera(modes=(Mode("XYZW", 1920, 1080, (30.0,)),))) == ["no-mode"]
    assert of_camera(camera(modes=(Mode("MJPG", 640, 480, (30.0,)),))) == ["small-mode"]
    assert of_camera(camera(modes=(Mode("MJPG", 1920, 1080, (15.0,)),))) == ["slow-mode"]
    assert of_camera(camera(modes=(Mode("MJPG", 1920, 1080, (25.0,)),))) == ["ok"]


@pytest.mark.parametrize(
    ("tree", "ports", "code"),
    [("two_grabbers", ("3-1.1", "3-1.2"), "bus-full"), ("three_cameras", ("5-1.4", "5-1.3.1.3.7"), "bus-tight")],
)
def test_cameras_that_cannot_run_at_once_are_told(tmp_path: Path, tree: str, ports: tuple[str, str], code: str) -> None:
    devices = [camera(id=f"a:b:{port}", name=f"Camera {port}", port=port) for port in ports]
    words = tuple(device.id for device in devices)
    asked = SessionRequest(title="Rapat", videos=words, audios=("none",), profile="720p30")
    results = check_equipment(situation(asked, devices=devices), UsbTopology.read(usb_tree(tree, tmp_path)))
    (shared,) = [result for result in results if result.name.startswith(f"{NAME}: USB")]
    assert shared.code == code
    assert all(device.name in shared.reason.indonesian for device in devices)
