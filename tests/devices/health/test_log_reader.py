"""Lines of the health log are found by their time, whatever else the files hold; and fast."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from config.errors import StateError
from devices.health import log_reader
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_reader import LogFilter, devices_in, end_positions, find_device_ids, follow, read
from devices.health.log_writer import TIME_SLACK
from tests.support.simulated import SimulatedClock

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
CAMERA, STICK = "046d:0825:A1", "534d:2109@1-2"


def line(
    second: float, reason: str = "", *, device: str = CAMERA, level: LogLevel = LogLevel.INFO, kind: str = "sample"
) -> HealthLine:
    at = NOON + timedelta(seconds=second)
    return HealthLine(at=at, device=device, name="Rig", level=level, kind=kind, reason=reason, detail={"fps": 29.97})


def encoded(*lines: HealthLine | bytes) -> bytes:
    return b"".join(one if isinstance(one, bytes) else msgspec.json.encode(one) + b"\n" for one in lines)


def write(folder: Path, name: str, *lines: HealthLine | bytes) -> None:
    with (folder / name).open("ab") as file:
        file.write(encoded(*lines))


def reasons(folder: Path, wanted: LogFilter) -> list[str]:
    return [found.reason for found in read(folder, wanted)]


def test_a_log_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "2026-11-25.jsonl").mkdir()
    with pytest.raises(StateError, match=r"health log .*2026-11-25\.jsonl cannot be read: Is a directory"):
        list(read(tmp_path, LogFilter()))
    with pytest.raises(StateError, match="cannot be read: Not a directory"):
        list(read(Path(__file__), LogFilter()))


def test_each_condition_counts(tmp_path: Path) -> None:
    write(
        tmp_path,
        "2026-11-25.jsonl",
        line(0, "debug", level=LogLevel.DEBUG),
        line(1, "info"),
        line(2, "warn", level=LogLevel.WARN, kind="degraded"),
        line(3, "error", level=LogLevel.ERROR, kind="degraded", device=STICK),
    )
    assert reasons(tmp_path, LogFilter()) == ["debug", "info", "warn", "error"]
    assert reasons(tmp_path, LogFilter(level=LogLevel.WARN)) == ["warn", "error"]
    assert reasons(tmp_path, LogFilter(kinds=[LogKind.SAMPLE])) == ["debug", "info"]
    assert reasons(tmp_path, LogFilter(kinds=[LogKind.DEGRADED], level=LogLevel.ERROR)) == ["error"]
    assert reasons(tmp_path, LogFilter(devices=[STICK])) == ["error"]
    span = LogFilter(since=NOON + timedelta(seconds=1), until=NOON + timedelta(seconds=2))
    assert reasons(tmp_path, span) == ["info", "warn"]
    assert list(read(tmp_path, LogFilter(kinds=[]))) == []


def test_text_that_looks_like_a_field_is_none(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-25.jsonl", line(0, '"level":"error","kind":"lost"'))
    assert reasons(tmp_path, LogFilter(level=LogLevel.ERROR)) == []
    assert len(reasons(tmp_path, LogFilter(level=LogLevel.INFO))) == 1


def test_files_of_a_day_are_read_together_by_time(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-24.jsonl", line(-86400, "a"))
    write(tmp_path, "2026-11-25.jsonl", line(0, "b"), line(10, "e"))
    write(tmp_path, "2026-11-25.2.jsonl", line(1, "c"), line(5, "d"), line(11, "f"))
    write(tmp_path, "2026-11-25.10.jsonl", line(12, "g"))
    write(tmp_path, "2026-11-26.jsonl", line(86400, "h"))
    assert "".join(reasons(tmp_path, LogFilter())) == "abcdefgh"
    assert "".join(reasons(tmp_path, LogFilter(since=NOON + timedelta(seconds=5)))) == "defgh"


def test_only_files_that_may_hold_the_time_are_opened(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-25.jsonl", line(0, "this"))
    for name in ("2026-11-20.jsonl", "2026-11-30.jsonl"):
        (tmp_path / name).mkdir()  # would be complained about
    assert reasons(tmp_path, LogFilter(since=NOON - timedelta(hours=1), until=NOON + timedelta(hours=1))) == ["this"]


def test_a_day_of_another_time_zone_is_found(tmp_path: Path) -> None:
    far_east = line(0, "east")
    far_east = msgspec.structs.replace(far_east, at=datetime.fromisoformat("2026-11-26T01:00:00+14:00"))
    write(tmp_path, "2026-11-26.jsonl", far_east)
    hour = timedelta(hours=1)
    assert reasons(tmp_path, LogFilter(since=NOON - 2 * hour, until=NOON)) == ["east"]


GARBAGE = (
    b"\n",
    b"not json\n",
    b'{"type":"health","at":"2026-11-25T12:00\n',
    b'{"type":"health","at":"2026-11-25T12:00:00","device":"x","name":"","level":"info","kind":"no-offset"}\n',
    bytes(3000) + b"\n",
    b"\xff\xfe\n",
    b'{"type":"health","at":"2026-11-25T12:0',  # torn, and the next one right after it
)


@pytest.mark.parametrize("seed", range(4))
def test_bisection_finds_what_reading_all_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setattr(log_reader, "_NEAR", 64)
    dice = random.Random(seed)
    lines: list[HealthLine] = []
    pieces: list[HealthLine | bytes] = []
    second, latest = 0.0, 0.0
    for number in range(300):
        second += dice.choice((0, 0.01, 1, 60))
        # Within the order that the writers promise: never further back than SLACK.
        mine = max(second - dice.choice((0, 0, 1.9)), latest - TIME_SLACK.total_seconds())
        latest = max(latest, mine)
        lines.append(line(mine, str(number)))
        pieces += [dice.choice(GARBAGE)] * (dice.random() < 0.2) + [lines[-1]]
    write(tmp_path, "2026-11-25.jsonl", *pieces, b'{"type":"health"')
    for _ in range(30):
        begin, end = sorted(NOON + timedelta(seconds=dice.uniform(-10, second + 10)) for _ in "ab")
        expected = [one.reason for one in lines if begin <= one.at <= end]
        assert reasons(tmp_path, LogFilter(since=begin, until=end)) == expected


def test_a_query_by_time_reads_little_of_a_long_log(tmp_path: Path) -> None:
    """A million lines are to be searched in under a second."""
    write(tmp_path, "2026-11-25.jsonl", *(line(number, "x" * 100) for number in range(20_000)))
    took_s = []
    little = LogFilter(since=NOON + timedelta(seconds=9_000), until=NOON + timedelta(seconds=9_100))
    for wanted in (LogFilter(), little):
        began = time.process_time()
        assert len(list(read(tmp_path, wanted))) in (20_000, 101)
        took_s.append(time.process_time() - began)
    assert took_s[1] < took_s[0] / 10


# Following


class Steps(SimulatedClock):
    """A clock that does the next of `steps` at each wait, and after the last one sets `stop`."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        super().__init__()
        self._steps = iter(steps)
        self.stop = threading.Event()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        for step in self._steps:
            step()
            return False
        self.stop.set()
        return True


def followed(folder: Path, wanted: LogFilter, *steps: Callable[[], object]) -> Iterator[str]:
    clock = Steps(*steps, *[list] * 6)
    return (found.reason for found in follow(folder, wanted, clock=clock, stop=clock.stop))


def test_new_lines_come_as_they_are_written_across_midnight_and_new_files(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-25.jsonl", line(0, "old"))
    new = followed(
        tmp_path,
        LogFilter(level=LogLevel.INFO),
        lambda: write(tmp_path, "2026-11-25.jsonl", line(1, "a"), line(2, "unwanted", level=LogLevel.DEBUG)),
        lambda: write(tmp_path, "2026-11-25.jsonl", line(2, "b"), encoded(line(3, "c"))[:50]),
        lambda: write(tmp_path, "2026-11-25.jsonl", encoded(line(3, "c"))[50:]),
        lambda: write(tmp_path, "2026-11-25.2.jsonl", line(4, "d")),
        *[list] * 5,
        lambda: write(tmp_path, "2026-11-26.jsonl", line(50000, "e")),
        lambda: write(tmp_path, "2026-11-25.2.jsonl", line(5, "late")),
    )
    assert list(new) == ["a", "b", "c", "d", "e", "late"]


def test_a_file_of_a_clock_that_was_years_ahead_hides_no_news(tmp_path: Path) -> None:
    folder = tmp_path / "health"
    assert [*read(folder, LogFilter()), *followed(folder, LogFilter())] == [], "it is not there yet"
    folder.mkdir()
    write(folder, "2099-01-01.jsonl", line(0, "from a wrong clock"))
    news = followed(folder, LogFilter(), lambda: write(folder, "2026-11-24.jsonl", line(1, "now")))
    assert list(news) == ["now"]


def test_a_file_that_was_deleted_and_begun_anew_is_read_from_its_beginning(tmp_path: Path) -> None:
    write(tmp_path, "2026-11-25.jsonl", line(0, "old"), line(1, "old"))

    def anew() -> None:
        (tmp_path / "2026-11-25.jsonl").unlink()
        write(tmp_path, "2026-11-25.jsonl", line(2, "new"))

    assert list(followed(tmp_path, LogFilter(), anew)) == ["new"]


def test_history_and_news_have_no_gap_and_no_overlap(tmp_path: Path) -> None:
    half = encoded(line(1, "half"))
    write(tmp_path, "2026-11-25.jsonl", line(0, "old"), half[:40])
    ends = end_positions(tmp_path)
    write(tmp_path, "2026-11-25.jsonl", half[40:], line(2, "new"))
    assert [found.reason for found in read(tmp_path, LogFilter(), ends)] == ["old"]
    clock = Steps()
    after = follow(tmp_path, LogFilter(), clock=clock, stop=clock.stop, ends=ends)
    assert [found.reason for found in after] == ["half", "new"]


# Which device a word means

WEBCAM, FIRST, SECOND, SOUND = "046d:0825:CAM0001", "534d:2109@1-2", "534d:2109@1-1.4", "534d:2109@1-2+sound"
NAMES = {WEBCAM: "Rig Webcam", FIRST: "MS2109 stick", SECOND: "MS2109 stick", SOUND: "MS2109 sound", "1-3": "", PC: ""}


def test_every_device_is_known_by_its_last_name(tmp_path: Path) -> None:
    named = [("a", "Old"), ("a", "New"), ("a", ""), ("b", ""), ('q"\\ é', 'n"\\'), ("late", "x")]
    lines = [
        HealthLine(at=NOON + timedelta(minutes=n), device=device, name=name, kind=LogKind.SAMPLE)
        for n, (device, name) in enumerate(named)
    ]
    text = b"\n".join(map(msgspec.json.encode, lines))
    (tmp_path / "2026-11-25.jsonl").write_bytes(b'{"device":1\n' + text + b"\n")
    assert devices_in(tmp_path, LogFilter()) == {"a": "New", "b": "", 'q"\\ é': 'n"\\', "late": "x"}
    assert devices_in(tmp_path / "nothing", LogFilter()) == {}


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("534D:2109@1-2", {FIRST}),
        ("cam0001", {WEBCAM}),
        ("Slides", {SECOND}),
        ("1-2", {FIRST, SOUND}),
        ("1-3", {"1-3"}),
        ("this PC", {PC}),
        ("stick", {FIRST, SECOND}),
        ("webcam ", {WEBCAM}),
        (" ", set()),
        ("podium", {"gone:1"}),
    ],
)
def test_a_word_means(word: str, expected: set[str]) -> None:
    assert find_device_ids(word, NAMES, {"slides": SECOND, "podium": "gone:1"}) == expected
