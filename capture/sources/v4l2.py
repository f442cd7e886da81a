"""Reads cameras and capture cards from V4L2 nodes, and survives unplugged, hung and odd devices.

PyAV reads without blocking and hides its descriptor, so a second one is polled. A packet is the driver's memory, so it
is copied at once.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import threading
import time
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from capture.media.camera_decoder import CameraDecoder, decoder_for
from capture.source import CodedFormat, ColorMatrix, Frame, Size, VideoFormat, VideoSource
from config.errors import DeviceError, MediaError
from devices.host.clock import NANOSECONDS, Clock, SystemClock, nanoseconds
from devices.host.deadline import close_within, count_hung_closings
from devices.kernel import v4l2
from devices.model.device import Device
from devices.model.mode_choice import ChosenMode, PictureRequirements, rank_modes
from devices.model.quirks import quirk_of
from devices.monitor import holders
from devices.monitor.modes import colour_coding, probe_node
from devices.usb.slow_ports import usable_bps


def next_packet(container: InputContainer, stream: Stream) -> "Packet[Stream]":  # quoted: not generic at run time
    """Return the next packet, an empty one at each call after the end; raises as `demux` does.

    PyAV's generator is closed at once. A dropped one leaks (PyAV 19.0: 190 bytes, 20 MB an hour with a camera), and
    keeps its last packet, the driver's memory.
    """
    packets = cast("Generator[Packet[Stream], None, None]", container.demux(stream))
    try:
        return next(packets)
    finally:
        packets.close()


_DELETED = " (deleted)"
_TRIES_AFTER_S = (0.0, 0.05, 0.1, 0.2)


def unmap_leaked_buffers(node: str) -> int:
    """Unmap all pieces of `node` in this process's memory; return how many there were.

    When STREAMON fails, libavdevice closes its descriptor but leaves its buffers mapped. The node then stays busy for
    every program until this process ends. Unmaps nothing while this process has the node open.
    """
    if not any(_is_closed(node, after_s) for after_s in _TRIES_AFTER_S):
        return 0
    munmap = ctypes.CDLL(None, use_errno=True).munmap
    munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return sum(munmap(begin, end - begin) == 0 for begin, end in list(_mapped(node)))


def _mapped(node: str) -> Iterator[tuple[int, int]]:
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        addresses, *_, path = (*line.split(maxsplit=5), "")[:6]
        if path.removesuffix(_DELETED) == node:
            begin, end = addresses.split("-")
            yield int(begin, 16), int(end, 16)


def _is_closed(node: str, after_s: float) -> bool:
    time.sleep(after_s)
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the listing's own descriptor
            if str(link.readlink()).removesuffix(_DELETED) == node:
                return False
    return True


_STATUS = {
    v4l2.IN_ST_NO_POWER: "its input has no power",
    v4l2.IN_ST_NO_SIGNAL: "nothing is plugged into it, or the plugged-in computer sends no signal",
    v4l2.IN_ST_NO_H_LOCK: "it cannot lock to the signal",
    v4l2.IN_ST_NO_SYNC: "it cannot lock to the signal",
    v4l2.IN_ST_NO_CARRIER: "nothing is plugged into it, or the plugged-in computer sends no signal",
}
_TIMINGS = {
    errno.ENOLINK: "nothing is plugged into it, or the plugged-in computer sends no signal",
    errno.ENOLCK: "its signal is unstable",
    errno.ERANGE: "it does not understand the signal: set another resolution on the computer",
}


def _receiver_of(fd: int) -> int | None:
    """Return the input's number if it reports its signal. UVC devices, which may hang, are not asked again."""
    index = ctypes.c_int()
    entry = v4l2.Input()
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_G_INPUT, index)
        entry.index = index.value
        fcntl.ioctl(fd, v4l2.VIDIOC_ENUMINPUT, entry)
    except OSError:
        return None
    return index.value if entry.is_receiver else None


def _signal_problem(fd: int, receiver: int) -> str | None:
    """Return the fault of the signal, None if there is none or the device does not tell."""
    entry = v4l2.Input()
    entry.index = receiver
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_ENUMINPUT, entry)
    except OSError:
        return None  # it is gone, as `read` reports
    for flag, words in _STATUS.items():
        if entry.status & flag:
            return words
    if not entry.capabilities & v4l2.IN_CAP_DV_TIMINGS:
        return None
    try:
        fcntl.ioctl(fd, v4l2.VIDIOC_QUERY_DV_TIMINGS, v4l2.DvTimings())
    except OSError as error:
        return _TIMINGS.get(error.errno or 0)
    return None


_MAX_DELAY_NS = 2 * NANOSECONDS
_FUTURE_NS = NANOSECONDS // 4  # some drivers stamp a frame with the expected time of its completion


class TimestampMapper:
    """Maps a driver's timestamps to the session clock; results never go back.

    V4L2 stamps frames with CLOCK_MONOTONIC, the session clock, unless a driver chooses another. The first frame shows
    which. Later an old timestamp means a delayed frame, and one in the future is replaced by the arrival.
    """

    def __init__(self) -> None:
        self.is_monotonic: bool | None = None
        self._last_ns = 0

    def reset(self) -> None:
        """Judge the driver's clock anew after another opening."""
        self.is_monotonic = None

    def stamp(self, driver_ns: int | None, now_ns: int) -> int:
        """Return the capture time of a frame with timestamp `driver_ns` that arrived at `now_ns`."""
        if self.is_monotonic is None:
            self.is_monotonic = driver_ns is not None and -_FUTURE_NS < now_ns - driver_ns < _MAX_DELAY_NS
        believed = now_ns
        if self.is_monotonic and driver_ns is not None and driver_ns <= now_ns + _FUTURE_NS:
            believed = driver_ns
        self._last_ns = max(believed, self._last_ns + 1)
        return self._last_ns


_CODED = {"MJPG": "mjpeg", "JPEG": "mjpeg", "H264": "h264"}
_INPUT_FORMATS = _CODED | {"YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p"}
"""FFmpeg's names of V4L2's compressed pixel formats, and of all."""

_NON_BLOCKING = "4"
_NO_PARSER = {"fflags": "52", "probesize": "32"}  # non-blocking, no parser, nothing filled in
"""Disables FFmpeg's parser for H.264. The parser delays each frame until the next, drops the first timestamp, and reads
eight frames before it is open.
"""
_OPEN_S = 1.0  # how long FFmpeg may spin for a first frame; without one the device still opens
_CLOSE_S = 0.4
_MAX_DRAINED = 256
_MAX_WAIT_S = 0.02  # a driver that does not notify the second descriptor delays frames by this at most
_GONE = select.POLLERR | select.POLLHUP | select.POLLNVAL


class V4l2Source(VideoSource):
    """Reads one camera or capture card.

    It opens the best mode for `width`, `height` and `rate`, and scales larger frames down. `prepare` sets the controls
    before each opening, and must not raise. `coded_only` prefers compressed formats.
    """

    def __init__(
        self,
        device: Device,
        *,
        width: int,
        height: int,
        rate: float,
        clock: Clock | None = None,
        prepare: Callable[[Device], object] | None = None,
        coded_only: bool = False,
    ) -> None:
        self.name = device.name
        self.mode: ChosenMode | None = None
        self.damaged = 0
        self.stamps = TimestampMapper()
        self._device = device
        self._prepare = prepare
        self._coded_only = coded_only
        self._node = device.node or ""
        self._wanted = PictureRequirements(width, height, rate)
        self._clock = clock or SystemClock()
        self._stream: _Stream | None = None
        self._decoder: CameraDecoder | None = None

    def relocate(self, device: Device) -> None:
        """Open `device` the next time: the same device at another node or port."""
        self._device, self._node = device, device.node or ""

    def open(self) -> VideoFormat:
        """Start the device; raises a DeviceError. With a device that does not answer, the kernel takes five seconds."""
        self.mode = self._choose()
        if self._prepare:
            self._prepare(self._device)
        stream = _Stream(self.name, self._node, self.mode)
        try:
            size = stream.size
            is_bt709, is_full_range = stream.coding
            matrix = ColorMatrix.BT709 if is_bt709 and self.mode.mode.format != "MJPG" else ColorMatrix.BT601
            target = self._wanted.width, self._wanted.height
            self._decoder = decoder_for(self.mode.mode.format, size, target, matrix=matrix, full_range=is_full_range)
        except ValueError as error:
            self._close(stream)
            raise DeviceError(
                f"{self.name} ({self._node}) sends unusable frames: {error}", why="unsupported"
            ) from error
        self._stream = stream
        codec = _CODED.get(self.mode.mode.format)
        self.coded = CodedFormat(codec, *size) if codec else None  # uncompressed frames are too large to store
        self.stamps.reset()
        rate = stream.rate or Fraction(self._wanted.rate).limit_denominator(1001)
        return VideoFormat(self._decoder.width, self._decoder.height, rate, matrix)

    def _choose(self) -> ChosenMode:
        if not self._node:
            raise DeviceError(f"{self.name} gives no picture", hint="See: liput devices", why="unsupported")
        modes = self._device.modes or probe_node(self._node, self.name).modes
        if self._coded_only:
            modes = tuple(mode for mode in modes if mode.format in _CODED) or modes
        known = quirk_of(self._device.vid, self._device.pid)
        chosen, _ = rank_modes(modes, self._wanted, usable_bps=usable_bps(self._device), quirk=known)
        if chosen is None:
            formats = ", ".join(sorted({mode.format for mode in modes})) or "nothing"
            message = f"{self.name} ({self._node}) offers no picture that can be recorded: {formats}"
            raise DeviceError(message, hint="Use a device that offers MJPEG, YUYV, NV12 or H.264.", why="unsupported")
        return chosen

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, None after `timeout_s`; raises DeviceError."""
        deadline_ns = self._clock.now_ns() + round(timeout_s * NANOSECONDS)
        while True:
            stream = self._stream
            if stream is None:
                raise holders.device_lost_error(self.name, self._node)
            with stream.lock:
                if stream.is_closed:
                    raise holders.device_lost_error(self.name, self._node)
                packet = stream.packet()
                if packet is None:
                    remaining_ns = deadline_ns - self._clock.now_ns()
                    if remaining_ns <= 0:
                        return None
                    stream.wait(min(remaining_ns / NANOSECONDS, _MAX_WAIT_S))
                    continue
            frame = self._frame(*packet)
            if frame is not None:
                return frame

    def _frame(self, data: bytes, driver_ns: int | None) -> Frame | None:
        if not data:
            self.damaged += 1
            return None
        frame = Frame(self.stamps.stamp(driver_ns, self._clock.now_ns()), data)
        if self._decoder is not None:
            self._decoder.enqueue(frame)
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture, at most of the wanted size and of `within`; raises MediaError on damage."""
        if self._decoder is None:
            raise MediaError(f"{self.name} was never open")
        return self._decoder.decode(frame, within)

    def signal_problem(self) -> str | None:
        """Return the driver's complaint about the signal, None without one."""
        stream = self._stream  # `close` may remove it at any moment
        if stream is None:
            return None
        with stream.lock:
            return None if stream.is_closed else stream.signal_problem()

    def close(self) -> None:
        """Release the device within half a second; a hung closing goes on on its own thread."""
        stream, self._stream = self._stream, None
        if stream is not None:
            self._close(stream)

    def _close(self, stream: "_Stream") -> None:
        def close() -> None:
            with stream.lock:  # a concurrent read ends within its wait
                stream.close()

        close_within(close, _CLOSE_S, self._node)

    @property
    def abandoned(self) -> int:
        """The number of closings of this node that still hang."""
        return count_hung_closings(self._node)


class _Stream:
    def __init__(self, name: str, node: str, chosen: ChosenMode) -> None:
        self.lock = threading.Lock()  # held during each call to the driver, by the reading and the closing thread
        self.is_closed = False
        self._name, self._node = name, node
        options = {
            "input_format": _INPUT_FORMATS[chosen.mode.format],
            "video_size": f"{chosen.mode.width}x{chosen.mode.height}",
            "fflags": _NON_BLOCKING,
        }
        if chosen.mode.format == "H264":
            options |= _NO_PARSER
        if chosen.rate is not None:
            options["framerate"] = str(Fraction(chosen.rate).limit_denominator(1001))
        try:
            self._container = av.open(node, format="v4l2", options=options, timeout=(_OPEN_S, None))
        except (av.FFmpegError, OSError, ValueError) as error:
            unmap_leaked_buffers(node)
            raise holders.device_open_error(_errno(error), name, node) from error
        self._stream = self._container.streams.video[0]
        self.size = self._stream.codec_context.width, self._stream.codec_context.height
        rate = self._stream.average_rate
        self.rate = Fraction(rate.numerator, rate.denominator) if rate else None  # the rate that the driver agreed to
        self._poll, self._poll_fd = select.poll(), -1
        self._receiver: int | None = None
        with contextlib.suppress(OSError):
            self._poll_fd = os.open(node, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
            self._poll.register(self._poll_fd, select.POLLIN)
            self._receiver = _receiver_of(self._poll_fd)
        self.coding = colour_coding(self._poll_fd) if self._poll_fd >= 0 else (False, False)

    def packet(self) -> tuple[bytes, int | None] | None:
        """Return the next packet's bytes and the driver's timestamp in nanoseconds, None without a packet."""
        try:
            packet = next_packet(self._container, self._stream)
        except BlockingIOError:
            return None
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._lost(error) from error
        except StopIteration as error:
            raise self._lost(None) from error
        stamp = None
        if packet.pts is not None and packet.time_base is not None:
            stamp = nanoseconds(packet.pts, Fraction(packet.time_base.num, packet.time_base.den))
        return bytes(packet), stamp

    def _lost(self, error: Exception | None) -> DeviceError:
        return holders.device_lost_error(self._name, self._node, None if error is None else _errno(error))

    def signal_problem(self) -> str | None:
        return None if self._receiver is None else _signal_problem(self._poll_fd, self._receiver)

    def wait(self, timeout_s: float) -> None:
        for _, events in self._poll.poll(timeout_s * 1000):
            if events & _GONE and not events & select.POLLIN:
                # Gone, as the next read reports; or a driver that notifies only the streaming descriptor.
                self._poll.unregister(self._poll_fd)

    def close(self) -> None:
        """Release the node; takes five seconds if the device hangs."""
        self.is_closed = True
        if self._poll_fd >= 0:
            os.close(self._poll_fd)
        self._drain()
        with contextlib.suppress(av.FFmpegError, OSError):
            self._container.close()

    def _drain(self) -> None:
        """Drain FFmpeg's packets: it frees them after the device's state, which they use."""
        with contextlib.suppress(av.FFmpegError, OSError, ValueError, StopIteration):
            for _ in range(_MAX_DRAINED):
                next_packet(self._container, self._stream)


def _errno(error: Exception) -> int:
    code = getattr(error, "errno", None)
    return code if isinstance(code, int) and code in errno.errorcode else errno.EIO
