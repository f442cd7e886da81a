"""Kinds of values of settings. A settings struct's field carries one: `Annotated[int, kinds.size(0, 10)]`."""

import difflib
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from config.settings import quantities
from config.settings.quantities import NotAllowed

type ShownValue = str | int | float | bool | list[str]


@dataclass(frozen=True, slots=True)
class ValueKind:
    """One kind of value, called `words`; `read` parses a raw TOML value or raises NotAllowed, `show` is the reverse."""

    words: str
    read: Callable[[object], Any]
    show: Callable[[Any], ShownValue] = str


def each_shown(values: Iterable[object]) -> list[str]:
    return [str(value) for value in values]


def or_empty(words: str, read: Callable[[object], str]) -> ValueKind:
    """Return the kind for text that `read` parses, or "" for none."""
    return ValueKind(words, lambda raw: "" if raw == "" else read(raw))


def list_of[T](
    words: str, allowed: str, read: Callable[[object], T], show: Callable[[tuple[T, ...]], list[str]] = each_shown
) -> ValueKind:
    """Return the kind for a list of values that `read` parses; anything else must be `allowed`."""

    def read_all(raw: object) -> tuple[T, ...]:
        if not isinstance(raw, list):
            raise NotAllowed(f"must be {allowed}")
        return tuple(read(each) for each in raw)

    return ValueKind(words, read_all, show)


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise NotAllowed("must be text in quotes")
    return raw


TEXT = ValueKind("any text", _text)


def choice(words: tuple[str, ...]) -> ValueKind:
    def read(raw: object) -> str:
        if raw not in words:
            raise NotAllowed(f"must be one of {', '.join(words)}{did_you_mean(str(raw), words)}")
        return str(raw)

    return ValueKind(f"one of {', '.join(f'`{word}`' for word in words)}", read)


def _switch(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise NotAllowed("must be true or false")
    return raw


SWITCH = ValueKind("on or off", _switch, bool)


_NAMES = 'a list of names, such as ["slides", "podium"]'


def _word(raw: object) -> str:
    if not isinstance(raw, str | int) or isinstance(raw, bool) or not str(raw).strip():
        raise NotAllowed(f"must be {_NAMES}")
    return str(raw).strip()


WORDS = list_of("a list of names or numbers", _NAMES, _word)


def _number(
    words: str, least: float, most: float, allowed: str, parse: Callable[[object], object] = lambda raw: raw
) -> ValueKind:
    def read(raw: object) -> float:
        value = parse(raw)
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise NotAllowed(f"must be {allowed}")
        return float(value)

    return ValueKind(_between(words, least, most), read, lambda value: value if math.isfinite(value) else str(value))


def _between(words: str, least: float, most: float) -> str:
    low, high = (f"{each:,}" if isinstance(each, int) else f"{each:g}" for each in (least, most))
    return f"{words}, {low} to {high}"


def fraction(least: float, most: float) -> ValueKind:
    return _number("a fraction", least, most, f"a number from {least:g} to {most:g}")


def decibels(least: float, most: float) -> ValueKind:
    return _number("a gain in decibels", least, most, f"decibels from {least:g} to {most:g}")


def seconds(least: float, most: float) -> ValueKind:
    """Return the kind for a number of seconds; a duration such as "250ms" is accepted too."""

    def parse(raw: object) -> object:
        try:
            return quantities.parse_duration(raw) if isinstance(raw, str) else raw
        except NotAllowed:
            return None

    return _number("a number of seconds", least, most, f"seconds, from {least:g} to {most:g}", parse)


def integer(least: int, most: int, *, even: bool = False) -> ValueKind:
    """Return the kind for an integer; `even` for chroma subsampling."""

    def read(raw: object) -> int:
        if not isinstance(raw, int) or isinstance(raw, bool) or not least <= raw <= most or (even and raw % 2):
            raise NotAllowed(f"must be an {'even ' if even else ''}integer from {least} to {most}")
        return raw

    return ValueKind(f"{_between('an integer', least, most)}{', even' if even else ''}", read, int)


def _quantity(
    words: str, least: int, most: int, allowed: str, parse: Callable[[str | int], int], form: Callable[[int], str]
) -> ValueKind:

    def read(raw: object) -> int:
        if not isinstance(raw, str | int) or isinstance(raw, bool):
            raise NotAllowed(f"must be {allowed}")
        value = parse(raw)
        if not least <= value <= most:
            raise NotAllowed(f"must be from {form(least)} to {form(most)}")
        return value

    return ValueKind(f"{words}, {form(least)} to {form(most)}", read, form)


def size(least: int, most: int) -> ValueKind:
    return _quantity(
        "a number of bytes", least, most, quantities.SIZE_ALLOWED, quantities.parse_size, quantities.format_size
    )


def rate(least: int, most: int) -> ValueKind:
    return _quantity(
        "a number of bits per second",
        least,
        most,
        quantities.RATE_ALLOWED,
        quantities.parse_rate,
        quantities.format_rate,
    )


def frame_rate(most: int) -> ValueKind:
    """Return the kind for an exact frame rate from 1 to `most`."""

    def read(raw: object) -> Fraction:
        if not isinstance(raw, str | int) or isinstance(raw, bool):
            raise NotAllowed(f"must be {quantities.FRAME_RATE_ALLOWED}")
        found = quantities.parse_frame_rate(raw)
        if not 1 <= found <= most:
            raise NotAllowed(f"must be from 1 to {most} frames per second")
        return found

    words = f"frames per second, an exact number, at most {most}"
    return ValueKind(words, read, lambda value: value.numerator if value.denominator == 1 else str(value))


def _file_path(raw: object) -> Path:
    if not isinstance(raw, str) or not raw.strip() or "\0" in raw:
        raise NotAllowed("must be a path in quotes")
    try:
        return Path(raw).expanduser()
    except RuntimeError:
        raise NotAllowed("names a home folder that does not exist") from None


FILE_PATH = ValueKind(
    "a file or folder; `~` is the user's home; a relative path starts at the settings file's folder", _file_path
)


def _file_paths(raw: object) -> tuple[Path, ...]:
    if not isinstance(raw, list):
        raise NotAllowed('must be a list of paths, ["/mnt/a", "/mnt/b"]')
    paths = tuple(_file_path(each) for each in raw)
    if len(set(paths)) < len(paths):
        raise NotAllowed("must not name a path twice")
    return paths


FILE_PATHS = ValueKind("several different files or folders", _file_paths, each_shown)


def did_you_mean(wrong: str, right: Iterable[str]) -> str:
    """Return '; did you mean "X"?' for the nearest of `right`, or "" where none is near."""
    lowered = {word.lower(): word for word in right}
    nearest = difflib.get_close_matches(wrong.lower(), lowered, n=1)
    return f'; did you mean "{lowered[nearest[0]]}"?' if nearest else ""
