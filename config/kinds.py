"""The kinds of value a setting can have: how each is read from TOML, what it allows, and how it is shown.

A field of a settings struct carries its kind as `Annotated[int, Size()]`; the reader finds it there.
"""

import difflib
import math
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import msgspec

from config import quantities
from config.quantities import NotAllowed

type Shown = str | int | float | bool | list[str]
"""A setting as it is printed: a TOML or JSON value."""


class Kind(Protocol):
    """One kind of value."""

    def read(self, raw: object) -> object:
        """Return the value that `raw` (from TOML) stands for; NotAllowed says what would be right."""
        ...

    def show(self, value: object) -> Shown:
        """Return `value` the way a person would write it in the file."""
        ...


class Text(msgspec.Struct, frozen=True):
    """Any text."""

    def read(self, raw: object) -> str:
        """Return the text."""
        if not isinstance(raw, str):
            raise NotAllowed("must be text in quotes")
        return raw

    def show(self, value: object) -> Shown:
        """Return the text."""
        return str(value)


class Choice(msgspec.Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]

    def read(self, raw: object) -> str:
        """Return the word."""
        if raw not in self.words:
            raise NotAllowed(f"must be one of {', '.join(self.words)}{did_you_mean(str(raw), self.words)}")
        return str(raw)

    def show(self, value: object) -> Shown:
        """Return the word."""
        return str(value)


class Switch(msgspec.Struct, frozen=True):
    """On or off."""

    def read(self, raw: object) -> bool:
        """Return whether it is on."""
        if not isinstance(raw, bool):
            raise NotAllowed("must be true or false")
        return raw

    def show(self, value: object) -> Shown:
        """Return true or false."""
        return bool(value)


class Words(msgspec.Struct, frozen=True):
    """A list of names; a number stands for what it counts."""

    def read(self, raw: object) -> tuple[str, ...]:
        """Return the names."""
        allowed = 'must be a list of names, such as ["slides", "podium"]'
        if not isinstance(raw, list):
            raise NotAllowed(allowed)
        if not all(isinstance(word, str | int) and not isinstance(word, bool) and str(word).strip() for word in raw):
            raise NotAllowed(allowed)
        return tuple(str(word).strip() for word in raw)

    def show(self, value: object) -> Shown:
        """Return the names."""
        return [str(word) for word in value] if isinstance(value, tuple) else str(value)


class _Number(msgspec.Struct, frozen=True):
    """A number from `least` to `most`."""

    least: float
    most: float

    def show(self, value: object) -> Shown:
        """Return the number."""
        return value if isinstance(value, float) and math.isfinite(value) else str(value)

    def _within(self, raw: object, allowed: str) -> float:
        if not isinstance(raw, int | float) or isinstance(raw, bool) or not self.least <= raw <= self.most:
            raise NotAllowed(allowed)
        return float(raw)


class Part(_Number, frozen=True):
    """A part of a whole, from `least` to `most`."""

    def read(self, raw: object) -> float:
        """Return the part."""
        return self._within(raw, f"must be a number from {self.least:g} to {self.most:g}")


class Decibels(_Number, frozen=True):
    """How much louder, or below 0 softer, from `least` to `most`."""

    def read(self, raw: object) -> float:
        """Return the decibels."""
        return self._within(raw, f"must be decibels from {self.least:g} to {self.most:g}")


class Whole(msgspec.Struct, frozen=True):
    """An integer from `least` to `most`, even where asked (pictures with half as many chroma samples)."""

    least: int
    most: int
    even: bool = False

    def read(self, raw: object) -> int:
        """Return the integer."""
        wrong_parity = self.even and isinstance(raw, int) and raw % 2
        if not isinstance(raw, int) or isinstance(raw, bool) or not self.least <= raw <= self.most or wrong_parity:
            raise NotAllowed(f"must be an {'even ' if self.even else ''}integer from {self.least} to {self.most}")
        return raw

    def show(self, value: object) -> Shown:
        """Return the integer."""
        return value if isinstance(value, int) else str(value)


class Seconds(_Number, frozen=True):
    """A number of seconds from `least` to `most`."""

    def read(self, raw: object) -> float:
        """Return the seconds; a duration in words ("250ms") is taken as well."""
        allowed = f"must be seconds, from {self.least:g} to {self.most:g}"
        if isinstance(raw, str):
            try:
                raw = quantities.parse_duration(raw)
            except NotAllowed:
                raise NotAllowed(allowed) from None
        return self._within(raw, allowed)


class _Quantity(msgspec.Struct, frozen=True):
    """A number that people write with a unit, from `least` to `most` of the base unit."""

    least: int
    most: int

    def _within(self, raw: object, parse: Callable[[str | int], int], allowed: str, form: Callable[[int], str]) -> int:
        if not isinstance(raw, str | int) or isinstance(raw, bool):
            raise NotAllowed(f"must be {allowed}")
        value = parse(raw)
        if not self.least <= value <= self.most:
            raise NotAllowed(f"must be from {form(self.least)} to {form(self.most)}")
        return value


class Size(_Quantity, frozen=True):
    """A number of bytes."""

    def read(self, raw: object) -> int:
        """Return the bytes."""
        return self._within(raw, quantities.parse_size, quantities.SIZE_ALLOWED, quantities.format_size)

    def show(self, value: object) -> Shown:
        """Return the size with its unit."""
        return quantities.format_size(value) if isinstance(value, int) else str(value)


class Rate(_Quantity, frozen=True):
    """A number of bits per second."""

    def read(self, raw: object) -> int:
        """Return the bits per second."""
        return self._within(raw, quantities.parse_rate, quantities.RATE_ALLOWED, quantities.format_rate)

    def show(self, value: object) -> Shown:
        """Return the rate with its unit."""
        return quantities.format_rate(value) if isinstance(value, int) else str(value)


class FrameRate(msgspec.Struct, frozen=True):
    """Frames per second, exactly, at most `most`."""

    most: int

    def read(self, raw: object) -> Fraction:
        """Return the frames per second."""
        if not isinstance(raw, str | int) or isinstance(raw, bool):
            raise NotAllowed(f"must be {quantities.FRAME_RATE_ALLOWED}")
        rate = quantities.parse_frame_rate(raw)
        if not 1 <= rate <= self.most:
            raise NotAllowed(f"must be from 1 to {self.most} frames per second")
        return rate

    def show(self, value: object) -> Shown:
        """Return an integer or a fraction."""
        if isinstance(value, Fraction) and value.denominator == 1:
            return value.numerator
        return str(value)


class FilePath(msgspec.Struct, frozen=True):
    """A file or folder; `~` is the user's home. A relative one counts from the settings file's folder."""

    def read(self, raw: object) -> Path:
        """Return the path, which may be relative."""
        if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
            raise NotAllowed("must be a path in quotes")
        try:
            return Path(raw).expanduser()
        except RuntimeError:
            raise NotAllowed("names a home folder that does not exist") from None

    def show(self, value: object) -> Shown:
        """Return the path."""
        return str(value)


class FilePaths(msgspec.Struct, frozen=True):
    """Several files or folders, no two of them the same."""

    def read(self, raw: object) -> tuple[Path, ...]:
        """Return the paths, which may be relative."""
        if not isinstance(raw, list):
            raise NotAllowed('must be a list of paths, ["/mnt/a", "/mnt/b"]')
        paths = tuple(FilePath().read(each) for each in raw)
        if len(set(paths)) < len(paths):
            raise NotAllowed("must not name a path twice")
        return paths

    def show(self, value: object) -> Shown:
        """Return the paths."""
        return [str(path) for path in value] if isinstance(value, tuple) else []


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Return '; did you mean "X"?' for the nearest of `right`, or nothing when none is near."""
    lowered = {word.lower(): word for word in right}
    nearest = difflib.get_close_matches(wrong.lower(), lowered, n=1)
    return f'; did you mean "{lowered[nearest[0]]}"?' if nearest else ""
