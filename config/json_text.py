"""JSON as people read it: indented, with a line break at its end."""

import msgspec


def json_text(value: object) -> bytes:
    """Return `value` as the content of a JSON file."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
