"""Decodes MJPEG (full-range BT.601) to limited-range yuv420p, by libjpeg-turbo if installed, else by libavcodec."""

import ctypes
import ctypes.util
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from capture.media.pictures import FramePool, Plane, Planes, fit_size, plane_views
from capture.source import ColorMatrix, Size
from config.errors import MediaError

_SCALES = (8, 4, 2)  # divisors of a size for which libjpeg has fast transforms


_LIMITED_RANGE = b"CS=ITU601"  # FFmpeg's comment in the rare MJPEG of limited range
_HEADER_LENGTH = 512


class JpegDecoder:
    """Decodes one MJPEG stream of `size` into frames that fit `target`, by default the same size.

    Bytes equal to the last ones are not decoded again: the last frame is returned. A frame stays unchanged until the
    next call but one; its `pts` is the caller's.
    """

    def __init__(self, size: Size, target: Size | None = None, *, use_turbo: bool = True) -> None:
        self.width, self.height = fit_size(*size, *(target or size))
        self._pool = FramePool(self.width, self.height, ColorMatrix.BT601)
        self._size, self._target = size, (self.width, self.height)
        self._scaled = _scaled_size(self._size, self._target)
        turbo = turbojpeg_library() if use_turbo else None
        self._turbo = None if turbo is None else Decompressor(turbo)
        self._libav = _open_mjpeg()
        self._layouts: dict[tuple[int, bool, bool], tuple[list[Plane], Planes]] = {}
        self._last_data = b""
        self._last_frame: av.VideoFrame | None = None

    def decode(self, data: bytes) -> av.VideoFrame:
        """Return the picture; raises MediaError on damage or another size."""
        if self._last_frame is not None and data == self._last_data:
            return self._last_frame
        frame = self._pool.store(self._planes(data))
        self._last_data, self._last_frame = data, frame
        return frame

    def _planes(self, data: bytes) -> Planes:
        """Return planes scaled towards the target, valid until the next call; raises MediaError on damage."""
        turbo = self._turbo
        if turbo is None:
            return self._libav_planes(data)
        width, height, subsampling, colorspace = turbo.header(data)
        _check_size((width, height), self._size)
        if subsampling not in SUBSAMPLINGS or colorspace not in (YCBCR, GRAY):
            return self._libav_planes(data)
        full_range = data.find(_LIMITED_RANGE, 0, _HEADER_LENGTH) < 0
        key = subsampling, colorspace == GRAY, full_range
        layout = self._layouts.get(key)
        if layout is None:
            layout = self._layouts[key] = self._lay_out(*key)
        buffers, planes = layout
        turbo.decode(data, buffers, *self._scaled)
        return planes

    def _libav_planes(self, data: bytes) -> Planes:
        """Return planes by libavcodec: slower, for files that libjpeg-turbo does not decode to planes (RGB, CMYK)."""
        try:
            frames = self._libav.decode(av.Packet(data))
        except av.FFmpegError as error:
            self._libav = _open_mjpeg()
            if isinstance(error, MemoryError):  # the frame may be intact
                raise
            raise MediaError(f"a damaged JPEG picture: {error.strerror}") from error
        if len(frames) != 1 or frames[0].is_corrupt:
            self._libav = _open_mjpeg()
            raise MediaError("a damaged JPEG picture: it holds no whole picture")
        frame = frames[0]
        _check_size((frame.width, frame.height), self._size)
        if not frame.format.name.startswith(("yuv", "gray")):
            frame = frame.reformat(format="yuv444p", dst_colorspace=Colorspace.ITU601, dst_color_range=ColorRange.JPEG)
        return _cut_to_even(plane_views(frame), self._target, full_range=frame.color_range != ColorRange.MPEG)

    def _lay_out(self, subsampling: int, is_gray: bool, full_range: bool) -> tuple[list[Plane], Planes]:  # noqa: FBT001 - a key
        """Return the buffers that libjpeg writes, and their visible part."""
        across, down = SUBSAMPLINGS[subsampling]
        width, height = self._scaled
        columns, rows = -(-width // across), -(-height // down)
        # libjpeg rounds luma up to whole samples of chroma.
        buffers = [np.empty((rows * down, columns * across), np.uint8)]
        if not is_gray:
            buffers += [np.empty((rows, columns), np.uint8) for _ in range(2)]
        return buffers, _cut_to_even((buffers[0][:height, :width], *buffers[1:]), self._target, full_range=full_range)


def _open_mjpeg() -> av.VideoCodecContext:
    context = av.CodecContext.create("mjpeg", "r")
    context.options = {"err_detect": "explode"}
    context.thread_count = 1
    return context


def _check_size(size: Size, expected: Size) -> None:
    if size != expected:
        found, agreed = (f"{width}x{height}" for width, height in (size, expected))
        raise MediaError(f"a JPEG picture of {found} pixels where {agreed} were agreed")


def _scaled_size(size: Size, target: Size) -> Size:
    """Return the smallest size that libjpeg decodes fast, with whole chroma samples, and that covers the target."""
    for part in _SCALES:
        if size[0] % (2 * part) or size[1] % (2 * part):
            continue
        scaled = size[0] // part, size[1] // part
        if scaled[0] >= target[0] and scaled[1] >= target[1]:
            return scaled
    return size


def _cut_to_even(planes: tuple[Plane, ...], target: Size, *, full_range: bool) -> Planes:
    """Cut an odd last row and column if nothing is resized: 4:2:0 needs whole chroma samples."""
    y, *chroma = planes
    rows, columns = y.shape[0] & ~1, y.shape[1] & ~1
    if (columns, rows) != target:
        rows, columns = y.shape
    if not chroma:
        return Planes(y[:rows, :columns], None, None, full_range)
    down, across = -(-y.shape[0] // chroma[0].shape[0]), -(-y.shape[1] // chroma[0].shape[1])
    u, v = (plane[: -(-rows // down), : -(-columns // across)] for plane in chroma)
    return Planes(y[:rows, :columns], u, v, full_range)


_SONAME = "libturbojpeg.so.0"  # Debian's; `find_library` starts programs
YCBCR, GRAY = 1, 2  # TJCS numbers of the colour spaces that decode to planes
_ERROR_WARNING = 0

# Many webcams send a few bytes of padding before a marker in every frame; nothing is lost.
_PADDING = re.compile(r"Corrupt JPEG data: ([0-9]{1,2}) extraneous bytes before marker 0xd[0-9]")
_END_OF_IMAGE = b"\xff\xd9"

SUBSAMPLINGS: dict[int, tuple[int, int]] = {0: (1, 1), 1: (2, 1), 2: (2, 2), 3: (1, 1), 4: (1, 2), 5: (4, 1)}
"""Maps a TJSAMP number to the luma samples of a chroma sample, across and down."""


@cache
def turbojpeg_library() -> ctypes.CDLL | None:
    """Return libturbojpeg with its prototypes, None if not installed."""
    with suppress(OSError, AttributeError):
        return _declare(ctypes.CDLL(_SONAME))
    with suppress(OSError, AttributeError):
        if found := ctypes.util.find_library("turbojpeg"):
            return _declare(ctypes.CDLL(found))
    return None


def _declare(turbo: ctypes.CDLL) -> ctypes.CDLL:
    handle, integer = ctypes.c_void_p, ctypes.c_int
    integers = ctypes.POINTER(integer)
    turbo.tjInitDecompress.restype = handle
    turbo.tjInitDecompress.argtypes = []
    turbo.tjDestroy.argtypes = [handle]
    turbo.tjGetErrorCode.argtypes = [handle]
    turbo.tjGetErrorStr2.restype = ctypes.c_char_p
    turbo.tjGetErrorStr2.argtypes = [handle]
    picture = (handle, ctypes.c_char_p, ctypes.c_ulong)
    turbo.tjDecompressHeader3.argtypes = [*picture, integers, integers, integers, integers]
    planes = (ctypes.POINTER(handle), integer, integers, integer, integer)
    turbo.tjDecompressToYUVPlanes.argtypes = [*picture, *planes]
    return turbo


class Decompressor:
    """A libjpeg-turbo decoder for one thread; restarts after a damaged frame, as JPEG tables outlive their frame."""

    def __init__(self, turbo: ctypes.CDLL) -> None:
        self._turbo = turbo
        self._handle = self._start()

    def _start(self) -> int:
        handle = self._turbo.tjInitDecompress()
        if not handle:
            raise MemoryError("libjpeg-turbo cannot start a decoder")
        return int(handle)

    def header(self, data: bytes) -> tuple[int, int, int, int]:
        """Return width, height, TJSAMP and TJCS number; raises MediaError without a header."""
        width, height, subsampling, colorspace = (ctypes.c_int() for _ in range(4))
        status = self._turbo.tjDecompressHeader3(self._handle, data, len(data), width, height, subsampling, colorspace)
        if status != 0:
            self._raise_damage()
        return width.value, height.value, subsampling.value, colorspace.value

    def decode(self, data: bytes, planes: Sequence[NDArray[np.uint8]], width: int, height: int) -> None:
        """Decode into `planes` (Y, then U and V unless gray) at full size, 1/2, 1/4 or 1/8, rounded up.

        Raises MediaError, also on libjpeg's warnings: part of the picture is then invented. Padding alone is accepted.
        """
        pointers = (ctypes.c_void_p * 3)(*(plane.ctypes.data for plane in planes))
        strides = (ctypes.c_int * 3)(*(plane.strides[0] for plane in planes))
        status = self._turbo.tjDecompressToYUVPlanes(self._handle, data, len(data), pointers, width, strides, height, 0)
        if status != 0 and not self._is_only_padding(data):
            self._raise_damage()

    def _is_only_padding(self, data: bytes) -> bool:
        # libjpeg keeps only its first warning: a frame cut off after padding shows by its missing end. A hole after
        # padding stays unseen; refusing all frames of a padding webcam would be worse.
        if self._turbo.tjGetErrorCode(self._handle) != _ERROR_WARNING:
            return False
        return bool(_PADDING.match(self._message())) and _END_OF_IMAGE in data[-64:]

    def _message(self) -> str:
        return str(self._turbo.tjGetErrorStr2(self._handle).decode(errors="replace"))

    def _raise_damage(self) -> None:
        message = self._message()
        self.close()
        self._handle = self._start()
        if "memory" in message.lower():  # the frame may be intact
            raise MemoryError(message)
        raise MediaError(f"a damaged JPEG picture: {message}")

    def close(self) -> None:
        """Free the decoder; idempotent."""
        if self._handle:
            self._turbo.tjDestroy(self._handle)
            self._handle = 0

    def __del__(self) -> None:
        self.close()
