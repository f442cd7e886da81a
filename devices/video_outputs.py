"""V4L2 output nodes: virtual cameras, which other programs see as cameras.

v4l2loopback's nodes are recognised by their driver, too: with a writer or a kept format, they claim to be cameras only
(exclusive_caps). v4l2loopback reports readers, and can stay a camera with its last frame after the writer has gone.
"""

import contextlib
import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from config.errors import DeviceError, DeviceNotFound
from devices.controls.panel import KINDS, query_controls, write_value
from devices.kernel import v4l2
from devices.monitor.holders import device_open_error, translated_errors
from devices.monitor.modes import answers, capability, fourcc

BUFFER_COUNT = 3  # buffers to request: one shown, one next, one being filled

FORMATS = ("YUYV", "YU12", "NV12")  # pixel formats that Liput can write; every program understands the first
LOOPBACK = "v4l2 loopback"
SETUP_HINT = "liput conference setup installs the missing parts."
_CLASS = Path("/sys/class/video4linux")
_CLIENT_USAGE = 0x08000000 + 0x08E00000 + 1  # v4l2loopback's event about readers; its first word is their number
_STAYS = ("keep_format", "sustain_framerate")  # controls that keep it a camera without a writer


@dataclass(frozen=True, slots=True)
class VideoOutput:
    """An output node; a loopback's driver is v4l2loopback."""

    node: str
    label: str
    is_loopback: bool


def find_output(word: str) -> VideoOutput:
    """Find an output node by its path, its label or a part of its label.

    Raises DeviceNotFound or another DeviceError.
    """
    if word.startswith("/"):
        info = _probe(word, Path(word).name)
        if info is None:
            raise DeviceError(f"{word} takes no frames: it is no output node", hint=SETUP_HINT, why="unsupported")
        return info
    labelled = sorted(nodes_with_label(word), key=lambda found: (found[1].lower() != word.lower(), found))
    refused: DeviceError | None = None
    for node, label in labelled:
        try:
            if info := _probe(node, label):
                return info
        except DeviceError as error:  # another node of that label may open
            refused = error
    if refused is not None:
        raise refused
    raise DeviceNotFound(f'there is no virtual camera called "{word}"', hint=SETUP_HINT)


def nodes_with_label(word: str) -> Iterator[tuple[str, str]]:
    """Yield (path, label) of each video node with `word` in its label; ignores case."""
    with contextlib.suppress(OSError):
        for folder in sorted(_CLASS.iterdir()):
            with contextlib.suppress(OSError):
                label = (folder / "name").read_text().strip()
                if word.lower() in label.lower():
                    yield f"/dev/{folder.name}", label


def _probe(node: str, label: str) -> VideoOutput | None:
    with translated_errors(label, node):
        fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = capability(fd)
        finally:
            os.close(fd)
    if found is None:
        return None
    is_loopback = found.driver.decode() == LOOPBACK
    if not is_loopback and not found.of_node & v4l2.CAP_VIDEO_OUTPUT:
        return None
    return VideoOutput(node, found.card.decode("utf-8", "replace") or label, is_loopback)


class VideoOutputWriter:
    """An output node, open for writing; never blocks. `size` and `format` are the driver's choice. To be closed."""

    def __init__(self, info: VideoOutput, width: int, height: int, rate: Fraction) -> None:
        """Open and set the node. Raises a DeviceError, also if it takes none of FORMATS."""
        self._info = info
        self._has_reader: bool | None = None
        self._is_streaming = False
        self._maps: list[mmap.mmap] = []
        self._free: list[int] = []
        with translated_errors(info.label, info.node):
            self._fd = os.open(info.node, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            self.format, self.size = self._negotiate_format(width, height)
            self._set_rate(rate)
            self._tells_usage = self._subscribe()
            # v4l2loopback takes `write`, as ffmpeg does it; vivid's output does not.
            count = 0 if info.is_loopback else self._request_buffers(BUFFER_COUNT)
            for index in range(count):
                buffer = _buffer(index)
                fcntl.ioctl(self._fd, v4l2.VIDIOC_QUERYBUF, buffer)
                self._maps.append(mmap.mmap(self._fd, buffer.length, offset=buffer.m.offset))
                self._free.append(index)
        except OSError as error:
            self.close()
            # v4l2loopback refuses a second writer with EINVAL.
            is_taken = info.is_loopback and error.errno == errno.EINVAL
            code = errno.EBUSY if is_taken else error.errno or errno.EIO
            raise device_open_error(code, info.label, info.node) from error
        except BaseException:
            self.close()
            raise

    def _negotiate_format(self, width: int, height: int) -> tuple[str, tuple[int, int]]:
        description = v4l2.Fmtdesc()
        description.type = v4l2.BUF_TYPE_VIDEO_OUTPUT
        offered = [fourcc(one.pixelformat) for one in answers(self._fd, v4l2.VIDIOC_ENUM_FMT, description)]
        for wanted in [one for one in FORMATS if not offered or one in offered]:
            request = v4l2.Format()
            request.type = v4l2.BUF_TYPE_VIDEO_OUTPUT
            picture = request.fmt.pix
            picture.width, picture.height = width, height
            picture.pixelformat = int.from_bytes(wanted.encode(), "little")
            picture.field, picture.colorspace = v4l2.FIELD_NONE, v4l2.COLORSPACE_SMPTE170M
            fcntl.ioctl(self._fd, v4l2.VIDIOC_S_FMT, request)
            made = fourcc(picture.pixelformat)
            if made in FORMATS and picture.bytesperline in {0, picture.width * (2 if made == "YUYV" else 1)}:
                return made, (picture.width, picture.height)
        raise DeviceError(
            f"{self._info.label} ({self._info.node}) takes none of {', '.join(FORMATS)}: "
            f"it is set to {', '.join(offered) or 'something else'}",
            hint="Close the programs that use it, to free its format.",
            why="unsupported",
        )

    def _set_rate(self, rate: Fraction) -> None:
        """Set the frame rate; drivers may ignore it."""
        parameters = v4l2.Streamparm()
        parameters.type = v4l2.BUF_TYPE_VIDEO_OUTPUT
        interval = parameters.timeperframe
        interval.numerator, interval.denominator = rate.denominator, rate.numerator
        with contextlib.suppress(OSError):
            fcntl.ioctl(self._fd, v4l2.VIDIOC_S_PARM, parameters)

    def _subscribe(self) -> bool:
        subscription = v4l2.EventSubscription()
        subscription.type, subscription.flags = _CLIENT_USAGE, v4l2.EVENT_SUB_FL_SEND_INITIAL
        try:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_SUBSCRIBE_EVENT, subscription)
        except OSError:
            return False
        return True

    def stay(self) -> None:
        """Keep it a camera with its last frame after `close`, if the driver can."""
        with contextlib.suppress(OSError):
            for answer in query_controls(self._fd):
                if answer.name.decode("utf-8", "replace") in _STAYS:
                    write_value(self._fd, answer, KINDS[answer.type], 1)

    @property
    def is_looked_at(self) -> bool | None:
        """Whether any program reads it; None if the driver does not say."""
        while self._tells_usage:
            event = v4l2.Event()
            try:
                fcntl.ioctl(self._fd, v4l2.VIDIOC_DQEVENT, event)
            except OSError:
                break
            if event.type == _CLIENT_USAGE:
                self._has_reader = bool(event.first_word)
        return self._has_reader

    def write(self, picture: memoryview) -> bool:
        """Write a frame of `format` and `size`; return False if no buffer is free. Raises a DeviceError."""
        try:
            if not self._info.is_loopback:
                return self._queue(picture)
            os.write(self._fd, picture)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in {errno.EBUSY, errno.EINVAL}:
                raise device_open_error(error.errno, self._info.label, self._info.node) from error
            raise self._lost(error) from error
        return True

    def _lost(self, error: OSError) -> DeviceError:
        reason = "" if error.errno == errno.ENODEV else f": {error.strerror}"
        message = f"{self._info.label} ({self._info.node}) has gone{reason}"
        return DeviceError(message, hint="Liput writes to it again once it is back.", why="lost")

    def close(self) -> None:
        for memory in self._maps:
            memory.close()
        if self._maps:
            with contextlib.suppress(OSError):  # the device may be gone
                fcntl.ioctl(self._fd, v4l2.VIDIOC_STREAMOFF, _type())
                self._request_buffers(0)
        self._maps = []
        os.close(self._fd)

    # Buffers, for drivers without `write`

    def _request_buffers(self, count: int) -> int:
        request = v4l2.Requestbuffers()
        request.count, request.type, request.memory = count, v4l2.BUF_TYPE_VIDEO_OUTPUT, v4l2.MEMORY_MMAP
        fcntl.ioctl(self._fd, v4l2.VIDIOC_REQBUFS, request)
        return int(request.count)

    def _queue(self, picture: memoryview) -> bool:
        if not self._free:
            shown = _buffer(0)
            try:
                fcntl.ioctl(self._fd, v4l2.VIDIOC_DQBUF, shown)
            except BlockingIOError:
                return False
            self._free.append(shown.index)
        index = self._free.pop()
        self._maps[index][: len(picture)] = picture
        buffer = _buffer(index)
        buffer.bytesused, buffer.field = len(picture), v4l2.FIELD_NONE
        fcntl.ioctl(self._fd, v4l2.VIDIOC_QBUF, buffer)
        if not self._is_streaming:
            fcntl.ioctl(self._fd, v4l2.VIDIOC_STREAMON, _type())
            self._is_streaming = True
        return True


def _buffer(index: int) -> Any:
    buffer = v4l2.Buffer()
    buffer.index, buffer.type, buffer.memory = index, v4l2.BUF_TYPE_VIDEO_OUTPUT, v4l2.MEMORY_MMAP
    return buffer


def _type() -> bytes:
    return v4l2.BUF_TYPE_VIDEO_OUTPUT.to_bytes(4, "little")
