"""Decodes frames of cameras and capture cards (MJPEG, raw, H.264) into limited-range yuv420p of the wanted size."""

import threading
from collections import deque
from collections.abc import Callable

import av
from av.video.reformatter import ColorRange

from capture.media.h264 import has_keyframe
from capture.media.jpeg import JpegDecoder
from capture.media.pictures import FramePool, Planes, RawDecoder, SizeCache, fit_size, plane_views
from capture.source import ColorMatrix, Frame, Size
from config.errors import MediaError

_MAX_QUEUED = 300


def decoder_for(fourcc: str, size: Size, target: Size, *, matrix: ColorMatrix, full_range: bool) -> "CameraDecoder":
    """Return the decoder of `fourcc` frames of `size`, scaled down to fit into `target`.

    `matrix` and `full_range` describe raw samples: JPEG is full-range BT.601, H.264 signals its range. Raises
    ValueError for an unknown format or size.
    """
    if fourcc in {"MJPG", "JPEG"}:
        return IntraDecoder(fit_size(*size, *target), lambda smaller: JpegDecoder(size, smaller))
    if fourcc == "H264":
        return H264Decoder(size, target, matrix)
    return IntraDecoder(
        fit_size(*size, *target),
        lambda smaller: RawDecoder(fourcc, size, smaller, matrix=matrix, full_range=full_range),
    )


class IntraDecoder:
    """Decodes frames that need no other frame; a result is valid until the next call but one."""

    def __init__(self, size: Size, make: Callable[[Size], JpegDecoder | RawDecoder]) -> None:
        self.width, self.height = size
        self._decoders = SizeCache(size, make)

    def enqueue(self, frame: Frame) -> None:
        """Do nothing."""

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture, at most of size `within`; raises MediaError on damage."""
        return self._decoders.get(within).decode(_payload(frame))


def _payload(frame: Frame) -> bytes:
    if not isinstance(frame.payload, bytes):
        raise MediaError("a frame from another camera")
    return frame.payload


class H264Decoder:
    """Decodes every frame from the last keyframe on. The reading thread calls `enqueue`, another one `decode`."""

    def __init__(self, size: Size, target: Size, matrix: ColorMatrix) -> None:
        self.width, self.height = fit_size(*size, *target)
        self._size = size
        self._pools = SizeCache((self.width, self.height), lambda shown: FramePool(*shown, matrix))
        self._waiting: deque[Frame] = deque()
        self._lock = threading.Lock()
        self._context = _open_h264()
        self._is_whole = False  # the decoder has every frame since a keyframe

    def enqueue(self, frame: Frame) -> None:
        """Queue a frame until it, or a later one, is decoded."""
        with self._lock:
            self._waiting.append(frame)
            if len(self._waiting) > _MAX_QUEUED:
                self._waiting.popleft()
                self._is_whole = False

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        """Return the picture; raises MediaError on damage, or without its keyframe."""
        pictures: list[av.VideoFrame] = []
        for data in self._needed(frame):
            pictures = self._pictures(data)
        if not pictures:
            raise MediaError("a damaged H.264 frame, or its keyframe was lost")
        return self._converted(pictures[-1], within)

    def _needed(self, frame: Frame) -> list[bytes]:
        """Return the payloads to decode for `frame`: since the last decoded frame, or since a keyframe."""
        needed = [_payload(frame)]
        with self._lock:
            while self._waiting and self._waiting[0].timestamp_ns <= frame.timestamp_ns:
                skipped = self._waiting.popleft()
                if skipped is not frame:
                    needed.insert(-1, _payload(skipped))
        keyframes = [index for index, data in enumerate(needed) if has_keyframe(data)]
        return needed[keyframes[-1] :] if keyframes else needed

    def _pictures(self, data: bytes) -> list[av.VideoFrame]:
        """Decode a packet without waiting for the next; return nothing before a keyframe."""
        self._is_whole = self._is_whole or has_keyframe(data)
        if not self._is_whole:
            return []
        try:
            pictures = self._context.decode(av.Packet(data))
        except av.FFmpegError as error:
            self._context = _open_h264()
            self._is_whole = False
            if isinstance(error, MemoryError):  # the frame may be intact
                raise
            return []
        return [picture for picture in pictures if not picture.is_corrupt]

    def _converted(self, picture: av.VideoFrame, within: Size | None) -> av.VideoFrame:
        if (picture.width, picture.height) != self._size:
            message = (
                f"an H.264 picture of {picture.width}x{picture.height} pixels, not {self._size[0]}x{self._size[1]}"
            )
            raise MediaError(message)
        full_range = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
        y, u, v = plane_views(picture)
        return self._pools.get(within).store(Planes(y, u, v, full_range))


type CameraDecoder = IntraDecoder | H264Decoder
"""Decodes the frames of one camera; `width` and `height` are the size of the result."""


def _open_h264() -> av.VideoCodecContext:
    context = av.CodecContext.create("h264", "r")
    context.thread_count = 1  # more would delay frames
    context.flags |= av.codec.context.Flags.low_delay
    context.options = {"err_detect": "explode"}
    return context
