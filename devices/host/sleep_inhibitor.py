"""Keeps the PC awake and its screen unlocked, over D-Bus. logind's and the desktop's locks end with this process."""

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, Self

from jeepney import DBusAddress, DBusErrorResponse, MessageType, new_method_call
from jeepney.fds import FileDescriptor
from jeepney.io.blocking import DBusConnection, open_dbus_connection

from devices.host import threads

ANSWER_S = 3.0  # the longest wait for an answer; usually it takes milliseconds
LET_GO_S = 1.0
SYSTEM, SESSION = "SYSTEM", "SESSION"
_SYSTEM_SOCKETS = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")

LOGIND = DBusAddress("/org/freedesktop/login1", "org.freedesktop.login1", "org.freedesktop.login1.Manager")
SCREENSAVER = DBusAddress("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver")
GNOME = DBusAddress("/org/gnome/SessionManager", "org.gnome.SessionManager", "org.gnome.SessionManager")
_NOBODY = frozenset(f"org.freedesktop.DBus.Error.{name}" for name in ("ServiceUnknown", "NameHasNoOwner"))
_IDLE = 8


type InhibitedEvent = Literal["sleep", "lid", "lock"]


@dataclass(frozen=True, slots=True)
class InhibitCall:
    """One inhibit call: its service, arguments, and the consequence of a refusal for people (empty: none)."""

    bus: str
    address: DBusAddress
    signature: str
    arguments: Sequence[object]
    without_it: str = ""


def inhibit_calls(who: str, why: str) -> Mapping[InhibitedEvent, Sequence[InhibitCall]]:
    """Return the inhibit calls in groups; one granted call of a group is enough."""
    return {
        "sleep": [
            InhibitCall(SYSTEM, LOGIND, "ssss", ("sleep:idle", who, why, "block"), "this PC may go to sleep meanwhile")
        ],
        # A lock of its own: logind grants it to the active local session only.
        "lid": [InhibitCall(SYSTEM, LOGIND, "ssss", ("handle-lid-switch", who, why, "block"))],
        "lock": [
            InhibitCall(SESSION, SCREENSAVER, "ss", (who, why)),
            InhibitCall(SESSION, GNOME, "susu", (who, 0, why, _IDLE), "the screen may lock meanwhile"),
        ],
    }


class SleepInhibitor:
    """Keeps the PC awake within the `with`. Never raises or blocks. `tell` gets each refusal once."""

    def __init__(self, who: str, why: str, tell: Callable[[str], None]) -> None:
        self._wants = inhibit_calls(who, why)
        self._tell = tell
        self._over = threading.Event()
        self._asked = threading.Event()
        self._refused: set[InhibitedEvent] = set()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            self._thread = threads.start_thread(self._run, name="awake")
        except RuntimeError as error:  # no further thread
            self._refused |= set(self._wants)
            self._asked.set()
            self._tell(f"This PC may go to sleep meanwhile: {error}")
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(LET_GO_S)  # a hung one ends with the process

    def refused(self, timeout_s: float) -> frozenset[InhibitedEvent] | None:
        """Return the events that are not prevented; None where an answer is missing after `timeout_s`."""
        return frozenset(self._refused) if self._asked.wait(timeout_s) else None

    def _run(self) -> None:
        with ExitStack() as stack:
            buses = {name: bus for name in (SYSTEM, SESSION) if (bus := self._connect(name, stack))}
            for what, group in self._wants.items():
                self._ask_for(what, group, buses, stack)
            self._asked.set()
            self._over.wait()

    def _connect(self, name: str, stack: ExitStack) -> DBusConnection | None:
        address = bus_address(name)
        if address is None:
            return None
        try:
            bus = open_dbus_connection(address, enable_fds=name == SYSTEM, auth_timeout=ANSWER_S)
        except Exception as error:  # the library raises many kinds
            self._refused |= {what for what, group in self._wants.items() if group[0].bus == name}
            self._tell(f"The {name.lower()} bus does not answer: {error}")
            return None
        stack.callback(bus.close)
        return bus

    def _ask_for(
        self, what: InhibitedEvent, group: Sequence[InhibitCall], buses: Mapping[str, DBusConnection], stack: ExitStack
    ) -> None:
        """Make the calls of a group until one is granted; tell a refusal unless no such service exists."""
        refused = ""
        for want in group:
            if self._over.is_set() or want.bus not in buses:
                return
            answer = _ask(buses[want.bus], want)
            if isinstance(answer, str):
                refused = answer or refused
                continue
            if answer is not None:
                stack.callback(answer.close)
            return
        if refused:
            self._refused.add(what)
        if group[-1].without_it and refused:
            self._tell(f"{group[-1].without_it[:1].upper()}{group[-1].without_it[1:]}: {refused}")


def bus_address(name: str) -> str | None:
    """Return the address of a bus, None where there is none."""
    if name == SYSTEM:
        given = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        return given or next((f"unix:path={path}" for path in _SYSTEM_SOCKETS if os.path.exists(path)), None)  # noqa: PTH110
    if given := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return given
    socket = f"{os.environ.get('XDG_RUNTIME_DIR') or '/nowhere'}/bus"
    return f"unix:path={socket}" if os.path.exists(socket) else None  # noqa: PTH110


def _ask(bus: DBusConnection, want: InhibitCall) -> FileDescriptor | str | None:
    """Return the descriptor in the answer, if any; else the reason of a refusal, "" where there is no such service."""
    message = new_method_call(want.address, "Inhibit", want.signature, tuple(want.arguments))
    try:
        reply = bus.send_and_get_reply(message, timeout=ANSWER_S)
    except Exception as error:
        return f"{want.address.bus_name} does not answer ({type(error).__name__})"
    if reply.header.message_type is MessageType.error:
        answer = DBusErrorResponse(reply)
        text = answer.data[0] if answer.data and isinstance(answer.data[0], str) else answer.name
        return "" if answer.name in _NOBODY else f"{want.address.bus_name} says: {text}"
    given = next(iter(reply.body), None)
    if not isinstance(given, FileDescriptor):
        return None
    # A child that outlives this process must not keep the PC awake.
    os.set_inheritable(given.fileno(), False)  # noqa: FBT003 - os's own signature
    return given
