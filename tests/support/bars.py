"""Colour bars and smooth pictures, JPEGs of them from two encoders, and what they are as RGB by their own tags."""

import subprocess

import av
import numpy as np
import simplejpeg  # type: ignore[import-untyped]  # ships no types
from numpy.typing import NDArray

from capture.media.pictures import plane_views

type Image = NDArray[np.uint8]

COLOURS = (
    (255, 255, 255), (191, 191, 0), (0, 191, 191), (0, 191, 0), (191, 0, 191), (191, 0, 0), (0, 0, 191), (0, 0, 0),
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128),
)  # fmt: skip
BAR = 32  # columns of a bar: two blocks of JPEG's coarsest chroma
_WEIGHTS = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114)}
"""FFmpeg's number of a matrix to what red and blue weigh in luma (ITU-R BT.709 and BT.601)."""


def bars(height: int = 64) -> Image:
    """Return the bars as RGB, shape (height, bars * BAR, 3)."""
    return np.repeat(np.array(COLOURS, np.uint8), BAR, axis=0)[None].repeat(height, axis=0)


def smooth(width: int, height: int, phase: float = 0.0) -> Image:
    """Return an RGB picture without edges, which every way of scaling and subsampling leaves alike."""
    y, x = np.mgrid[0:height, 0:width] * (2 * np.pi / max(width, height))
    waves = (np.sin(3 * x + phase), np.sin(2 * y + x + 2 * phase), np.cos(2 * x - 3 * y))
    return np.stack([127 + 100 * wave for wave in waves], axis=-1).astype(np.uint8)


def simple_jpeg(rgb: Image, subsampling: str = "422", quality: int = 95) -> bytes:
    """Compress with libjpeg-turbo; `subsampling` as 444, 422, 420, 440, 411 or Gray."""
    if subsampling == "Gray":
        return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb[..., 1:2]), quality, "Gray"))
    return bytes(simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), quality, "RGB", subsampling))


def ffmpeg_jpeg(rgb: Image, pixel_format: str = "yuvj422p", *options: str) -> bytes:
    """Compress with the ffmpeg command."""
    return ffmpeg(rgb.tobytes(), raw_input(rgb), "-q:v", "1", "-pix_fmt", pixel_format, *options, "-f", "mjpeg")


def raw_input(rgb: Image) -> tuple[str, ...]:
    """Return what to tell ffmpeg of an RGB picture's bytes."""
    return "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{rgb.shape[1]}x{rgb.shape[0]}"


def ffmpeg(data: bytes, source: tuple[str, ...], *target: str) -> bytes:
    """Pass bytes through the ffmpeg command."""
    command = ("ffmpeg", "-v", "error", *source, "-i", "pipe:0", *target, "pipe:1")
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


def ffmpeg_rgb(jpeg: bytes, shape: tuple[int, ...]) -> Image:
    """Return a JPEG as RGB by ffmpeg's own conversion, as exact as it can."""
    exact = "scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp"
    raw = ffmpeg(jpeg, ("-f", "mjpeg"), "-vf", exact, "-pix_fmt", "rgb24", "-f", "rawvideo")
    return np.frombuffer(raw, np.uint8).reshape(shape)


def tagged_rgb(picture: av.VideoFrame) -> Image:
    """Return a yuv420p picture as RGB by the matrix and the range that it says it has, in plain arithmetic."""
    y, u, v = (plane.astype(float) for plane in plane_views(picture))
    u, v = (plane.repeat(2, axis=0).repeat(2, axis=1) for plane in (u, v))
    red, blue = _WEIGHTS[picture.colorspace]
    if picture.color_range == 1:
        y, u, v = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    else:
        y, u, v = y / 255, (u - 128) / 255, (v - 128) / 255
    r, b = y + 2 * (1 - red) * v, y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return np.asarray((np.stack([r, g, b], axis=-1) * 255).round().clip(0, 255), np.uint8)


def middles(rgb: Image) -> NDArray[np.float64]:
    """Return the colour in the middle of each bar, shape (bars, 3)."""
    rows = rgb[rgb.shape[0] // 4 : -rgb.shape[0] // 4]
    starts = range(0, rgb.shape[1], BAR)
    return np.array([rows[:, x + BAR * 3 // 8 : x + BAR * 5 // 8].mean(axis=(0, 1)) for x in starts])
