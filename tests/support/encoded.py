"""A stand-in for the session's encoder: real H.264 and AAC packets of a small moving picture, as fast as asked."""

from collections.abc import Iterable, Iterator, Mapping
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.stream import Stream
from av.video.frame import PictureType
from av.video.stream import VideoStream

from recorder.model.packet import EncodedPacket, Track, TrackId

WIDTH, HEIGHT, RATE = 320, 180, 30
SAMPLE_RATE, BLOCK = 48_000, 1600
TIME_BASES = {Track.VIDEO: Fraction(1, 90_000), Track.AUDIO: Fraction(1, SAMPLE_RATE)}


class SmallEncoder:
    """Encodes 320x180 at 30 frames a second with a 440 Hz tone; a keyframe every `keyframe_every` frames."""

    def __init__(self, keyframe_every: int = 30, *, noise: bool = False, bit_rate: int = 400_000) -> None:
        self._master = av.open("/dev/null", "w", format="null")
        self._video: VideoStream = self._master.add_stream(
            "libx264", rate=RATE, options={"preset": "ultrafast", "forced-idr": "1", "tune": "zerolatency"}
        )
        self._video.width, self._video.height, self._video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._video.codec_context.time_base = TIME_BASES[Track.VIDEO]
        self._video.codec_context.bit_rate = bit_rate
        self._video.codec_context.flags |= Flags.global_header
        self._audio: AudioStream = self._master.add_stream("aac", rate=SAMPLE_RATE, layout="stereo")
        self._audio.codec_context.flags |= Flags.global_header
        self._master.start_encoding()
        self._keyframe_every = keyframe_every
        self._noise = np.random.default_rng(1) if noise else None
        self.frames = 0

    @property
    def templates(self) -> Mapping[TrackId, Stream]:
        return {Track.VIDEO: self._video, Track.AUDIO: self._audio}

    def next(self) -> list[EncodedPacket]:
        """Encode one more frame and its sound."""
        number, self.frames = self.frames, self.frames + 1
        picture = av.VideoFrame.from_ndarray(self._picture(number), format="yuv420p")
        picture.pts, picture.time_base = number * 3000, TIME_BASES[Track.VIDEO]
        picture.pict_type = PictureType.I if number % self._keyframe_every == 0 else PictureType.NONE
        moments = (number * BLOCK + np.arange(BLOCK)) / SAMPLE_RATE
        tone = (np.sin(2 * np.pi * 440 * moments) * 8000).astype(np.int16).repeat(2).reshape(1, -1)
        sound = av.AudioFrame.from_ndarray(tone, format="s16", layout="stereo")
        sound.sample_rate, sound.pts, sound.time_base = SAMPLE_RATE, number * BLOCK, TIME_BASES[Track.AUDIO]
        return [
            *self._wrap(Track.VIDEO, self._video.encode(picture)),
            *self._wrap(Track.AUDIO, self._audio.encode(sound)),
        ]

    def several(self, frames: int) -> list[EncodedPacket]:
        """Encode so many more frames and their sound."""
        return [packet for _ in range(frames) for packet in self.next()]

    def flush(self) -> list[EncodedPacket]:
        """Return what the encoders still hold; nothing may follow."""
        return [*self._wrap(Track.VIDEO, self._video.encode(None)), *self._wrap(Track.AUDIO, self._audio.encode(None))]

    def close(self) -> None:
        self._master.close()

    def _picture(self, number: int) -> np.ndarray:
        if self._noise is not None:
            return self._noise.integers(16, 235, (HEIGHT * 3 // 2, WIDTH), dtype=np.uint8)
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = (np.arange(WIDTH) + number * 4) % 200 + 16
        return picture

    def _wrap(self, track: Track, packets: "list[av.Packet[Stream]]") -> Iterator[EncodedPacket]:
        for packet in packets:
            pts, dts, duration = (int(each or 0) for each in (packet.pts, packet.dts, packet.duration))
            yield EncodedPacket(track, bytes(packet), pts, dts, duration, TIME_BASES[track], packet.is_keyframe)


def late_pictures(packets: Iterable[EncodedPacket], lag_s: float) -> list[EncodedPacket]:
    """Return `packets` in the order in which a busy PC encodes them: pictures `lag_s` seconds after their sound."""
    return sorted(packets, key=lambda packet: packet.dts_s + (lag_s if packet.track == Track.VIDEO else 0.0))
