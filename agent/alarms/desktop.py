"""Alarms as one notification on the desktop of this user (org.freedesktop.Notifications)."""

from dataclasses import dataclass, field
from html import escape

from agent.alarms.message import Message, subject_line
from config.errors import LiputError
from recorder.model.names import one_line

APP, ICON = "Liput", "dialog-warning"
NORMAL, CRITICAL = 1, 2  # urgencies
NEVER, AS_USUAL = 0, -1  # expiry in milliseconds; -1: the desktop decides
CALENDAR = "x-office-calendar"
MOST_PLANS = 20  # plans with a notification that a later one replaces
PATH, NAME = "/org/freedesktop/Notifications", "org.freedesktop.Notifications"


class NoDesktop(LiputError):
    """No desktop shows notifications here, for instance before anybody logs in."""


@dataclass(eq=False)
class DesktopChannel:
    room: str
    language: str
    name: str = "desktop"
    to: str = "this PC's desktop"
    deadline_s: float = 3.0
    _shown: int = 0
    _noticed: dict[str, int] = field(default_factory=dict)

    def update(self, other: "DesktopChannel") -> None:
        """Take room and language of `other`, and keep the notification."""
        self.room, self.language = other.room, other.language

    def send(self, message: Message) -> None:
        """Show the present alarms or the notices; close the notification if there are none. Raises NoDesktop."""
        if message.notices:
            self._notice(message)
            return
        if not message.present and not message.is_test and not message.began:
            self.close()
            return
        if message.closes and not self._shown:
            return
        alarms = message.present or message.began
        body = "\n".join(one_line(alarm.text.of(self.language)) for alarm in alarms)
        shown: tuple[object, ...] = (
            APP, self._shown, ICON, subject_line(message, self.room, self.language), escape(body, quote=False), [],
            {"urgency": ("y", CRITICAL), "category": ("s", "device.error")}, NEVER,
        )  # fmt: skip
        (self._shown,) = self._call("Notify", "susssasa{sv}i", shown)

    def _notice(self, message: Message) -> None:
        """Show the newest notice of each plan; only urgent ones stay until closed."""
        for notice in {notice.plan: notice for notice in message.notices}.values():
            summary = f"{APP} ({self.room})" if self.room else APP
            body = escape(one_line(notice.text.of(self.language)), quote=False)
            shown: tuple[object, ...] = (
                APP, self._noticed.pop(notice.plan, 0), CALENDAR, summary, body, [],
                {"urgency": ("y", CRITICAL if notice.urgent else NORMAL)}, NEVER if notice.urgent else AS_USUAL,
            )  # fmt: skip
            (self._noticed[notice.plan],) = self._call("Notify", "susssasa{sv}i", shown)
            if len(self._noticed) > MOST_PLANS:
                del self._noticed[next(iter(self._noticed))]

    def close(self) -> None:
        """Close the notification. Raises NoDesktop."""
        if self._shown:
            shown, self._shown = self._shown, 0
            self._call("CloseNotification", "u", (shown,))

    def _call(self, method: str, signature: str, arguments: tuple[object, ...]) -> tuple[int, ...]:
        # Most days have no alarm.
        from jeepney import DBusAddress, DBusErrorResponse, MessageType, new_method_call
        from jeepney.io.blocking import open_dbus_connection

        from devices.host.sleep_inhibitor import SESSION, bus_address

        address = bus_address(SESSION)
        if address is None:
            raise NoDesktop("there is no desktop here", hint="run liput serve as the logged-in user")
        try:
            bus = open_dbus_connection(address, auth_timeout=self.deadline_s)
            try:
                message = new_method_call(DBusAddress(PATH, NAME, NAME), method, signature, arguments)
                reply = bus.send_and_get_reply(message, timeout=self.deadline_s)
            finally:
                bus.close()
        except Exception as error:  # jeepney raises many kinds
            raise NoDesktop(f"the desktop does not answer ({type(error).__name__})") from None
        if reply.header.message_type is MessageType.error:
            raise NoDesktop(f"no program shows notifications here: {DBusErrorResponse(reply).name}")
        return tuple(reply.body)
