"""Slides drawn by Pillow, and films of them: what a talk's recording looks like."""

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

type Picture = NDArray[np.uint8]  # height x width x 3, RGB

FONT = "DejaVuSans.ttf"
WIDTH, HEIGHT = 1280, 720
FPS = 2
DECK = (
    ("Pengelolaan Arsip Digital", ("Latar belakang", "Peraturan yang berlaku", "Contoh dari perguruan tinggi")),
    ("Hasil Survei Tahun 2026", ("Sebanyak 412 responden", "Kepuasan naik menjadi 87 persen")),
    ("Rencana Tindak Lanjut", ("Pelatihan petugas", "Pengadaan peralatan", "Evaluasi setiap semester")),
    ("Questions and Answers", ("Thank you for your attention",)),
)


def slide(title: str, points: Sequence[str] = (), *, template: bool = True) -> Image.Image:
    """Draw a slide: a coloured band with the title, points below it, a foot that every slide has."""
    image = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(image)
    if template:
        draw.rectangle((0, 0, WIDTH, 24), fill=(20, 70, 130))
        draw.rectangle((0, HEIGHT - 40, WIDTH, HEIGHT), fill=(20, 70, 130))
        draw.text((40, HEIGHT - 34), "Universitas Contoh", font=ImageFont.truetype(FONT, 22), fill="white")
    draw.text((80, 70), title, font=ImageFont.truetype(FONT, 60), fill=(20, 40, 90))
    for number, point in enumerate(points):
        draw.text((120, 210 + number * 90), f"- {point}", font=ImageFont.truetype(FONT, 40), fill="black")
    return image


def deck(number: int) -> Picture:
    """Return slide `number` of DECK, counted from 1."""
    title, points = DECK[number - 1]
    return np.asarray(slide(title, points))


def still(picture: Picture, seconds: float) -> list[Picture]:
    """Return a picture that stands for so long."""
    return [picture] * round(seconds * FPS)


def moving(box: tuple[int, int, int, int], pictures: Iterable[Picture]) -> list[Picture]:
    """Lay a film of something that never stands still over `box` (left, top, right, bottom)."""
    left, top, right, bottom = box
    random = np.random.default_rng(7)
    shown = []
    for picture in pictures:
        scene = random.integers(0, 255, ((bottom - top) // 20, (right - left) // 20, 3), np.uint8)
        copy = picture.copy()
        copy[top:bottom, left:right] = np.asarray(Image.fromarray(scene).resize((right - left, bottom - top)))
        shown.append(copy)
    return shown


def noisy(pictures: Iterable[Picture]) -> list[Picture]:
    """Add what a grabber with an analogue input adds."""
    random = np.random.default_rng(11)
    noises = [random.normal(0, 5.0, (HEIGHT, WIDTH, 3)).astype(np.int16) for _ in range(5)]
    return [
        np.clip(picture + noises[number % len(noises)], 0, 255).astype(np.uint8)
        for number, picture in enumerate(pictures)
    ]


def fade(before: Picture, after: Picture, seconds: float) -> list[Picture]:
    """Return pictures that go from one to the other."""
    count = max(1, round(seconds * FPS))
    parts = [number / count for number in range(count)]
    return [(before * (1 - part) + after * part).astype(np.uint8) for part in parts]


def record(path: Path, pictures: Sequence[Picture], *, crf: int = 23, sound: bool = False) -> Path:
    """Encode pictures as a session's program is: H.264 with a keyframe every 2 s, in an MP4."""
    height, width, _ = pictures[0].shape
    audio = ["-f", "lavfi", "-i", f"sine=440:r=48000:d={len(pictures) / FPS}", "-c:a", "aac"] if sound else []
    command = [
        "ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}",
        "-r", str(FPS), "-i", "-", *audio, "-c:v", "libx264", "-preset", "ultrafast", "-crf", str(crf),
        "-g", str(2 * FPS), "-sc_threshold", "0", "-pix_fmt", "yuv420p",
        "-vf", "scale=out_color_matrix=bt709", "-colorspace", "bt709", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin
        for picture in pictures:
            ffmpeg.stdin.write(picture.tobytes())
        ffmpeg.stdin.close()
        assert ffmpeg.wait(timeout=100) == 0
    return path
