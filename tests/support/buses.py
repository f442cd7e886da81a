"""D-Bus daemons of a test's own: logind, a desktop that inhibits sleep, and one that shows notifications."""

import os
import select
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from jeepney import HeaderFields, Message, MessageType, message_bus, new_error, new_method_return
from jeepney.bus_messages import MatchRule
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={path}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


class Bus:
    """A bus of its own; a context manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        socket = folder / "bus"
        config = folder / "bus.conf"
        config.write_text(CONFIG.format(path=socket))
        self.address = f"unix:path={socket}"
        self._daemon = subprocess.Popen(
            ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"],
            stdout=subprocess.PIPE,
        )
        assert self._daemon.stdout
        assert self._daemon.stdout.readline()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._daemon.kill()
        self._daemon.wait()
        assert self._daemon.stdout
        self._daemon.stdout.close()


@dataclass
class Lock:
    """One thing that keeps the PC awake: what was asked for, by whom, and how it is noticed that it is over."""

    asked: tuple[object, ...]
    sender: str
    pipe: int = -1
    cookie: int = 0
    is_held: bool = True

    def look(self) -> None:
        """Notice that everybody has closed the descriptor, as logind does."""
        if self.pipe >= 0 and self.is_held and select.select([self.pipe], [], [], 0)[0]:
            self.is_held = os.read(self.pipe, 1) != b""


@dataclass
class Service:
    """Owns names on a bus and answers every `Inhibit` there; `refusal`: with this error; `mute`: not at all."""

    address: str
    names: tuple[str, ...]
    gives_descriptor: bool = False
    refusal: str = ""
    mute: bool = False
    _locks: list[Lock] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._connection: DBusConnection = open_dbus_connection(self.address, enable_fds=True)
        bus = Proxy(message_bus, self._connection, timeout=10)
        for name in self.names:
            assert bus.RequestName(name) == (1,)
        rule = MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged")
        bus.AddMatch(rule)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()
        for lock in self._locks:
            if lock.pipe >= 0:
                os.close(lock.pipe)

    @property
    def asked(self) -> list[tuple[object, ...]]:
        """What has been asked for so far, whatever became of it."""
        return [lock.asked for lock in self._locks]

    @property
    def held(self) -> list[tuple[object, ...]]:
        """What is held now."""
        for lock in self._locks:
            lock.look()
        return [lock.asked for lock in self._locks if lock.is_held]

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                message = self._connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            fields = message.header.fields
            if (
                message.header.message_type is MessageType.signal
                and fields.get(HeaderFields.member) == "NameOwnerChanged"
            ):
                self._gone(message)
            elif fields.get(HeaderFields.member) == "Inhibit" and not self.mute:
                self._inhibit(message)

    def _gone(self, message: Message) -> None:
        name, _, owner = message.body
        for lock in self._locks:
            if not owner and lock.sender == name and lock.pipe < 0:
                lock.is_held = False

    def _inhibit(self, message: Message) -> None:
        if self.refusal:
            self._connection.send(new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "s", (self.refusal,)))
            return
        lock = Lock(tuple(message.body), message.header.fields[HeaderFields.sender], cookie=len(self._locks) + 1)
        if self.gives_descriptor:
            lock.pipe, given = os.pipe()
            self._locks.append(lock)
            self._connection.send(new_method_return(message, "h", (given,)))
            os.close(given)
        else:
            self._locks.append(lock)
            self._connection.send(new_method_return(message, "u", (lock.cookie,)))


def logind(bus: Bus, refusal: str = "", *, mute: bool = False) -> Service:
    """Return a logind."""
    return Service(bus.address, ("org.freedesktop.login1",), gives_descriptor=True, refusal=refusal, mute=mute)


def screensaver(bus: Bus) -> Service:
    """Return a desktop that locks screens."""
    return Service(bus.address, ("org.freedesktop.ScreenSaver",))


def gnome(bus: Bus) -> Service:
    """Return GNOME's session manager."""
    return Service(bus.address, ("org.gnome.SessionManager",))


NAME = "org.freedesktop.Notifications"


@dataclass(frozen=True)
class Shown:
    """One notification, as it was asked for."""

    summary: str
    body: str
    urgency: object
    expires_ms: int


@dataclass
class Notifications:
    """Owns the name inside a `with`; `shown` is what is on the screen. `mute`: it answers nobody."""

    address: str
    mute: bool = False
    refuses: bool = False
    shown: dict[int, Shown] = field(default_factory=dict)
    asked: int = 0

    def __post_init__(self) -> None:
        self._connection: DBusConnection = open_dbus_connection(self.address)
        assert Proxy(message_bus, self._connection, timeout=10).RequestName(NAME) == (1,)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notifications")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                message = self._connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            member = message.header.fields.get(HeaderFields.member)
            if member in ("Notify", "CloseNotification"):
                self.asked += 1
                self._answer(message, str(member))

    def _answer(self, message: Message, member: str) -> None:
        if self.mute:
            return
        if self.refuses:
            self._connection.send(new_error(message, "org.freedesktop.DBus.Error.Failed", "s", ("no",)))
        elif member == "Notify":
            _, replaces, _, summary, body, _, hints, expires_ms = message.body
            number = replaces or self.asked
            self.shown[number] = Shown(summary, body, hints["urgency"][1], expires_ms)
            self._connection.send(new_method_return(message, "u", (number,)))
        else:
            self.shown.pop(message.body[0], None)
            self._connection.send(new_method_return(message))
