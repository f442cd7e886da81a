"""Which device a word means, of those that the log knows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from devices.health.line import PC, HealthLine, Kind
from devices.health.query import Wanted, devices_in, meant_by

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
WEBCAM, FIRST, SECOND, SOUND = "046d:0825:CAM0001", "534d:2109@1-2", "534d:2109@1-1.4", "534d:2109@1-2+sound"
NAMES = {WEBCAM: "Rig Webcam", FIRST: "MS2109 stick", SECOND: "MS2109 stick", SOUND: "MS2109 sound", "1-3": "", PC: ""}


def test_every_device_is_known_by_its_last_name(tmp_path: Path) -> None:
    named = [("a", "Old"), ("a", "New"), ("a", ""), ("b", ""), ('q"\\ é', 'n"\\'), ("late", "x")]
    lines = [
        HealthLine(at=AT + timedelta(minutes=n), device=device, name=name, kind=Kind.SAMPLE)
        for n, (device, name) in enumerate(named)
    ]
    text = b"\n".join(map(msgspec.json.encode, lines))
    (tmp_path / "2026-11-25.jsonl").write_bytes(b'{"device":1\n' + text + b"\n")
    assert devices_in(tmp_path, Wanted()) == {"a": "New", "b": "", 'q"\\ é': 'n"\\', "late": "x"}
    assert devices_in(tmp_path / "nothing", Wanted()) == {}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (FIRST, {FIRST}),
        ("534D:2109@1-2", {FIRST}),
        ("cam0001", {WEBCAM}),
        ("Slides", {SECOND}),
        ("1-2", {FIRST, SOUND}),
        ("1-1.4", {SECOND}),
        ("1-3", {"1-3"}),
        ("pc", {PC}),
        ("this PC", {PC}),
        ("stick", {FIRST, SECOND}),
        ("534d:2109", {FIRST, SECOND, SOUND}),
        ("webcam ", {WEBCAM}),
        ("beamer", set()),
        (" ", set()),
        ("podium", {"gone:1"}),
    ],
)
def test_a_word_means(word: str, expected: set[str]) -> None:
    assert meant_by(word, NAMES, {"slides": SECOND, "podium": "gone:1"}) == expected
