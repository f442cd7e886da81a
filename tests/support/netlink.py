"""The kernel's messages of what comes and goes, as a test has them sent."""

import os
from collections import deque
from dataclasses import dataclass


@dataclass
class Message:
    action: str
    subsystem: str = "usb"
    device_type: str | None = "usb_device"
    sys_name: str = "1-1"


class Netlink:
    """Stands for pyudev.Monitor: messages, or errors, that wait to be read."""

    def __init__(self) -> None:
        self.waiting: deque[Message | OSError] = deque()
        self.readable, self._writable = os.pipe()

    def put(self, message: Message | OSError) -> None:
        self.waiting.append(message)
        os.write(self._writable, b"x")

    def fileno(self) -> int:
        return self.readable

    def poll(self, timeout: float | None) -> Message | None:
        assert timeout == 0
        if not self.waiting:
            return None
        os.read(self.readable, 1)
        message = self.waiting.popleft()
        if isinstance(message, OSError):
            raise message
        return message

    def close(self) -> None:
        os.close(self.readable)
        os.close(self._writable)
