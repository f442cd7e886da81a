"""The JSON Schema of `metadata/request.json`; `python -m recorder.dossier.schema` prints what is to be shipped."""

import sys
from pathlib import Path

from recorder.archive.schema import schema_of
from recorder.dossier.model import RequestRecord

SCHEMA_FILE = Path(__file__).with_name("request.schema.json")
"""The schema as it is shipped; a test compares it with the classes."""


def request_schema() -> bytes:
    """Return the JSON Schema of `RequestRecord`, formatted for people."""
    return schema_of(RequestRecord, "request")


if __name__ == "__main__":
    sys.stdout.buffer.write(request_schema())
