"""Keeps the PC from going to sleep and its screen from locking, over D-Bus.

logind's lock is a descriptor, a desktop's is the connection that asked: all ends with this process, however that ends.
"""

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

ANSWER_S = 3.0
"""How long anybody there may take to answer; it takes some thousandths of a second."""
LET_GO_S = 1.0
SYSTEM, SESSION = "SYSTEM", "SESSION"
_SYSTEM_SOCKETS = ("/run/dbus/system_bus_socket", "/var/run/dbus/system_bus_socket")

LOGIND = DBusAddress("/org/freedesktop/login1", "org.freedesktop.login1", "org.freedesktop.login1.Manager")
SCREENSAVER = DBusAddress("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver", "org.freedesktop.ScreenSaver")
GNOME = DBusAddress("/org/gnome/SessionManager", "org.gnome.SessionManager", "org.gnome.SessionManager")
_NOBODY = frozenset(f"org.freedesktop.DBus.Error.{name}" for name in ("ServiceUnknown", "NameHasNoOwner"))
_IDLE = 8
"""GNOME's flag for: the session is not to be taken for idle."""


type Held = Literal["sleep", "lid", "lock"]
"""What is kept from happening."""


@dataclass(frozen=True, slots=True)
class Want:
    """One thing to ask for: of whom, with what words, and what a refusal means to people (empty: nothing)."""

    bus: str
    address: DBusAddress
    signature: str
    arguments: Sequence[object]
    without_it: str = ""


def wants(who: str, why: str) -> Mapping[Held, Sequence[Want]]:
    """Return what is asked for, in groups: of a group, the first that is granted is enough."""
    return {
        "sleep": [Want(SYSTEM, LOGIND, "ssss", ("sleep:idle", who, why, "block"), "this PC may go to sleep meanwhile")],
        # A lock of its own: the key is that of whoever sits at the PC, and others are refused.
        "lid": [Want(SYSTEM, LOGIND, "ssss", ("handle-lid-switch", who, why, "block"))],
        "lock": [
            Want(SESSION, SCREENSAVER, "ss", (who, why)),
            Want(SESSION, GNOME, "susu", (who, 0, why, _IDLE), "the screen may lock meanwhile"),
        ],
    }


class Awake:
    """Keeps the PC awake while the context lasts; never raises or waits. `tell` hears each refusal once."""

    def __init__(self, who: str, why: str, tell: Callable[[str], None]) -> None:
        self._wants = wants(who, why)
        self._tell = tell
        self._over = threading.Event()
        self._asked = threading.Event()
        self._refused: set[Held] = set()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        try:
            self._thread = threads.start(self._run, name="awake")
        except RuntimeError as error:  # there are too many threads
            self._refused |= set(self._wants)
            self._asked.set()
            self._tell(f"This PC may go to sleep meanwhile: {error}")
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(LET_GO_S)  # one that hangs is left to itself, and ends with the process

    def refused(self, timeout_s: float) -> frozenset[Held] | None:
        """Return what is not kept from happening; None where not everybody has answered within `timeout_s`."""
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
        except Exception as error:  # of whatever kind: the library's own are many
            self._refused |= {what for what, group in self._wants.items() if group[0].bus == name}
            self._tell(f"The {name.lower()} bus does not answer: {error}")
            return None
        stack.callback(bus.close)
        return bus

    def _ask_for(
        self, what: Held, group: Sequence[Want], buses: Mapping[str, DBusConnection], stack: ExitStack
    ) -> None:
        """Ask until one is granted; tell what it means that none is, unless nobody is there at all."""
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
    """Return the address of a bus that may be there, None where there is none."""
    if name == SYSTEM:
        given = os.environ.get("DBUS_SYSTEM_BUS_ADDRESS")
        return given or next((f"unix:path={path}" for path in _SYSTEM_SOCKETS if os.path.exists(path)), None)  # noqa: PTH110
    if given := os.environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return given
    socket = f"{os.environ.get('XDG_RUNTIME_DIR') or '/nowhere'}/bus"
    return f"unix:path={socket}" if os.path.exists(socket) else None  # noqa: PTH110


def _ask(bus: DBusConnection, want: Want) -> FileDescriptor | str | None:
    """Return the descriptor of the answer, if any; else why it is refused, "" where nobody is there."""
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
    # A child that outlived us would keep the PC awake.
    os.set_inheritable(given.fileno(), False)  # noqa: FBT003 - os's own signature
    return given
