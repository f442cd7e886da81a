"""Recovery of unfinished sessions beside running ones, in rounds."""

from pathlib import Path
from typing import NoReturn

import msgspec
import pytest

from agent.daemon import recovering
from agent.daemon.recovering import SessionRecovery
from config.errors import ArchiveError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.running import runtime_directory
from tests.support import archives, leftovers
from tests.support.leftovers import live


def test_what_is_recorded_at_its_start_is_left_alone_even_if_its_recorder_is_killed_just_then(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    program = archives.make_program(tmp_path / "program.mp4")
    work = leftovers.leave(archive, {"program.mp4": program}, events=[live()])  # nobody holds it, as after a kill
    info = msgspec.structs.replace(
        runtime_directory.new_recorder_info("Rapat", archive.root, SystemClock().now()), work=str(work)
    )  # who is alive when it is looked
    recorder = runtime_directory.make_recorder_folder(info, b"{}")
    outcomes: list[object] = []
    daemon = SessionRecovery([archive], SystemClock(), print, outcomes.append)
    daemon.recover_round()
    assert not outcomes, "it is gone on with"
    recorder.remove()
    daemon.recover_round()
    assert len(outcomes) == 1


def test_an_archive_that_cannot_be_read_at_first_is_no_reason_to_take_what_a_recorder_has_just_made(
    archive: Archive, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told, outcomes = list[str](), list[object]()
    daemon = SessionRecovery([archive], SystemClock(), told.append, outcomes.append)
    with monkeypatch.context() as patched:
        patched.setattr(recovering, "find_unfinished", lambda _archives: raise_(ArchiveError("the disk is away")))
        with pytest.raises(ArchiveError):
            daemon.recover_round()
    leftovers.leave(archive, {"program.mp4": archives.make_program(tmp_path / "program.mp4")}, events=[live()])
    recorder = runtime_directory.make_recorder_folder(
        runtime_directory.new_recorder_info("Lain", archive.root, SystemClock().now()), b"{}"
    )
    daemon.recover_round()
    recorder.remove()
    daemon.recover_round()
    assert not outcomes, "it may be locked in a moment"
    daemon.recover_round()
    assert len(outcomes) == 1


def raise_(error: Exception) -> NoReturn:
    raise error


def test_a_session_keeps_parts_from_being_joined_and_what_does_is_told_once(
    tmp_path: Path, archive: Archive, runtime: Path
) -> None:
    program, outcomes = archives.make_program(tmp_path / "program.mp4"), list[object]()
    second = archives.archive_at(tmp_path / "disk-2")
    for place, part in ((archive, 1), (second, 2)):
        left = leftovers.leave(place, {"program.mp4": program}, part=part, offset_s=4.0 * part, events=[live(4 * part)])
        place.seal(place.reopen(left), may_be_joined=True)
    daemon = SessionRecovery([archive, second], SystemClock(), print, outcomes.append)
    recorder = runtime_directory.make_recorder_folder(
        runtime_directory.new_recorder_info("Lain", archive.root, SystemClock().now()), b"{}"
    )
    daemon.recover_round()
    assert not outcomes
    recorder.remove()
    (damaged,) = second.list()
    (damaged.folder / "data/media/program.mp4").write_bytes(b"rot")
    daemon.recover_round()
    daemon.recover_round()
    assert [getattr(outcome, "state", None) for outcome in outcomes] == ["failed"]
    assert (len(archive.list()), len(second.list())) == (1, 1)
