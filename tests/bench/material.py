"""The benchmark's material: clips as cameras and capture cards give them, made here, and their encoding.

The clips are MJPEG 4:2:2 1080p30 with PCM in Matroska, 24 s each. `slides`: a capture card's picture of slides that
change every three seconds; the JPEGs between two changes are byte for byte the same. `camera`: a speaker who moves
before a wall, with sensor noise, no two pictures the same. `mix`: three seconds of one, three of the other. The same
clips come out on every machine (up to the rounding of its libraries), and are kept in a folder.
"""

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import cv2
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types
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


type Image = NDArray[np.uint8]

VERSION = 1
WIDTH, HEIGHT, RATE, SECONDS = 1920, 1080, 30, 24
FRAMES = RATE * SECONDS
NAMES = ("mix", "slides", "camera")
BIT_RATE = 4_500_000
_SCENE = 3 * RATE
_SLIDE_QUALITY, _CAMERA_QUALITY = 86, 88


def clips(folder: Path) -> dict[str, Clip]:
    """Return the clips by name, made first where they are missing."""
    known = {name: Clip(folder / f"{name}-v{VERSION}.mkv", WIDTH, HEIGHT, RATE, FRAMES, BIT_RATE) for name in NAMES}
    if not all(clip.path.exists() for clip in known.values()):
        folder.mkdir(parents=True, exist_ok=True)
        slides = [slide_jpeg(number) for number in range(FRAMES // _SCENE)]
        # Not forked: OpenCV's threads, which have drawn the slides, would be missing in the copy.
        spawned = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(mp_context=spawned, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            camera = list(pool.map(camera_jpeg, range(FRAMES), chunksize=8))
        pictures: dict[str, Callable[[int], bytes]] = {
            "slides": lambda frame: slides[frame // _SCENE],
            "camera": lambda frame: camera[frame],
            "mix": lambda frame: camera[frame] if frame // _SCENE % 2 else slides[frame // _SCENE],
        }
        for name, clip in known.items():
            write(clip, (pictures[name](frame) for frame in range(FRAMES)))
    return known


def slide_jpeg(number: int) -> bytes:
    """Return slide `number`: a title, lines of text, a chart or a photograph."""
    random = np.random.default_rng(100 + number)
    slide = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)
    slide[:130] = (90, 50, 20)
    font, line = cv2.FONT_HERSHEY_SIMPLEX, cv2.LINE_AA
    cv2.putText(slide, f"{number + 1}. Results of the programme", (60, 90), font, 2.0, (255, 255, 255), 3, line)
    words = ["budget", "school", "survey", "district", "teacher", "village", "report", "figure", "region", "method"]
    for row in range(14):
        text = "- " + " ".join(random.choice(words, 6))
        cv2.putText(slide, text, (70, 210 + row * 62), font, 1.0, (40, 40, 40), 2, line)
    photo = slide[200:900, 1080:1860]
    if number % 2:
        photo[:] = _texture(random, 700, 780, (8, 26, 80))
    else:
        for column in range(10):
            height = int(random.integers(80, 650))
            colour = tuple(int(part) for part in random.integers(40, 220, 3))
            cv2.rectangle(photo, (column * 78 + 8, 690 - height), (column * 78 + 64, 690), colour, -1)
    return _jpeg(slide, _SLIDE_QUALITY)


def _jpeg(picture: Image, quality: int) -> bytes:
    return bytes(simplejpeg.encode_jpeg(picture, quality, "BGR", "422"))


def _texture(random: np.random.Generator, height: int, width: int, scales: tuple[int, ...]) -> Image:
    """Return a colour picture with detail at several scales (in pixels), as photographs have it."""
    total = np.zeros((height, width, 3), np.float32)
    for scale in scales:
        cells = height // scale + 2, width // scale + 2
        grain = (random.normal(0, 1, (*cells, 1)) + random.normal(0, 0.3, (*cells, 3))).astype(np.float32)
        total += cv2.resize(grain, (width, height), interpolation=cv2.INTER_CUBIC) * scale**0.4
    low, high = np.percentile(total, (1, 99))
    return np.asarray(((total - low) * (220 / (high - low)) + 15).clip(0, 255), np.uint8)


def camera_jpeg(frame: int) -> bytes:
    """Return picture `frame` of the camera."""
    wall, speaker, mask, noise = _stage()
    seconds = frame / RATE
    picture = wall.copy()
    # The speaker sways, walks and nods; the camera stands still but for a slow breath of its stand.
    left = int(660 + 300 * np.sin(seconds * 0.55) + 12 * np.sin(seconds * 5.3))
    top = int(210 + 14 * np.sin(seconds * 2.9))
    turn = cv2.getRotationMatrix2D((300, 400), 3 * np.sin(seconds * 1.7), 1 + 0.02 * np.sin(seconds * 2.3))
    body = cv2.warpAffine(speaker, turn, (600, 870))
    shape = cv2.warpAffine(mask, turn, (600, 870))
    cv2.copyTo(body, shape, picture[top : top + 870, left : left + 600])
    hand = int(left + 300 + 240 * np.sin(seconds * 4.1)), int(top + 420 + 120 * np.cos(seconds * 3.3))
    cv2.circle(picture, hand, 46, (120, 150, 205), -1, cv2.LINE_AA)
    random = np.random.default_rng(frame)
    y, x = (int(offset) for offset in random.integers(0, 64, 2))
    cv2.add(picture, noise[y : y + HEIGHT, x : x + WIDTH], picture, dtype=cv2.CV_8U)
    return _jpeg(picture, _CAMERA_QUALITY)


@cache
def _stage() -> tuple[Image, Image, Image, NDArray[np.int8]]:
    random = np.random.default_rng(11)
    wall = _texture(random, HEIGHT, WIDTH, (6, 24, 90, 300)) // 2 + 70
    speaker = _texture(random, 870, 600, (12, 40, 120)) // 2 + 60
    mask = np.zeros((870, 600), np.uint8)
    cv2.ellipse(mask, (300, 160), (105, 140), 0, 0, 360, 255, -1)
    cv2.ellipse(mask, (300, 720), (260, 430), 0, 0, 360, 255, -1)
    size = HEIGHT + 64, WIDTH + 64
    noise = random.normal(0, 1.5, (*size, 1)) + random.normal(0, 0.75, (*size, 3))
    return np.asarray(wall, np.uint8), np.asarray(speaker, np.uint8), mask, noise.round().astype(np.int8)
