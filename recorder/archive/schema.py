"""The JSON Schema of `metadata/recording.json`; `python -m recorder.archive.schema` prints what is to be shipped."""

import sys
from pathlib import Path

import msgspec

from recorder.archive.model import Recording

SCHEMA_FILE = Path(__file__).with_name("recording.schema.json")
"""The schema as it is shipped; a test compares it with the classes."""


def recording_schema() -> bytes:
    """Return the JSON Schema (draft 2020-12) of `Recording`, formatted for people."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:liput:recording:1",
        "title": "Liput recording, version 1",
    } | msgspec.json.schema(Recording)
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(recording_schema())
