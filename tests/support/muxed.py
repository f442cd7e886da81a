"""Files of encoded packets as FFmpeg's muxer makes them, and what ffprobe reads in a file: ours is compared with it."""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Stream

from capture.source import ColorMatrix
from config.settings.schema import RecordingSettings
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track, TrackId, sound_track
from recorder.model.titles import chapters
from recorder.mp4.finalize import finalize
from recorder.recording.mp4_file import muxer_options
from tests.support import media

FRAGMENTED = "delay_moov+skip_trailer"
"""As a recording is written, and as it is when everything is killed."""
ORDINARY = "hybrid_fragmented+delay_moov"
"""An ordinary file as FFmpeg makes it of the same packets."""
TITLE = "Rapat 📽"
NOT_COMPARED = (".pos=", "format.filename", "format.size", "format.bit_rate", "format.nb_streams")
"""FFmpeg keeps some bytes free at the head, and makes no track of chapters that come late."""

type Templates = Mapping[TrackId, Stream]


class Coded:
    """Real packets of pictures with B-frames and of sound: a picture at each of `times_s`, sound to their end."""

    def __init__(
        self,
        times_s: Sequence[Fraction],
        *,
        rate: Fraction = Fraction(30),
        channels: int = 2,
        video: bool = True,
        audio: bool = True,
        own: Sequence[str] = (),
        sound_from_s: float = 0.0,
    ) -> None:
        sound = AudioSettings(channels, 64_000)
        self.encoder = Encoder(
            VideoSettings(320, 180, rate, ColorMatrix.BT601, 400_000, 400_000, keyframe_s=1.0) if video else None,
            sound if audio else None,
            {name: AudioSettings(1, 48_000) for name in own},
        )
        self.packets: list[EncodedPacket] = []
        end_s = float(times_s[-1] + 1 / rate)
        for number, time_s in enumerate(times_s if video else []):
            self._picture(number, time_s)
        tracks: dict[TrackId, int] = {Track.AUDIO: channels} if audio else {}
        for track, count in (tracks | {sound_track(name): 1 for name in own}).items():
            for first in range(round(sound_from_s * 48_000), round(end_s * 48_000), 4800):
                self._sound(track, count, first, min(4800, round(end_s * 48_000) - first))
        for track in self.encoder.templates:
            self.packets += self.encoder.flush(track)
        self.packets.sort(key=lambda packet: packet.dts_s)

    def _picture(self, number: int, time_s: Fraction) -> None:
        frame = av.VideoFrame(320, 180, "yuv420p")
        for plane, value in zip(frame.planes, (16 + number * 7 % 200, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        self.packets += self.encoder.encode_video(frame, round(time_s / VIDEO_TIME_BASE))

    def _sound(self, track: TrackId, channels: int, first: int, count: int) -> None:
        samples = np.arange(first, first + count)
        tone = (np.sin(samples * 2 * np.pi * 440 / 48_000) * 8000 * (samples % 9600 < 4800)).astype(np.int16)
        self.packets += self.encoder.encode_audio(np.repeat(tone[:, None], channels, axis=1), first, track)

    @property
    def end_s(self) -> float:
        """When the last track ends: where its last packet does, in decoding order."""
        last = {packet.track: packet for packet in self.packets}
        return max(float((packet.pts + packet.duration) * packet.time_base) for packet in last.values())


def regular(seconds: float, rate: Fraction = Fraction(30), first_s: float = 0.0) -> list[Fraction]:
    """Return the times of pictures at `rate`, as a camera's clock of 90 kHz has them."""
    return [Fraction(first_s) + number / rate for number in range(round(seconds * rate))]


def mux(
    path: Path,
    templates: Templates,
    packets: Iterable[EncodedPacket],
    flags: str,
    marks: Sequence[Mark] = (),
    end_s: float = 0.0,
) -> Path:
    """Write `packets` by FFmpeg's muxer with the options of a recording, and `flags`."""
    options = muxer_options(RecordingSettings().fragment_s) | {"movflags": flags}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        streams = {
            track: container.add_stream_from_template(template, opaque=True) for track, template in templates.items()
        }
        for track, stream in streams.items():
            stream.metadata.update(templates[track].metadata)
        container.start_encoding()
        for encoded in packets:
            packet = av.Packet(encoded.data)
            packet.stream, packet.time_base = streams[encoded.track], encoded.time_base
            packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
            packet.is_keyframe = encoded.is_keyframe
            container.mux(packet)
        if marks:
            container.set_chapters(chapters(marks, end_s, TITLE))
    return path


def told(path: Path) -> list[str]:
    """Return all that ffprobe tells of a file's packets, and of its tracks of picture and sound."""
    words = ("-show_packets", "-show_streams", "-show_format", "-of", "flat")
    lines = media.run("ffprobe", "-v", "warning", *words, path).splitlines()
    data = [line.removesuffix('codec_type="data"') for line in lines if line.endswith('.codec_type="data"')]
    return [line for line in lines if not any(word in line for word in (*NOT_COMPARED, *data))]


def decoded(path: Path) -> list[str]:
    """Return track, time and checksum of every picture and piece of sound, without any complaint."""
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-i", path, "-map", "0:v?", "-map", "0:a?", "-fps_mode", "passthrough",
         "-enc_time_base:v", "1:90000", "-f", "framemd5", "-"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), f"{path}: {done.stderr[-2000:]}"
    return [line for line in done.stdout.splitlines() if not line.startswith("#")]


AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
MARKS = (Mark(at=AT, media_s=0.5, text="Sambutan 🎓"), Mark(at=AT, media_s=1.25, text="Tanya jawab " * 30))


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def finished(path: Path, marks: tuple[Mark, ...] = ()) -> bool:
    with opened(path) as descriptor:
        return finalize(descriptor, path, marks=marks, title=TITLE)
