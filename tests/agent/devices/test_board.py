"""What the table of devices is put together from, and which changes that makes."""

import contextlib
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

import agent.devices.board
from agent.devices.board import DeviceBoard, HealthLogFollower, SoundInputWatcher, WatchInbox, WatchMessage
from agent.devices.listing import with_swaps_and_faults
from capture.sound.child_process import ServerSource, SoundInputs
from config.errors import DeviceError
from devices.health.faults import Fault
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_writer import HealthLog
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Health, HealthState
from devices.monitor.device_changes import ChangeKind, DeviceChange
from devices.monitor.known_devices import KnownDevice, known_store
from devices.roles.matching import RoleBinding, binding_of
from tests.support.command import ROOT
from tests.support.processes import runs
from tests.support.waiting import wait_for

CAMERA = Device(id="046d:0825:A1", kind=DeviceKind.CAMERA, name="Webcam", port="1-2", node="/dev/video0")
STICK = Device(
    id="534d:2109@1-4", kind=DeviceKind.CAPTURE_CARD, name="Stick", vid="534d", pid="2109", port="1-4",
    node="/dev/video2",
)  # fmt: skip
ROOM = Device(id="sound:room", kind=DeviceKind.MICROPHONE, name="room")
SILENT = Health(HealthState.SILENT, "it gives nothing", datetime(2026, 11, 25, tzinfo=UTC), "no-data")


def board(*devices: Device) -> DeviceBoard:
    board = DeviceBoard(dict)
    board.begin(devices)
    return board


def test_the_monitors_changes_are_told_in_its_own_words() -> None:
    shown = board(STICK)
    all_devices: list[tuple[Device, ...]] = []
    assert shown.hardware(DeviceChange(ChangeKind.PLUGGED, CAMERA, None, (CAMERA, STICK))) == [("plugged", CAMERA)]
    all_devices.append(shown.devices)
    assert shown.hardware(DeviceChange(ChangeKind.UNPLUGGED, CAMERA, CAMERA, (STICK,))) == [("unplugged", CAMERA)]
    there = msgspec.structs.replace(CAMERA, port="1-7")
    assert shown.hardware(DeviceChange(ChangeKind.MOVED, there, CAMERA, (there, STICK))) == [("moved", there)]
    assert shown.hardware(DeviceChange(ChangeKind.MOVED, there, CAMERA, (there, STICK))) == []
    renamed = msgspec.structs.replace(there, id="046d:0825@1-7")
    assert shown.hardware(DeviceChange(ChangeKind.CHANGED, renamed, there, (renamed, STICK))) == [("changed", renamed)]
    assert [*shown.inputs([ROOM]), *shown.inputs([ROOM])] == [("plugged", ROOM)], "so are inputs of sound servers"
    all_devices.append(shown.devices)
    assert shown.inputs([]) == [("unplugged", ROOM)]
    assert all_devices == [(CAMERA, STICK), (renamed, STICK, ROOM)]


def test_a_fault_that_a_recorder_found_is_a_change_of_health_until_it_is_over() -> None:
    shown = board(CAMERA, STICK)
    silent = msgspec.structs.replace(CAMERA, health=SILENT)
    assert shown.faults({CAMERA.id: SILENT, "gone": SILENT}) == [("health", silent)]
    assert list(shown.devices) == [silent, STICK]
    assert shown.hardware(DeviceChange(ChangeKind.UNPLUGGED, STICK, STICK, (CAMERA,))) == [("unplugged", STICK)]
    assert list(shown.devices) == [silent]
    assert shown.faults({}) == [("health", CAMERA)]


def test_a_device_that_somebody_takes_or_renames_is_told_by_what_differs() -> None:
    shown = board(CAMERA, STICK)
    busy = msgspec.structs.replace(CAMERA, health=Health(HealthState.BUSY, "zoom has it", None, "busy"))
    change = DeviceChange(ChangeKind.CHANGED, busy, CAMERA, (busy, STICK))
    assert change.is_of_health_only
    assert shown.hardware(change) == [("health", busy)]
    # Who has it open may find a fault of it, which is what counts; when that is over it is still in use.
    silent = msgspec.structs.replace(CAMERA, health=SILENT)
    assert shown.faults({CAMERA.id: SILENT}) == [("health", silent)]
    assert shown.faults({}) == [("health", busy)]
    assert shown.hardware(DeviceChange(ChangeKind.CHANGED, CAMERA, busy, (CAMERA, STICK))) == [("health", CAMERA)]
    moved = msgspec.structs.replace(CAMERA, node="/dev/video7")
    change = DeviceChange(ChangeKind.CHANGED, moved, CAMERA, (moved, STICK))
    assert not change.is_of_health_only
    assert shown.hardware(change) == [("changed", moved)]


def test_a_role_that_is_given_is_a_change_and_one_whose_device_has_gone_is_missing() -> None:
    roles: dict[str, RoleBinding] = {}
    shown = DeviceBoard(lambda: roles)
    shown.begin([CAMERA, STICK])
    roles["slides"] = binding_of(STICK, datetime(2026, 11, 25, tzinfo=UTC))
    ((word, device),) = shown.roles()
    assert (word, device.id, device.role) == ("changed", STICK.id, "slides")
    assert shown.missing == []
    shown.hardware(DeviceChange(ChangeKind.UNPLUGGED, STICK, STICK, (CAMERA,)))
    (sentence,) = shown.missing
    assert sentence.startswith("slides is missing: Stick (534d:2109@1-4): ")


# What the watch hears besides the monitor: the sound servers, and the health log


RECORDER = """
import sys, time
from pathlib import Path
from devices.host.clock import SystemClock
from devices.health.log_line import LogKind, LogLevel
from devices.health.log_writer import HealthLog
log = HealthLog(Path(sys.argv[1]), clock=SystemClock(), journal=None)
log("cam", LogKind.DEGRADED, "it gives nothing", level=LogLevel.ERROR, fault="no-data")
log.flush()
print("found", flush=True)
time.sleep(60)
"""


@pytest.fixture
def inbox() -> WatchInbox:
    return queue.SimpleQueue[WatchMessage]()


@pytest.fixture
def log(tmp_path: Path) -> Iterator[HealthLog]:
    with HealthLog(tmp_path / "health", clock=SystemClock(), journal=None) as log:
        yield log


class Servers:
    """The inputs of sound servers, and the way to tell of a change."""

    def __init__(self) -> None:
        self.answers: list[SoundInputs | DeviceError] = []
        self.asked = threading.Semaphore(0)
        self.may_answer = threading.Semaphore(0)
        self.tell: Callable[[Sequence[ServerSource]], None] = lambda sources: None

    def listing(self) -> SoundInputs:
        self.asked.release()
        assert self.may_answer.acquire(timeout=60)
        answer = self.answers.pop(0)
        if isinstance(answer, DeviceError):
            raise answer
        return answer

    def watch(self, on_sources: Callable[[Sequence[ServerSource]], None]) -> contextlib.AbstractContextManager[None]:
        self.tell = on_sources
        return contextlib.nullcontext()


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Servers:
    servers = Servers()
    monkeypatch.setattr(agent.devices.board, "list_sound_inputs", servers.listing)
    monkeypatch.setattr(agent.devices.board, "ServerSourceWatcher", servers.watch)
    return servers


HALL = ServerSource("hall", "Hall", 2)
IN_HALL = Device(id="pulse:hall", kind=DeviceKind.MICROPHONE, name="Hall")


def test_the_sound_servers_are_asked_at_first_and_when_something_changed(inbox: WatchInbox, servers: Servers) -> None:
    servers.answers = [SoundInputs(["room"]), DeviceError("none"), SoundInputs([], [HALL]), SoundInputs()]
    servers.may_answer.release(4)
    with SoundInputWatcher(inbox) as watch:
        assert inbox.get(timeout=60) == [ROOM]
        assert inbox.empty()
        watch.look()
        assert inbox.get(timeout=60) == []
        servers.tell([])  # as it was asked
        servers.tell([HALL])
        assert inbox.get(timeout=60) == [IN_HALL]
        servers.tell([HALL])
        servers.tell([])
        assert inbox.get(timeout=60) == []
    assert servers.answers == []
    wait_for(lambda: not runs("sound-servers"))


def test_what_is_told_while_they_are_asked_for_the_first_time_is_not_lost(inbox: WatchInbox, servers: Servers) -> None:
    servers.answers = [SoundInputs(), SoundInputs([], [HALL])]
    with SoundInputWatcher(inbox):
        assert servers.asked.acquire(timeout=60)
        servers.tell([HALL])
        servers.may_answer.release(2)
        assert inbox.get(timeout=60) == []
        assert inbox.get(timeout=60) == [IN_HALL]


def test_lines_come_as_they_are_written_but_for_those_that_are_shown_otherwise(
    inbox: WatchInbox, log: HealthLog
) -> None:
    with HealthLogFollower(log.folder, SystemClock(), inbox):
        log("046d:0825:A", LogKind.PLUGGED)
        log("046d:0825:A", LogKind.SAMPLE, level=LogLevel.DEBUG)
        log("046d:0825:A", LogKind.KERNEL, "usb 1-1: words", level=LogLevel.WARN)
        line = inbox.get(timeout=60)
    assert isinstance(line, HealthLine)
    assert (line.kind, line.reason) == (LogKind.KERNEL, "usb 1-1: words")


def test_a_fault_is_told_when_it_begins_ends_and_when_whoever_found_it_dies(inbox: WatchInbox, log: HealthLog) -> None:
    with HealthLogFollower(log.folder, SystemClock(), inbox):
        log("cam", LogKind.DEGRADED, "the same picture", level=LogLevel.ERROR, fault="frozen")
        found = inbox.get(timeout=60)
        assert isinstance(found, dict)
        assert (found["cam"].state, found["cam"].reason) == (HealthState.FROZEN, "the same picture")
        log("cam", LogKind.RECOVERED, fault="frozen")
        assert inbox.get(timeout=60) == {}
        words = [sys.executable, "-c", RECORDER, str(log.folder)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as recorder:
            assert recorder.stdout is not None
            assert recorder.stdout.readline() == b"found\n"
            found = inbox.get(timeout=60)
            assert isinstance(found, dict)
            assert found["cam"].state is HealthState.SILENT
            recorder.kill()
        assert inbox.get(timeout=60) == {}


# What is known of devices besides what is plugged in: which may have been swapped, and what others found of them


THEN = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def swap(device: Device) -> None:
    known = KnownDevice(name=device.name, first_seen=THEN, last_seen=THEN, swapped="its twin?", swapped_at=THEN)
    known_store().change(lambda _: {device.id: known})


def find(fault: Fault) -> None:
    """Say in the health log what this process has found of a camera that it has open."""
    with HealthLog(clock=SystemClock(), journal=None) as log:
        log(CAMERA.id, LogKind.OPENED)
        log(CAMERA.id, LogKind.DEGRADED, f"it is {fault}", fault=fault)


def faults_of(*devices: Device) -> list[str | None]:
    return [device.health.fault for device in with_swaps_and_faults(devices, SystemClock().now())]


def test_the_worst_of_all_that_is_known_is_shown() -> None:
    twin = msgspec.structs.replace(CAMERA, id="046d:0825:A2")
    swap(CAMERA)
    find(Fault.SLOW_PORT)
    assert faults_of(CAMERA, twin) == ["swapped", None]
    find(Fault.FLAPPING)
    assert faults_of(CAMERA, twin) == ["flapping", None]


def test_what_cannot_be_read_costs_nothing_else() -> None:
    state = known_store().path.parent
    find(Fault.HUM)
    (state / "devices.json").write_text("torn")
    assert faults_of(CAMERA) == ["hum"]
    (state / "devices.json").unlink()
    swap(CAMERA)
    (state / "health").rename(state / "health.old")
    (state / "health").write_text("no folder")
    assert faults_of(CAMERA) == ["swapped"]
