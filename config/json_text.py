"""JSON as people read it, indented, and as logs have it, an object a line; what is read may be damaged."""

from collections.abc import Iterator

import msgspec


def json_text(value: object) -> bytes:
    """Return `value` as the content of a JSON file."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def json_lines[T](content: bytes, kind: type[T]) -> Iterator[T]:
    """Give what each line says; one that is no `kind`, as a kill leaves at the end, is passed over."""
    for line in content.splitlines():
        try:
            value = msgspec.json.decode(line, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        yield value


def number(value: object) -> float | None:
    """Return the number that a value read from JSON is; None for what is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
