"""Reads media files: their tracks, and whether all frames decode."""

import struct
from collections.abc import Callable
from pathlib import Path

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.rational import AVRational
from av.video.stream import VideoStream

from config.errors import MediaError
from recorder.package.metadata import AudioTrack, MediaFile, VideoTrack

HEADER_BYTES = 4096  # an unreadable file up to this size is only a header, without media
OPEN_SAFELY = {"protocol_whitelist": "file", "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm"}
"""Foreign packages may hold a playlist in place of media: FFmpeg must not open other files for it."""
NOT_DECODED = {"skip_frame": "all"}
"""Saves 20 ms of 1080p and the decoder's memory: no frame is decoded for its pixel format."""

type Media = VideoStream | AudioStream

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
_RANGES = {1: "limited", 2: "full"}
_MATRICES = {0: "rgb", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc", 10: "bt2020c"}
_PRIMARIES = {1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
_TRANSFERS = {1: "bt709", 4: "gamma22", 5: "gamma28", 6: "smpte170m", 7: "smpte240m", 8: "linear", 13: "srgb"}


def probe_media(path: Path, name: str) -> MediaFile:
    """Return the description of a media file, also if it cannot be read; `name` is its path in the package."""
    size = path.stat().st_size
    try:
        with av.open(path, options=OPEN_SAFELY) as container:
            spans = _measure(path, container)
            found = tuple(_track(stream, spans[stream.index]) for stream in tracks(container))
            # The header of a file that was cut off covers the beginning only; the tracks cover all.
            duration_s = max((track.duration_s for track in found), default=0.0)
            return MediaFile(
                file=name, container=container.format.name, bytes=size, duration_s=duration_s, tracks=found
            )
    except (av.error.FFmpegError, ValueError) as error:
        return MediaFile(file=name, container="", bytes=size, duration_s=0.0, tracks=(), problem=_reason(error))


def holds_media(path: Path) -> bool:
    """Return whether a file holds a packet of video or audio; in doubt, True."""
    size = path.stat().st_size
    if size == 0:
        return False
    try:
        with av.open(path, options=OPEN_SAFELY | NOT_DECODED) as container:
            return any(packet.size > 0 for packet in container.demux())
    except (av.error.FFmpegError, ValueError):
        return size > HEADER_BYTES


class TrackSpan:
    """The frames of one track, and their span in seconds."""

    def __init__(self, frames: int = 0, end: float = 0.0) -> None:
        self.frames = frames
        self._start = 0.0
        self._end = end

    @property
    def duration_s(self) -> float:
        """Seconds from the first sample to the end of the last."""
        return self._end - self._start

    def add(self, at: float, duration: float) -> None:
        """Count a frame; seconds."""
        self._start = at if self.frames == 0 else min(self._start, at)
        self._end = at + duration if self.frames == 0 else max(self._end, at + duration)
        self.frames += 1


type Decoded = av.VideoFrame | av.AudioFrame


def decode_all(
    path: Path, progress: Callable[[int], None] | None = None, on_frame: Callable[[int, Decoded], None] | None = None
) -> dict[int, TrackSpan]:
    """Decode every frame of all tracks without concealing damage; return the spans by track index.

    `progress` gets the bytes of each packet, `on_frame` the track index and each frame. Raises MediaError at the first
    damage.
    """
    where = 0.0
    spans: dict[int, TrackSpan] = {}
    try:
        with av.open(path, options=OPEN_SAFELY) as container:
            streams = tracks(container)
            spans = {stream.index: TrackSpan() for stream in streams}
            for stream in streams:
                stream.codec_context.options = {"err_detect": "explode"}
                stream.codec_context.thread_type = "AUTO"
            for packet in container.demux(streams):
                where = where if packet.pts is None else _seconds(packet.pts, packet.time_base)
                if packet.is_corrupt:
                    raise MediaError(f"the packet at {where:.3f} s is cut short")
                for frame in packet.decode():
                    if not isinstance(frame, av.VideoFrame | av.AudioFrame):
                        continue
                    at, length = _seconds(frame.pts, frame.time_base), _seconds(frame.duration, frame.time_base)
                    if isinstance(frame, av.VideoFrame) and frame.is_corrupt:
                        raise MediaError(f"the picture at {at:.3f} s is damaged")
                    spans[packet.stream.index].add(at, length)
                    if on_frame is not None:
                        on_frame(packet.stream.index, frame)
                if progress is not None:
                    progress(packet.size)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"it does not decode at {where:.3f} s: {_reason(error)}") from None
    return spans


def _seconds(count: int | None, base: AVRational | None) -> float:
    return 0.0 if count is None or base is None else float(count * base)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def tracks(container: InputContainer | OutputContainer) -> list[Media]:
    """Return the video and audio tracks, without chapters and other data."""
    return [stream for stream in container.streams if isinstance(stream, VideoStream | AudioStream)]


def _measure(path: Path, container: InputContainer) -> dict[int, TrackSpan]:
    """Return frames and length of each track: from a whole index, else by reading the file."""
    if container.format.name == _MP4 and not _is_fragmented(path):
        return {
            stream.index: TrackSpan(stream.frames, _seconds(stream.duration, stream.time_base))
            for stream in container.streams
        }
    spans = {stream.index: TrackSpan() for stream in container.streams}
    for packet in container.demux():
        if packet.size > 0:
            at, length = packet.pts, packet.duration
            spans[packet.stream.index].add(_seconds(at, packet.time_base), _seconds(length, packet.time_base))
    return spans


def _is_fragmented(path: Path) -> bool:
    """Return whether an MP4 still has fragments: its index then covers only the first ones."""
    with path.open("rb", buffering=0) as file:
        while len(header := file.read(8)) == 8:
            size, kind = struct.unpack(">I4s", header)
            if kind == b"moof":
                return True
            if size == 1:
                size = int.from_bytes(file.read(8)) - 8
            if size < 8:
                return False  # 0: the box reaches the end of the file; else it is no box
            file.seek(size - 8, 1)
    return False


def _track(stream: Media, span: TrackSpan) -> VideoTrack | AudioTrack:
    if isinstance(stream, AudioStream):
        sound = stream.codec_context
        return AudioTrack(
            index=stream.index, codec=sound.name, profile=sound.profile, sample_rate=sound.sample_rate,
            channels=sound.channels, layout=sound.layout.name, bit_rate=sound.bit_rate or 0,
            frames=span.frames, duration_s=span.duration_s,
        )  # fmt: skip
    video = stream.codec_context
    return VideoTrack(
        index=stream.index, codec=video.name, profile=video.profile, width=video.width, height=video.height,
        rate=str(stream.average_rate or 0), bit_rate=video.bit_rate or 0, pixel_format=video.pix_fmt or "",
        color_range=_RANGES.get(video.color_range, "unspecified"),
        color_matrix=_MATRICES.get(video.colorspace, "unspecified"),
        color_primaries=_PRIMARIES.get(video.color_primaries, "unspecified"),
        color_transfer=_TRANSFERS.get(video.color_trc, "unspecified"),
        frames=span.frames, duration_s=span.duration_s,
    )  # fmt: skip
