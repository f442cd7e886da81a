"""`liput devices --watch`: shows changes from the monitor, the sound servers and the health log."""

import queue
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial

from agent.devices.board import DeviceBoard, HealthLogFollower, SoundInputWatcher, WatchInbox, WatchMessage
from agent.devices.table import Shower, device_view
from agent.terminal.signals_and_keys import LONGEST_WAIT_S, handle_signals, watch_keys
from config.settings.schema import Settings
from devices.device_service import DeviceService
from devices.health.log_line import HealthLine, LogKind
from devices.health.log_writer import open_health_log
from devices.host.clock import Clock, SystemClock
from devices.monitor.device_changes import DeviceChange
from devices.monitor.monitor import DeviceMonitor

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
        service = stack.enter_context(DeviceService(log, settings, clock, on_change=inbox.put, monitor=monitor))
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
