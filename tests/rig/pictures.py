"""Test pictures that can be recognised after any lossy path.

A live one carries its number as a row of blocks along the top; it flashes in its lower right quarter for the first
FLASH_SECONDS of every second of the device's clock, together with the beep of uac.py.
"""

import fractions
import functools

import numpy as np
import numpy.typing as npt
import simplejpeg  # type: ignore[import-untyped]  # has a stub, but no py.typed to say so

type Luma = npt.NDArray[np.uint8]  # (height, width)

NUMBER_BITS = 5
NUMBERS = 1 << NUMBER_BITS
FLASH_SECONDS = 0.1
JPEG_QUALITY = 75
KEYFRAME_EVERY = 16  # pictures of H.264; the sequence can be sent again and again from its first


def live(width: int, height: int, number: int, *, flash: bool) -> Luma:
    """Draw picture `number`, with the flash on or off."""
    luma = np.linspace(40, 180, width, dtype=np.float32)[None, :].repeat(height, axis=0).astype(np.uint8)
    bar = width * number // NUMBERS
    luma[height // 4 :, bar : bar + max(4, width // 40)] = 230
    if flash:
        luma[height // 2 :, width // 2 :] = 255
    for bit in range(NUMBER_BITS):
        left, right = (width * column // NUMBER_BITS for column in (bit, bit + 1))
        luma[: height // 8, left:right] = 235 if number >> bit & 1 else 16
    return luma


def no_signal(width: int, height: int) -> Luma:
    """Draw what capture sticks show without an input: broad vertical bars that never change."""
    bars = np.array([235, 210, 170, 145, 106, 81, 41, 16], dtype=np.uint8)
    return bars[np.arange(width) * len(bars) // width][None, :].repeat(height, axis=0)


def black(width: int, height: int) -> Luma:
    """Draw what a camera sees behind its shutter."""
    return np.zeros((height, width), np.uint8)


STILL = {"no-signal": no_signal, "black": black}  # pictures that never change, by name


def number_of(luma: Luma) -> int:
    """Read the number that a live picture shows (in luma of any size from 40 pixels width on)."""
    height, width = luma.shape
    blocks = [luma[height // 16, width * (2 * bit + 1) // (2 * NUMBER_BITS)] for bit in range(NUMBER_BITS)]
    return sum(1 << bit for bit, block in enumerate(blocks) if block > 128)


def is_flashing(luma: Luma) -> bool:
    """Tell whether a live picture's flash is on."""
    height, width = luma.shape
    return float(luma[height * 5 // 8 : height * 7 // 8, width * 5 // 8 : width * 7 // 8].mean()) > 215


def jpeg(luma: Luma) -> bytes:
    """Encode a picture as 4:2:2 JPEG, bluish, as webcams send it."""
    rgb = np.dstack([luma, luma, luma // 2 + 64])
    return bytes(simplejpeg.encode_jpeg(rgb, quality=JPEG_QUALITY, colorspace="RGB", colorsubsampling="422"))


def damaged(jpeg: bytes) -> bytes:
    """Return the JPEG with the middle third of it overwritten, all of which is entropy-coded."""
    third = len(jpeg) // 3
    return jpeg[:third] + bytes(byte & 0x7F ^ 0x55 for byte in jpeg[third : 2 * third]) + jpeg[2 * third :]


def yuyv(luma: Luma) -> bytes:
    """Pack a picture as grey YUYV (Y0 U Y1 V, two bytes a pixel)."""
    packed = np.full((*luma.shape, 2), 128, dtype=np.uint8)
    packed[:, :, 0] = luma
    return packed.tobytes()


@functools.cache
def h264(width: int, height: int) -> tuple[bytes, ...]:
    """Encode all live pictures as H.264: an Annex B access unit each, an IDR picture every KEYFRAME_EVERY."""
    import av  # takes long in the guest, and most devices do without

    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base = fractions.Fraction(1, 30)
    context.gop_size = KEYFRAME_EVERY
    x264 = f"keyint={KEYFRAME_EVERY}:scenecut=0:threads=1"
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": x264}
    grey = np.full((height // 2, width), 128, dtype=np.uint8)
    packets = []
    for number in range(NUMBERS):
        planes = np.vstack([live(width, height, number, flash=False), grey])
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        picture.pts = number
        packets += context.encode(picture)
    return tuple(bytes(packet) for packet in [*packets, *context.encode(None)])
