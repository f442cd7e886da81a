"""A child process that ends with the one that started it."""

import ctypes
import shutil
import signal
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def end_with_parent() -> None:
    """Let the kernel kill this process when the thread that started it ends.

    A parent that ended before this was said is not noticed; whoever must know looks at os.getppid after it.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tied(command: Sequence[str]) -> list[str]:
    """Return the command of another program such that it ends with the thread that starts it, where that can be had.

    util-linux's setpriv goes on as the program, under the same number.
    """
    tie = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    return [*tie, *command]
