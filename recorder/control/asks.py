"""What a recorder is asked to do by signals, and hears of its session's end."""

import queue
import signal
from enum import Enum, auto
from types import FrameType


class Ask(Enum):
    """What comes to the main thread."""

    END = auto()
    """Somebody wants it to end."""
    OVER = auto()
    """It has ended."""


type Inbox = queue.SimpleQueue[Ask]
"""May be put into from a signal handler, which puts nothing into one that is not empty."""


def hear(inbox: Inbox) -> None:
    """Take SIGTERM for a wish to end in order, and no notice of what terminals send."""

    def end(_number: int, _frame: FrameType | None) -> None:
        if inbox.empty():  # what is in it ends the session, too
            inbox.put(Ask.END)

    def ignore(_number: int, _frame: FrameType | None) -> None:
        """Do nothing. Not SIG_IGN, which children would inherit."""

    for number in (signal.SIGTERM, signal.SIGQUIT):
        signal.signal(number, end)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignore)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # whoever started us has blocked it until now
