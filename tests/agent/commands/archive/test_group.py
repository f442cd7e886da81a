"""`liput archive` as people and scripts use it."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from agent.commands.archive import find
from recorder.archive.archive import Archive
from recorder.package.metadata import Package
from tests.support import archives, forked

PROJECT = Path(__file__).parents[4]
COMMAND = [sys.executable, "-m", "agent.cli.main", "archive"]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "arsip")


@pytest.fixture
def package(archive: Archive, program: Path) -> Package:
    return archives.seal_one(archive, program, "Rapat\x1b[31m Senat")


def liput(*arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
    return forked.liput(["archive", *map(str, arguments)], PROJECT, os.environ | more, timeout=60)


def test_list_prints_what_the_contract_says(archive: Archive, package: Package, program: Path) -> None:
    with archives.recorded(archive, program, "Berjalan") as work:
        done = liput("list", "--json", "--archive", archive.root)
    assert (done.returncode, done.stderr) == (0, "")
    entries = {entry["id"]: entry for entry in json.loads(done.stdout)}
    assert entries[package.id] == {
        "id": package.id,
        "uuid": package.uuid,
        "title": "Rapat\x1b[31m Senat",
        "started_at": "2026-11-24T09:00:00+07:00",
        "duration_s": package.duration_s,
        "bytes": package.bytes,
        "path": package.path,
        "state": "sealed",
        "session": None,
        "copy": 1,
        "part": 1,
    }
    assert entries[work.name]["state"] == "unfinished"
    assert isinstance(entries[work.name]["duration_s"], float)


def test_list_for_people_is_one_line_a_package(archive: Archive, package: Package) -> None:
    done = liput("list", "--archive", archive.root)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.split()[0] == package.id
    assert "\x1b" not in line


@pytest.mark.parametrize("on", ["pipe", "terminal", "json"])
def test_list_shows_only_what_was_asked_for(archive: Archive, package: Package, program: Path, on: str) -> None:
    with archives.recorded(archive, program, "Berjalan") as work:
        for asked, shown, left_out in (
            (("--state", "unfinished"), work.name, package.id),
            (("--room", "aula"), package.id, work.name),
            (("--state", "sealed", "--to", "2026-11-24"), package.id, work.name),
        ):
            arguments = ("list", *asked, "--archive", archive.root, *(["--json"] if on == "json" else []))
            text = on_terminal(*arguments) if on == "terminal" else liput(*arguments).stdout
            assert shown.split("_")[-1] in text, asked
            assert left_out.split("_")[-1] not in text, asked


def test_list_on_a_terminal_is_a_table_without_control_characters_of_titles(archive: Archive, package: Package) -> None:
    screen = on_terminal("list", "--archive", archive.root)
    assert package.uuid[:8] in screen
    assert "2026-11-24 09:00" in screen
    assert "\x1b[31m Senat" not in screen


def on_terminal(*arguments: object) -> str:
    """Run with a terminal for all three streams; return what was on it, colours of rich left in."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, cwd=PROJECT, env=environment
    )
    os.close(theirs)
    screen = b""
    try:
        while chunk := os.read(ours, 65536):
            screen += chunk
    except OSError:
        pass  # Linux says EIO when the last writer has gone
    os.close(ours)
    assert process.wait(timeout=60) == 0
    return screen.decode()


def test_an_empty_archive_is_said_to_be_empty(tmp_path: Path) -> None:
    done = liput("list", "--archive", tmp_path)
    assert (done.returncode, done.stdout) == (0, "")
    assert "is empty" in done.stderr
    assert json.loads(liput("list", "--json", "--archive", tmp_path).stdout) == []


def test_show_describes_a_package(archive: Archive, package: Package) -> None:
    done = liput("show", package.uuid[:8], "--archive", archive.root)
    assert done.returncode == 0
    lines = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in done.stdout.splitlines())
    assert lines["Title"] == "Rapat [31m Senat"
    assert lines["Frames"] == "50, 1 dropped, 2 repeated"
    assert lines["Degraded"] == "source-lost: podium"
    assert lines["Folder"] == package.path
    document = json.loads(liput("show", package.id, "--json", "--archive", archive.root).stdout)
    assert (document["id"], document["recording"]["media"][0]["tracks"][0]["codec"]) == (package.id, "h264")


def test_a_recording_of_more_than_a_day_is_so_many_hours_long(package: Package) -> None:
    long = msgspec.structs.replace(package, duration_s=90_061.6)
    assert find._columns(long)[1] == "25:01:02"
    assert dict(find._description(long))["Length"] == "25:01:02"


def test_verify_is_quiet_about_what_is_whole(archive: Archive, package: Package) -> None:
    done = liput("verify", package.id, "--decode", "--archive", archive.root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{package.id}: whole (")
    done = liput("verify", package.id, "--json", "--archive", archive.root)
    assert json.loads(done.stdout) == {
        "id": package.id,
        "ok": True,
        "problems": [],
        "decoded": False,
        "elsewhere": False,
        "ours": True,
    }


def test_verify_names_the_damaged_file_and_fails(archive: Archive, package: Package, program: Path) -> None:
    whole = archives.seal_one(archive, program, "Utuh")
    media = package.folder / "data" / "media" / "program.mp4"
    content = bytearray(media.read_bytes())
    content[len(content) // 2] ^= 1
    media.write_bytes(content)
    done = liput("verify", "--all", "--json", "--archive", archive.root)
    assert done.returncode == 1
    verdicts = {verdict["id"]: verdict for verdict in json.loads(done.stdout)}
    assert verdicts[whole.id]["ok"]
    assert [problem["file"] for problem in verdicts[package.id]["problems"]] == ["data/media/program.mp4"]
    done = liput("verify", package.id, "--archive", archive.root)
    assert done.returncode == 1
    assert "data/media/program.mp4 is changed" in done.stdout


def test_verify_shows_progress_on_a_terminal_only(archive: Archive, package: Package) -> None:
    assert "━" in on_terminal("verify", "--all", "--archive", archive.root)
    assert "━" not in liput("verify", "--all", "--archive", archive.root).stderr
    assert package.folder.is_dir()


def test_seal_makes_packages_of_what_a_kill_has_left(archive: Archive, package: Package, program: Path) -> None:
    with archives.recorded(archive, program, "Terputus") as work:
        work.release()  # as the recorder's death does
    done = liput("seal", "--all", "--archive", archive.root)
    assert (done.returncode, Path(done.stdout.strip()).name) == (0, work.name)
    archives.validate_bag(Path(done.stdout.strip()))
    assert {entry.state for entry in archive.list()} == {"sealed"}
    again = liput("seal", "--all", "--archive", archive.root)
    assert (again.returncode, again.stdout) == (0, "")
    assert "Nothing" in again.stderr


def test_seal_tells_programs_of_each_as_recover_does(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program, "Terputus") as work:
        work.release()
    done = liput("seal", work.name, "--json", "--archive", archive.root)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    (package,) = archive.list()
    assert (outcome["type"], outcome["state"], outcome["package"]) == ("recovery", "sealed", package.path)
    again = liput("seal", "--all", "--json", "--archive", archive.root)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_seal_leaves_alone_what_is_still_recorded(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program, "Berjalan") as work:
        done = liput("seal", work.name, "--archive", archive.root)
        assert done.returncode == 1
        assert "still being recorded" in done.stderr
        assert work.program.exists()


@pytest.mark.parametrize("arguments", [["verify"], ["verify", "--all", "x"], ["show"], ["list", "extra"], ["nonsense"]])
def test_wrong_usage_is_status_2(archive: Archive, arguments: list[str]) -> None:
    done = liput(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert not archive.root.exists()


def test_what_is_not_there_is_status_1_with_advice(archive: Archive, package: Package, tmp_path: Path) -> None:
    done = liput("show", "rapat", "--archive", archive.root)
    assert (done.returncode, done.stdout) == (1, "")
    assert package.id in done.stderr
    done = liput("list", "--json", "--archive", tmp_path / "gone")
    assert done.returncode == 1
    assert json.loads(done.stdout)["type"] == "error"
    assert not (tmp_path / "gone").exists()


def test_the_archive_of_the_settings_is_used(archive: Archive, package: Package, tmp_path: Path) -> None:
    settings = tmp_path / "liput.toml"
    settings.write_text(f'[archive]\npath = "{archive.root}"\n')
    done = liput("list", "--json", LIPUT_CONFIG=str(settings))
    assert done.returncode == 0
    assert [entry["id"] for entry in json.loads(done.stdout)] == [package.id]
