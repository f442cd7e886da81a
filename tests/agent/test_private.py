"""Recordings are for their user: no other one of the PC reads them, and what is open is told of and closed."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.checks.kinds.storage import NAME
from recorder.archive.permissions import close_to_others
from recorder.running import access
from recorder.running.access import our_umask
from tests.agent.checks.kinds.test_storage import found, settings
from tests.support import archives, command

ANOTHER = 54321
"""A user who is not this one, and in no group of ours."""


@pytest.fixture
def home() -> Iterator[Path]:
    """Return a folder that every user can come to."""
    before = os.umask(0o022)
    with TemporaryDirectory(prefix="liput-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
    os.umask(before)


def read_by_another(root: Path) -> list[str]:
    """Return what another user can read below a folder."""
    words = ["find", str(root), "-mindepth", "1", "-readable"]
    done = subprocess.run(
        words, user=ANOTHER, group=ANOTHER, extra_groups=[], capture_output=True, text=True, check=False
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_what_is_recorded_is_for_this_user_alone_also_while_it_is(home: Path) -> None:
    root = home / "arsip"
    root.mkdir()
    more = {"LIPUT_STATE": str(home / "state")}
    (home / "state").mkdir()
    words = ("record", "--title", "Rapat", "--video", "synthetic", "--audio", "none", "--archive", root, "--json")
    with command.running(home, *words, "--profile", "240p15", "--for", "1s", more=more) as recording:
        recording.until("status", state="live")
        assert any((root / ".incoming").iterdir())
        assert [path for path in read_by_another(home) if path not in {str(root), str(home / "state")}] == []
        assert recording.wait() == 0
    command.started(home, "archive", "fixity", "--archive", root, more=more)
    assert (home / "state" / "fixity.sqlite3").is_file()
    assert [path for path in read_by_another(home) if path not in {str(root), str(home / "state")}] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
def test_an_archive_that_is_open_is_told_of_and_closed(home: Path, program: Path) -> None:
    archive = archives.archive_at(home / "arsip")
    package = archives.seal_one(archive, program)
    elsewhere, somebodys = home / "elsewhere", archive.root / "foto.jpg"
    elsewhere.write_text("a file that a link leads to")
    somebodys.write_text("not a recording")
    (package.folder.parent / "link").symlink_to(elsewhere)
    assert str(package.folder / "data/media/program.mp4") in read_by_another(home)
    (result,) = [one for one in found(settings(archive.root), 60.0) if one.name.startswith(f"{NAME}:")]
    assert result.code == "open"

    done = command.started(home, "archive", "protect", "--archive", archive.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert "were open to every user, and are closed now" in done.stdout
    left = {path for path in read_by_another(archive.root) if "link" not in path}
    assert left == {str(somebodys)}
    assert (elsewhere.stat().st_mode & 0o777, archive.verify(package)) == (0o644, [])
    (result,) = [one for one in found(settings(archive.root), 60.0) if one.name.startswith(f"{NAME}:")]
    assert result.code == "ok"
    assert "0 files and folders" in command.started(home, "archive", "protect", "--archive", archive.root).stdout


def test_a_disk_that_keeps_no_modes_is_told_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As exFAT does; Linux lets a mode be set there, and forgets it."""
    (home / "2026").mkdir()
    monkeypatch.setattr(os, "fchmod", lambda _descriptor, _mode: None)
    [(path, error)] = close_to_others([home / "2026"], None)
    assert path == home / "2026"
    assert "mount it with umask=077" in str(error)


def test_where_nobody_else_comes_to_nothing_is_told(home: Path, program: Path) -> None:
    archive = archives.archive_at(home / "arsip")
    archives.seal_one(archive, program)
    home.chmod(0o700)
    assert "open" not in [result.code for result in found(settings(archive.root), 60.0)]


def test_a_group_of_operators_may_read_what_is_its(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(access.OPERATORS_VARIABLE, raising=False)
    assert our_umask() == 0o077
    monkeypatch.setenv(access.OPERATORS_VARIABLE, "there-is-none")
    assert our_umask() == 0o077
    monkeypatch.setattr(access, "operators_gid", lambda: os.getegid() + 1)
    assert our_umask() == 0o077
    monkeypatch.setattr(access, "operators_gid", os.getegid)
    assert our_umask() == 0o027
