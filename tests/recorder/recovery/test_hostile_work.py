"""A work folder that somebody has tampered with: nothing hangs, fills the memory or is written elsewhere."""

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from config.errors import StorageError
from recorder.archive.archive import Archive, packages
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.resume import lock_for_resume, session_had_ended
from recorder.recovery.unfinished import find_unfinished
from tests.support import leftovers
from tests.support.errors import because
from tests.support.leftovers import Left, contents, only, recover
from tests.support.simulated import SimulatedClock

MOST_BYTES = 6 << 30
"""Of address space: what reads without a bound fails there, and takes nothing from others."""


@pytest.fixture(autouse=True)
def _bounded() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link(path: Path) -> None:
    elsewhere = path.parents[3] / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    path.symlink_to(elsewhere)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.parametrize("plant", [fifo, zeros, link, huge, Path.mkdir])
def test_a_begun_file_that_is_none_counts_as_lost(archive: Archive, left: Left, plant: Callable[[Path], None]) -> None:
    folder = leftovers.leave_killed(archive, left, events=[leftovers.live()])
    (folder / "begun.json").unlink()
    plant(folder / "begun.json")
    assert [package.title for package in packages(archive.root)] == [folder.name]
    (session,) = find_unfinished([archive])
    assert Recovery([archive], clock=SimulatedClock()).look(session).state is RecoveryState.UNFINISHED
    taken = lock_for_resume([archive], folder, SimulatedClock())
    assert taken.end_s > 1
    taken.release()
    if plant is Path.mkdir:
        (folder / "begun.json").rmdir()  # it may hold somebody's files; all else goes by itself
    only(archive)


@pytest.mark.parametrize("plant", [fifo, zeros, link])
@pytest.mark.parametrize("name", ["metadata/events.jsonl", "metadata/recording.json", "manifest-sha256.txt"])
def test_a_file_of_the_description_that_is_none_is_told_and_nothing_is_written_there(
    archive: Archive, left: Left, plant: Callable[[Path], None], name: str
) -> None:
    folder = leftovers.leave(archive, {"program.mp4": left.killed})
    (folder / name).unlink(missing_ok=True)
    (archive.root / "elsewhere").write_bytes(b"somebody's")
    plant(folder / name) if plant is not link else (folder / name).symlink_to(archive.root / "elsewhere")
    assert not session_had_ended(folder)
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.FAILED
    assert (outcome.message, bool(outcome.hint)) == (f"{folder / name} is neither a file nor a folder", True)
    assert (archive.root / "elsewhere").read_bytes() == b"somebody's"
    (folder / name).unlink()
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED


@pytest.mark.parametrize("name", ["data", "data/media", "data/media/program.mp4", "metadata"])
@pytest.mark.parametrize("parts", [1, 2])
def test_what_a_link_leads_to_is_not_changed(
    archive: Archive, left: Left, tmp_path: Path, name: str, parts: int
) -> None:
    for part in range(1, parts + 1):
        folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=part, offset_s=6.0 * (part - 1))
    outside = tmp_path / "outside"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside)
    before = contents(outside) if outside.is_dir() else {"": outside.read_bytes()}
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{folder / name} is neither a file nor a folder")
    assert (contents(outside) if outside.is_dir() else {"": outside.read_bytes()}) == before


def test_an_event_log_without_an_end_takes_no_memory(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left, events=[leftovers.live()])
    with (folder / "metadata" / "events.jsonl").open("r+b") as file:
        file.truncate(1 << 33)
    only(archive)


@pytest.mark.parametrize("written_s", [None, 9.0])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_work_folder_without_metadata_is_recovered(
    archive: Archive, left: Left, written_s: float | None, parts: int
) -> None:
    for part in range(1, parts + 1):
        folder = leftovers.leave(
            archive, {"program.mp4": left.killed}, part=part, offset_s=6.0 * (part - 1), written_s=written_s
        )
        shutil.rmtree(folder / "metadata")
    only(archive)


@pytest.mark.parametrize("name", [".incoming", "2026", "2026/11"])
def test_no_session_goes_where_a_link_leads(archive: Archive, left: Left, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = archive.root / name
    place.parent.mkdir(parents=True)
    if name == ".incoming":
        place.symlink_to(outside)
        with pytest.raises(StorageError, match="Not a directory", check=because("unwritable")):
            leftovers.leave(archive, {})
    else:
        folder = leftovers.leave(archive, {"program.mp4": left.killed})
        place.symlink_to(outside)
        (outcome,) = recover(archive)
        assert (outcome.state, folder.is_dir()) == (RecoveryState.FAILED, True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("moved_to", ["program.mp4", "data/program.mp4", "metadata/program.mp4", "video/program.mp4"])
def test_a_recording_that_somebody_has_moved_within_its_folder_is_not_removed(
    archive: Archive, left: Left, moved_to: str
) -> None:
    folder = leftovers.leave_killed(archive, left, events=[leftovers.live()])
    (folder / moved_to).parent.mkdir(exist_ok=True)
    (folder / "data/media/program.mp4").rename(folder / moved_to)
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{folder} holds a recording and is kept")
    assert str(folder / moved_to) in outcome.hint
    (folder / moved_to).rename(folder / "data/media/program.mp4")
    only(archive)
