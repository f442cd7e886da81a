"""The monitor's thread in simulated time, and the hotplug messages it waits for."""

import errno
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from devices.health.log_line import LogKind
from devices.monitor import monitor as module
from devices.monitor.device_changes import ChangeKind, DeviceChange, DeviceSnapshot
from devices.monitor.known_devices import confirm, known_store
from devices.monitor.monitor import (
    EVENTS_LOST,
    GONE_S,
    LATEST_S,
    SETTLED_S,
    DeviceMonitor,
    HotplugEvent,
    HotplugListener,
)
from tests.support.health import Recorded
from tests.support.ports import STICK, WEBCAM, Act, Message, Netlink, PortRoom, Script, watching
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

NODE = ("add", None)
PLUG = ("add", "1-1")
UNPLUG = ("remove", "1-1")


class Run:
    def __init__(self, folder: Path, room: PortRoom, look: Callable[[], DeviceSnapshot] | None = None) -> None:
        self.clock = SimulatedClock()
        self.record = Recorded(self.clock)
        self.room = room
        self.memory = folder / "devices.json"
        self.looked: list[float] = []
        self.told: list[tuple[float, DeviceChange]] = []
        self._look = look or room.look
        self._began_ns = self.clock.now_ns()

    def __call__(self, *items: tuple[float, HotplugEvent | Act | OSError]) -> DeviceMonitor:
        """Go through the script; return the monitor, which has stopped."""
        script = Script(self.clock, *items)
        with watching(self.monitor(lambda: script)) as monitor:
            assert script.over.wait(60)
        assert script.is_closed
        return monitor

    def monitor(self, events: Callable[[], HotplugListener]) -> DeviceMonitor:
        return DeviceMonitor(
            self._on_change, self.clock, self.record, memory=self.memory, look=self._see, events=events
        )

    def now_s(self) -> float:
        return (self.clock.now_ns() - self._began_ns) / 1e9

    def _see(self) -> DeviceSnapshot:
        self.looked.append(round(self.now_s(), 3))
        return self._look()

    def _on_change(self, change: DeviceChange) -> None:
        self.told.append((round(self.now_s(), 3), change))

    def kinds(self) -> list[str]:
        return [change.kind.value for _, change in self.told]


def failing(room: PortRoom, *errors: Exception | None) -> Callable[[], DeviceSnapshot]:
    left = iter(errors)

    def look() -> DeviceSnapshot:
        if error := next(left, None):
            raise error
        return room.look()

    return look


@pytest.fixture
def room() -> PortRoom:
    return PortRoom(sounding=())


@pytest.fixture
def run(tmp_path: Path, room: PortRoom) -> Run:
    return Run(tmp_path, room)


def test_it_looks_once_when_the_messages_of_a_plug_have_settled(run: Run, room: PortRoom) -> None:
    monitor = run((1.0, lambda: room.plug(WEBCAM, "1-1")), (1.0, PLUG), (1.2, NODE), (1.4, NODE))
    assert run.looked == [0.0, pytest.approx(1.4 + SETTLED_S)]
    ((at, change),) = run.told
    assert at == pytest.approx(1.4 + SETTLED_S)
    assert (change.kind, change.device.id, change.before) == (ChangeKind.PLUGGED, "046d:0825:A1", None)
    assert change.devices == monitor.devices() == (change.device,)


def test_what_only_goes_is_looked_at_sooner(run: Run, room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    run((1.0, lambda: room.plugs.clear()), (1.0, ("unbind", None)), (1.02, UNPLUG))
    assert run.looked == [0.0, pytest.approx(1.02 + GONE_S)]
    assert run.kinds() == ["unplugged"]


def test_messages_without_end_do_not_put_it_off(run: Run, room: PortRoom) -> None:
    run((1.0, lambda: room.plug(WEBCAM, "1-1")), *((1.0 + n / 10, NODE) for n in range(40)))
    assert run.looked[1] == pytest.approx(1.0 + LATEST_S, abs=0.11)
    assert run.told[0][0] <= 1.0 + LATEST_S + 0.11
    assert len(run.looked) <= 6


def test_a_socket_that_fails_is_opened_anew(tmp_path: Path, room: PortRoom) -> None:
    run = Run(tmp_path, room)
    broken = Script(run.clock, (1.0, OSError(errno.EBADF, "gone")), (9.0, NODE))
    sound = Script(run.clock, (4.0, lambda: None))
    opened: list[Script] = []

    def events() -> Script:
        if len(opened) == 1 and run.now_s() < 2.5:
            raise OSError(errno.ENOMEM, "no room")
        if opened:
            room.plug(WEBCAM, "1-1")
        opened.append([broken, sound][len(opened)])
        return opened[-1]

    with watching(run.monitor(events)):
        assert sound.over.wait(60)
    assert (broken.is_closed, run.kinds(), run.looked) == (True, ["plugged"], [0.0, 3.0])


def test_what_cannot_be_looked_at_is_said_once_and_tried_until_it_can_be(tmp_path: Path, room: PortRoom) -> None:
    odd = UnicodeDecodeError("utf-8", b"\xff", 0, 1, "a name that is none")
    room.plug(WEBCAM, "1-1")
    run = Run(tmp_path, room, failing(room, *[odd] * 7))
    run((1.0, NODE), (20.0, lambda: None))
    assert len(run.looked) == 8
    assert run.kinds() == ["plugged"]
    (line,) = run.record.of(LogKind.WATCH_STOPPED)
    assert line.reason.startswith("devices cannot be listed: 'utf-8' codec")


def test_a_look_that_hangs_holds_up_no_end(tmp_path: Path, room: PortRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_STOPS_S", 0.05)
    hangs, asked = threading.Event(), threading.Event()

    def look() -> DeviceSnapshot:
        if this.looked[1:]:
            room.plug(WEBCAM, "1-1")
            asked.set()
            assert hangs.wait(60)
        return room.look()

    this = Run(tmp_path, room, look)
    script = Script(this.clock, (1.0, NODE))
    monitor = this.monitor(lambda: script)
    monitor.start()
    assert asked.wait(60)
    monitor.stop()
    assert monitor.is_watching
    hangs.set()
    wait_for(lambda: not monitor.is_watching)
    assert (this.told, script.is_closed) == ([], True)


def test_unpluggings_between_two_looks_are_counted_though_a_look_failed(tmp_path: Path, room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    run = Run(tmp_path, room, failing(room, None, OSError(errno.EIO, "no")))
    replug = [(1.0 + n / 10, message) for n in range(3) for message in (UNPLUG, PLUG)]
    run((1.3, lambda: room.plug(room.unplug("1-1"), "1-1")), *replug, (9.0, lambda: None))
    (line,) = run.record.of(LogKind.FLAPPING)
    assert line.detail["unplugs"] == 3


def test_a_refresh_takes_a_look_and_tells_what_differs(run: Run, room: PortRoom) -> None:
    def ask() -> None:
        room.plug(WEBCAM, "1-1")
        monitor.refresh()

    script = Script(run.clock, (1.0, ask), (2.0, lambda: None))
    monitor = run.monitor(lambda: script)
    with watching(monitor):
        assert script.over.wait(60)
    assert (run.looked, run.kinds()) == ([0.0, 1.0], ["plugged"])


def test_flapping_ends_by_itself_after_a_calm_minute(run: Run, room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    items: list[tuple[float, HotplugEvent | Act | OSError]] = []
    for n in range(4):
        items += [(2.0 * n + 1, lambda: room.plugs.clear()), (2.0 * n + 1, UNPLUG)]
        items += [(2.0 * n + 2, lambda: room.plug(WEBCAM, "1-1")), (2.0 * n + 2, PLUG)]
    monitor = run(*items, (200.0, lambda: None))
    assert monitor.devices()[0].health.state == "ok"
    at, last = run.told[-1]
    assert (last.kind, last.device.health.fault) == (ChangeKind.CHANGED, None)
    assert (last.before and last.before.health.fault) == "flapping"
    assert at == pytest.approx(8 + SETTLED_S + 60)
    (line,) = run.record.of(LogKind.RECOVERED)
    assert (line.detail["fault"], line.detail["unplugs"], line.detail["plugged"]) == ("flapping", 4, True)


def test_a_confirmed_swap_is_taken_over_from_the_file(run: Run, room: PortRoom) -> None:
    room.plug(STICK, "1-1")
    room.plug(STICK, "1-2")

    def replug() -> None:
        for port in ("1-1", "1-2"):
            room.plug(room.unplug(port), port)

    def look_at_the_picture() -> None:
        assert len(confirm(known_store(run.memory), ["534d:2109@1-1", "534d:2109@1-2"])) == 2

    run((1.0, replug), (1.0, NODE), (30.0, look_at_the_picture), (33.0, lambda: None))
    assert run.kinds() == ["unplugged", "unplugged", "plugged", "plugged", "changed", "changed"]
    assert [change.device.health.fault for _, change in run.told[2:]] == ["swapped", "swapped", None, None]
    assert run.told[-1][0] <= 32.0


def test_a_listener_that_fails_blinds_nobody(run: Run, room: PortRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: reported.append(args.exc_value))
    heard: list[str] = []

    def fail(change: DeviceChange) -> None:
        heard.append(change.kind)
        raise ValueError(change.kind)

    monkeypatch.setattr(run, "_on_change", fail)
    run((1.0, lambda: room.plug(WEBCAM, "1-1")), (1.0, PLUG), (2.0, lambda: room.plugs.clear()), (2.0, UNPLUG))
    assert heard == ["plugged", "unplugged"]
    assert [str(error) for error in reported] == heard


def test_what_was_seen_is_remembered_for_the_next_run(tmp_path: Path, room: PortRoom) -> None:
    room.plug(WEBCAM, "1-1")
    first = Run(tmp_path, room)
    first((1.0, lambda: None))
    (line,) = first.record.lines
    assert line.reason == "was plugged in before Liput looked, port 1-1; new: never seen on this PC before"
    assert line.detail["at_start"] is True
    room.plug(room.unplug("1-1"), "1-4")
    second = Run(tmp_path, room)
    second.clock.advance(300)
    second((3600.0, lambda: None))
    (known,) = known_store(first.memory).read().values()
    assert (known.first_seen, known.last_seen) == (first.clock.now() - timedelta(seconds=1), second.clock.now())
    (line,) = second.record.lines
    assert line.reason.endswith("port 1-4; known, last seen 4 min ago in port 1-1")


def test_messages_are_told_with_the_port_of_a_plug_and_what_was_lost() -> None:
    netlink = Netlink()
    events = HotplugListener(netlink)
    netlink.put(Message("add"))
    netlink.put(Message("bind", device_type="usb_interface", sys_name="1-1:1.0"))
    netlink.put(Message("remove", subsystem="video4linux", device_type=None, sys_name="video0"))
    assert events.wait(5) == [("add", "1-1"), ("bind", None), ("remove", None)]
    assert events.wait(0) == []
    netlink.put(OSError(errno.ENOBUFS, "no buffer space"))
    netlink.put(Message("add"))
    assert events.wait(5) == [EVENTS_LOST, ("add", "1-1")]
    netlink.put(OSError(errno.EBADF, "gone"))
    with pytest.raises(OSError, match="gone"):
        events.wait(5)
    events.close()
    netlink.close()


def test_waking_ends_the_wait_also_one_that_comes_later() -> None:
    events = HotplugListener()  # the machine's own: netlink there is everywhere
    threading.Timer(0.05, events.wake).start()
    assert events.wait(None) == []
    events.wake()
    assert events.wait(None) == []
    events.close()
    events.wake()
