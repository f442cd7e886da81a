"""The event log: nothing is lost between the first moment and the close, and nobody waits for the disk."""

import errno
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.events import Event
from devices.host.clock import NANOSECONDS
from recorder.model.eventlog import AT_ONCE, MOST_KNOWN, PER_S, EventLimiter, EventLog, LineBuffer, LossReporter
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.waiting import wait_for


@pytest.fixture
def log() -> EventLog:
    return EventLog(SimulatedClock())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def kinds(path: Path) -> list[str]:
    return [line["kind"] for line in read(path)]


def test_events_are_lines_with_their_time_behind_what_is_in_the_file(log: EventLog, path: Path) -> None:
    path.write_text('{"kind": "earlier"}\n')
    log("source-returned", "podium", "podium is open", width=1920)
    log.open(path)
    log("source-lost", "podium", "podium was unplugged", since_s=1.5, reasons=["a", "b"])
    wait_for(lambda: len(read(path)) == 3)  # soon, and not only at the end
    log.close()
    at = BEGINNING.isoformat().replace("+00:00", "Z")
    assert read(path) == [
        {"kind": "earlier"},
        {
            "type": "event", "at": at, "kind": "source-returned", "subject": "podium", "detail": {"width": 1920},
            "message": "podium is open",
        },
        {
            "type": "event", "at": at, "kind": "source-lost", "subject": "podium",
            "detail": {"since_s": 1.5, "reasons": ["a", "b"]}, "message": "podium was unplugged",
        },
    ]  # fmt: skip


def test_a_disk_that_takes_half_an_event_gets_the_other_half_before_the_next(
    log: EventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, sizes = os.write, [7, 0, -1]

    def write(descriptor: int, data: bytes) -> int:
        limit = sizes.pop(0) if sizes else -1
        if limit == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(descriptor, data if limit < 0 else data[:limit])

    monkeypatch.setattr("recorder.model.eventlog.os.write", write)
    log.open(path)
    for kind in ("source-lost", "sound-gap", "source-returned"):
        log(kind, "podium", "something happened")
    log.close()
    assert kinds(path) == ["source-lost", "sound-gap", "source-returned"]


def test_a_file_that_is_opened_later_has_everything_too(log: EventLog, tmp_path: Path) -> None:
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    log("session-live", "x", "Recording.")
    log.open(first)
    log("storage-failed", "/mnt/a", "Input/output error")
    log.open(second)
    log("storage-switched", "/mnt/b", "goes on")
    assert log.close() == 0
    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_mode & 0o077 == 0
    assert kinds(second) == ["session-live", "storage-failed", "storage-switched"]


class Hung:
    """Stands for fdatasync: hangs where the file is called `hung.jsonl`, until it is let go."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lets_go, self.hangs = threading.Event(), threading.Event()
        monkeypatch.setattr("recorder.model.eventlog.os.fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == "hung.jsonl":
            self.hangs.set()
            self.lets_go.wait(60)


def test_a_disk_that_never_answers_is_left_to_itself(
    log: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Hung(monkeypatch)
    monkeypatch.setattr("recorder.model.eventlog.CLOSE_S", 1.0)
    log.open(tmp_path / "hung.jsonl")
    log("source-lost", "podium", "gone")
    assert disk.hangs.wait(60)
    log.open(tmp_path / "b.jsonl")
    log("session-ended", "x", "The recording has ended.")
    assert log.close() == 1
    assert kinds(tmp_path / "b.jsonl") == ["source-lost", "session-ended"]
    disk.lets_go.set()


def test_the_listener_hears_everything_and_what_json_or_unicode_does_not_hold_costs_no_event(path: Path) -> None:
    heard: list[Event] = []
    log = EventLog(SimulatedClock(), heard.append)
    log.open(path)
    odd = b"kuliah\xff.mp4".decode(errors="surrogateescape")
    log("source-returned", odd, f"{odd} is open", picture=odd, all=[odd], each={"name": odd})
    log("source-lost", "podium", "podium was unplugged", what=object())
    log.close()
    log("sealing-failed", "x", "no space")
    log.close()
    first, second = read(path)
    storable = "kuliah\ufffd.mp4"
    assert first["subject"] == storable
    assert first["detail"] == {"picture": storable, "all": [storable], "each": {"name": storable}}
    assert (second["kind"], second["detail"]) == ("source-lost", {})
    assert heard[0].message == "kuliah\ufffd.mp4 is open"
    assert [event.kind for event in heard] == ["source-returned", "source-lost", "sealing-failed"]


def test_a_disk_that_takes_nothing_keeps_no_log_open(
    log: EventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("recorder.model.eventlog.os.write", refuse)
    log.open(path)
    log("source-lost", "podium", "gone")
    assert log.close() == 0
    assert path.stat().st_size == 0


def test_events_come_from_any_thread(log: EventLog, path: Path) -> None:
    def tell(who: str) -> None:
        for _ in range(50):
            log("source-lost", who, "gone")

    log.open(path)
    threads = [threading.Thread(target=tell, args=(who,)) for who in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert sorted(line["subject"] for line in read(path)) == sorted("abcd" * 50)


def test_a_flood_of_one_fault_does_not_fill_the_log_and_hides_nothing_else(log: EventLog, path: Path) -> None:
    log.open(path)
    log("session-live", "x", "Recording.")
    for number in range(5_000):
        log("source-damaged", "podium", "a picture is damaged", number=number)
    log("source-lost", "slides", "slides was unplugged")
    log("session-ended", "x", "The recording has ended.")
    log.close()
    lines = read(path)
    others = [kind for kind in kinds(path) if kind != "source-damaged"]
    assert others == ["session-live", "source-lost", "session-ended", "events-left-out"]
    damaged = [line["detail"]["number"] for line in lines if line["kind"] == "source-damaged"]
    assert (len(damaged), damaged[-1]) == (AT_ONCE + 1, 4_999)
    (left_out,) = [line for line in lines if line["kind"] == "events-left-out"]
    assert left_out["detail"] == {"what": "source-damaged", "count": 5_000 - len(damaged)}


def test_a_disk_that_hangs_costs_a_bounded_memory_and_no_time_and_it_is_told_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.model.eventlog.TAIL_BYTES", 2000)
    monkeypatch.setattr("recorder.model.eventlog.HEAD_BYTES", 1000)
    log, disk, path = EventLog(SimulatedClock()), Hung(monkeypatch), tmp_path / "hung.jsonl"
    log.open(path)
    log("session-live", "x", "Recording.")
    assert disk.hangs.wait(60)
    for number in range(100):  # each of a subject of its own
        log("mark", str(number), "Marked")
    disk.lets_go.set()
    log.close()
    lines = read(path)
    (place,) = [place for place, line in enumerate(lines) if line["kind"] == "events-left-out"]
    before, after = lines[1:place], lines[place + 1 :]
    assert lines[0]["kind"] == "session-live"
    assert [line["subject"] for line in before] == [str(number) for number in range(len(before))]
    assert [line["subject"] for line in after] == [str(number) for number in range(100 - len(after), 100)]
    assert lines[place]["detail"] == {"what": None, "count": 100 - len(before) - len(after)}
    assert sum(len(json.dumps(line)) for line in lines) < 5000


def test_a_disk_that_refuses_for_long_gets_everything_when_it_takes_again(
    log: EventLog, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, refuses, tried = os.write, True, list[int]()

    def write(descriptor: int, data: bytes) -> int:
        tried.append(len(data))
        if refuses:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(descriptor, data)

    monkeypatch.setattr("recorder.model.eventlog.os.write", write)
    monkeypatch.setattr("recorder.model.eventlog.LOOK_S", 0.05)
    log.open(path)
    log("session-live", "x", "Recording.")
    wait_for(lambda: tried)
    for number in range(50):
        log("mark", str(number), "Marked")
    wait_for(lambda: len(tried) >= 2)
    assert len(set(tried)) == 1, "what is to be written does not grow"
    refuses = False
    wait_for(lambda: len(path.read_text().splitlines()) == 51)  # with no further event
    log.close()
    assert [line["subject"] for line in read(path)] == ["x", *map(str, range(50))]


NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def event(kind: str, subject: str, at_s: float, number: int = 0) -> Event:
    return Event(NOON + timedelta(seconds=at_s), kind, subject, {"number": number}, "")


def flood(repeats: EventLimiter, count: int, *, from_s: float = 0.0, per_s: float = 100.0) -> list[Event]:
    """Return what is logged of so many of one kind."""
    times = [from_s + place / per_s for place in range(count)]
    events = [event("source-lost", "podium", at_s, place) for place, at_s in enumerate(times)]
    return [logged for one, at_s in zip(events, times, strict=True) for logged in repeats.take(one, at_s)]


def test_what_comes_now_and_then_is_logged_at_once_and_as_it_is() -> None:
    repeats = EventLimiter()
    count = int(4 * AT_ONCE)
    events = [event("frames-dropped", "podium", 5 * place, place) for place in range(count)]
    assert [repeats.take(one, 5.0 * place) for place, one in enumerate(events)] == [[one] for one in events]
    assert repeats.rest() == []


def test_of_a_flood_the_first_and_the_last_are_logged_and_the_number_of_those_between() -> None:
    repeats, count = EventLimiter(), 1000
    logged = flood(repeats, count, per_s=1e6)
    assert [one.detail["number"] for one in logged] == list(range(int(AT_ONCE)))
    told, last = repeats.rest()
    assert (told.kind, told.subject) == ("events-left-out", "podium")
    assert told.detail == {"what": "source-lost", "count": count - int(AT_ONCE) - 1}
    assert last.detail["number"] == count - 1
    assert repeats.rest() == []


def test_a_flood_that_lasts_is_thinned_to_a_few_lines_and_none_is_uncounted() -> None:
    repeats, seconds = EventLimiter(), 400
    logged = [*flood(repeats, seconds * 100), *repeats.rest()]
    assert len(logged) <= AT_ONCE + 3 * (seconds * PER_S + 1)
    left_out = sum(int(str(one.detail["count"])) for one in logged if one.kind == "events-left-out")
    assert left_out + sum(one.kind != "events-left-out" for one in logged) == seconds * 100
    assert [one.at for one in logged] == sorted(one.at for one in logged)


def test_the_last_of_a_flood_is_logged_when_there_is_room_though_nothing_more_comes() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 10, per_s=1e6)
    assert repeats.due(1.0) == []
    told, last = repeats.due(1.0 + 1 / PER_S)
    assert (told.detail["count"], last.detail["number"]) == (9, AT_ONCE + 9)
    assert repeats.due(100.0) == []


def test_another_kind_of_the_same_subject_comes_behind_what_was_kept_back_of_it() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 1, per_s=1e6)
    returned = event("source-returned", "podium", 0.1)
    other = event("source-returned", "slides", 0.1)
    assert repeats.take(other, 0.1) == [other]
    kept_back, then = repeats.take(returned, 0.1)
    assert (kept_back.kind, kept_back.detail["number"], then) == ("source-lost", AT_ONCE, returned)


def test_more_subjects_than_can_be_told_apart_are_logged_and_the_oldest_is_forgotten() -> None:
    repeats = EventLimiter()
    flood(repeats, int(AT_ONCE) + 5, per_s=1e6)
    logged = [one for place in range(MOST_KNOWN) for one in repeats.take(event("mark", str(place), 1.0, place), 1.0)]
    assert [one.kind for one in logged] == ["mark"] * MOST_KNOWN + ["events-left-out", "source-lost"]
    assert repeats.rest() == []


def kept(count: int, *, head: int = 30) -> LineBuffer:
    """Return lines of ten bytes each, of which the first of `head` bytes and the last five are kept."""
    lines = LineBuffer(50, head)
    for number in range(count):
        lines.add(b"%09d\n" % number)
    return lines


def read_batches(lines: LineBuffer, number: int, end: int, most_bytes: int) -> tuple[list[int], int]:
    """Return the numbers of the lines from `number` on, read in batches, and how many are missing."""
    found, missing_in_all = [], 0
    while number < end:
        data, after, missing = lines.batch(number, end, most_bytes)
        assert after > number
        assert len(data) <= most_bytes + 9
        found += [int(line) for line in data.split()]
        missing_in_all += missing
        number = after
    return found, missing_in_all


@pytest.mark.parametrize("most_bytes", [1, 25, 1000])
def test_the_first_and_the_last_lines_are_there_and_it_is_known_how_many_are_not(most_bytes: int) -> None:
    for count in (0, 2, 3, 8):
        assert (kept(count).end, read_batches(kept(count), 0, count, most_bytes)) == (count, (list(range(count)), 0))
    lines = kept(20)
    assert read_batches(lines, 0, 20, most_bytes) == ([0, 1, 2, 15, 16, 17, 18, 19], 12)
    assert read_batches(lines, 3, 20, most_bytes) == ([15, 16, 17, 18, 19], 12)
    assert read_batches(lines, 10, 20, most_bytes) == ([15, 16, 17, 18, 19], 5)
    assert read_batches(lines, 17, 20, most_bytes) == ([17, 18, 19], 0)
    assert read_batches(lines, 0, 2, most_bytes) == ([0, 1], 0)
    assert read_batches(lines, 3, 10, most_bytes) == ([], 7)
    assert read_batches(kept(9, head=0), 3, 9, most_bytes) == ([4, 5, 6, 7, 8], 1)
    assert read_batches(kept(9, head=0), 4, 9, most_bytes) == ([4, 5, 6, 7, 8], 0)


class Told(list[tuple[str, object]]):
    def __call__(self, kind: str, subject: str, message: str, **detail: object) -> None:
        assert (kind, subject) == ("frames-dropped", "podium")
        self.append((message, detail["count"]))


def test_every_loss_is_told_once_and_at_most_one_within_five_seconds() -> None:
    told, clock = Told(), SimulatedClock()
    reporter = LossReporter("frames-dropped", "podium", "{count} of {name}", emit=told, clock=clock)
    reporter.begin(60)  # what was lost before is not told
    began_ns = clock.now_ns()
    for count, seconds in ((60, 0), (61, 0), (62, 4.9), (63, 5.1), (65, 10.0), (66, 10.3)):
        clock.advance_to(began_ns + round(seconds * NANOSECONDS))
        reporter.update(count)
    reporter.update(67)
    assert told == [("1 of podium", 1), ("2 of podium", 2), ("3 of podium", 3)]
    reporter.update(67, final=True)
    reporter.update(67, final=True)
    assert told[3:] == [("1 of podium", 1)]
    LossReporter("frames-dropped", "podium", "{count}", emit=told, clock=clock).update(1)
    assert told[4:] == [("1", 1)]
