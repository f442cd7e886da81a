"""The JSON Schemas as they are shipped, which tests compare with the classes and hold documents to."""

from pathlib import Path

from recorder.package import request

RECORDING_SCHEMA = Path(request.__file__).with_name("recording.schema.json")
REQUEST_SCHEMA = Path(request.__file__).with_name("request.schema.json")
