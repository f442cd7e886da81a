"""What cannot be done is said in one line, with what to do on the next; nothing is left in the archive."""

import os
import re
from pathlib import Path

import pytest

from config.locale import lookup
from tests.support import archives, command
from tests.support.room import Room, frames

FAILED, USAGE, DEGRADED = 1, 2, 3
KEY = "kunci-9f27-rahasia"
YOUTUBE = '[destinations.youtube]\nurl = "rtmp://h/a"\n'


def everything(room: Room) -> list[Path]:
    """Return all that there is, but for what PulseAudio's library makes wherever it looks for a server."""
    return sorted(path for path in room.home.rglob("*") if "pulse" not in path.parts)


@pytest.mark.parametrize(
    ("words", "status", "message", "settings"),
    [
        (("--video", "kamera-9"), FAILED, "no connected device .* 'kamera-9'", ""),
        (("--audio", "./text.wav"), FAILED, r"text\.wav cannot be opened", ""),
        (("--archive", "text.wav/sini"), FAILED, "is not a folder", ""),
        (("--archive", "/mnt/tidak-ada"), FAILED, "not mounted", ""),
        (("--stream", f"rtmp://h/app/{KEY}"), USAGE, "does not belong on the command line", ""),
        (("--stream", "yutube"), USAGE, 'did you mean "youtube"', YOUTUBE),
        (("--stream", "@alamat"), USAGE, "for its owner alone", ""),
        (("--layout", "pap"), USAGE, "pip", ""),
        (("--for", "selamanya"), USAGE, "'--for': 'selamanya' must be a length of time", ""),
        ((), USAGE, "line 11: ", f'[destinations.x]\nurl = "rtmp://user:{KEY}@h/a"'),
        ((), USAGE, "line 10: not TOML", "[general\n"),
    ],
)
def test_it_is_said_in_one_line_what_is_wrong_and_in_another_what_to_do(
    room: Room, words: tuple[str, ...], status: int, message: str, settings: str
) -> None:
    room.configure(settings)
    (room.home / "text.wav").write_text("no sound")
    (room.home / "alamat").write_text(f"rtmp://h/app/{KEY}")
    (room.home / "alamat").chmod(0o644)
    before = everything(room)
    done = room.record("--for", "1s", *words)
    said = done.errors.splitlines()
    assert (done.status, len(said)) == (status, 2), done.errors
    assert re.search(f"^liput: .*{message}", said[0])
    assert re.match(r"       \S", said[1])
    # A busy PC says that it opens things meanwhile.
    told = {line.get("state") or line["kind"] for line in done.lines[:-1]}
    assert told <= {"idle", "priority-granted"}, done.lines
    (error,) = done.lines[-1:]
    assert [error["type"], f"liput: {error['message']}", error["hint"]] == ["error", said[0], said[1].strip()]
    assert error["why"] in lookup.words("errors")
    assert KEY not in done.errors
    assert everything(room) == before, "something was left"


def test_a_machine_without_a_camera_records_all_the_same_and_says_what_to_plug_in(room: Room) -> None:
    """Tests have no camera but in the rig's machine, where guest tests see the same with drivers."""
    named = ("--video", "synthetic") if list(Path("/dev").glob("video*")) else ()
    done = command.liput(room.home, "record", "--title", "x", "--for", "1s", "--archive", room.archive, *named)
    assert done.returncode == (0 if named else DEGRADED)
    if not named:
        assert "no camera or capture card is plugged in" in done.stdout
    assert list(room.archive.glob("2*/*/*/data/media/program.mp4"))


def test_any_title_is_taken_and_lands_inside_the_archive(room: Room) -> None:
    """tests/recorder/model/test_model.py has more titles; this one passes through command line, archive and list."""
    outside = sorted(path for path in room.home.parent.rglob("*") if room.home not in path.parents)
    title = "--for ../../../../tmp\nlatin " + os.fsdecode(b"\xe9")
    done = command.liput(
        room.home, "record", f"--title={title}", "--video", "synthetic", "--archive", room.archive, "--for", "200ms",
        "--pace", "fast", "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (package,) = room.packages()
    assert room.leftovers() == []
    archives.validate_bag(package)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d_\d{4}_for-tmp-latin_[0-9a-f]{8}", package.name)
    assert frames(package) == 3
    assert sorted(path for path in room.home.parent.rglob("*") if room.home not in path.parents) == outside
    listed = command.liput(room.home, "archive", "list", "--json", "--archive", room.archive).stdout
    (entry,) = command.lines(listed.strip().strip("[]"))
    assert entry["title"] == title.encode(errors="surrogateescape").decode(errors="replace")


def test_names_of_files_and_folders_need_not_be_unicode(room: Room) -> None:
    odd = os.fsdecode(b"arsip-\xff")
    done = room.record("--for", "200ms", "--pace", "fast", "--archive", odd)
    assert (done.status, "arsip-\ufffd" in str(done.result["package"])) == (0, True)
    assert list((room.home / odd).glob("*/*/*/bagit.txt"))
    listed = command.liput(room.home, "archive", "list", "--json", "--archive", odd)
    assert (listed.returncode, "arsip-\ufffd" in listed.stdout) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("recrod",), "No such command 'recrod'; did you mean \"record\"?"),
        (("archive", "verfy"), "No such command 'verfy'; did you mean \"verify\"?"),
        (("xyzzy",), "No such command 'xyzzy'\n"),
    ],
)
def test_what_is_mistyped_gets_a_suggestion(room: Room, words: tuple[str, ...], said: str) -> None:
    done = command.liput(room.home, *words)
    assert (done.returncode, said in done.stderr) == (2, True)
