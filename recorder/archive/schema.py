"""The JSON Schema of `metadata/recording.json`; `python -m recorder.archive.schema` prints what is to be shipped."""

import sys

import msgspec

from recorder.archive.model import Recording


def recording_schema() -> bytes:
    """Return the JSON Schema of `Recording`, formatted for people."""
    return schema_of(Recording, "recording")


def schema_of(kind: type, name: str) -> bytes:
    """Return the JSON Schema (draft 2020-12) of version 1 of what is called `name`, formatted for people."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:liput:{name}:1",
        "title": f"Liput {name}, version 1",
    } | msgspec.json.schema(kind)
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(recording_schema())
