"""The modes of a V4L2 node, its colour coding, and whether its stream is free.

The questions disturb no stream: they set nothing, and the driver answers from its own memory. linuxpy's enumeration
omits ranges of sizes, rounds 29.97 frames a second, and opens for writing.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import DeviceError, DeviceNotFound, as_liput_error
from devices.host.deadline import DeadlineTasks
from devices.kernel import v4l2
from devices.model.device import Mode
from devices.monitor.holders import translated_errors

if TYPE_CHECKING:
    from devices.kernel.udev import VideoNode

_idle_tasks: DeadlineTasks[str, bool] = DeadlineTasks("idle")

_END = {errno.EINVAL, errno.ENOTTY, errno.ENODATA}
_MOST = 256  # more answers to one question mean that a driver never ends

_RATES = (120.0, 60.0, 50.0, 30.0, 25.0, 24.0, 20.0, 15.0, 10.0, 5.0, 1.0)
_SIZES = (
    (3840, 2160), (2560, 1440), (1920, 1080), (1600, 1200), (1280, 960), (1280, 720), (1024, 768), (1024, 576),
    (960, 540), (800, 600), (854, 480), (720, 576), (720, 480), (640, 480), (640, 360), (480, 270), (320, 240),
    (320, 180), (160, 120),
)  # fmt: skip
"""The usual sizes and rates, listed with the ends where a device offers ranges."""


@dataclass(frozen=True, slots=True)
class NodeCapabilities:
    """The answers of one node: whether it captures, whether an input takes a video signal, and its modes."""

    gives_pictures: bool
    is_receiver: bool
    modes: tuple[Mode, ...]


def probe_node(node: str, name: str) -> NodeCapabilities:
    """Ask `node` of the device `name` for its modes. Raises a DeviceError if it does not open."""
    with translated_errors(name, node):
        fd = os.open(node, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        try:
            found = capability(fd)
            if found is None or not found.of_node & v4l2.CAP_VIDEO_CAPTURE:
                return NodeCapabilities(gives_pictures=False, is_receiver=False, modes=())
            is_receiver = any(entry.is_receiver for entry in answers(fd, v4l2.VIDIOC_ENUMINPUT, v4l2.Input()))
            return NodeCapabilities(gives_pictures=True, is_receiver=is_receiver, modes=tuple(_modes(fd)))
        finally:
            os.close(fd)


def capability(fd: int) -> v4l2.Capability | None:
    """Return the kind and driver of a node, None if it is not of V4L2. Raises OSError."""
    answer = v4l2.Capability()
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_QUERYCAP, answer)
    except OSError as error:
        if error.errno in _END:
            return None
        raise
    return answer


def _modes(fd: int) -> Iterator[Mode]:
    description = v4l2.Fmtdesc()
    description.type = v4l2.BUF_TYPE_VIDEO_CAPTURE
    for answer in answers(fd, v4l2.VIDIOC_ENUM_FMT, description):
        pixel_format = answer.pixelformat
        for width, height in dict.fromkeys(_sizes(fd, pixel_format)):
            rates = sorted(set(_rates(fd, pixel_format, width, height)), reverse=True)
            yield Mode(fourcc(pixel_format), width, height, tuple(rates))


def fourcc(number: int) -> str:
    """Return a pixel format as four characters ("MJPG"); a big-endian one ends in "-BE"."""
    text = "".join(chr(number >> shift & 0x7F) for shift in (0, 8, 16, 24)).strip()
    return f"{text}-BE" if number & 1 << 31 else text


def _sizes(fd: int, pixel_format: int) -> Iterator[tuple[int, int]]:
    question = v4l2.Frmsizeenum()
    question.pixel_format = pixel_format
    for answer in answers(fd, v4l2.VIDIOC_ENUM_FRAMESIZES, question):
        if answer.type == v4l2.FRMSIZE_TYPE_DISCRETE:
            yield answer.size[0], answer.size[1]
        else:
            yield from sizes_within(answer.size[:3], answer.size[3:])


def sizes_within(across: Sequence[int], down: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the largest and the usual sizes in ranges (least, most, step) of width and height."""
    yield across[1], down[1]
    for width, height in _SIZES:
        if _is_within(width, across) and _is_within(height, down):
            yield width, height


def _is_within(length: int, span: Sequence[int]) -> bool:
    least, most, step = span
    return least <= length <= most and (length - least) % max(1, step) == 0


def _rates(fd: int, pixel_format: int, width: int, height: int) -> Iterator[float]:
    question = v4l2.Frmivalenum()
    question.pixel_format, question.width, question.height = pixel_format, width, height
    for answer in answers(fd, v4l2.VIDIOC_ENUM_FRAMEINTERVALS, question):
        shortest, longest, _ = answer.interval
        if answer.type != v4l2.FRMIVAL_TYPE_DISCRETE:
            slowest = _rate(longest.numerator, longest.denominator) if longest.numerator else 0.0
            fastest = _rate(shortest.numerator, shortest.denominator) if shortest.numerator else max(_RATES)
            yield from rates_within(slowest, fastest)
        elif shortest.numerator:
            yield _rate(shortest.numerator, shortest.denominator)


def rates_within(slowest: float, fastest: float) -> Iterator[float]:
    """Yield the fastest rate (at most 120) and the usual rates in a range of frames a second."""
    yield min(fastest, max(_RATES))
    yield from (rate for rate in _RATES if slowest <= rate <= fastest)


def _rate(numerator: int, denominator: int) -> float:
    return round(denominator / numerator, 3)


def answers[T](fd: int, request: int, question: T) -> Iterator[T]:
    """Yield `question` with the driver's answer for each index, until it has no more. Raises OSError."""
    for index in range(_MOST):
        question.index = index  # type: ignore[attr-defined]  # every structure of an enumeration has one
        try:
            fcntl.ioctl(fd, request, question)  # type: ignore[call-overload]  # a ctypes structure is a buffer
        except OSError as error:
            if error.errno in _END:
                return
            raise
        yield question


class CapabilityProber:
    """Asks each node for its modes, once per plug. A node that hangs costs one timeout."""

    def __init__(
        self,
        *,
        timeout_s: float = 1.0,
        late: Callable[[], object] = lambda: None,
        ask: Callable[[str, str], NodeCapabilities] = probe_node,
    ) -> None:
        """`timeout_s` is for all nodes together. `late` is called on another thread when a node answers after it."""
        self._timeout_s = timeout_s
        self._ask = ask
        self._tasks: DeadlineTasks[str, NodeCapabilities] = DeadlineTasks("ask", late=late)
        self._offers: dict[str, NodeCapabilities] = {}
        """By node and inode: a new node of the same name gets another inode."""

    def offers(self, pictures: "Iterable[VideoNode]") -> dict[str, NodeCapabilities | DeviceError]:
        """Return each node's answer or error, except late ones; errors are asked again.

        Raises RuntimeError without a thread.
        """
        found: dict[str, NodeCapabilities | DeviceError] = {}
        there: dict[str, VideoNode] = {}
        for picture in pictures:
            try:
                status = Path(picture.node).stat()
            except OSError:
                found[picture.node] = DeviceNotFound(f"{picture.name} has gone")
            else:
                there[f"{picture.node} {status.st_ino} {status.st_ctime_ns}"] = picture
        self._offers = {key: answer for key, answer in self._offers.items() if key in there}
        new = {key: picture for key, picture in there.items() if key not in self._offers}
        asks = {key: partial(self._ask, picture.node, picture.name) for key, picture in new.items()}
        for key, answer in self._tasks.ask(asks, self._timeout_s).items():
            if isinstance(answer, RuntimeError):
                raise answer
            if isinstance(answer, NodeCapabilities):
                self._offers[key] = answer
            elif isinstance(answer, DeviceError):
                found[there[key].node] = answer
            else:
                told = as_liput_error(answer)
                found[there[key].node] = DeviceError(told.message, hint=told.hint)
        return found | {there[key].node: answer for key, answer in self._offers.items()}


def free_nodes(nodes: Iterable[str], timeout_s: float = 0.3) -> set[str]:
    """Return the nodes with a free stream, except late ones. Raises RuntimeError if the system gives no thread.

    The driver blocks all questions while it is busy with a sick device, so only one thread asks each node.
    """
    found = _idle_tasks.ask({node: partial(is_stream_free, node) for node in nodes}, timeout_s)
    for answer in found.values():
        if isinstance(answer, RuntimeError):
            raise answer
    return {node for node, answer in found.items() if answer is True}


def is_stream_free(node: str) -> bool:
    """Return whether the stream of `node` is free. Raises OSError if the node cannot be asked.

    Many programs may open a node; the one with buffers has the stream, and the kernel answers EBUSY to others. A
    request for no buffers frees a stream, so it changes nothing on a free one. It does not reach the device.
    """
    fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        request = v4l2.Requestbuffers()
        request.count, request.type, request.memory = 0, v4l2.BUF_TYPE_VIDEO_CAPTURE, v4l2.MEMORY_MMAP
        fcntl.ioctl(fd, v4l2.VIDIOC_REQBUFS, request)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    finally:
        os.close(fd)
    return True


_BT709 = {v4l2.YCBCR_ENC_709, v4l2.YCBCR_ENC_XV709}
_BT709_BY_DEFAULT = {v4l2.COLORSPACE_REC709, v4l2.COLORSPACE_DCI_P3}


def colour_coding(fd: int) -> tuple[bool, bool]:
    """Return whether the present format of the open node `fd` is BT.709 (else BT.601), and whether full range."""
    current = v4l2.Format()
    current.type = v4l2.BUF_TYPE_VIDEO_CAPTURE
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_G_FMT, current)
    except OSError:
        return False, False
    picture = current.fmt.pix
    is_default = picture.ycbcr_enc == v4l2.YCBCR_ENC_DEFAULT
    is_bt709 = picture.colorspace in _BT709_BY_DEFAULT if is_default else picture.ycbcr_enc in _BT709
    is_full_range = picture.quantization == v4l2.QUANTIZATION_FULL_RANGE or (
        picture.quantization == v4l2.QUANTIZATION_DEFAULT and picture.colorspace == v4l2.COLORSPACE_JPEG
    )
    return is_bt709, is_full_range
