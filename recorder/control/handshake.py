"""The line of a recorder on its standard output: it is ready, or why it is not."""

import contextlib
import os

from recorder.control.log import STDIN, STDOUT
from recorder.control.protocol import Failure, Ready, encode


class Handshake:
    """Takes standard output away from everything else in this process, for one line."""

    def __init__(self) -> None:
        self._pipe = os.dup(STDOUT)
        nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        os.dup2(nowhere, STDOUT)
        os.close(nowhere)
        self.is_done = False

    def say_number(self) -> None:
        """Write which process we are, for a client that has not started it itself."""
        os.set_blocking(STDIN, True)  # a service manager's socket need not be so
        with contextlib.suppress(OSError):
            os.write(self._pipe, f"{os.getpid()}\n".encode())

    def say(self, line: Ready | Failure) -> None:
        """Write the line, once; whoever started us may have gone, and that changes nothing."""
        if self.is_done:
            return
        self.is_done = True
        with contextlib.suppress(OSError):
            os.write(self._pipe, encode(line))
        with contextlib.suppress(OSError):
            os.close(self._pipe)
