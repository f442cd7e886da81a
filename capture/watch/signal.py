"""What a V4L2 node says itself about the signal at its input: HDMI and SDI cards can, most USB sticks cannot.

UVC devices are never asked twice: their inputs have neither timings nor standards, and a question to one that hangs
would take seconds.
"""

import ctypes
import errno
import fcntl

from devices import v4l2

_STATUS = {
    v4l2.IN_ST_NO_POWER: "its input has no power",
    v4l2.IN_ST_NO_SIGNAL: "nothing is plugged into it, or what is plugged in sends nothing",
    v4l2.IN_ST_NO_H_LOCK: "it cannot lock to the signal",
    v4l2.IN_ST_NO_SYNC: "it cannot lock to the signal",
    v4l2.IN_ST_NO_CARRIER: "nothing is plugged into it, or what is plugged in sends nothing",
}
_TIMINGS = {
    errno.ENOLINK: "nothing is plugged into it, or what is plugged in sends nothing",
    errno.ENOLCK: "its signal is unstable",
    errno.ERANGE: "it does not understand the signal: set another resolution on the computer",
}


class SignalInput:
    """The input that an open node is set to."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._index = self._receiver_index()

    def _receiver_index(self) -> int | None:
        """Return the input's number if it takes a signal of which it can tell."""
        index = ctypes.c_int()
        entry = v4l2.Input()
        try:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_G_INPUT, index)
            entry.index = index.value
            fcntl.ioctl(self._fd, v4l2.VIDIOC_ENUMINPUT, entry)
        except OSError:
            return None
        return index.value if entry.is_receiver else None

    def problem(self) -> str | None:
        """Return what is wrong with the signal, None if nothing is or the device does not say."""
        if self._index is None:
            return None
        entry = v4l2.Input()
        entry.index = self._index
        try:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_ENUMINPUT, entry)
        except OSError:
            return None  # it has gone, which reading says
        for flag, words in _STATUS.items():
            if entry.status & flag:
                return words
        return self._timings_problem() if entry.capabilities & v4l2.IN_CAP_DV_TIMINGS else None

    def _timings_problem(self) -> str | None:
        try:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_QUERY_DV_TIMINGS, v4l2.DvTimings())
        except OSError as error:
            return _TIMINGS.get(error.errno or 0)
        return None
