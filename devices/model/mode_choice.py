"""Chooses a device's mode for a wanted picture, and explains why the others lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import msgspec

from devices.model.device import Mode
from devices.model.quirks import Quirk

# Uncompressed frames first: they decode cheaply and without loss. A device lists them only where they fit.
_FORMATS = ("NV12", "YUYV", "UYVY", "YU12", "MJPG", "JPEG", "H264")
_BITS_PER_PIXEL = {"NV12": 12, "YUYV": 16, "UYVY": 16, "YU12": 12}

ENOUGH = 0.8  # this fraction of the wanted rate counts as reached: 25 frames a second where 30 are wanted
_SLACK = 0.99  # 29.97 frames a second count as 30
_TOO_SMALL = 0.5  # below this fraction of the wanted pixels, a larger picture scaled down is better than a smaller one
_PARTS = {2: "half the rate", 3: "a third of the rate", 4: "a quarter of the rate"}


class PictureRequirements(msgspec.Struct, frozen=True, rename={"rate": "fps"}):
    """The wanted picture: pixels, and frames a second."""

    width: int
    height: int
    rate: float

    @property
    def pixels(self) -> int:
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class ChosenMode:
    """A mode of a device, and the rate to request (None where it lists none, or must not be asked)."""

    mode: Mode
    rate: float | None


type RunnerUp = tuple[Mode, float | None, str]
"""A mode that was not chosen, its rate that was considered, and the reason, in words for people."""


def rank_modes(
    modes: Sequence[Mode], wanted: PictureRequirements, *, usable_bps: int | None = None, quirk: Quirk | None = None
) -> tuple[ChosenMode | None, list[RunnerUp]]:
    """Return the best of `modes` (None if none can be recorded), and the others in order.

    The best mode is not larger than wanted, and has the most pixels at nearly the wanted rate. If all such modes have
    less than half of the wanted pixels, it is the nearest larger one. MJPEG comes only where uncompressed frames of
    that size do not reach the rate, H.264 only where there is nothing else.

    `usable_bps` is the capacity of the device's link in bits a second (None: no known limit). Uncompressed rates beyond
    it are chosen only where there is nothing else. `quirk` knows rates that the device only claims.
    """
    candidates = [_Candidate.of(mode, wanted, usable_bps, quirk) for mode in dict.fromkeys(modes)]
    usable = [candidate for candidate in candidates if candidate.is_usable]
    order = [*_in_order([c for c in usable if c.fits_link], wanted)]
    order += _in_order([c for c in usable if not c.fits_link], wanted)
    unusable = sorted((c for c in candidates if not c.is_usable), key=lambda c: -c.pixels)
    if not order:
        return None, [_runner_up(loser, None, wanted, usable_bps) for loser in unusable]
    best, *others = order
    asks = best.rate if quirk is None or quirk.takes_rate else None
    losers = [_runner_up(loser, best, wanted, usable_bps) for loser in (*others, *unusable)]
    return ChosenMode(best.mode, asks), losers


def needed_bps(mode: Mode, rate: float | None) -> int | None:
    """Return the bits a second of `mode`'s frames, None where that depends on the picture (MJPEG)."""
    bits = _BITS_PER_PIXEL.get(mode.format)
    return None if bits is None or rate is None else round(mode.width * mode.height * bits * rate)


def _nearest(rates: Sequence[float], wanted: float) -> float | None:
    reaching = [rate for rate in rates if rate >= wanted * _SLACK]
    return min(reaching) if reaching else max(rates, default=None)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A mode with the requested rate and the rate that is delivered (`real`)."""

    mode: Mode
    rate: float | None
    real: float
    fits_link: bool
    too_fast: float | None  # the rate that would be requested on a faster link

    @classmethod
    def of(cls, mode: Mode, wanted: PictureRequirements, usable_bps: int | None, quirk: Quirk | None) -> "_Candidate":
        cap = quirk.real_rate(mode) if quirk is not None else None
        honest = [rate for rate in mode.fps if cap is None or rate * _SLACK <= cap] or list(mode.fps)
        fitting = [rate for rate in honest if usable_bps is None or (needed_bps(mode, rate) or 0) <= usable_bps]
        rate, dear = _nearest(fitting or honest, wanted.rate), _nearest(honest, wanted.rate)
        comes = wanted.rate if rate is None else rate
        too_fast = dear if dear != rate or not fitting else None
        return cls(mode, rate, comes if cap is None else min(comes, cap), bool(fitting or not honest), too_fast)

    @property
    def is_usable(self) -> bool:
        return self.mode.format in _FORMATS and not self.is_odd

    @property
    def is_odd(self) -> bool:
        is_uncompressed = self.mode.format in _BITS_PER_PIXEL
        return is_uncompressed and (self.mode.width % 2 == 1 or self.mode.height % 2 == 1)

    @property
    def pixels(self) -> int:
        return self.mode.width * self.mode.height

    def is_within(self, wanted: PictureRequirements) -> bool:
        return self.mode.width <= wanted.width and self.mode.height <= wanted.height

    def rank(self, wanted: PictureRequirements) -> tuple[float, float, int]:
        part = min(1.0, self.real / (wanted.rate * ENOUGH))
        # Pixels that scaling throws away lower the score; half the rate is worth a quarter of the pixels.
        worth = self.pixels if self.pixels <= wanted.pixels else wanted.pixels**2 / self.pixels
        return worth * part**2, min(self.real, wanted.rate), -_FORMATS.index(self.mode.format)


def _in_order(candidates: Sequence[_Candidate], wanted: PictureRequirements) -> Iterator[_Candidate]:
    """Yield the candidates from the best on."""
    ranked = sorted(candidates, key=lambda candidate: candidate.rank(wanted), reverse=True)
    fitting = [candidate for candidate in ranked if candidate.is_within(wanted)]
    larger = [candidate for candidate in ranked if not candidate.is_within(wanted)]
    while fitting or larger:
        is_too_small = not fitting or fitting[0].pixels < _TOO_SMALL * wanted.pixels
        yield (larger if larger and is_too_small else fitting).pop(0)


# Why not


def _runner_up(
    loser: _Candidate, best: _Candidate | None, wanted: PictureRequirements, usable_bps: int | None
) -> RunnerUp:
    return loser.mode, loser.rate, ", ".join(_reasons(loser, best, wanted, usable_bps)) or "no better"


def _reasons(
    loser: _Candidate, best: _Candidate | None, wanted: PictureRequirements, usable_bps: int | None
) -> Iterator[str]:
    if not loser.is_usable or best is None:
        yield "its size is odd" if loser.is_odd else f"{loser.mode.format} cannot be recorded"
        return
    if loser.too_fast is not None and usable_bps is not None:
        needs = (needed_bps(loser.mode, loser.too_fast) or 0) / 1e6
        at = "" if loser.too_fast == loser.rate else f" at {loser.too_fast:g} frames a second"
        yield f"needs {needs:.0f} Mbit/s{at}, the link gives {usable_bps / 1e6:.0f}"
        return
    differs = False
    if loser.pixels != best.pixels and (size := _size_reason(loser, best, wanted)):
        yield size
        differs = True
    if min(loser.real, wanted.rate) < min(best.real, wanted.rate) * _SLACK:
        yield _rate_reason(loser, min(best.real, wanted.rate))
        differs = True
    if not differs and loser.mode.format != best.mode.format:
        yield _format_reason(loser.mode.format, best.mode.format)


def _size_reason(loser: _Candidate, best: _Candidate, wanted: PictureRequirements) -> str:
    if not loser.is_within(wanted) and loser.pixels > best.pixels:
        return "larger than wanted"
    return "smaller" if loser.pixels < best.pixels else ""


def _rate_reason(loser: _Candidate, best: float) -> str:
    if loser.rate is not None and loser.real < loser.rate * _SLACK:
        return f"lists {loser.rate:g} frames a second and gives {loser.real:g}"
    for part, words in _PARTS.items():
        if abs(loser.real * part - best) < best * (1 - _SLACK):
            return words
    return f"{loser.real:g} frames a second instead of {best:g}"


def _format_reason(loser: str, best: str) -> str:
    if loser == "H264":
        return "each picture needs those before it"
    if loser not in _BITS_PER_PIXEL and best in _BITS_PER_PIXEL:
        return "must be decoded"
    if _BITS_PER_PIXEL.get(loser, 0) > _BITS_PER_PIXEL.get(best, 0):
        return "more bytes for the same picture"
    return "no better"
