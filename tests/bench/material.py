"""What the benchmark works on: MJPEG with sound, as cameras and capture cards give it, and how it is to be encoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 48_000


@dataclass(frozen=True, slots=True)
class Clip:
    """A Matroska file of MJPEG 4:2:2 and PCM, and the rate at which its pictures are encoded, in bits a second."""

    path: Path
    width: int
    height: int
    rate: int
    pictures: int
    bit_rate: int

    @property
    def seconds(self) -> float:
        """How long it plays."""
        return self.pictures / self.rate

    def jpegs(self) -> list[bytes]:
        """Return its pictures as they are in the file, in their order."""
        with av.open(str(self.path)) as container:
            return [bytes(packet) for packet in container.demux(video=0) if packet.size]


def write(clip: Clip, jpegs: Iterator[bytes]) -> None:
    """Mux JPEGs and speech-like sound; the file appears whole or not at all."""
    partial = clip.path.with_suffix(".partial")
    with av.open(str(partial), "w", format="matroska") as container:
        video = container.add_stream("mjpeg", clip.rate)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuvj422p"
        audio = container.add_stream("pcm_s16le", SAMPLE_RATE, layout="stereo")
        sound = _speech(clip.seconds)
        samples = SAMPLE_RATE // clip.rate
        for frame, jpeg in enumerate(jpegs):
            packet = av.Packet(jpeg)
            packet.stream, packet.time_base = video, Fraction(1, clip.rate)
            packet.pts = packet.dts = frame
            packet.duration, packet.is_keyframe = 1, True
            container.mux(packet)
            packet = av.Packet(sound[frame * samples : (frame + 1) * samples].tobytes())
            packet.stream, packet.time_base = audio, Fraction(1, SAMPLE_RATE)
            packet.pts = packet.dts = frame * samples
            packet.duration, packet.is_keyframe = samples, True
            container.mux(packet)
    partial.rename(clip.path)


def _speech(seconds: float) -> NDArray[np.int16]:
    """Return stereo noise in the rhythm and the colour of speech, shape (samples, 2)."""
    random = np.random.default_rng(7)
    count = round(seconds * SAMPLE_RATE)
    time = np.arange(count) / SAMPLE_RATE
    tones = sum(np.sin(2 * np.pi * 130 * harmonic * time) / harmonic for harmonic in range(1, 12))
    syllables = np.clip(np.sin(2 * np.pi * 2.1 * time) + 0.4 * np.sin(2 * np.pi * 0.37 * time), 0, 1)
    voice = 5000 * syllables * tones + random.normal(0, 120, count)
    return np.repeat(voice.clip(-32768, 32767).astype(np.int16)[:, None], 2, axis=1)
