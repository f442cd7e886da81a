"""The source `screen`: the screen of an X server or an area of it, read by FFmpeg's x11grab.

x11grab blocks until the next frame, and a hung X server never answers, so a thread of its own reads. An unchanged
screen is given as the same `bytes` object, so that it is not converted again.
"""

import os
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from capture.media.convert import FrameConverter
from capture.media.pictures import FramePool, Plane, Planes, SizeCache, fit_size
from capture.source import SCREEN, ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource, SourceContext, SourceKind, ThreadedVideoSource, supervised
from config.errors import DeviceError, DeviceNotFound, MediaError, UsageError
from devices.host.clock import Clock, SystemClock
from devices.model.device import Device, DeviceKind

_FORM = re.compile(
    r"screen(?::(?P<display>[^+]*:\d+(?:\.\d+)?))?(?:\+(?P<x>\d+),(?P<y>\d+),(?P<width>\d+)x(?P<height>\d+))?"
)
_MIN_SIDE = 2


@dataclass(frozen=True, slots=True)
class ScreenArea:
    """The whole screen of an X server, or the area of `size` at (x, y); `display` is as in DISPLAY."""

    display: str
    x: int = 0
    y: int = 0
    size: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """The word that selects it; also its device id."""
        part = f"+{self.x},{self.y},{self.size[0]}x{self.size[1]}" if self.size else ""
        return f"{SCREEN}:{self.display}{part}"

    @property
    def name(self) -> str:
        return f"Screen {self.display}".strip()


def parse_screen(word: str, environment: Mapping[str, str] = os.environ) -> ScreenArea:
    """Parse a word for a screen: `screen`, `screen::0`, `screen::0+100,50,1280x720`.

    The default display comes from `environment`. Raises UsageError for a malformed word, DeviceNotFound without a
    display, DeviceError on Wayland.
    """
    found = _FORM.fullmatch(word)
    if found is None:
        raise UsageError(f'"{word}" means no screen', hint="write screen, screen::0 or screen::0+100,50,1280x720")
    display = found["display"] or _display(environment)
    if _is_wayland(environment) and _same(display, environment.get("DISPLAY")):
        raise DeviceError(
            "this desktop is a Wayland session; Liput cannot record its screen",
            hint="log in to an X11 session (at the login screen: the gear, then Xorg); Liput does not support the"
            " PipeWire portal yet",
            why="unsupported",
        )
    if found["width"] is None:
        return ScreenArea(display)
    size = int(found["width"]), int(found["height"])
    if min(size) < _MIN_SIDE:
        raise UsageError(f'"{word}" is too small for a picture', hint="write a size such as 1280x720")
    return ScreenArea(display, int(found["x"]), int(found["y"]), size)


def _display(environment: Mapping[str, str]) -> str:
    if display := environment.get("DISPLAY"):
        return display
    if _is_wayland(environment):
        return ""
    raise DeviceNotFound(
        "there is no screen: DISPLAY is not set", hint="run Liput on the desktop, or name the display: screen::0"
    )


def _is_wayland(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("WAYLAND_DISPLAY")) or environment.get("XDG_SESSION_TYPE", "").lower() == "wayland"


def _same(display: str, own: str | None) -> bool:
    """Return whether `display` is the desktop's own; under Wayland that is XWayland, only a part of it."""
    return not display or display.split(".")[0] == (own or "").split(".")[0]


type Bgra = NDArray[np.uint8]  # shape (rows, columns, 4)

MATRIX = ColorMatrix.BT601  # that of cameras, so that a screen beside one needs no other conversion
_SCALE = 224 / 255
_OFFSET = 128 * (1 - _SCALE)


class BgraConverter:
    """Converts BGRA frames of one size, each once; a result lasts until the next but one."""

    def __init__(self, size: tuple[int, int], width: int, height: int) -> None:
        self._size = size
        self._latest: tuple[bytes, av.VideoFrame] | None = None
        self._is_whole = size == (width, height)
        if not self._is_whole:
            self._scaler = FrameConverter(width, height, MATRIX)
            return
        self._pool = FramePool(width, height, MATRIX)
        self._i420 = np.empty((height * 3 // 2, width), np.uint8)
        self._half = np.empty((height // 2, width // 2, 4), np.uint8)
        self._ycc = np.empty((height // 2, width // 2, 3), np.uint8)
        self._u, self._v = (np.empty((height // 2, width // 2), np.uint8) for _ in range(2))

    def convert(self, data: bytes) -> av.VideoFrame:
        """Return the picture of `data`, four bytes a pixel without padding."""
        if self._latest is not None and self._latest[0] is data:
            return self._latest[1]
        width, height = self._size
        pixels = np.frombuffer(data, np.uint8, width * height * 4).reshape(height, width, 4)
        if self._is_whole:
            frame = self._converted(pixels)
        else:
            frame = self._scaler.convert(av.VideoFrame.from_numpy_buffer(pixels, "bgra"))
        self._latest = data, frame
        return frame

    def _converted(self, pixels: Bgra) -> av.VideoFrame:
        """Convert without scaling."""
        height, width = pixels.shape[:2]
        cv2.cvtColor(pixels, cv2.COLOR_BGRA2YUV_I420, self._i420)
        cv2.resize(pixels, (width // 2, height // 2), self._half, interpolation=cv2.INTER_AREA)
        cv2.cvtColor(self._half, cv2.COLOR_BGR2YCrCb, self._ycc)
        for channel, plane in ((2, self._u), (1, self._v)):
            cv2.extractChannel(self._ycc, channel, plane)
            cv2.convertScaleAbs(plane, plane, _SCALE, _OFFSET)
        luma: Plane = self._i420[:height]
        return self._pool.store(Planes(luma, self._u, self._v, full_range=False))


_PIXEL_FORMATS = ("bgr0", "bgra")


class ScreenSource(ThreadedVideoSource):
    """Reads an area of a screen, scaled down to fit `width` x `height`, `rate` times a second."""

    hint = "the X server hangs; log out and in again"

    def __init__(
        self, area: ScreenArea, *, width: int, height: int, rate: Fraction, clock: Clock | None = None
    ) -> None:
        self.name = area.name
        self.word = area.id
        self._area = area
        self._limits = width, height
        self._rate = rate
        self._clock = clock or SystemClock()
        self._converters: SizeCache[BgraConverter] | None = None
        self._size: Size = (0, 0)

    def grab(self, opened: Callable[[VideoFormat], object]) -> Generator[Frame]:
        """Connect to the X server and read; raises a DeviceError."""
        data = b""
        try:
            with _open(self._area, self._rate) as container:
                stream = container.streams.video[0]
                opened(self._opened(stream))
                for packet in container.demux(stream):
                    latest = bytes(packet)
                    data = data if latest == data else latest
                    # x11grab stamps with the wall clock, a moment before the picture is here.
                    yield Frame(self._clock.now_ns(), data)
        except (av.FFmpegError, OSError) as error:
            message = f"{self.name} has gone: {error.strerror}"
            hint = "the X server has ended, or its screen has changed its size"
            raise DeviceError(message, hint=hint, why="lost") from None

    def _opened(self, stream: VideoStream) -> VideoFormat:
        pixels = stream.codec_context.pix_fmt
        if pixels not in _PIXEL_FORMATS:
            message = f"{self.name} has pixels of a kind that is not known: {pixels}"
            raise DeviceError(message, hint="set the screen to 24 bits of colour", why="unsupported")
        size = self._size = stream.width, stream.height
        width, height = fit_size(*size, *self._limits)
        self._converters = SizeCache((width, height), lambda shown: BgraConverter(size, *shown))
        return VideoFormat(width, height, self._rate, MATRIX)

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture, at most of the wanted size and of `within`."""
        payload, (width, height) = frame.payload, self._size
        if self._converters is None or not isinstance(payload, bytes) or len(payload) < width * height * 4:
            raise MediaError(f"this is no picture of {self.name}")
        return self._converters.get(within).convert(payload)


def _open(area: ScreenArea, rate: Fraction) -> InputContainer:
    options = {"framerate": str(rate)}
    if area.size:
        options |= {"grab_x": str(area.x), "grab_y": str(area.y)}
        options["video_size"] = f"{area.size[0]}x{area.size[1]}"
    try:
        return av.open(area.display, "r", format="x11grab", options=options)
    except av.ArgumentError:
        raise DeviceError(
            f"{area.id} is not within the screen", hint="give a corner and a size within the screen", why="unsupported"
        ) from None
    except (av.FFmpegError, OSError) as error:
        raise DeviceNotFound(
            f"there is no screen {area.display} that this user may see: {error.strerror}",
            hint="run Liput as the logged-in user (DISPLAY, XAUTHORITY)",
        ) from None


def picture(word: str, context: SourceContext) -> ChosenSource[VideoSource]:
    """Return a screen; a missing one has no display."""
    try:
        area = parse_screen(word)
    except DeviceNotFound as error:
        if not context.allow_missing:
            raise
        return _chosen(ScreenArea(""), word, context, error)
    return _chosen(area, area.id, context)


def _chosen(
    area: ScreenArea, word: str, context: SourceContext, missing: DeviceError | None = None
) -> ChosenSource[VideoSource]:
    """Return a screen with the patience of a capture card: slides may stand still."""
    profile = context.profile
    stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
    screen = ScreenSource(area, width=profile.width, height=profile.height, rate=profile.fps, clock=context.clock)
    return supervised(screen, stand_in, word, context, missing)


KIND = SourceKind(picture, name=lambda word: parse_screen(word).name)
