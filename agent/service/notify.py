"""Telling systemd how a service is: sd_notify(3), which is one datagram.

Where no service manager asks for it, nothing is sent. Whatever goes wrong is no reason for the daemon to end.
"""

import os
import socket
from collections.abc import MutableMapping
from contextlib import suppress

ADDRESS, INTERVAL, WHOSE = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
SEND_S = 1.0
"""How long a manager that takes nothing is waited for; the next word comes within seconds."""
MICROSECONDS = 1_000_000


class Notifier:
    """Sends words to the service manager that has started this process, if one has."""

    def __init__(self, environment: MutableMapping[str, str] | None = None) -> None:
        """Take note of where to send to, and take it out of the environment: children are not the service."""
        variables = os.environ if environment is None else environment
        address = variables.pop(ADDRESS, "")
        interval, whose = variables.pop(INTERVAL, ""), variables.pop(WHOSE, "")
        # A path, or after an @ a name that is in no file system.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = interval.isdecimal() and int(interval) > 0 and whose in {"", str(os.getpid())}
        self.watchdog_s = int(interval) / MICROSECONDS if ours else None
        """How long the manager waits for a sign of life before it ends this process; None: for ever."""

    @property
    def is_wanted(self) -> bool:
        """Whether somebody listens."""
        return self._address[:1] in {"/", "\0"}

    def ready(self) -> None:
        """Say that the service is started; who waits for it goes on."""
        self._send("READY=1")

    def stopping(self) -> None:
        """Say that it ends."""
        self._send("STOPPING=1")

    def alive(self) -> None:
        """Feed the watchdog."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """Say in one line how it is: `systemctl status` shows it."""
        self._send(f"STATUS={' '.join(text.split())}")

    def _send(self, words: str) -> None:
        if not self.is_wanted:
            return
        with suppress(OSError, ValueError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(SEND_S)
            sender.sendto(words.encode(errors="replace"), self._address)
