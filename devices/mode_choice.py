"""Which of a device's modes to open for the picture that is wanted."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from devices.model import Mode

# Uncompressed pictures first: they cost less to decode and lose nothing. A device lists them only where they fit.
_FORMATS = ("NV12", "YUYV", "UYVY", "YU12", "MJPG", "JPEG", "H264")
_UNCOMPRESSED = frozenset(_FORMATS[:4])

_ENOUGH = 0.8
"""The part of the wanted rate that counts as all of it: 25 frames a second where 30 are wanted."""
_SLACK = 0.99
"""29.97 frames a second are 30."""
_TOO_SMALL = 0.5
"""Below this part of the wanted pixels, a larger picture scaled down is better than a smaller one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The picture that a session wants: pixels, and frames a second."""

    width: int
    height: int
    rate: float

    @property
    def pixels(self) -> int:
        """The number of pixels."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class ChosenMode:
    """A mode of a device, and the rate of it to ask for (None where the device names none)."""

    mode: Mode
    rate: float | None


def choose_mode(modes: Sequence[Mode], wanted: Wanted) -> ChosenMode | None:
    """Return the best of `modes`, or None if none can be decoded.

    That is the best mode not larger than wanted: most pixels, as long as the rate is nearly reached. Where those that
    fit are less than half of what is wanted, or there are none, the nearest larger one. MJPEG only where
    uncompressed pictures of that size do not reach the rate, H.264 where there is nothing else.
    """
    usable = [mode for mode in modes if _is_usable(mode)]
    fitting = _best((mode for mode in usable if _fits(mode, wanted)), wanted)
    larger = _best((mode for mode in usable if not _fits(mode, wanted)), wanted)
    if fitting is None or (larger is not None and _pixels(fitting) < _TOO_SMALL * wanted.pixels):
        best = larger or fitting
    else:
        best = fitting
    return None if best is None else ChosenMode(best, rate_for(best, wanted.rate))


def rate_for(mode: Mode, wanted: float) -> float | None:
    """Return the slowest rate of `mode` that reaches `wanted`, else its fastest."""
    reaching = [rate for rate in mode.fps if rate >= wanted * _SLACK]
    return min(reaching) if reaching else max(mode.fps, default=None)


def _is_usable(mode: Mode) -> bool:
    is_even = mode.width % 2 == 0 and mode.height % 2 == 0
    return mode.format in _FORMATS and (is_even or mode.format not in _UNCOMPRESSED)


def _fits(mode: Mode, wanted: Wanted) -> bool:
    return mode.width <= wanted.width and mode.height <= wanted.height


def _pixels(mode: Mode) -> int:
    return mode.width * mode.height


def _best(modes: Iterable[Mode], wanted: Wanted) -> Mode | None:
    def rank(mode: Mode) -> tuple[float, float, int]:
        rate = rate_for(mode, wanted.rate) or wanted.rate
        part = min(1.0, rate / (wanted.rate * _ENOUGH))
        pixels = _pixels(mode)
        # A larger picture is worth less the more of it is thrown away; half the rate is worth a quarter of the pixels.
        worth = pixels if pixels <= wanted.pixels else wanted.pixels**2 / pixels
        return worth * part**2, min(rate, wanted.rate), -_FORMATS.index(mode.format)

    return max(modes, key=rank, default=None)
