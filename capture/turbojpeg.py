"""libjpeg-turbo by ctypes: JPEG into planes that the caller owns, whole or scaled down while decoding.

PyTurboJPEG allocates planes with every call and refuses Debian's library; libavcodec takes half as long again. ctypes
lets go of the GIL. The calls are TurboJPEG 2's, which version 3 still has.
"""

import ctypes
import ctypes.util
import re
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from config.errors import MediaError

_SONAMES = ("libturbojpeg.so.0",)

YCBCR, GRAY = 1, 2
"""TJCS numbers of colour spaces that decode into planes."""
_ERROR_WARNING = 0

# A few bytes of padding before a marker: many webcams send them with every picture, and nothing is lost.
_PADDING = re.compile(r"Corrupt JPEG data: ([0-9]{1,2}) extraneous bytes before marker 0xd[0-9]")
_END_OF_IMAGE = b"\xff\xd9"

SUBSAMPLINGS: dict[int, tuple[int, int]] = {0: (1, 1), 1: (2, 1), 2: (2, 2), 3: (1, 1), 4: (1, 2), 5: (4, 1)}
"""TJSAMP number to how many luma samples share a chroma sample, across and down."""


@cache
def library() -> ctypes.CDLL | None:
    """Return libturbojpeg with its prototypes set, or None where it is not installed."""
    for name in _names():
        try:
            return _declare(ctypes.CDLL(name))
        except (OSError, AttributeError):
            continue
    return None


def _names() -> Iterator[str]:
    """Yield what it may be called here; programs are run to find out only where it is not called as it is on Debian."""
    yield from _SONAMES
    if found := ctypes.util.find_library("turbojpeg"):
        yield found


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
    """One decoder, for one thread. JPEG tables outlive their picture, so after a damaged one it starts afresh."""

    def __init__(self, turbo: ctypes.CDLL) -> None:
        self._turbo = turbo
        self._handle = self._start()

    def _start(self) -> int:
        handle = self._turbo.tjInitDecompress()
        if not handle:
            raise MemoryError("libjpeg-turbo cannot start a decoder")
        return int(handle)

    def header(self, data: bytes) -> tuple[int, int, int, int]:
        """Return a JPEG's width and height, TJSAMP and TJCS number; raises MediaError where it has no header."""
        width, height, subsampling, colorspace = (ctypes.c_int() for _ in range(4))
        status = self._turbo.tjDecompressHeader3(self._handle, data, len(data), width, height, subsampling, colorspace)
        if status != 0:
            self._raise_damage()
        return width.value, height.value, subsampling.value, colorspace.value

    def decode(self, data: bytes, planes: Sequence[NDArray[np.uint8]], width: int, height: int) -> None:
        """Decode into `planes` (Y, then U and V unless gray): whole, an eighth, a quarter or a half, rounded up.

        Raises MediaError, also on warnings of libjpeg, after which part of the picture is made up; only padding passes.
        """
        pointers = (ctypes.c_void_p * 3)(*(plane.ctypes.data for plane in planes))
        strides = (ctypes.c_int * 3)(*(plane.strides[0] for plane in planes))
        status = self._turbo.tjDecompressToYUVPlanes(self._handle, data, len(data), pointers, width, strides, height, 0)
        if status != 0 and not self._is_only_padding(data):
            self._raise_damage()

    def _is_only_padding(self, data: bytes) -> bool:
        # libjpeg keeps the text of its first warning only: a picture that was cut off after padding shows by its
        # missing end. A hole behind padding goes unseen, which costs less than a webcam that pads and is refused.
        if self._turbo.tjGetErrorCode(self._handle) != _ERROR_WARNING:
            return False
        return bool(_PADDING.match(self._message())) and _END_OF_IMAGE in data[-64:]

    def _message(self) -> str:
        return str(self._turbo.tjGetErrorStr2(self._handle).decode(errors="replace"))

    def _raise_damage(self) -> None:
        message = self._message()
        self.close()
        self._handle = self._start()
        if "memory" in message.lower():  # the picture may be well
            raise MemoryError(message)
        raise MediaError(f"a damaged JPEG picture: {message}")

    def close(self) -> None:
        """Give the decoder back; idempotent."""
        if self._handle:
            self._turbo.tjDestroy(self._handle)
            self._handle = 0

    def __del__(self) -> None:
        self.close()
