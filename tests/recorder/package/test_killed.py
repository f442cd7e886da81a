"""A kill -9 before every step to the disk: what is left is a whole package, or the recording and a way to finish it."""

import subprocess
import sys
from pathlib import Path

import pytest

from config.errors import ArchiveError
from recorder.archive.archive import Archive
from recorder.package import fixity
from recorder.package.metadata import PackageState
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives
from tests.support.killing import kill_at_every_step
from tests.support.slides import deck, record, still

PROJECT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("no_syncs")


def test_a_kill_while_sealing_costs_nothing(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "seal")
    states = [seal_again(archives.archive_at(root), program) for root in roots]
    assert len(states) > 30
    assert states == sorted(states, reverse=True), "once sealed, sealed"
    assert states.count(PackageState.SEALED) == 3, "killed before either sync after the rename, and not at all"


def test_a_kill_while_chapters_pictures_and_the_report_are_made_costs_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = record(tmp_path_factory.mktemp("talk") / "program.mp4", still(deck(1)[::4, ::4], 5), sound=True)
    monkeypatch.setattr("recorder.features.report.page.print_pdf", archives.no_pdf)
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "derive")
    states = [seal_again(archives.archive_at(root), program) for root in roots]
    assert len(states) > 55
    assert states == sorted(states, reverse=True)
    assert states.count(PackageState.SEALED) == 3
    made = [sorted(fixity.walk(package.folder)[0]) for root in roots for package in archives.archive_at(root).list()]
    assert all(files == made[-1] for files in made), "the same, wherever it was stopped"
    assert set(made[-1]) > {
        "data/slides/001.jpg", "data/thumbnails.jpg", "metadata/derived.json", "metadata/levels.json", "report.html",
        "report.pdf",
    }  # fmt: skip


def seal_again(archive: Archive, program: Path) -> PackageState:
    """Check what a kill has left, finish it as the next start would, and return how far it had come."""
    (left,) = archive.list()
    if left.state is PackageState.SEALED:
        assert not any((archive.root / ".incoming").iterdir())
    else:
        assert (left.folder / "data" / "media" / "program.mp4").read_bytes() == program.read_bytes()
        described = (left.folder / RECORDING_FILE).exists()
        package = archive.seal(archive.reopen(left.folder))
        recording = package.recording
        assert recording
        assert recording.degraded == (archives.FACTS.degraded if described else ("interrupted",))
        assert (recording.title, recording.uuid) == ("Rapat Senat", left.uuid)
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    assert not list(archive.root.rglob(".*.part"))
    return left.state


def test_a_kill_while_beginning_leaves_nothing_that_stays(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "begin")
    assert len(roots) > 5
    for root in roots[:-1]:
        archive = archives.archive_at(root)
        (left,) = archive.list()
        assert left.state is PackageState.UNFINISHED
        archive.discard(archive.reopen(left.folder))
        assert list(root.iterdir()) == []


RECORDER = """
import pathlib, sys
from tests.support.archives import STARTED, archive_at
work = archive_at(pathlib.Path(sys.argv[1])).begin("Rapat", STARTED)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_recorder_lets_go_of_its_folder(tmp_path: Path) -> None:
    """The lock is the process's: while it lives nobody takes the folder over, and nobody has to clear up after it."""
    archive = archives.archive_at(tmp_path)
    command = [sys.executable, "-c", RECORDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as recorder:
        try:
            assert recorder.stdout
            assert recorder.stdout.readline() == b"ready\n"
            (package,) = archive.list()
            with pytest.raises(ArchiveError, match="still being recorded"):
                archive.reopen(package.folder)
        finally:
            recorder.kill()
    archive.discard(archive.reopen(package.folder))
    assert list(tmp_path.iterdir()) == []
