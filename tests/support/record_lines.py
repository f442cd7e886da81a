"""The JSON lines of `liput record`: held to what docs/reference/cli.md promises, and read until so much is on disk."""

import math
import re
from collections.abc import Iterator
from datetime import datetime

from tests.support.command import Line

STATES = {"idle", "armed", "live", "degraded", "sealing", "sealed", "failed"}
DESTINATION_STATES = {"armed", "connecting", "listening", "live", "waiting", "stopped", "removed"}


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def check_status(line: Line) -> None:
    """Fail unless a status line is what docs/reference/cli.md promises."""
    assert line["state"] in STATES
    assert all(is_number(line[name]) for name in ("elapsed_s", "media_time_s", "fps"))
    assert all(is_count(line[name]) for name in ("bytes", "frames", "dropped", "repeated"))
    assert line["disk_left_s"] is None or is_number(line["disk_left_s"])
    assert isinstance(line["levels_dbfs"], list)
    assert all(is_number(level) and level <= 0 for level in line["levels_dbfs"])
    loudness = line["loudness"]
    assert isinstance(loudness, dict)
    assert set(loudness) == {"momentary_lufs", "short_term_lufs", "integrated_lufs", "range_lu"}
    assert all(value is None or is_number(value) for value in loudness.values())
    assert isinstance(line["destinations"], list)
    for destination in line["destinations"]:
        assert isinstance(destination["name"], str)
        assert destination["state"] in DESTINATION_STATES
        assert destination["reason"] is None or isinstance(destination["reason"], str)
        assert is_count(destination["dropped"])
        assert is_count(destination["reconnects"])


def check_event(line: Line) -> None:
    at = datetime.fromisoformat(str(line["at"]))
    assert at.tzinfo is not None
    assert re.fullmatch(r"[a-z]+(-[a-z]+)+", str(line["kind"]))
    assert isinstance(line["subject"], str)
    assert isinstance(line["detail"], dict)
    assert isinstance(line["message"], str)
    assert line["message"]


def check_lines(lines: list[Line]) -> None:
    """Fail unless every line is what the contract says, and the result is the last."""
    for line in lines:
        match line["type"]:
            case "status":
                check_status(line)
            case "event":
                check_event(line)
            case "result":
                assert line["state"] in {"sealed", "failed"}
                assert isinstance(line["package"], str)
                assert is_number(line["duration_s"])
                assert is_count(line["frames"])
                assert isinstance(line["degraded"], list)
            case other:
                raise AssertionError(other)
    assert [line["type"] for line in lines].count("result") == 1
    assert lines[-1]["type"] == "result"


def until_on_disk(lines: Iterator[Line], seconds: float) -> None:
    """Read until so much is on disk."""
    assert any(line["type"] == "status" and float(str(line["media_time_s"])) >= seconds for line in lines)
