"""The daemon's part `alarms`: follows all sessions and tells people about troubles."""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from agent.alarms.desktop import DesktopChannel, NoDesktop
from agent.alarms.message import Message
from agent.alarms.recorder_watcher import RecorderWatcher
from agent.alarms.sender import ChannelSender, NotificationChannel
from agent.alarms.throttle import AlarmThrottle, NoticeThrottle
from agent.daemon.parts import DaemonContext, poll
from agent.health.alarm import Alarm, NoticeBoard
from config.errors import LiputError, SecretError
from config.settings.schema import Settings
from config.settings.secrets import alarm_keys
from devices.host.clock import Clock
from devices.host.throttle import LogOnChange, Tell

CHANNELS = ("desktop", "mail", "webhook")


def channels_of(settings: Settings) -> list[NotificationChannel]:
    """Return the channels of the settings. Raises SecretError."""
    keys, channels = alarm_keys(settings), _desktop_channel(settings)
    alarms, room, language = settings.alarms, settings.general.room, settings.general.language
    has_webhook = alarms.webhook or keys.webhook_url is not None
    if alarms.mail_server or has_webhook:
        from agent.alarms import network  # smtplib and http.client are slow to load

        channels += [network.MailChannel(alarms, keys, room, language)] if alarms.mail_server else []
        channels += [network.WebhookChannel(alarms, keys, room, language)] if has_webhook else []
    return channels


def _desktop_channel(settings: Settings) -> list[NotificationChannel]:
    return [DesktopChannel(settings.general.room, settings.general.language)] if settings.alarms.desktop else []


LOOK_S = 0.5
END_S = 1.0


@dataclass(eq=False)
class AlarmsPart:
    """Follows sessions and sends messages. `present` and `take` are thread-safe."""

    settings: Settings
    clock: Clock
    tell: Tell
    board: NoticeBoard
    name: str = "alarms"
    senders: dict[str, ChannelSender] = field(default_factory=dict)  # by name of the channel
    _present: tuple[Alarm, ...] = ()

    def __post_init__(self) -> None:
        """Give the board alarms, and take its notices. With wrong keys, only the desktop gets alarms."""
        self._newest = self.settings
        self._log_once = LogOnChange(self.tell)
        self.herald = AlarmThrottle(self.clock, self.settings.alarms.repeat_s, self.settings.alarms.most_per_hour)
        self._notices = NoticeThrottle(self.clock, self.settings.alarms.most_per_hour)
        try:
            self.channels = channels_of(self.settings)
        except SecretError as error:
            self.tell(f"alarms go to the desktop only: {error.message}")
            self.channels = _desktop_channel(self.settings)
        self.board.sources.append(self.present)
        self.board.listeners.append(self._notices.hear)

    def present(self) -> tuple[Alarm, ...]:
        """Return the alarms of all sessions, oldest first."""
        return self._present

    def take(self, settings: Settings) -> None:
        self._newest = settings

    def run(self, stop: threading.Event, beat: Callable[[], None]) -> None:
        self._set_channels(self.channels)
        watcher = RecorderWatcher(self.clock)
        try:
            poll(partial(self._look, watcher), LOOK_S, self.clock, stop, beat)
        finally:
            watcher.close()
            while self.senders:
                _end(self.senders.popitem()[1])

    def _take_newest(self) -> None:
        """Use new settings; with wrong keys the channels stay."""
        settings = self._newest
        if settings is self.settings:
            return
        self.settings = settings
        self.herald.repeat_s, self.herald.most_per_hour = settings.alarms.repeat_s, settings.alarms.most_per_hour
        self._notices.most_per_hour = settings.alarms.most_per_hour
        try:
            self._set_channels(channels_of(settings))
        except SecretError as error:
            self.tell(f"alarms go where they went before: {error.message}")

    def _set_channels(self, channels: Sequence[NotificationChannel]) -> None:
        for gone in self.senders.keys() - {channel.name for channel in channels}:
            _end(self.senders.pop(gone))
        for channel in channels:
            if sender := self.senders.get(channel.name):
                sender.use(channel)
            else:
                self.senders[channel.name] = ChannelSender(channel, self.clock, self.tell)
                self.senders[channel.name].start()
        self.channels = [sender.channel for sender in self.senders.values()]

    def _look(self, watcher: RecorderWatcher) -> None:
        self._take_newest()
        try:
            watcher.look()
            self._present = tuple(watcher.present())
            present = self.board.alarms()
        except (LiputError, OSError) as error:
            self._log_once(f"the runtime directory cannot be read: {error}")
            return
        self._log_once("")
        message = self.herald.look(watcher.begun(), present)
        if message is not None:
            self._enqueue(message)
        if (noticed := self._notices.due(present)) is not None:
            self._enqueue(noticed)

    def _enqueue(self, message: Message) -> None:
        for sender in self.senders.values():
            if not message.closes or isinstance(sender.channel, DesktopChannel):
                sender.enqueue(message)


def _end(sender: ChannelSender) -> None:
    sender.stop(END_S)
    if isinstance(sender.channel, DesktopChannel):
        with suppress(NoDesktop):
            sender.channel.close()


def make_part(daemon: DaemonContext) -> AlarmsPart:
    return AlarmsPart(daemon.settings, daemon.clock, daemon.log.of("alarms"), daemon.board)
