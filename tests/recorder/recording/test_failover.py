"""The files of a session: what fails goes on elsewhere, with nothing missing."""

import threading
import time
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Never

import pytest

from config.errors import LiputError, StorageError
from config.settings.schema import StorageSettings
from config.state import state_folder
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.disk.archive_folder import MountMemory
from recorder.model.eventlog import EventLog
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket
from recorder.model.session_faults import ActiveFaults
from recorder.package.work_folder import WorkFolder
from recorder.recording import replica_opener
from recorder.recording.failover import Failover
from recorder.recording.replica import Replica, ReplicaState
from recorder.recording.replica_opener import ReplicaOpener, StreamFormat, check_archives
from tests.support import archives, leftovers, media
from tests.support.disks import left_alone
from tests.support.errors import because
from tests.support.leftovers import Material, live
from tests.support.media import encoder, is_continuous, offset_of
from tests.support.storage import RATE, Show, Shows, almost_full, facts, storage_task
from tests.support.waiting import wait_for


def test_a_session_on_one_disk_is_one_package(show: Shows) -> None:
    session = show(1)
    session.feed(5, on_disk_s=3)
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
    session.feed(4, on_disk_s=2)
    session.pull_out()
    wait_for(lambda: session.kinds[:1] == ["storage-vanished"])
    session.feed(20)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    is_continuous(session.files(), RATE, session.seconds())


def lose_the_first_disk(session: Show) -> None:
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    session.pull_out()


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
    session.folders = [first, third]
    is_continuous(session.files(), RATE, session.seconds())
    assert not session.failures


@pytest.mark.parametrize(
    ("place", "error", "said"),
    [("recorder.model.packet.PacketBacklog.from_the_start", ZeroDivisionError("a bug"), "a bug"),
     ("recorder.recording.replica_opener.DeadlineTask", RuntimeError("can't start new thread"), "no more threads")],
)  # fmt: skip
def test_a_mistake_of_ours_or_too_many_threads_end_the_session_in_order(
    show: Shows, monkeypatch: pytest.MonkeyPatch, place: str, error: Exception, said: str
) -> None:
    """Though there is another disk; both faults are told."""

    def fail(*_given: object, **_named: object) -> Never:
        raise error

    session = show(2)
    session.feed(5)
    monkeypatch.setattr(place, fail)
    lose_the_first_disk(session)
    session.feed_until(lambda: session.failures)
    session.close()
    assert [each.why for each in session.failures] == ["vanished"]
    assert session.kinds == ["storage-vanished", "storage-failed"]
    assert said in session.told("storage-failed").message
    wait_for(lambda: not list(session.roots[1].rglob("program.mp4")))


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


def test_half_a_mirror_that_cannot_begin_is_told_and_the_other_is_recorded(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Archive.begin

    def refusing(archive: Archive, *given: Any, copy: int, **more: Any) -> WorkFolder:
        if copy == 2:
            raise StorageError("Not here", why="unwritable")
        return begin(archive, *given, copy=copy, **more)

    monkeypatch.setattr(Archive, "begin", refusing)
    session = show(2, mirror=True)
    session.feed(1)
    session.close()
    assert [(event.kind, event.subject) for event in session.events] == [("storage-refused", str(session.roots[1]))]
    assert [folder.parents[1] for folder in session.folders] == [session.roots[0]]
    assert not session.failures


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


def test_half_a_mirror_that_is_left_in_order_is_given_nothing_more(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.QUEUE_PACKETS", 50)
    session = show(2, mirror=True, waits=True, low_s=0.0, critical_s=0.0)
    session.feed(3)
    left = session.storage.replicas[0]
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    taking, put, close = threading.Event(), Replica.put, Replica.close

    def take_slowly(replica: Replica, packet: EncodedPacket) -> None:
        if replica is left:
            taking.set()
            time.sleep(0.1)
        put(replica, packet)

    def close_meanwhile(replica: Replica) -> None:
        taking.clear()
        taking.wait(0.5)
        close(replica)

    with monkeypatch.context() as held:
        held.setattr(Replica, "put", take_slowly)
        held.setattr(Replica, "close", close_meanwhile)
        session.feed_until(lambda: left.is_closing)
    wait_for(lambda: left.state is ReplicaState.CLOSED)
    feeder = threading.Thread(target=session.feed, args=(5,), daemon=True)
    feeder.start()
    feeder.join(60)
    assert not feeder.is_alive(), "it waits for a file that nobody writes any more"
    assert left.waiting == 0
    session.close()
    assert session.kinds == ["storage-full"]
    session.storage.seal(facts(session))
    (package,) = Archive(session.roots[1], SystemClock()).list()
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_a_third_disk_takes_the_place_of_a_half(show: Shows) -> None:
    session = show(3, mirror=True)
    session.feed(4, on_disk_s=2)
    session.pull_out(1)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(1)
    session.close()
    whole, gone, third = session.folders
    assert third.is_relative_to(session.roots[2])
    assert media.decoded(whole / "data/media/program.mp4", "v").frames == session.fed
    session.folders = [gone, third]
    is_continuous(session.files(), RATE, session.seconds())


@pytest.mark.parametrize("count", [2, 3])
def test_a_half_that_is_gone_on_with_is_put_together_with_what_its_disk_has(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """The first disk was full after 2 s, and is still; the recorder was killed after 6 s."""
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
    session = show(count, task=resumed, mirror=True)
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
    whole = {(2, 1): (0.0, 6), (2, 2): (8.0, 3)}
    if count == 2:
        assert found == whole
        assert session.kinds == ["storage-full", "part-left"]
        assert session.told("part-left").detail["folder"] == str(works[0].path)
        assert works[0].program.is_file()
        works[0].release()
    else:
        assert found == whole | {(1, 1): (0.0, 2), (1, 2): (8.0, 3)}, "the third disk takes the place of the first"
        assert session.kinds == ["storage-full"]
        assert not works[0].path.exists()


class Hanging(Archive):
    """An archive on a server that does not answer."""

    def __init__(self, root: Path, over: threading.Event) -> None:
        super().__init__(root, SystemClock(), 1)
        self.over = over

    def check(self) -> int:
        self.over.wait(30)
        return super().check()


def test_a_disk_that_does_not_answer_takes_none_and_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_opener, "DISK_ANSWER_S", 0.2)
    over = threading.Event()
    hangs, well = Hanging(tmp_path / "macet", over), Archive(tmp_path / "baik", SystemClock(), 1)
    check_archives([hangs, well], StorageSettings(), SystemClock())
    with pytest.raises(StorageError, match=r"macet.* 0 s"):
        check_archives([hangs], StorageSettings(), SystemClock())
    over.set()


def told(session: Show, kind: str) -> bool:
    return kind in session.kinds


def told_of(session: Show, count: int) -> bool:
    return len(session.kinds) == count


def test_a_disk_that_is_almost_full_is_left_in_order_and_the_parts_become_one_package(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    session.feed(5, on_disk_s=3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(4)
    session.close(Mark(at=archives.STARTED, media_s=session.seconds() - 1, text="Penutup"))
    assert session.kinds == ["storage-full", "storage-switched"]
    is_continuous(session.files(), RATE, session.seconds())
    for program, _ in session.files():
        media.decodes_cleanly(program)
    package = session.storage.seal(facts(session))[0]
    program = package.folder / "data/media/program.mp4"
    is_continuous([(program, 0.0)], RATE, session.seconds())
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").frames == session.fed
    assert media.decoded(program, "a").end_s == pytest.approx(session.seconds(), abs=0.05)
    assert package.recording
    assert package.recording.gaps == ()
    assert [part.part for part in package.recording.parts] == [1, 2]
    assert [path for root in session.roots for path in (root / ".incoming").iterdir()] == []
    assert session.kinds == ["storage-full", "storage-switched"]


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


def test_an_alarm_is_over_when_somebody_frees_space(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(1)
    troubles = ActiveFaults(SystemClock())
    session.feed(5, on_disk_s=3)
    for free, kind in ((15_000_000, "disk-critical"), (900_000_000, "disk-enough"), (15_000_000, "disk-critical")):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told_of, session, len(session.kinds) + 1))
        assert session.kinds[-1] == kind
        troubles(session.events[-1])
        assert troubles.now == ([f"disk-critical: {session.roots[0]}"] if kind == "disk-critical" else [])
    session.close()
    left_s = session.events[1].detail["left_s"]
    assert isinstance(left_s, int)
    assert left_s > 1800


def test_a_warning_comes_before_an_alarm_before_the_disk_is_left(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5, on_disk_s=3)
    for free, kind in ((70_000_000, "disk-low"), (15_000_000, "disk-critical"), (1_000_000, "storage-switched")):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told, session, kind))
    session.close()
    assert session.kinds == ["disk-low", "disk-critical", "storage-full", "storage-switched"]
    troubles = ActiveFaults(SystemClock())
    for event in session.events:
        troubles(event)
    assert troubles.now == [f"storage-full: {session.roots[0]}"], "an alarm is over when its disk is left"
    left_s = session.events[0].detail["left_s"]
    assert isinstance(left_s, int)
    assert 600 < left_s < 1800
