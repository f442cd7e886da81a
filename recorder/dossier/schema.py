"""The JSON Schema of `metadata/request.json`; `python -m recorder.dossier.schema` prints what is to be shipped."""

import sys

from recorder.archive.schema import schema_of
from recorder.dossier.model import RequestRecord


def request_schema() -> bytes:
    """Return the JSON Schema of `RequestRecord`, formatted for people."""
    return schema_of(RequestRecord, "request")


if __name__ == "__main__":
    sys.stdout.buffer.write(request_schema())
