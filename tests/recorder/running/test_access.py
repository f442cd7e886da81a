"""A group that may talk to recorders: who can do what, asked of the kernel as another user."""

import grp
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from config.errors import StorageError
from recorder.running import access, runtime_directory
from recorder.running.access import OPERATORS_VARIABLE, operators_gid
from recorder.running.runtime_directory import RecorderFolder
from tests.support.errors import because

NOBODY = 65534
GROUP = "audio" if os.geteuid() == 0 else grp.getgrgid(os.getegid()).gr_name
LOOK = """
import json, os, socket, sys
runtime, name = sys.argv[1:]
here = os.path.join(runtime, name)
can = {}
def attempt(what, do):
    try:
        do()
    except PermissionError:
        can[what] = False
    else:
        can[what] = True
attempt("list recorders", lambda: os.listdir(runtime))
attempt("list a recorder", lambda: os.listdir(here))
for file in ("recorder.json", "spec.json", "recorder.log"):
    attempt(file, lambda: open(os.path.join(here, file)).read())
for file in ("control.sock", "preview.sock"):
    attempt(file, lambda: socket.socket(socket.AF_UNIX).connect(os.path.join(here, file)))
attempt("write", lambda: open(os.path.join(here, "new"), "w"))
attempt("remove", lambda: os.unlink(os.path.join(here, "control.sock")))
attempt("an end", lambda: open(os.path.join(runtime, "ended", "aaaaaa.json")).read())
print(json.dumps(can))
"""


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Provide a runtime directory whose parents everybody may enter, as /run is."""
    parent = Path(tempfile.mkdtemp(prefix="liput-operators-"))
    parent.chmod(0o755)
    monkeypatch.setenv(runtime_directory.RUNTIME_VARIABLE, str(parent / "liput"))
    monkeypatch.setenv(OPERATORS_VARIABLE, GROUP)
    yield parent / "liput"
    shutil.rmtree(parent)


def recorder() -> RecorderFolder:
    """Make the folder of a recorder, with all that belongs into it but its sockets; and one that has ended."""
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), datetime(2026, 11, 25, 9, tzinfo=UTC))
    folder = runtime_directory.make_recorder_folder(info, b"{}")
    folder.log.touch(0o600)
    ended = RecorderFolder(folder.path.parent / "aaaaaa")
    ended.path.mkdir(mode=0o700)
    ended.end(b"{}")
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_folders_and_sockets_have_the_modes_and_the_group(runtime: Path) -> None:
    folder = recorder()
    with (
        access.listen_at(folder.control, group=operators_gid()),
        access.listen_at(folder.preview, group=operators_gid()),
    ):
        modes = {path: mode(path) for path in (runtime, *runtime.rglob("*"))}
        groups = {path: path.stat().st_gid for path in modes}
    assert modes == {
        runtime: 0o750,
        runtime / "ended": 0o750,
        runtime / "ended" / "aaaaaa.json": 0o640,
        folder.path: 0o710,
        folder.path / runtime_directory.RECORDER_FILE: 0o640,
        folder.control: 0o660,
        folder.preview: 0o660,
        folder.spec: 0o600,
        folder.log: 0o600,
    }
    group = grp.getgrnam(GROUP).gr_gid
    assert all(groups[path] == group for path, bits in modes.items() if bits != 0o600)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users")
@pytest.mark.parametrize("is_operator", [True, False])
def test_operators_can_find_and_command_and_nothing_else(runtime: Path, *, is_operator: bool) -> None:
    folder = recorder()
    python = getattr(sys, "_base_executable", sys.executable)  # the environment's own may be where nobody may look
    with (
        access.listen_at(folder.control, group=operators_gid()),
        access.listen_at(folder.preview, group=operators_gid()),
    ):
        done = subprocess.run(
            [python, "-I", "-c", LOOK, runtime, folder.id], cwd="/", user=NOBODY, group=NOBODY,
            extra_groups=[grp.getgrnam(GROUP).gr_gid] if is_operator else [],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
    can = json.loads(done.stdout)
    assert {what for what, allowed in can.items() if allowed} == (
        {"list recorders", "recorder.json", "control.sock", "preview.sock", "an end"} if is_operator else set()
    )
    assert len(can) == 10


def test_a_group_that_there_is_not_is_told(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPERATORS_VARIABLE, "tiada-kelompok")
    with pytest.raises(StorageError, match="tiada-kelompok", check=because("unwritable")):
        runtime_directory.runtime_folder(make=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_runtime_directory_of_another_user_is_taken_where_it_is_named_and_only_to_look(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.mkdir(mode=0o750)
    os.chown(runtime, NOBODY, -1)
    assert runtime_directory.runtime_folder() == runtime
    with pytest.raises(StorageError, match="no folder that only", check=because("unwritable")):
        runtime_directory.runtime_folder(make=True)
    runtime.chmod(0o770)
    with pytest.raises(StorageError, match="no folder that only", check=because("unwritable")):
        runtime_directory.runtime_folder()
    monkeypatch.delenv(runtime_directory.RUNTIME_VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime.parent))
    runtime.chmod(0o750)
    with pytest.raises(StorageError, match="no folder that only", check=because("unwritable")):
        runtime_directory.runtime_folder()
