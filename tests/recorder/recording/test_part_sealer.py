"""What is told while a session is sealed, and how long that may take."""

import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from capture.pacing import RealPace
from config.errors import ArchiveError, LiputError, StorageError
from config.settings.schema import StorageSettings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.archive.archive import Archive
from recorder.model.status import SessionState
from recorder.package.media import holds_media
from recorder.package.metadata import Begun, Package, RecordingFacts
from recorder.package.work_folder import WorkFolder
from recorder.recording.part_sealer import PartSealer
from recorder.recovery.packaging import SessionPackager
from recorder.session.session import FROM_THE_FIRST_PICTURE
from tests.support import archives, leftovers, media, sessions
from tests.support.leftovers import Material, live
from tests.support.media import is_continuous
from tests.support.sessions import Armed, JpegCamera, program
from tests.support.simulated import EventList, SimulatedClock
from tests.support.storage import Show, Shows, almost_full, facts
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("sessions in real time", lane="sessions")


def test_how_far_sealing_is_is_told_ten_times_a_second_at_most() -> None:
    clock, told = SimulatedClock(), list[tuple[int, int]]()
    facts = RecordingFacts(ended_at=archives.STARTED)
    sealer = PartSealer(clock, EventList(), facts, lambda *far: told.append(far))
    for done in range(1, 1001):
        sealer.advance(done, 1000)
        clock.advance_to(clock.now_ns() + 1_000_000)
    assert told[0] == (1, 1000)
    assert told[-1] == (1000, 1000)
    assert len(told) == 11


def test_what_takes_long_to_look_at_a_file_is_waited_for(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    finish, session, ahead_s = SessionPackager.finish, show(1), 0
    now_ns = session.clock.now_ns
    monkeypatch.setattr(session.clock, "now_ns", lambda: now_ns() + ahead_s * NANOSECONDS)

    def slowly(finisher: SessionPackager, works: Sequence[WorkFolder], given: RecordingFacts) -> Package:
        nonlocal ahead_s
        for _ in range(14):  # in all longer than SEAL_S, while it moves
            works[0].program.read_bytes()
            time.sleep(0.1)  # the other thread looks at real intervals
            ahead_s += 10
        return finish(finisher, works, given)

    session.feed(2)
    session.close()
    monkeypatch.setattr(SessionPackager, "finish", slowly)
    assert session.storage.seal(facts(session))[0].folder.is_dir()
    assert session.events == []


def test_a_disk_that_hangs_when_it_is_looked_at_costs_the_other_half_of_a_mirror_nothing(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, goes_on = show(2, mirror=True), threading.Event()

    def hang(path: Path) -> bool:
        if path.is_relative_to(session.roots[0]):
            goes_on.wait(30)
        return holds_media(path)

    session.feed(2)
    session.close()
    monkeypatch.setattr("recorder.recording.replica.holds_media", hang)
    monkeypatch.setattr("recorder.disk.errors.DISK_ANSWER_S", 2.0)
    package = session.storage.seal(facts(session))[0]
    goes_on.set()
    assert package.folder.is_relative_to(session.roots[1])
    assert session.told("part-left").subject == str(session.roots[0])
    assert package.recording
    assert package.recording.degraded == (f"part-left: {session.roots[0]}",)
    assert (session.folders[0] / "data/media/program.mp4").exists()


def test_what_a_killed_recorder_left_is_told_where_it_cannot_be_put_together_with_the_rest(
    show: Shows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = Begun(uuid="", title="Rapat", started_at=archives.STARTED, host="", context=archives.CONTEXT)
    earlier = [WorkFolder(tmp_path / "lama/.incoming" / name, begun) for name in ("left", "joined")]
    left = earlier[0].path
    left.mkdir(parents=True)
    finish, session = SessionPackager.finish, show(1, task={"earlier": earlier})

    def alone(finisher: SessionPackager, works: Sequence[WorkFolder], given: RecordingFacts) -> Package:
        if len(works) > 1:
            raise ArchiveError("they do not fit")
        return finish(finisher, works, given)

    session.feed(2)
    session.close()
    monkeypatch.setattr(SessionPackager, "finish", alone)
    package = session.storage.seal(facts(session))[0]
    assert session.kinds == ["part-left"]
    assert session.events[0].detail["folder"] == str(left)
    assert "they do not fit" in session.events[0].message
    assert package.recording
    assert package.recording.degraded == (f"part-left: {tmp_path / 'lama'}",)


def leave_the_first_disk(session: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    session.feed(5, on_disk_s=3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()


def test_what_an_interrupted_recovery_had_half_put_together_is_removed_on_every_disk(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)
    name = session.folders[0].name
    for root in session.roots:
        for half_done in (f".{name}.joining", f".{name}.copy2.joining"):
            (root / ".incoming" / half_done / "data/media").mkdir(parents=True)
            (root / ".incoming" / half_done / "data/media/program.mp4").write_bytes(b"half of it")
    package = session.storage.seal(facts(session))[0]
    assert session.kinds == ["storage-full", "storage-switched"]
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed
    for root in session.roots:
        assert [path.name for path in root.glob(".incoming/*")] == [f".{name}.copy2.joining"], "another copy's"


def test_parts_that_were_put_together_but_not_sealed_are_told_as_what_they_have_become(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_archive: Archive, work: WorkFolder, *_given: object) -> Package:
        assert work.name.endswith(".joined"), "there is nothing else left to seal"
        raise KeyError("a bug")

    session = show(2, low_s=0.0, critical_s=0.0)
    leave_the_first_disk(session, monkeypatch)
    monkeypatch.setattr(Archive, "seal", refuse)
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))
    assert session.kinds == ["storage-full", "storage-switched", "part-left"]
    (joined,) = session.roots[1].glob(".incoming/*")
    told = session.told("part-left")
    assert (told.subject, told.detail["folder"]) == (str(session.roots[1]), str(joined))
    assert media.decoded(joined / "data/media/program.mp4", "v").frames == session.fed
    assert session.storage.joined
    assert session.storage.joined.path == joined


@pytest.mark.parametrize(("count", "copies"), [(2, 1), (1, 2)])
def test_what_killed_recorders_left_is_a_package_where_nothing_came_after_it(
    show: Shows, tmp_path: Path, count: int, copies: int
) -> None:
    """The next recorder was ended before a picture came."""
    clock, works = SystemClock(), list[WorkFolder]()
    roots = [Archive(tmp_path / name / "arsip", clock, reserve_bytes=1) for name in "ab"[:copies]]
    for copy, archive in enumerate(roots, start=1):
        for part in range(1, count + 1):
            left, offset_s = Material(2.0).write(tmp_path / f"left {copy} {part}"), 8.0 * (part - 1)
            folder = leftovers.leave(
                archive, {"program.mp4": left.killed}, copy=copy, part=part, offset_s=offset_s, events=[live(offset_s)]
            )
            works.append(archive.reopen(folder))
    resumed = {
        "title": leftovers.TITLE, "uuid": leftovers.UUID_, "offset_s": 8.0 * count, "part": count + 1, "earlier": works,
    }  # fmt: skip
    session = show(copies, task=resumed, mirror=copies > 1)
    session.close()
    package = session.storage.seal(facts(session))[0]
    assert session.events == []
    packages = [each for archive in roots for each in archive.list()]
    assert len(packages) == copies
    assert package in packages
    for archive, each in zip(roots, packages, strict=True):
        assert archive.verify(each, decode=True) == []
        assert each.duration_s == pytest.approx(8.0 * (count - 1) + 2.0, abs=0.5), "as much as was on the disk"
        assert not list(archive.root.glob(".incoming/*"))


# Whole sessions: what the status says, and what becomes of them.


def second(folder: Path) -> Archive:
    return Archive(folder / "cadangan", SystemClock(), reserve_bytes=1)


def fill_the_first_disk(armed: Armed, monkeypatch: pytest.MonkeyPatch) -> None:
    armed.session.start(FROM_THE_FIRST_PICTURE)
    armed.wait(3)
    assert (armed.session.status().disk_left_s or 0) > 60
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(armed.archive.root, 1_000_000))
    wait_for(lambda: "storage-switched" in armed.kinds)


def test_a_session_that_fills_its_disk_is_one_package_all_the_same_with_what_was_recorded_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    camera = JpegCamera(RealPace(SystemClock(), stop), stop)
    settings = StorageSettings(low_s=0, critical_s=0)
    with Armed(tmp_path, camera, isolate=True, further=[second(tmp_path)], storage=settings) as armed:
        fill_the_first_disk(armed, monkeypatch)
        assert armed.session.status().state is SessionState.DEGRADED
        at_s = armed.session.status().elapsed_s
        wait_for(lambda: armed.session.status().media_time_s > at_s)
        armed.session.mark("Penutup")
        armed.wait(at_s + 1.5)
        stop.set()
        result = armed.end()
    assert f"storage-full: {tmp_path / 'arsip'}" in result.degraded
    assert not [reason for reason in result.degraded if reason.startswith("isolated")]
    file = program(result)
    assert sorted(path.name for path in file.parent.iterdir()) == ["program.mp4", "source-1.mkv"]
    media.decodes_cleanly(file)
    is_continuous([(file, 0.0)], float(sessions.RATE), result.duration_s)
    assert media.decoded(file, "v").frames == result.frames
    assert "Penutup" in [title for _, title in media.chapters(file)]
    assert list(tmp_path.glob("*/.incoming/*")) == []
    with av.open(str(file.with_name("source-1.mkv"))) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    first = camera.sent.index(packets[0])
    assert packets == camera.sent[first:]


def test_a_result_names_every_package_and_has_the_length_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = StorageSettings(low_s=0, critical_s=0)
    with Armed(tmp_path, further=[second(tmp_path)], storage=settings) as armed:
        fill_the_first_disk(armed, monkeypatch)
        armed.wait(armed.session.status().elapsed_s + 1.5)
        usage = shutil.disk_usage(tmp_path)
        monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
        result = armed.end()
    packages = [archive.list()[0] for archive in (armed.archive, second(tmp_path))]
    assert sorted(result.packages) == sorted(package.path for package in packages)
    assert result.package in result.packages
    assert result.degraded == [f"storage-full: {tmp_path / 'arsip'}", f"parts-apart: {tmp_path / 'cadangan'}"]
    assert [package.part for package in packages] == [1, 2]
    last_s = max(part.offset_s + part.duration_s for package in packages for part in package.recording.parts)  # type: ignore[union-attr]
    assert result.duration_s == pytest.approx(last_s, abs=0.2), "what both hold is not counted twice"


def test_a_session_that_cannot_be_sealed_says_where_its_recording_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_archive: Archive, _work: WorkFolder, *_given: object, **_more: object) -> Package:
        raise StorageError("no space is left", why="full")

    room = sessions.Room(tmp_path, duration_s=2.0)
    with monkeypatch.context() as refusing:
        refusing.setattr(Archive, "seal", refuse)
        result = room.run()
    assert result.state is SessionState.FAILED
    assert result.package
    assert media.decoded(Path(result.package) / "data/media/program.mp4", "v").frames == result.frames
    assert (room.events[-1].kind, room.events[-1].subject) == ("sealing-failed", Path(result.package).name)
