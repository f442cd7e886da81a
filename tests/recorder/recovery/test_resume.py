"""What the next recorder of a killed session is told, and that nobody else touches the session meanwhile."""

import errno
import os
import subprocess
import threading
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import pytest

from capture.source import ColorMatrix, VideoFormat
from config.errors import ArchiveError, PackageBusy, PackageNotFound
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.package.work_folder import WorkFolder
from recorder.recovery import resume
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.resume import lock_for_resume
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, leftovers, media
from tests.support.archives import STARTED
from tests.support.copies import small_disk
from tests.support.leftovers import Left, event, live
from tests.support.simulated import SimulatedClock

S = 1_000_000_000


def test_the_next_part_lies_where_the_clock_says(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)])
    taken = lock_for_resume([archive], folder, SystemClock())
    assert (taken.title, taken.started_at, taken.part) == ("Rapat Senat", STARTED, 2)
    assert taken.uuid == leftovers.UUID_
    assert taken.context == archives.CONTEXT
    assert taken.offset_s(5012 * S + S // 2, STARTED + timedelta(days=9)) == 12.5
    assert taken.end_s == pytest.approx(media.decoded(left.killed, "v").end_s, abs=0.15)
    assert taken.offset_s(5001 * S, STARTED) == taken.end_s, "never over what is there"
    taken.release()


def test_the_program_keeps_its_form(archive: Archive, left: Left) -> None:
    begun = live(width=320, height=200, rate=30000 / 1001, matrix="BT601")
    leftovers.leave_killed(archive, left, events=[begun])
    folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=12.0)
    taken = lock_for_resume([archive], folder, SystemClock())
    assert taken.form == VideoFormat(320, 200, Fraction(30000, 1001), ColorMatrix.BT601)
    taken.release()


def test_after_a_restart_of_the_pc_the_wall_clock_has_to_do(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)])
    begun = folder / "begun.json"
    begun.write_text(begun.read_text().replace('"boot": "', '"boot": "another '))
    taken = lock_for_resume([archive], folder, SystemClock())
    assert taken.zero_ns is None
    assert taken.offset_s(3 * S, STARTED + timedelta(seconds=99.5)) == 99.5
    taken.release()


def test_without_a_beginning_in_the_log_the_wall_clock_has_to_do(archive: Archive, left: Left) -> None:
    folder = leftovers.leave(archive, {"program.mp4": left.killed})
    taken = lock_for_resume([archive], folder, SystemClock())
    assert taken.offset_s(3 * S, STARTED + timedelta(seconds=20)) == 20.0
    taken.release()


def test_a_third_part_counts_from_the_first(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)])
    folder = leftovers.leave_killed(archive, left, part=2, offset_s=12.0, events=[live(12, clock_ns=5012 * S)])
    taken = lock_for_resume([archive], folder, SystemClock())
    assert (taken.part, len(taken.works)) == (3, 2)
    assert taken.offset_s(5030 * S, STARTED) == 30.0
    taken.release()


def test_one_that_had_moved_to_another_disk_and_whose_first_is_gone(archive: Archive, left: Left) -> None:
    switched = event(58, "storage-switched", "cadangan", part=2, offset_s=58.0, left="arsip")
    events = [live(clock_ns=5000 * S), switched]
    folder = leftovers.leave_killed(archive, left, part=2, offset_s=58.0, events=events)
    taken = lock_for_resume([archive], folder, SystemClock())
    assert taken.offset_s(5080 * S, STARTED) == 80.0
    taken.release()


def test_a_disk_that_does_not_answer_is_gone_on_without(
    archive: Archive, left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "DISK_ANSWER_S", 0.2)
    hangs, over = archives.archive_at(tmp_path / "macet"), threading.Event()
    monkeypatch.setattr(
        resume, "find_unfinished", lambda each: over.wait(30) and [] if each == [hangs] else find_unfinished(each)
    )
    folder = leftovers.leave_killed(archive, left)
    taken = lock_for_resume([hangs, archive], folder.with_name(f"{folder.name}.2"), SystemClock())
    assert [work.path for work in taken.works] == [folder]
    assert taken.part == 3, "the second is there, on the disk that hangs"
    taken.release()
    over.set()


def test_a_share_that_gives_no_locks_is_gone_on_without_and_nothing_stays_locked(
    archive: Archive, left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = archives.archive_at(tmp_path / "share")
    for part, offset_s in ((1, 0.0), (2, 6.0)):
        leftovers.leave_killed(share, left, events=[live()], part=part, offset_s=offset_s)
    folder = leftovers.leave_killed(archive, left, events=[live()], part=3, offset_s=12.0)
    reopen, locked = Archive.reopen, list[WorkFolder]()

    def refused(self: Archive, path: Path) -> WorkFolder:
        if self.root == share.root and locked:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        locked.append(reopen(self, path))
        return locked[-1]

    monkeypatch.setattr(Archive, "reopen", refused)
    taken = lock_for_resume([share, archive], folder, SystemClock())
    assert [work.path for work in taken.works] == [folder]
    monkeypatch.undo()
    share.reopen(locked[0].path).release()
    taken.release()


def test_nobody_recovers_it_meanwhile(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left)
    taken = lock_for_resume([archive], folder, SystemClock())
    (session,) = find_unfinished([archive])
    recovery = Recovery([archive], clock=SimulatedClock())
    assert recovery.recover(session).state is RecoveryState.RECORDING
    with pytest.raises(PackageBusy):
        lock_for_resume([archive], folder, SystemClock())
    taken.release()
    assert recovery.recover(session).state is RecoveryState.SEALED
    with pytest.raises(PackageNotFound):
        lock_for_resume([archive], folder, SystemClock())


def test_a_part_on_a_disk_that_takes_nothing_any_more_keeps_nobody_from_going_on(
    archive: Archive, left: Left, tmp_path: Path
) -> None:
    """The recorder had left that disk, and was killed on the next."""
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk") as disk:
        leftovers.leave_killed(archives.archive_at(disk / "arsip"), left)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=6.0)
        both = [archives.archive_at(disk / "arsip"), archive]
        taken = lock_for_resume(both, folder, SystemClock())
        assert (taken.part, len(taken.works)) == (3, 2)
        with pytest.raises(PackageBusy):
            lock_for_resume(both, folder, SystemClock())
        taken.release()
        lock_for_resume(both, folder, SystemClock()).release()


def test_one_whose_end_only_one_of_two_copies_tells_had_ended(archive: Archive, left: Left, tmp_path: Path) -> None:
    """The disk of the other took no line any more."""
    (tmp_path / "kedua").mkdir()
    other = archives.archive_at(tmp_path / "kedua")
    stopping = event(6, "session-stopping", "Rapat")
    folder = leftovers.leave_killed(archive, left, events=[live(), stopping])
    leftovers.leave_killed(other, left, copy=2)
    with pytest.raises(ArchiveError, match="had ended"):
        lock_for_resume([archive, other], folder, SystemClock())


@pytest.mark.parametrize("kind", ["session-stopping", "session-ended"])
def test_one_that_had_ended_is_for_recovery(archive: Archive, left: Left, kind: str) -> None:
    ended = event(6, kind, "Rapat", media_time_s=6.0, frames=180)
    folder = leftovers.leave_killed(archive, left, events=[live(), ended])
    with pytest.raises(ArchiveError, match="had ended"):
        lock_for_resume([archive], folder, SystemClock())
    (session,) = find_unfinished([archive])
    assert Recovery([archive], clock=SimulatedClock()).recover(session).state is RecoveryState.SEALED, "no lock is left"


def test_the_next_part_and_the_end_make_one_package(archive: Archive, left: Left) -> None:
    """As a session does that was taken up again and ends in order: its recorder finishes all parts."""
    from recorder.recovery.packaging import SessionPackager

    folder = leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)], written_s=6)
    taken = lock_for_resume([archive], folder, SystemClock())
    offset_s = taken.offset_s(5010 * S, STARTED)
    ended = event(17, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    second = leftovers.leave(
        archive, {"program.mp4": left.closed}, part=taken.part, offset_s=offset_s, uuid=taken.uuid,
        events=[live(10, clock_ns=5010 * S), ended],
    )  # fmt: skip
    work = archive.reopen(second)
    facts = archives.FACTS
    package = SessionPackager([archive], clock=SimulatedClock()).finish([*taken.works, work], facts)
    assert [entry.path for entry in archive.list()] == [package.path]
    assert archive.verify(package, decode=True) == []
    recording = package.recording
    assert recording
    assert (recording.ended_at, recording.dropped, recording.repeated) == (
        facts.ended_at,
        facts.dropped,
        facts.repeated,
    )
    assert recording.degraded == (*facts.degraded, "interrupted")
    assert [gap.reason.split(";")[0] for gap in recording.gaps] == ["between part 1 and part 2"]
    assert recording.duration_s == pytest.approx(16.0, abs=0.05)
    assert "session-recovered" not in (package.folder / "metadata" / "events.jsonl").read_text()
