"""Where recorders are found, and their devices claimed: by this user, and by a group if there is one."""

import grp
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec
import pytest

from config.errors import DeviceError, StorageError
from devices.host.process import process_started
from recorder.running import access, runtime_directory
from recorder.running.access import OPERATORS_VARIABLE, operators_gid
from recorder.running.runtime_directory import ENDS_KEPT, DeviceClaims, RecorderFolder, SessionClaim
from tests.support.errors import because
from tests.support.processes import be_user, confined

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


@pytest.fixture
def process() -> Iterator["subprocess.Popen[bytes]"]:
    """Another process, which can be killed."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def made(title: str = "Rapat", pid: int | None = None, at: datetime = NOW) -> RecorderFolder:
    info = runtime_directory.new_recorder_info(title, Path("/arsip"), at)
    if pid:
        info = msgspec.structs.replace(info, pid=pid, pid_started=process_started(pid) or 0)
    return runtime_directory.make_recorder_folder(info, b"{}")


def known() -> list[str]:
    return [folder.id for folder, _ in runtime_directory.known_recorders()]


def killed() -> list[str]:
    return [folder.id for folder in runtime_directory.killed_recorders()]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def kill(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


def test_a_recorder_that_runs_is_found_with_what_it_says_of_itself() -> None:
    folder = made("Wisuda \udcff")
    [(found, info)] = runtime_directory.alive_recorders()
    assert found.path == folder.path
    assert (info.title, info.pid, info.id, info.archive) == ("Wisuda \ufffd", os.getpid(), folder.id, "/arsip")
    assert killed() == []


def test_they_are_listed_by_age_and_one_that_says_nothing_is_passed_over() -> None:
    late, mute, early = made(at=NOW.replace(hour=10)), made(), made(at=NOW.replace(hour=8))
    (mute.path / "recorder.json").write_bytes(b"\xff{")
    assert known() == [early.id, late.id]


def test_nothing_is_there_and_nothing_is_made_by_looking(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(runtime_directory.RUNTIME_VARIABLE, str(tmp_path / "run"))
    assert known() == []
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_killed_stays_until_somebody_takes_it_up(process: "subprocess.Popen[bytes]") -> None:
    folder = made(pid=process.pid)
    assert [info.pid for _, info in runtime_directory.alive_recorders()] == [process.pid]
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert killed() == [folder.id], "a zombie does not run"
    process.wait()
    assert list(runtime_directory.alive_recorders()) == []
    assert killed() == [folder.id]
    assert folder.spec.read_bytes() == b"{}"


def test_one_that_ended_in_order_is_taken_away_also_by_others(process: "subprocess.Popen[bytes]") -> None:
    folder, other = made(pid=process.pid), made(at=NOW.replace(hour=10))
    (folder.path.parent / "ended").mkdir()
    (folder.path.parent / "ended" / f"{folder.id}.json").write_bytes(b"{}")
    assert known() == [folder.id, other.id]  # it is still ending
    kill(process)
    assert known() == [other.id]
    assert not folder.path.exists()
    other.end(b"that is all")
    assert not other.path.exists()
    assert RecorderFolder(other.path).last_line == b"that is all"


def test_how_recorders_ended_is_kept_of_the_last_ones_only() -> None:
    ended = [made() for _ in range(ENDS_KEPT + 3)]
    for folder in ended:
        folder.end(b"x")
    assert [folder.last_line for folder in ended] == 3 * [None] + ENDS_KEPT * [b"x"]


def test_a_later_process_with_its_pid_is_not_it(process: "subprocess.Popen[bytes]") -> None:
    folder = made(pid=process.pid)
    info = folder.info()
    assert info
    for later in ({"pid_started": info.pid_started - 1}, {"boot_id": "another"}):
        folder.write_info(msgspec.structs.replace(info, **later))
        assert killed() == [folder.id]


def test_one_that_is_being_made_is_nobodys_business(process: "subprocess.Popen[bytes]") -> None:
    folder = made(pid=process.pid)
    aside = folder.path.with_name(f".new-{folder.id}")
    folder.path.rename(aside)
    assert known() == []
    assert aside.exists()
    kill(process)
    assert known() == []
    assert not aside.exists()


@pytest.mark.parametrize("how", ["others may write", "a link", "a file", "another's"])
def test_a_place_that_is_not_ours_alone_is_refused(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "run"
    monkeypatch.setenv(runtime_directory.RUNTIME_VARIABLE, str(place))
    if how == "a file":
        place.touch()
    elif how == "a link":
        place.symlink_to(tmp_path, target_is_directory=True)
    else:
        place.mkdir()
        place.chmod(0o777 if how == "others may write" else 0o755)
    if how == "another's":
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    for look in (runtime_directory.known_recorders, made):
        with pytest.raises(StorageError, match="run", check=because("unwritable")) as refused:
            look()
        assert runtime_directory.RUNTIME_VARIABLE in refused.value.hint


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(runtime_directory.RUNTIME_VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    made()
    assert (tmp_path / "liput").is_dir()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert runtime_directory.ended_recorder_folder("x").path == Path("/run/liput/x")
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert runtime_directory.ended_recorder_folder("x").path == tmp_path / "liput-1234/x"


ALICE, MALLORY = 54321, 54322
"""Users who are not this one."""


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as two other users")
@pytest.mark.parametrize("how", ["open folder", "link"])
def test_another_user_cannot_take_the_place_below_tmp(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.delenv(runtime_directory.RUNTIME_VARIABLE)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    with tempfile.TemporaryDirectory() as name:
        tmp = Path(name)
        tmp.chmod(0o1777)
        monkeypatch.setattr(tempfile, "tempdir", name)
        for taken in (f"liput-{ALICE}", f"liput-{ALICE}-0"):
            confined(partial(be_user, MALLORY), partial(_take, tmp / taken, how))
        info = msgspec.structs.replace(confined(partial(be_user, ALICE), _info), pid=os.getpid())
        folder = confined(partial(be_user, ALICE), partial(runtime_directory.make_recorder_folder, info, b"{}"))
        assert (folder.path.stat().st_uid, mode(folder.path.parent)) == (ALICE, 0o700)
        found = confined(partial(be_user, ALICE), runtime_directory.known_recorders)
        assert [each.path for each, _ in found] == [folder.path]
        assert confined(partial(be_user, MALLORY), runtime_directory.known_recorders) == []
        for path in tmp.glob("liput-*"):
            path.unlink() if path.is_symlink() else shutil.rmtree(path)


def _info() -> runtime_directory.RecorderInfo:
    return runtime_directory.new_recorder_info("Rapat", Path("/arsip"), NOW)


def _take(path: Path, how: str) -> None:
    if how == "link":
        path.symlink_to("/tmp")
    else:
        path.mkdir()
        path.chmod(0o777)


def test_a_socket_is_for_this_user_alone_and_reached_by_a_path_of_any_length(tmp_path: Path) -> None:
    folder = tmp_path / ("panjang" * 20) / ("sekali" * 20)
    folder.mkdir(parents=True)
    path = folder / "control.sock"
    with access.listen_at(path) as listener, access.connect_to(path, 5.0) as one:
        assert mode(path) == 0o600
        other, _ = listener.accept()
        with other:
            one.sendall(b"x")
            assert other.recv(1) == b"x"


# A group that may talk to recorders

GROUP = "audio" if os.geteuid() == 0 else grp.getgrgid(os.getegid()).gr_name


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(runtime_directory.RUNTIME_VARIABLE, str(tmp_path / "liput"))
    return tmp_path / "liput"


@pytest.mark.parametrize("group", [None, GROUP])
def test_folders_and_sockets_have_the_modes_and_the_group(
    runtime: Path, group: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if group:
        monkeypatch.setenv(OPERATORS_VARIABLE, group)
    folder, ended = made(), made()
    folder.log.touch(0o600)
    ended.end(b"{}")
    with (
        access.listen_at(folder.control, group=operators_gid()),
        access.listen_at(folder.preview, group=operators_gid()),
    ):
        modes = {path: mode(path) for path in (runtime, *runtime.rglob("*"))}
        groups = {path: path.stat().st_gid for path in modes}
    shared = {
        runtime: 0o750,
        runtime / "ended": 0o750,
        runtime / "ended" / f"{ended.id}.json": 0o640,
        folder.path: 0o710,
        folder.path / "recorder.json": 0o640,
        folder.control: 0o660,
        folder.preview: 0o660,
    }
    private = {path: bits & 0o700 for path, bits in shared.items()}
    assert modes == {**(shared if group else private), folder.spec: 0o600, folder.log: 0o600}
    if group:
        assert {groups[path] for path in shared} == {grp.getgrnam(group).gr_gid}


def test_a_group_that_there_is_not_is_told(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OPERATORS_VARIABLE, "tiada-kelompok")
    with pytest.raises(StorageError, match="tiada-kelompok", check=because("unwritable")):
        runtime_directory.runtime_folder(make=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_a_runtime_directory_of_another_user_is_taken_where_it_is_named_and_only_to_look(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_refused(*, make: bool = False) -> None:
        with pytest.raises(StorageError, match="no folder that only", check=because("unwritable")):
            runtime_directory.runtime_folder(make=make)

    monkeypatch.setenv(OPERATORS_VARIABLE, GROUP)
    runtime.mkdir(mode=0o750)
    os.chown(runtime, ALICE, -1)
    assert runtime_directory.runtime_folder() == runtime
    is_refused(make=True)
    runtime.chmod(0o770)
    is_refused()
    monkeypatch.delenv(runtime_directory.RUNTIME_VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime.parent))
    runtime.chmod(0o750)
    is_refused()


# Devices in use

CAMERA, MICROPHONE = ("046d:0825:CAM0001", "Rig Webcam"), ("534d:2109@1-2+sound", "Stick")
FIRST = SessionClaim(id="a1b2c3", title="Rapat senat", pid=1)
SECOND = SessionClaim(id="d4e5f6", title="Wisuda", pid=2)


def test_the_second_is_told_who_has_it_and_has_none_of_the_others() -> None:
    first, second = DeviceClaims(FIRST), DeviceClaims(SECOND)
    first.take([CAMERA])
    with pytest.raises(DeviceError, check=because("busy")) as refused:
        second.take([MICROPHONE, CAMERA])
    assert refused.value.message == 'Rig Webcam is used by the session "Rapat senat" (a1b2c3)'
    assert "liput stop --session a1b2c3" in refused.value.hint
    first.take([CAMERA, MICROPHONE])  # what it has, and what the second did not keep
    first.release()
    second.take([MICROPHONE, CAMERA])
    first.release()
    with pytest.raises(DeviceError, match="Wisuda", check=because("busy")):
        first.take([CAMERA])
    second.release()


@pytest.mark.parametrize("device", ["../../lepas Ä/x", "x" * 500, "pulse:\udcff", ""])
def test_any_id_can_be_claimed(device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_RUNTIME", str(tmp_path))
    first = DeviceClaims(FIRST)
    first.take([(device, "it")])
    with pytest.raises(DeviceError, check=because("busy")):
        DeviceClaims(SECOND).take([(device, "it")])
    assert [path.parent for path in tmp_path.rglob("*.lock")] == [tmp_path / "claims"]
    first.release()


def test_a_claim_ends_with_its_process() -> None:
    code = (
        "from recorder.running.runtime_directory import *\n"
        f"DeviceClaims(SessionClaim(id='a', title='Rapat', pid=0)).take([{CAMERA!r}])\n"
        "print('taken', flush=True)\ninput()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"taken\n"
        claims = DeviceClaims(SECOND)
        with pytest.raises(DeviceError, match='"Rapat"', check=because("busy")):
            claims.take([CAMERA])
        kill(holder)
        claims.take([CAMERA])
        claims.release()
