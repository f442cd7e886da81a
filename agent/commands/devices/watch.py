"""`liput devices --watch`: shows changes from the monitor, the sound servers and the health log."""

import math
import queue
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Literal, Self

from agent.devices.board import DeviceBoard
from agent.devices.table import Shower, device_view
from agent.terminal.signals_and_keys import LONGEST_WAIT_S, handle_signals, watch_keys
from capture.sound.child_process import ServerSource, SoundInputs
from capture.sound.inputs import ServerSourceWatcher, devices_of, list_sound_inputs
from config.errors import LiputError, StateError
from config.settings.schema import Settings
from devices.device_service import DeviceService, device_service
from devices.health.log_line import HealthLine, LogKind, LogLevel
from devices.health.log_reader import POLL_S, LogFilter, follow
from devices.health.log_writer import open_health_log
from devices.health.summary import active_health
from devices.host import threads
from devices.host.background import BackgroundTask
from devices.host.clock import Clock, SystemClock
from devices.model.device import Device, Health
from devices.monitor.device_changes import DeviceChange
from devices.monitor.monitor import DeviceMonitor

_CHANGE_FAULTS = {LogKind.DEGRADED, LogKind.RECOVERED, LogKind.OPENED, LogKind.CLOSED}
_SHOWN_OTHERWISE = {
    LogKind.PLUGGED,
    LogKind.UNPLUGGED,
    LogKind.MOVED,
    LogKind.DEGRADED,
    LogKind.RECOVERED,
    LogKind.WATCH_STARTED,
}
"""Lines that the monitor or a device's health shows already, and the start of a watch."""
MOST_WAITING = 1000
"""Messages that may wait for a blocked terminal; further log lines stay in their files."""
_LOOK_AGAIN_S = 2.0
"""Interval for reading open faults again: their finder may have died silently."""


type WatchMessage = DeviceChange | HealthLine | list[Device] | dict[str, Health] | Literal["end", "redraw"]
"""From the monitor and the health log; the sound inputs; the open faults by device; signals and keys."""
type WatchInbox = queue.SimpleQueue[WatchMessage]
"""A signal handler may put into it."""


class SoundInputWatcher:
    """Lists sound inputs at the start, on `look`, and when a server's sources change."""

    def __init__(self, inbox: WatchInbox) -> None:
        self._inbox = inbox
        self._asked: Sequence[ServerSource] | None = None
        self._told: Sequence[ServerSource] | None = None
        self._sources = ServerSourceWatcher(self._on_sources)
        self._task = BackgroundTask("sound-servers", self._list_inputs, pause=math.inf)

    def __enter__(self) -> Self:
        self._task.start()
        self._sources.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._sources.__exit__(*exc)
        self._task.stop()

    def look(self) -> None:
        """List the inputs again; returns at once."""
        self._task.wake()

    def _on_sources(self, sources: Sequence[ServerSource]) -> None:
        self._told = sources
        if self._asked is not None and self._asked != sources:
            self.look()

    def _list_inputs(self) -> None:
        try:
            listing = list_sound_inputs()
        except LiputError:
            listing = SoundInputs()
        is_first, self._asked = self._asked is None, listing.sources
        if is_first and self._told is not None and self._told != self._asked:
            self.look()  # they changed during the listing
        self._inbox.put(list(devices_of(listing)))


class HealthLogFollower:
    """Follows the health log in `folder`: its lines and the open faults. An unreadable log is ignored."""

    def __init__(self, folder: Path, clock: Clock, inbox: WatchInbox) -> None:
        self._folder = folder
        self._clock = clock
        self._inbox = inbox
        self._faults: Mapping[str, Health] = {}
        self._judging = BackgroundTask("log-faults", self._judge, pause=self._pause, clock=clock)
        self._stop = self._judging.stopped

    def __enter__(self) -> Self:
        threads.start_thread(self._read, name="log-reader")
        self._judging.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._judging.stop()

    def _read(self) -> None:
        try:
            for line in follow(self._folder, LogFilter(level=LogLevel.INFO), clock=self._clock, stop=self._stop):
                if line.kind not in _SHOWN_OTHERWISE:
                    self._wait_for_room()
                    self._inbox.put(line)
                if line.kind in _CHANGE_FAULTS:
                    self._judging.wake()
        except StateError:
            return

    def _wait_for_room(self) -> None:
        while self._inbox.qsize() >= MOST_WAITING and not self._stop.is_set():
            self._clock.wait(self._stop, POLL_S)

    def _judge(self) -> bool:
        """Send the open faults if they changed; return whether the log is unreadable."""
        try:
            faults = active_health(self._folder, now=self._clock.now())
        except StateError:
            return True
        self._wait_for_room()
        if faults != self._faults:
            self._inbox.put(dict(faults))
        self._faults = faults
        return False

    def _pause(self, _failures: int) -> float:
        return _LOOK_AGAIN_S if self._faults else math.inf


_CHANGE_ROLES = {LogKind.ROLE_ASSIGNED, LogKind.ROLE_UNASSIGNED, LogKind.ROLE_REPLACED}

_CHANGE_USE = {LogKind.OPENED, LogKind.CLOSED, LogKind.REFUSED}
"""A session has opened, closed or failed to open a device; the log says so before the monitor sees it."""

_SERVERS_ANSWER_S = 1.0


def watch(settings: Settings, *, as_json: bool) -> None:
    """Show devices until q, Ctrl-C or a signal; a device service keeps the health log and sets cameras."""
    clock = SystemClock()
    inbox: WatchInbox = queue.SimpleQueue[WatchMessage]()
    with ExitStack() as stack:
        stack.enter_context(_signals(inbox))
        log = stack.enter_context(open_health_log(settings, clock))
        monitor = partial(DeviceMonitor, follows_use=True)
        service = stack.enter_context(device_service(log, settings, clock, on_change=inbox.put, monitor=monitor))
        stack.enter_context(HealthLogFollower(log.folder, clock, inbox))
        service.start()
        inputs = stack.enter_context(SoundInputWatcher(inbox))
        board = DeviceBoard()
        board.begin(service.devices())
        waiting = _first_inputs(inbox, board)
        shown = device_view(as_json=as_json)
        stack.enter_context(shown)
        stack.enter_context(watch_keys(lambda key: inbox.put("end") if key in {"q", "Q"} else None))
        shown.begin(clock.now(), board)
        for message in _messages(waiting, inbox):
            if message == "end":
                return
            _refresh(message, service, inputs)
            _show(message, board, shown, clock)


def _first_inputs(inbox: WatchInbox, board: DeviceBoard) -> list[WatchMessage]:
    """Wait briefly for the sound servers, so that the first list is complete; return the messages meanwhile."""
    waiting: list[WatchMessage] = []
    deadline = time.monotonic() + _SERVERS_ANSWER_S
    with suppress(queue.Empty):
        while True:
            message = inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(message, list):
                board.inputs(message)
                break
            waiting.append(message)
            if message == "end":
                break
    return waiting


def _messages(waiting: Sequence[WatchMessage], inbox: WatchInbox) -> Iterator[WatchMessage]:
    yield from waiting
    while True:
        with suppress(queue.Empty):
            yield inbox.get(timeout=LONGEST_WAIT_S)


def _refresh(message: WatchMessage, service: DeviceService, inputs: SoundInputWatcher) -> None:
    """Refresh the listings that a message may have changed."""
    match message:
        case HealthLine(kind=kind) if kind in _CHANGE_USE:
            service.refresh()
        case DeviceChange() as change if not change.is_of_health_only:
            inputs.look()


def _show(message: WatchMessage, board: DeviceBoard, shown: Shower, clock: Clock) -> None:
    match message:
        case HealthLine() as line:
            if line.kind in _CHANGE_ROLES:
                shown.changed(clock.now(), board.roles(), board)
            shown.told(line)
        case DeviceChange() as change:
            shown.changed(clock.now(), board.hardware(change), board)
        case list() as devices:
            shown.changed(clock.now(), board.inputs(devices), board)
        case dict() as health:
            shown.changed(clock.now(), board.faults(health), board)
        case _:
            shown.redraw()


def _signals(inbox: WatchInbox) -> AbstractContextManager[None]:
    """Let signals end the watch in order, and SIGWINCH redraw it."""
    # Ctrl-Z would leave the shell on our screen, and return to a terminal with wrong settings.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH)
    return handle_signals(numbers, lambda number: inbox.put("redraw" if number == signal.SIGWINCH else "end"))
