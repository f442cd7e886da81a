"""D-Bus daemons of a test's own: logind, a desktop that inhibits sleep, and one that shows notifications."""

import os
import select
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from jeepney import HeaderFields, Message, message_bus, new_error, new_method_return
from jeepney.bus_messages import MatchRule
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

CONFIG = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/><allow user="*"/>
  </policy>
</busconfig>
"""


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """Run a bus; yield its address."""
    folder.mkdir()
    address = f"unix:path={folder / 'bus'}"
    config = folder / "bus.conf"
    config.write_text(CONFIG.format(address=address))
    words = ["dbus-daemon", f"--config-file={config}", "--nofork", "--nopidfile", "--print-address"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as daemon:
        assert daemon.stdout
        assert daemon.stdout.readline()
        try:
            yield address
        finally:
            daemon.kill()


class Service:
    """Owns a name on a bus, and answers there inside a `with`."""

    def __init__(self, address: str, name: str) -> None:
        self._connection: DBusConnection = open_dbus_connection(address, enable_fds=True)
        self._bus = Proxy(message_bus, self._connection, timeout=10)
        assert self._bus.RequestName(name) == (1,)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                message = self._connection.receive(timeout=0.05)
            except TimeoutError:
                continue
            self.take(message, message.header.fields.get(HeaderFields.member))

    def take(self, message: Message, member: object) -> None:
        raise NotImplementedError


@dataclass
class Lock:
    """One thing that keeps the PC awake: what was asked for, by whom, and how it is noticed that it is over."""

    asked: tuple[object, ...]
    sender: str
    pipe: int = -1
    is_held: bool = True

    def look(self) -> None:
        """Notice that everybody has closed the descriptor, as logind does."""
        if self.pipe >= 0 and self.is_held and select.select([self.pipe], [], [], 0)[0]:
            self.is_held = os.read(self.pipe, 1) != b""


class Inhibitor(Service):
    """Answers every `Inhibit`; `refusal`: with this error; `mute`: not at all."""

    def __init__(
        self, address: str, name: str, *, gives_descriptor: bool = False, refusal: str = "", mute: bool = False
    ) -> None:
        super().__init__(address, name)
        self._bus.AddMatch(MatchRule(type="signal", sender="org.freedesktop.DBus", member="NameOwnerChanged"))
        self._gives_descriptor, self._refusal, self._mute = gives_descriptor, refusal, mute
        self._locks: list[Lock] = []

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        for lock in self._locks:
            if lock.pipe >= 0:
                os.close(lock.pipe)

    @property
    def asked(self) -> list[tuple[object, ...]]:
        return [lock.asked for lock in self._locks]

    @property
    def held(self) -> list[tuple[object, ...]]:
        for lock in self._locks:
            lock.look()
        return [lock.asked for lock in self._locks if lock.is_held]

    def take(self, message: Message, member: object) -> None:
        if member == "NameOwnerChanged":
            self._gone(message)
        elif member == "Inhibit" and not self._mute:
            self._inhibit(message)

    def _gone(self, message: Message) -> None:
        name, _, owner = message.body
        for lock in self._locks:
            if not owner and lock.sender == name and lock.pipe < 0:
                lock.is_held = False

    def _inhibit(self, message: Message) -> None:
        if self._refusal:
            self._connection.send(new_error(message, "org.freedesktop.DBus.Error.AccessDenied", "s", (self._refusal,)))
            return
        lock = Lock(tuple(message.body), message.header.fields[HeaderFields.sender])
        self._locks.append(lock)
        if self._gives_descriptor:
            lock.pipe, given = os.pipe()
            self._connection.send(new_method_return(message, "h", (given,)))
            os.close(given)
        else:
            self._connection.send(new_method_return(message, "u", (len(self._locks),)))


def logind(bus: str, refusal: str = "", *, mute: bool = False) -> Inhibitor:
    return Inhibitor(bus, "org.freedesktop.login1", gives_descriptor=True, refusal=refusal, mute=mute)


def screensaver(bus: str) -> Inhibitor:
    return Inhibitor(bus, "org.freedesktop.ScreenSaver")


@dataclass(frozen=True)
class Shown:
    summary: str
    body: str
    urgency: object
    expires_ms: int


class Notifications(Service):
    """A desktop; `shown` is what is on its screen. `mute`: it answers nobody."""

    def __init__(self, bus: str, *, mute: bool = False, refuses: bool = False) -> None:
        super().__init__(bus, "org.freedesktop.Notifications")
        self._mute, self._refuses = mute, refuses
        self.shown: dict[int, Shown] = {}
        self.asked = 0

    def take(self, message: Message, member: object) -> None:
        if member not in ("Notify", "CloseNotification"):
            return
        self.asked += 1
        if self._mute:
            return
        if self._refuses:
            self._connection.send(new_error(message, "org.freedesktop.DBus.Error.Failed", "s", ("no",)))
        elif member == "Notify":
            _, replaces, _, summary, body, _, hints, expires_ms = message.body
            number = replaces or self.asked
            self.shown[number] = Shown(summary, body, hints["urgency"][1], expires_ms)
            self._connection.send(new_method_return(message, "u", (number,)))
        else:
            self.shown.pop(message.body[0], None)
            self._connection.send(new_method_return(message))
