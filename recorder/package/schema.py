"""The JSON Schemas of a package; `python -m recorder.package.schema recording` (or `request`) prints one."""

import sys

import msgspec

from recorder.package.metadata import Recording
from recorder.package.request import RequestRecord

KINDS = {"recording": Recording, "request": RequestRecord}
"""Their names: `metadata/recording.json` and `metadata/request.json`."""


def schema_of(name: str) -> bytes:
    """Return the JSON Schema (draft 2020-12) of version 1 of `name`, formatted for people."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:liput:{name}:1",
        "title": f"Liput {name}, version 1",
    } | msgspec.json.schema(KINDS[name])
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2) + b"\n"


if __name__ == "__main__":
    sys.stdout.buffer.write(schema_of(sys.argv[1]))
