"""The files of a session: what fails goes on elsewhere, with nothing missing."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any, Never

import pytest

from config.errors import LiputError, StorageError
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.disk.archive_folder import MountMemory
from recorder.model.eventlog import EventLog
from recorder.model.marks import Mark
from recorder.model.packet import PacketBacklog
from recorder.recording.failover import Failover
from recorder.recording.replica import Replica
from recorder.recording.replica_opener import ReplicaOpener, StreamFormat
from tests.support import archives, media
from tests.support.disks import left_alone
from tests.support.errors import because
from tests.support.media import encoder, is_continuous, offset_of
from tests.support.storage import RATE, Show, Shows, facts, storage_task
from tests.support.waiting import wait_for


def test_a_session_on_one_disk_is_one_package(show: Shows) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    assert session.storage.left_s is None or session.storage.left_s > 60
    session.close(Mark(at=archives.STARTED, media_s=2.0, text="Sambutan"))
    package = session.storage.seal(facts(session))[0]
    assert session.events == []
    program = package.folder / "data/media/program.mp4"
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").frames == session.fed
    assert "Sambutan" in media.run("ffprobe", "-v", "error", "-show_chapters", program)
    assert left_alone(session.storage) == 0


def test_a_disk_that_goes_away_is_left_for_the_next_with_nothing_missing(show: Shows) -> None:
    session = show(2)
    session.feed(5)
    wait_for(lambda: session.storage.start > 0)
    away = session.roots[0].with_name("away")
    session.roots[0].rename(away)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(3)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    assert session.events[0].subject == str(session.roots[0])
    assert session.events[0].detail["hint"]
    switched = session.told("storage-switched")
    assert (switched.subject, switched.detail["part"]) == (str(session.roots[1]), 2)
    first = away / session.folders[0].relative_to(session.roots[0])
    second = session.folders[1]
    assert offset_of(second) == pytest.approx(switched.detail["offset_s"], abs=0.001)
    assert 0 < offset_of(second) <= session.storage.replicas[0].found_s
    session.folders[0] = first
    is_continuous(session.files(), RATE, session.seconds())
    media.decodes_cleanly(second / "data/media/program.mp4")
    sound = media.decoded(second / "data/media/program.mp4", "a")
    assert sound.start_s == pytest.approx(0, abs=0.05)
    assert sound.end_s + offset_of(second) == pytest.approx(session.seconds(), abs=0.1)
    assert not session.failures
    lines = (second / "metadata/events.jsonl").read_text().splitlines()
    assert [line.split('"kind":"')[1].split('"')[0] for line in lines] == session.kinds
    package = session.storage.seal(facts(session))[0]
    assert package.recording
    assert "storage-switched" in package.recording.degraded
    assert "part-left" in session.kinds


def test_without_a_second_disk_the_session_ends_in_order(show: Shows) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    away = session.roots[0].with_name("away")
    session.roots[0].rename(away)
    session.feed_until(lambda: session.failures)
    assert [error.why for error in session.failures] == ["vanished"]
    session.close()
    assert session.kinds == ["storage-vanished"]
    program = away / session.folders[0].relative_to(session.roots[0]) / "data/media/program.mp4"
    assert media.decoded(program, "v").frames > 60
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))


def test_a_disk_that_fails_a_moment_before_the_end_still_costs_nothing(show: Shows) -> None:
    session = show(2)
    session.feed(6)
    wait_for(lambda: session.storage.on_disk.media_time_s > 5)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed(0.5)
    session.close()
    assert session.kinds[:2] == ["storage-vanished", "storage-switched"]
    session.folders[0] = session.roots[0].with_name("away") / session.folders[0].relative_to(session.roots[0])
    is_continuous(session.files(), RATE, session.seconds())


def test_what_is_forgotten_while_the_next_disk_opens_is_told(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5)
    opens, go_on, open_replica = threading.Event(), threading.Event(), ReplicaOpener.open
    wait_for(lambda: session.storage.start > 0)

    def slow(opener: ReplicaOpener, *place: Any) -> Replica:
        opens.set()
        go_on.wait(30)
        return open_replica(opener, *place)

    monkeypatch.setattr(ReplicaOpener, "open", slow)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed_until(opens.is_set)
    safe_s, start_s = session.storage.replicas[0].found_s, float(session.storage.start)
    monkeypatch.setattr("recorder.recording.failover.MOST_PACKET_BYTES", 20_000)
    session.feed(8)
    assert float(session.storage.start) > safe_s
    go_on.set()
    wait_for(lambda: "recording-gap" in session.kinds)
    session.close()
    gap = session.told("recording-gap").detail
    second, offset_s = session.folders[1] / "data/media/program.mp4", offset_of(session.folders[1])
    assert offset_s == pytest.approx(start_s, abs=0.001)
    begins_s = offset_s + media.decoded(second, "v").start_s
    assert gap["start_s"] == pytest.approx(safe_s, abs=0.001)
    assert safe_s + gap["duration_s"] == pytest.approx(begins_s, abs=0.05)  # type: ignore[operator] # it is a number


def test_a_replica_whose_log_cannot_be_opened_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, made = SystemClock(), encoder()
    archive, log = Archive(tmp_path / "arsip", clock, reserve_bytes=1), EventLog(clock)
    opener = ReplicaOpener(task=storage_task([archive]), clock=clock, log=log, on_failure=print)
    before = set(threading.enumerate())

    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(log, "open", refuse)
    with pytest.raises(StorageError, match="Input/output error"):
        opener.open(archive, 1, 2, Fraction(0), StreamFormat(0, made.templates))
    assert set(threading.enumerate()) <= before
    assert list(archive.root.iterdir()) == []
    made.close()


def test_a_file_that_cannot_be_closed_keeps_all_of_it_and_goes_nowhere_else(show: Shows) -> None:
    session = show(2)
    session.feed(6)
    wait_for(lambda: session.storage.on_disk.media_time_s > 5)
    program = session.storage.replicas[0].work.program
    content = program.read_bytes()
    with program.open("r+b") as file:  # a bit of it has become another one on the disk
        file.seek(content.index(b"tfhd", len(content) // 2) + 8)
        file.write(b"\x09")
    session.close()
    assert session.kinds == ["storage-failed"]
    assert "damaged" in session.events[0].message
    assert session.folders == [program.parents[2]]
    assert program.stat().st_size > len(content)
    assert not session.failures


def test_a_first_disk_that_cannot_be_written_is_told_and_the_second_taken(tmp_path: Path, show: Shows) -> None:
    (tmp_path / "a").write_text("no folder")
    clock, events = SystemClock(), []
    log = EventLog(clock, lambda event: events.append((event.kind, event.subject)))
    roots = [tmp_path / "a" / "arsip", tmp_path / "b"]
    (tmp_path / "b").mkdir()
    task, made = storage_task([Archive(root, clock, reserve_bytes=1) for root in roots]), encoder()
    storage = Failover(task, StreamFormat(0, made.templates), clock=clock, log=log, on_failure=print)
    work = storage.begin()
    assert work.path.is_relative_to(tmp_path / "b")
    assert events == [("storage-refused", str(roots[0]))]
    storage.close()
    log.close()
    storage.discard()
    assert list((tmp_path / "b").iterdir()) == []
    made.close()


def test_with_no_disk_at_all_there_is_one_error(tmp_path: Path) -> None:
    clock, made = SystemClock(), encoder()
    (tmp_path / "a").write_text("no folder")
    task, log = storage_task([Archive(tmp_path / "a", clock, reserve_bytes=1)]), EventLog(clock)
    storage = Failover(task, StreamFormat(0, made.templates), clock=clock, log=log, on_failure=print)
    with pytest.raises(StorageError, check=because("unwritable")):
        storage.begin()
    made.close()


def test_that_nothing_is_known_of_the_disks_is_told(show: Shows) -> None:
    store = state_folder() / "storage.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text("[")
    session = show(1)
    session.feed(1)
    session.close()
    assert session.kinds == ["mounts-unknown"]
    assert str(store) in session.events[0].message


def test_a_session_without_a_clock_waits_until_it_can_go_on(show: Shows) -> None:
    session = show(2, waits=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[0].rename(session.roots[0].with_name("away"))
    wait_for(lambda: session.kinds[:1] == ["storage-vanished"])
    session.feed(20)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    session.folders[0] = session.roots[0].with_name("away") / session.folders[0].relative_to(session.roots[0])
    is_continuous(session.files(), RATE, session.seconds())


def lose_the_first_disk(session: Show) -> None:
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    session.roots[0].rename(session.roots[0].with_name("away"))


def test_a_part_that_fails_before_its_copy_has_come_to_it_is_left_like_any_other(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(3)
    session.feed(5)
    open_replica = ReplicaOpener.open

    def open_and_fail(opener: ReplicaOpener, *place: Any) -> Replica:
        replica = open_replica(opener, *place)
        if replica.work.path.is_relative_to(session.roots[1]):
            replica.fail(StorageError("the second disk has gone, too"))
        return replica

    monkeypatch.setattr(ReplicaOpener, "open", open_and_fail)
    lose_the_first_disk(session)
    session.feed_until(lambda: session.kinds.count("storage-switched") == 2)
    session.feed(2)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched", "storage-failed", "storage-switched"]
    first, _, third = session.folders
    assert third.is_relative_to(session.roots[2])
    session.folders = [session.roots[0].with_name("away") / first.relative_to(session.roots[0]), third]
    is_continuous(session.files(), RATE, session.seconds())
    assert not session.failures


def ends_with_its_disk(session: Show) -> None:
    """See that the loss of a disk ends the session in order though there is another, and that both are told."""
    lose_the_first_disk(session)
    session.feed_until(lambda: session.failures)
    session.close()
    assert [error.why for error in session.failures] == ["vanished"]
    assert session.kinds == ["storage-vanished", "storage-failed"]


def test_a_mistake_of_ours_ends_the_session_in_order(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_nothing(*_given: object) -> Never:
        raise ZeroDivisionError("a bug")

    session = show(2)
    session.feed(5)
    monkeypatch.setattr(PacketBacklog, "from_the_start", give_nothing)
    ends_with_its_disk(session)
    assert "a bug" in session.told("storage-failed").message
    wait_for(lambda: not list(session.roots[1].rglob("program.mp4")))


def test_where_there_are_too_many_threads_the_session_ends_in_order(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_more(*_given: object, **_named: object) -> Never:
        raise RuntimeError("can't start new thread")

    session = show(2)
    session.feed(5)
    monkeypatch.setattr("recorder.recording.replica_opener.DeadlineTask", none_more)
    ends_with_its_disk(session)
    assert "no more threads" in session.told("storage-failed").message


def test_the_next_disk_is_not_kept_waiting_by_the_one_that_the_state_folder_is_on(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its disk is mounted is noted there: in the home, whose disk may be the one that hangs."""
    session, goes_on = show(2), threading.Event()
    asked: list[Path] = []

    def hang(_memory: MountMemory, root: Path) -> None:
        asked.append(root)
        goes_on.wait(30)

    session.feed(5)
    monkeypatch.setattr(MountMemory, "remember", hang)
    lose_the_first_disk(session)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    goes_on.set()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    assert asked == [session.roots[1]]
    assert not session.failures


def test_a_picture_that_changes_its_form_goes_on_in_a_further_file_with_nothing_missing(show: Shows) -> None:
    session = show(1, changes_form=True)
    session.feed(3)
    session.change_form()
    session.feed(3)
    session.close()
    assert session.kinds == []
    assert [replica.form for replica in session.storage.replicas] == [0, 1]
    is_continuous(session.files(), RATE, session.seconds())


def test_a_picture_that_changes_its_form_while_the_next_disk_opens_goes_on_there_in_the_new_form(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, opens, go_on, open_replica = (
        show(2, changes_form=True),
        threading.Event(),
        threading.Event(),
        ReplicaOpener.open,
    )

    def slow(opener: ReplicaOpener, *place: Any) -> Replica:
        opens.set()
        go_on.wait(30)
        return open_replica(opener, *place)

    session.feed(5)
    monkeypatch.setattr(ReplicaOpener, "open", slow)
    lose_the_first_disk(session)
    session.feed_until(opens.is_set)
    began_s = session.seconds()
    session.change_form()
    session.feed(2)
    go_on.set()
    wait_for(lambda: len(session.storage.replicas) == 3)
    session.feed(1)
    session.close()
    assert session.kinds[:2] == ["storage-vanished", "storage-switched"]
    _, between, last = session.storage.replicas
    assert (between.form, between.is_void, last.form) == (0, True, 1)
    assert {replica.folder for replica in (between, last)} == {str(session.roots[1])}
    assert float(last.start) == pytest.approx(began_s, abs=0.001)
    assert media.decoded(last.file.path, "v").frames == session.fed - round(began_s * RATE)
    session.storage.seal(facts(session))
    (package,) = Archive(session.roots[1], SystemClock()).list()
    assert [file.file for file in package.recording.media if "program" in file.file] == ["data/media/program.mp4"]  # type: ignore[union-attr]
