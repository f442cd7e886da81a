"""The files of a session: what fails goes on elsewhere, with nothing missing."""

import threading
from pathlib import Path
from typing import Any

import pytest

from config.errors import LiputError, StorageError
from config.settings.schema import StorageSettings
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.disk.archive_folder import MountMemory
from recorder.model.eventlog import EventLog
from recorder.model.packet import Track
from recorder.model.session_faults import ActiveFaults
from recorder.recording import replica_opener
from recorder.recording.failover import Failover
from recorder.recording.replica import Replica
from recorder.recording.replica_opener import ReplicaOpener, StreamFormat, check_archives
from tests.support import leftovers, media
from tests.support.errors import because
from tests.support.leftovers import Material, live
from tests.support.media import encoder, is_continuous, offset_of
from tests.support.storage import RATE, Shows, almost_full, facts, storage_task
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("sessions in real time", lane="sessions")


def test_a_disk_that_goes_away_is_left_for_the_next_with_nothing_missing(show: Shows) -> None:
    session = show(2)
    session.feed(5)
    wait_for(lambda: session.storage.start > 0)
    session.pull_out()
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(3)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    assert session.events[0].subject == str(session.roots[0])
    assert session.events[0].detail["hint"]
    switched = session.told("storage-switched")
    assert (switched.subject, switched.detail["part"]) == (str(session.roots[1]), 2)
    second = session.folders[1]
    assert offset_of(second) == pytest.approx(switched.detail["offset_s"], abs=0.001)
    assert 0 < offset_of(second) <= session.storage.replicas[0].found_s
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
    session.feed(5, on_disk_s=3)
    session.pull_out()
    session.feed_until(lambda: session.failures)
    assert [error.why for error in session.failures] == ["vanished"]
    session.close()
    assert session.kinds == ["storage-vanished"]
    assert media.decoded(session.folders[0] / "data/media/program.mp4", "v").frames > 60
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))


def test_a_disk_that_fails_a_moment_before_the_end_still_costs_nothing(show: Shows) -> None:
    session = show(2)
    session.feed(6, on_disk_s=5)
    session.pull_out()
    session.feed(0.5)
    session.close()
    assert session.kinds[:2] == ["storage-vanished", "storage-switched"]
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
    session.pull_out()
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


def test_a_file_that_cannot_be_closed_keeps_all_of_it_and_goes_nowhere_else(show: Shows) -> None:
    session = show(2)
    session.feed(6, on_disk_s=5)
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


def test_a_first_disk_that_cannot_be_written_is_told_and_the_second_taken(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("no folder")
    (tmp_path / "b").mkdir()
    clock, made, events = SystemClock(), encoder(), list[tuple[str, str]]()
    log = EventLog(clock, lambda event: events.append((event.kind, event.subject)))
    first, second = (Archive(root, clock, reserve_bytes=1) for root in (tmp_path / "a" / "arsip", tmp_path / "b"))

    def storage(*archives: Archive) -> Failover:
        stream_format = StreamFormat(0, made.templates)
        return Failover(storage_task(archives), stream_format, clock=clock, log=log, on_failure=print)

    with pytest.raises(StorageError, check=because("unwritable")):
        storage(first).begin()
    taken = storage(first, second)
    assert taken.begin().path.is_relative_to(tmp_path / "b")
    assert events == [("storage-refused", str(first.root))]
    taken.close()
    log.close()
    taken.discard()
    assert list((tmp_path / "b").iterdir()) == []
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
    session = show(2, task={"waits": True})
    session.feed(4, on_disk_s=2)
    session.pull_out()
    wait_for(lambda: session.kinds[:1] == ["storage-vanished"])
    session.feed(20)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    is_continuous(session.files(), RATE, session.seconds())


def test_the_next_disk_is_not_kept_waiting_by_the_one_that_the_state_folder_is_on(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its disk is mounted is noted there: in the home, whose disk may be the one that hangs."""
    session, goes_on = show(2), threading.Event()
    asked: list[Path] = []

    def hang(_memory: MountMemory, root: Path) -> None:
        asked.append(root)
        goes_on.wait(30)

    session.feed(5, on_disk_s=3)
    monkeypatch.setattr(MountMemory, "remember", hang)
    session.pull_out()
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
    session.flush(Track.VIDEO)
    session.encoders.append(encoder())  # as where the one in hardware has failed
    session.feed(3)
    session.close()
    assert session.kinds == []
    assert [replica.form for replica in session.storage.replicas] == [0, 1]
    is_continuous(session.files(), RATE, session.seconds())
    (first, _), (second, offset_s) = session.files()
    assert media.decoded(first, "a").end_s >= offset_s, "sound has no gap where the picture changes"
    assert media.decoded(second, "a").start_s == pytest.approx(0, abs=0.03)
    assert media.decoded(second, "a").end_s + offset_s == pytest.approx(6, abs=0.05)


def test_a_mirror_is_two_packages_of_one_session(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4)
    session.close()
    session.storage.seal(facts(session))
    packages = [package for root in session.roots for package in Archive(root, SystemClock()).list()]
    assert len(packages) == 2
    first, second = packages
    assert (second.id, second.session, second.copy) == (f"{first.id}.copy2", first.uuid, 2)
    assert (first.session, first.copy) == (None, 1)
    assert second.uuid != first.uuid, "each is a package of its own, for copies and for searching"
    programs = [package.folder / "data/media/program.mp4" for package in packages]
    assert [media.decoded(program, "v").frames for program in programs] == [session.fed, session.fed]
    assert session.events == []


def test_half_a_mirror_that_breaks_costs_only_that(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4, on_disk_s=2)
    session.pull_out()
    session.feed_until(lambda: "storage-vanished" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds == ["storage-vanished"]
    assert not session.failures
    package = session.storage.seal(facts(session))[0]
    assert package.path.startswith(str(session.roots[1]))
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


@pytest.mark.parametrize("gone", [(1,), (0, 1)])
def test_a_third_disk_takes_the_place_of_a_half_and_of_both_at_once(show: Shows, gone: tuple[int, ...]) -> None:
    session = show(3, mirror=True)
    session.feed(4, on_disk_s=2)
    for number in gone:
        session.pull_out(number)
    session.feed_until(lambda: session.kinds.count("storage-vanished") == len(gone))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(1)
    session.close()
    assert not session.failures
    parts = {folder.parents[2].name: folder for folder in session.folders}
    if 0 not in gone:
        assert media.decoded(parts.pop("a") / "data/media/program.mp4", "v").frames == session.fed
    session.folders = list(parts.values())
    assert "c" in parts
    is_continuous(session.files(), RATE, session.seconds())


def test_a_half_that_is_gone_on_with_is_put_together_with_what_its_disk_has(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first disk was full after 2 s, and is still; the recorder was killed after 6 s. A third takes its place."""
    check, clock = Archive.check, SystemClock()
    both = [Archive(tmp_path / name / "arsip", clock, reserve_bytes=1) for name in "ab"]
    works = []
    for copy, (archive, seconds) in enumerate(zip(both, (2.0, 6.0), strict=True), start=1):
        left = Material(seconds).write(tmp_path / f"left {copy}")
        works.append(archive.reopen(leftovers.leave(archive, {"program.mp4": left.closed}, copy=copy, events=[live()])))

    def refuse(archive: Archive) -> int:
        if archive.root == both[0].root:
            raise StorageError("no space is left", why="full")
        return check(archive)

    monkeypatch.setattr(Archive, "check", refuse)
    resumed = {"title": leftovers.TITLE, "uuid": leftovers.UUID_, "offset_s": 8.0, "part": 2, "earlier": works}
    session = show(3, task=resumed, mirror=True)
    session.feed(3)
    session.close()
    session.storage.seal(facts(session))
    found: dict[tuple[int, int], tuple[float, int]] = {}
    for root in session.roots[1:]:
        (package,) = Archive(root, clock).list()
        assert package.recording
        assert package.duration_s == pytest.approx(8 + session.seconds(), abs=0.1)
        found |= {(part.copy, part.part): (part.offset_s, round(part.duration_s)) for part in package.recording.parts}
        assert not list(root.glob(".incoming/*"))
    assert found == {(2, 1): (0.0, 6), (2, 2): (8.0, 3), (1, 1): (0.0, 2), (1, 2): (8.0, 3)}
    assert session.kinds == ["storage-full"]
    assert not works[0].path.exists()


class Hanging(Archive):
    """An archive on a server that does not answer."""

    over = threading.Event()

    def check(self) -> int:
        self.over.wait(30)
        return super().check()


def test_a_disk_that_does_not_answer_takes_none_and_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_opener, "DISK_ANSWER_S", 1.0)
    clock = SystemClock()
    hangs, well = Hanging(tmp_path / "macet", clock, 1), Archive(tmp_path / "baik", clock, 1)
    check_archives([hangs, well], StorageSettings(), clock)
    with pytest.raises(StorageError, match=r"macet.* 1 s"):
        check_archives([hangs], StorageSettings(), clock)
    hangs.over.set()


def test_an_almost_full_disk_that_is_the_only_one_ends_the_session_while_it_can_be_closed(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(1)
    session.feed(5, on_disk_s=3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: session.failures)
    session.close()
    assert [error.why for error in session.failures] == ["full"]
    package = session.storage.seal(facts(session))[0]
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_a_warning_comes_before_an_alarm_before_the_disk_is_left(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session, troubles = show(2), ActiveFaults(SystemClock())
    session.feed(5, on_disk_s=3)
    for free, kind, now in (
        (70_000_000, "disk-low", []),
        (15_000_000, "disk-critical", [f"disk-critical: {session.roots[0]}"]),
        (900_000_000, "disk-enough", []),
        (1_000_000, "storage-switched", [f"storage-full: {session.roots[0]}"]),
    ):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        told = len(session.events)
        session.feed_until(lambda kind=kind: kind in session.kinds)  # type: ignore[misc] # mypy does not infer it
        for event in session.events[told:]:
            troubles(event)
        assert troubles.now == now
    session.close()
    assert session.kinds == ["disk-low", "disk-critical", "disk-enough", "storage-full", "storage-switched"]
    left_s = [event.detail["left_s"] for event in session.events[:3]]
    assert [isinstance(one, int) for one in left_s] == [True] * 3
    assert 600 < left_s[0] < 1800 < left_s[2]  # type: ignore[operator] # they are numbers
