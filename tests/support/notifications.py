"""A desktop that shows notifications, on a bus of a test's own."""

import threading
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from jeepney import HeaderFields, Message, message_bus, new_error, new_method_return
from jeepney.io.blocking import DBusConnection, Proxy, open_dbus_connection

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
