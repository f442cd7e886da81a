"""What parts are put together in is nobody else's, and takes their place only whole."""

import errno
import os
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.archive.disk import Disk
from recorder.recovery.find import find
from recorder.recovery.recover import Outcome, Recovery, State
from tests.support import archives, leftovers, media
from tests.support.cut_short import Left
from tests.support.leftovers import live
from tests.support.recovering import checked, contents, only, program_of, recover
from tests.support.simulated import SimulatedClock


def leave_two_parts(archive: Archive, left: Left, *, copy: int = 1) -> None:
    for part, offset_s in ((1, 0.0), (2, 9.0)):
        files, events = {"program.mp4": left.killed}, [live(offset_s)]
        leftovers.leave(archive, files, part=part, offset_s=offset_s, copy=copy, events=events)


def test_a_copy_is_left_alone_by_who_recovers_the_other(archive: Archive, left: Left, tmp_path: Path) -> None:
    """As `liput recover` does beside a daemon: what is locked is passed over, and the other copy is next."""
    both = [archive, archives.archive_at(tmp_path / "cadangan")]
    for copy, place in enumerate(both, start=1):
        leave_two_parts(place, left, copy=copy)
    outcomes: list[Outcome] = []

    def recover_the_other(step: str, path: Path) -> None:
        if (step, path.suffix) == ("rename", ".joined"):
            outcomes.extend(recover(*both))

    first, _ = find(both)
    outcome = Recovery(both, clock=SimulatedClock(), disk=Disk(recover_the_other)).recover(first)
    assert outcome.state is State.SEALED, outcome
    assert [outcome.state for outcome in outcomes] == [State.RECORDING, State.SEALED]
    for place in both:
        (package,) = place.list()
        checked(place, package)
        assert media.decoded(program_of(package), "v").frames == 2 * media.decoded(left.killed, "v").frames


@pytest.mark.parametrize("when", ["while it is made", "before its rename", "after its rename"])
def test_parts_are_kept_where_what_was_made_of_them_is_lost(archive: Archive, left: Left, when: str) -> None:
    leave_two_parts(archive, left)
    incoming = archive.root / ".incoming"
    before = recordings(archive)

    def lose(step: str, path: Path) -> None:
        is_now = {
            "while it is made": (step, path.name) == ("write", "events.jsonl"),
            "before its rename": (step, path.suffix) == ("rename", ".joined"),
            "after its rename": (step, path) == ("sync", incoming),
        }
        if is_now[when]:
            for program in incoming.glob("*.join*/data/media/program.mp4"):
                program.unlink()

    (outcome,) = recover(archive, disk=Disk(lose))
    assert outcome.state is State.FAILED, outcome
    assert recordings(archive) == before
    only(archive)


@pytest.mark.parametrize(("step", "name"), [("write", "events.jsonl"), ("rename", ".joined")])
def test_what_cannot_be_completed_takes_no_room(archive: Archive, left: Left, step: str, name: str) -> None:
    leave_two_parts(archive, left)
    before = everything(archive)

    def fail(at: str, path: Path) -> None:
        if at == step and path.name.endswith(name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    (outcome,) = recover(archive, disk=Disk(fail))
    assert outcome.state is State.FAILED, outcome
    assert everything(archive) == before
    only(archive)


def test_what_another_one_has_begun_by_then_is_not_removed(archive: Archive, left: Left) -> None:
    """On a share that gives no locks."""
    leave_two_parts(archive, left)
    begun = list[Path]()

    def begin_before(step: str, path: Path) -> None:
        if (step, path.suffix) == ("mkdir", ".joining"):
            path.mkdir()
            begun.append(path / "theirs")
            begun[0].touch()

    (outcome,) = recover(archive, disk=Disk(begin_before))
    assert outcome.state is State.FAILED, outcome
    assert begun[0].exists()
    only(archive)


def everything(archive: Archive) -> set[Path]:
    return set(archive.root.rglob("*"))


def recordings(archive: Archive) -> dict[str, bytes]:
    return {path: content for path, content in contents(archive.root).items() if path.endswith(".mp4")}
