"""The source `screen`: the screen of an X server or an area of it, read by FFmpeg's x11grab.

x11grab blocks until the next frame, and a hung X server never answers, so a thread of its own reads. An unchanged
screen is given as the same `bytes` object, so that it is not converted again.
"""

import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from capture.media.convert import FrameConverter
from capture.media.pictures import FramePool, Plane, Planes, SizeCache, fit_size
from capture.source import SCREEN, ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources.locator import FixedLocator
from capture.sources.source_kind import ChosenSource, SourceContext, SourceKind, refuse_fast
from capture.sources.source_queue import SourceQueue
from capture.sources.worker import DeviceSupervision
from config.errors import DeviceError, DeviceNotFound, MediaError, UsageError
from devices.host import threads
from devices.host.clock import Clock, SystemClock
from devices.host.deadline import close_within, count_hung_closings
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
        """Its name for people."""
        return f"Screen {self.display}".strip()


def parse_screen(word: str, environment: Mapping[str, str]) -> ScreenArea | None:
    """Parse a word for a screen: `screen`, `screen::0`, `screen::0+100,50,1280x720`; None for other words.

    The default display comes from `environment`. Raises UsageError for a malformed word, DeviceNotFound without a
    display, DeviceError on Wayland.
    """
    if word != SCREEN and not word.startswith((f"{SCREEN}:", f"{SCREEN}+")):
        return None
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


_OPEN_S = 5.0
_CLOSE_S = 0.4
_MAX_QUEUED = 4  # frames are large (8 MB at 1080p), and the reader takes them at once
_PIXEL_FORMATS = ("bgr0", "bgra")


class ScreenSource(VideoSource):
    """Reads an area of a screen, scaled down to fit `width` x `height`, `rate` times a second."""

    def __init__(
        self, area: ScreenArea, *, width: int, height: int, rate: Fraction, clock: Clock | None = None
    ) -> None:
        self.name = area.name
        self._area = area
        self._limits = width, height
        self._rate = rate
        self._clock = clock or SystemClock()
        self._grabber: _Grabber | None = None
        self._converters: SizeCache[BgraConverter] | None = None
        self._size: Size = (0, 0)

    def open(self) -> VideoFormat:
        """Connect to the X server; raises a DeviceError, also while an earlier attempt hangs: each keeps a thread."""
        if self.abandoned:
            raise _silent(self._area)
        grabber = self._grabber = _Grabber(self._area, self._rate, self._clock)
        try:
            size = self._size = grabber.opened()
        except DeviceError:
            self.close()
            raise
        width, height = fit_size(*size, *self._limits)
        self._converters = SizeCache(width, height, lambda wide, high: BgraConverter(size, wide, high))
        return VideoFormat(width, height, self._rate, MATRIX)

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame, None after `timeout_s`; raises DeviceError."""
        grabber = self._grabber
        if grabber is None:
            raise DeviceError(f"{self.name} is closed", why="lost")
        return grabber.next(timeout_s)

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture, at most of the wanted size and of `within`."""
        payload, (width, height) = frame.payload, self._size
        if self._converters is None or not isinstance(payload, bytes) or len(payload) < width * height * 4:
            raise MediaError(f"this is no picture of {self.name}")
        return self._converters.get(within).convert(payload)

    def close(self) -> None:
        """Release the screen within half a second; a hung closing goes on on its own thread."""
        grabber, self._grabber = self._grabber, None
        if grabber is not None:
            grabber.stopped.set()
            close_within(grabber.thread.join, _CLOSE_S, self._area.id)

    @property
    def abandoned(self) -> int:
        """The number of closings of this screen that still hang."""
        return count_hung_closings(self._area.id)


def _silent(area: ScreenArea) -> DeviceError:
    return DeviceError(f"{area.name} does not answer", hint="the X server hangs; log out and in again", why="lost")


class _Grabber:
    """The thread that reads; starts at once, and closes its own connection."""

    def __init__(self, area: ScreenArea, rate: Fraction, clock: Clock) -> None:
        self._area = area
        self._rate = rate
        self._clock = clock
        self._frames: SourceQueue[Frame] = SourceQueue(_MAX_QUEUED)
        self._size: Size | None = None
        self._error: DeviceError | None = None
        self._has_tried = threading.Event()
        self.stopped = threading.Event()  # ends the thread after its next frame
        self.thread = threads.start_thread(self._run, name=f"grab {area.id}")

    def opened(self) -> Size:
        """Wait for the connection and return the frames' size; raises a DeviceError."""
        self._has_tried.wait(_OPEN_S)
        if self._error:
            raise self._error
        if self._size is None:
            raise _silent(self._area)
        return self._size

    def next(self, timeout_s: float) -> Frame | None:
        """Return the next frame, None after `timeout_s`; raises the error after the last."""
        frame = self._frames.get(timeout_s)
        if frame is None and self._error:
            raise self._error
        return frame

    def _run(self) -> None:
        try:
            with _open(self._area, self._rate) as container:
                self._grab(container)
        except DeviceError as error:
            self._error = error
        except (av.FFmpegError, OSError) as error:
            message = f"{self._area.name} has gone: {error.strerror}"
            hint = "the X server has ended, or its screen has changed its size"
            self._error = DeviceError(message, hint=hint, why="lost")
        self._has_tried.set()

    def _grab(self, container: InputContainer) -> None:
        stream = container.streams.video[0]
        if stream.codec_context.pix_fmt not in _PIXEL_FORMATS:
            message = f"{self._area.name} has pixels of a kind that is not known: {stream.codec_context.pix_fmt}"
            raise DeviceError(message, hint="set the screen to 24 bits of colour", why="unsupported")
        self._size = stream.width, stream.height
        self._has_tried.set()
        data = b""
        for packet in container.demux(stream):
            latest = bytes(packet)
            data = data if latest == data else latest
            if self.stopped.is_set():
                return
            # x11grab stamps with the wall clock, a moment before the picture is here.
            self._frames.put(Frame(self._clock.now_ns(), data))


def _open(area: ScreenArea, rate: Fraction) -> InputContainer:
    options = {"framerate": str(rate)}
    if area.size:
        options |= {"grab_x": str(area.x), "grab_y": str(area.y)}
        options["video_size"] = f"{area.size[0]}x{area.size[1]}"
    try:
        return av.open(area.display, "r", format="x11grab", options=options)
    except av.ArgumentError:
        raise DeviceError(
            f"{area.id} is not within the screen",
            hint="give a corner and a size within the screen",
            why="unsupported",
        ) from None
    except (av.FFmpegError, OSError) as error:
        raise DeviceNotFound(
            f"there is no screen {area.display} that this user may see: {error.strerror}",
            hint="run Liput as the logged-in user (DISPLAY, XAUTHORITY)",
        ) from None


def area_of(word: str) -> ScreenArea:
    """Return the area that `word` means; raises as `parse_screen`."""
    area = parse_screen(word, os.environ)
    if area is None:
        raise UsageError(f'"{word}" means no screen')
    return area


def picture(word: str, context: SourceContext) -> ChosenSource[VideoSource]:
    """Return a screen; a missing one has no display."""
    try:
        area = area_of(word)
    except DeviceNotFound as error:
        if not context.allow_missing:
            raise
        return _chosen(ScreenArea(""), word, context, error)
    return _chosen(area, area.id, context)


def _chosen(
    area: ScreenArea, word: str, context: SourceContext, missing: DeviceError | None = None
) -> ChosenSource[VideoSource]:
    """Return a screen with the patience of a capture card: slides may stand still."""
    asked = context.requirements
    stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
    refuse_fast(stand_in, live=context.live)
    screen = ScreenSource(area, width=asked.width, height=asked.height, rate=asked.rate, clock=context.clock)
    health = context.watcher.video(screen, stand_in)
    supervision = DeviceSupervision(FixedLocator(stand_in), health, context.allow_missing, missing)
    # It is no device of the session: any number of sessions may record it.
    return ChosenSource(area.name, screen, word, supervision=supervision)


KIND = SourceKind(picture, name=lambda word: area_of(word).name)
