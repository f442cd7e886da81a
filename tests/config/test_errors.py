"""The place in the code that an unforeseen error names."""

import re
import traceback
from pathlib import Path

import pytest

from config.errors import DeviceError, as_liput_error
from config.files import json_text, write_file


def test_an_unforeseen_error_names_its_line_after_the_failed_action() -> None:
    with pytest.raises(TypeError) as raised:
        json_text(object())
    told = as_liput_error(raised.value, DeviceError, "the camera failed")
    assert isinstance(told, DeviceError)
    assert re.fullmatch(r"the camera failed: TypeError\(.*\) at config/files\.py:\d+", told.message)


def test_the_innermost_line_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="missing") as raised:
        write_file(tmp_path / "missing/file", b"", durable=False)
    lines = [frame.lineno for frame in traceback.extract_tb(raised.tb) if frame.filename.endswith("config/files.py")]
    assert len(lines) > 1
    assert as_liput_error(raised.value).message.endswith(f" at config/files.py:{lines[-1]}")


def test_an_error_that_never_passed_liput_names_no_place() -> None:
    assert as_liput_error(ValueError("a bug")).message == "ValueError('a bug')"
