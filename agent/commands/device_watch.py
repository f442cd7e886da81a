"""`liput devices --watch`: what is plugged in and how it is, as it changes."""

import queue
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from functools import partial

from agent.devices.board import DeviceBoard
from agent.devices.news import Faults, Inbox, Inputs, InputWatch, LogWatch, Message, Request
from agent.devices.showers import Shower, shower
from agent.keyboard import watched
from agent.signals import HEARD_AFTER_S, hearing
from config.schema import Settings
from devices.clock import Clock, SystemClock
from devices.health.line import HealthLine, Kind
from devices.health.log import open_health_log
from devices.monitor.changes import DeviceChange
from devices.monitor.monitor import DeviceMonitor
from devices.service import DeviceService, device_service

_MOVES_ROLES = {Kind.ROLE_ASSIGNED, Kind.ROLE_UNASSIGNED, Kind.ROLE_REPLACED}

_MOVES_USE = {Kind.OPENED, Kind.CLOSED, Kind.REFUSED}
"""A session has taken a device, has let go of it, or was told who has it: it says so sooner than it is seen."""

_SERVERS_ANSWER_S = 1.0


def watch(settings: Settings, *, as_json: bool) -> None:
    """Show devices until q, Ctrl-C or a signal, with a device service that keeps the health log and sets cameras."""
    clock = SystemClock()
    inbox: Inbox = queue.SimpleQueue[Message]()
    with ExitStack() as stack:
        stack.enter_context(_signals(inbox))
        log = stack.enter_context(open_health_log(settings, clock))
        monitor = partial(DeviceMonitor, follows_use=True)
        service = stack.enter_context(device_service(log, settings, clock, on_change=inbox.put, monitor=monitor))
        stack.enter_context(LogWatch(log.folder, clock, inbox))
        service.start()
        inputs = stack.enter_context(InputWatch(inbox))
        board = DeviceBoard()
        board.begin(service.devices())
        waiting = _first(inbox, board)
        shown = stack.enter_context(shower(as_json=as_json))
        stack.enter_context(watched(lambda key: inbox.put(Request.END) if key in {"q", "Q"} else None))
        shown.begin(clock.now(), board)
        _follow(_asking(_messages(waiting, inbox), service, inputs), board, shown, clock)


def _first(inbox: Inbox, board: DeviceBoard) -> list[Message]:
    """Wait a moment for the sound servers, so that what is there at first is complete; return what came meanwhile."""
    waiting: list[Message] = []
    deadline = time.monotonic() + _SERVERS_ANSWER_S
    with suppress(queue.Empty):
        while True:
            message = inbox.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(message, Inputs):
                board.inputs(message.devices)
                break
            waiting.append(message)
            if message is Request.END:
                break
    return waiting


def _messages(waiting: Sequence[Message], inbox: Inbox) -> Iterator[Message]:
    """Give what waits and what comes."""
    yield from waiting
    while True:
        with suppress(queue.Empty):
            yield inbox.get(timeout=HEARD_AFTER_S)


def _asking(messages: Iterator[Message], service: DeviceService, inputs: InputWatch) -> Iterator[Message]:
    """Pass on what comes in, and ask again for what that may have changed."""
    for message in messages:
        match message:
            case HealthLine(kind=kind) if kind in _MOVES_USE:
                service.refresh()
            case DeviceChange() as change if not change.is_of_health_only:
                inputs.look()
        yield message


def _follow(messages: Iterator[Message], board: DeviceBoard, shown: Shower, clock: Clock) -> None:
    """Show what comes in until somebody wants it to end."""
    for message in messages:
        match message:
            case Request.END:
                return
            case Request.REDRAW:
                shown.redraw()
            case HealthLine() as line:
                if line.kind in _MOVES_ROLES:
                    shown.changed(clock.now(), board.roles(), board)
                shown.told(line)
            case DeviceChange() as change:
                shown.changed(clock.now(), board.hardware(change), board)
            case Inputs(devices):
                shown.changed(clock.now(), board.inputs(devices), board)
            case Faults(health):
                shown.changed(clock.now(), board.faults(health), board)


def _signals(inbox: Inbox) -> AbstractContextManager[None]:
    """Let signals end the watch in order, and another size of the terminal redraw it."""
    # Ctrl-Z would leave the shell on our screen, and come back to a terminal that is not set as it was.
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGWINCH)
    return hearing(numbers, lambda number: inbox.put(Request.REDRAW if number == signal.SIGWINCH else Request.END))
