"""What cannot be done is said in one line, with what to do on the next; nothing is left in the archive."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import archives, command
from tests.support.room import Room, frames

FAILED, USAGE, DEGRADED = 1, 2, 3
KEY = "kunci-9f27-rahasia"


@dataclass(frozen=True)
class Refusal:
    """Words added to a command that would record a second; the exit status and the message that they must lead to."""

    words: tuple[str, ...]
    status: int
    message: str
    prepare: Callable[[Room], None] = lambda room: None


def write(name: str, text: str = "no film", mode: int = 0o644) -> Callable[[Room], None]:
    def prepare(room: Room) -> None:
        path = room.home / name
        path.touch(mode)
        path.write_text(text)

    return prepare


def settings(text: str) -> Callable[[Room], None]:
    return lambda room: room.configure(text)


def url_file(url: str) -> Callable[[Room], None]:
    return write("alamat", url, 0o600)


def forbidden(room: Room) -> None:
    """Put a file where the archive's folder should be: not even root can make a folder below it."""
    room.archive.write_text("not a folder")


def full(room: Room) -> None:
    room.settings.write_text('[archive]\nreserve = "900 TB"\n')


REFUSALS = {
    "unknown camera": Refusal(("--video", "kamera-9"), FAILED, "no connected device .* 'kamera-9'"),
    "unknown node": Refusal(("--video", "/dev/video77"), FAILED, "no connected device .* '/dev/video77'"),
    "unknown microphone": Refusal(("--audio", "mik-9"), FAILED, "no connected device .* 'mik-9'"),
    "no media": Refusal(("--video", "./text.mkv"), FAILED, r"text\.mkv cannot be opened", write("text.mkv")),
    "empty file": Refusal(("--video", "./text.mkv"), FAILED, r"text\.mkv cannot be opened", write("text.mkv", "")),
    "no sound": Refusal(("--audio", "./text.wav"), FAILED, r"text\.wav cannot be opened", write("text.wav")),
    "missing file": Refusal(("--video", "kuliah.mp4"), FAILED, r"there is no file kuliah\.mp4"),
    "missing path": Refusal(("--video", "sini/situ"), FAILED, "there is no file sini/situ"),
    "folder": Refusal(("--video", "/"), FAILED, "/ is a folder"),
    "empty source": Refusal(("--video", ""), USAGE, "name of a source is empty"),
    "archive is a file": Refusal((), FAILED, "is not a folder", forbidden),
    "archive below a file": Refusal(("--archive", "arsip/sini"), FAILED, "is not a folder", forbidden),
    "archive that takes nothing": Refusal(("--archive", "/proc/arsip"), FAILED, "archive /proc/arsip"),
    "disk not mounted": Refusal(("--archive", "/mnt/tidak-ada"), FAILED, "not mounted"),
    "full disk": Refusal((), FAILED, r"900 TB must stay free", full),
    "literal address": Refusal(("--stream", f"rtmp://h/app/{KEY}"), USAGE, "does not belong on the command line"),
    "unknown destination": Refusal(
        ("--stream", "yutube"), USAGE, 'did you mean "youtube"', settings('[destinations.youtube]\nurl = "rtmp://h/a"\n')
    ),
    "no key": Refusal(
        ("--stream", "youtube"), USAGE, "no key", settings('[destinations.youtube]\nurl = "rtmp://h/a"\n')
    ),
    "address in settings": Refusal((), USAGE, "line 11: .*url: must look like", settings('[destinations.x]\nurl = "http://h"')),
    "address with key in settings": Refusal(
        (), USAGE, "line 11: ", settings(f'[destinations.x]\nurl = "rtmp://user:{KEY}@h/a"')
    ),
    "address file missing": Refusal(("--stream", "@alamat"), USAGE, "there is no file alamat"),
    "address file for all": Refusal(
        ("--stream", "@alamat"), USAGE, "for its owner alone", write("alamat", f"rtmp://h/app/{KEY}")
    ),
    "address file empty": Refusal(("--stream", "@alamat"), USAGE, "address in alamat", url_file("")),
    "address of another kind": Refusal(("--stream", "@alamat"), USAGE, "address in alamat", url_file(f"ftp://h/{KEY}")),
    "address without a key": Refusal(("--stream", "@alamat"), USAGE, "no stream key", url_file("rtmp://h/app/")),
    "address with a bad port": Refusal(
        ("--stream", "@alamat"), USAGE, "address", url_file(f"rtmp://h:99999/app/{KEY}")
    ),
    "two of one name": Refusal(
        ("--stream", "@alamat", "--stream", "@./alamat"), USAGE, 'called "alamat"', url_file("rtmp://h/app/key")
    ),
    "fast and live": Refusal(
        ("--pace", "fast", "--stream", "@alamat"), USAGE, "in real time", url_file("rtmp://h/app/key")
    ),
    "unknown key in settings": Refusal(
        (), USAGE, 'line 11: unknown key "rom".*"room"', settings('[general]\nrom = "Aula"')
    ),
    "settings that are no TOML": Refusal((), USAGE, "line 10: not TOML", settings("[general\n")),
    "settings that are not there": Refusal(("--config", "x.toml"), USAGE, r"no settings file .*x\.toml"),
    "unknown profile": Refusal(("--profile", "240p"), USAGE, 'did you mean "240p15"'),
    "unknown layout": Refusal(("--layout", "pap"), USAGE, "pip"),
    "no time": Refusal(("--for", "selamanya"), USAGE, "'--for': 'selamanya' must be a length of time"),
    "no time at all": Refusal(("--for", "0s"), USAGE, "at least a millisecond"),
    "number without unit": Refusal(("--for", "90"), USAGE, "must be a length of time"),
    "unknown pace": Refusal(("--pace", "slow"), USAGE, "'slow' is not one of"),
    "unknown option": Refusal(("--vidio", "x"), USAGE, "--vidio"),
    "blank title": Refusal(("--title", "  \t "), USAGE, "the title is empty"),
    "empty title": Refusal(("--title", ""), USAGE, "the title is empty"),
}  # fmt: skip


def everything(room: Room) -> list[Path]:
    """Return all that there is, but for what PulseAudio's library makes wherever it looks for a server."""
    return sorted(path for path in room.home.rglob("*") if "pulse" not in path.parts)


@pytest.mark.parametrize("case", REFUSALS.values(), ids=REFUSALS.keys())
def test_it_is_said_in_one_line_what_is_wrong_and_in_another_what_to_do(room: Room, case: Refusal) -> None:
    case.prepare(room)
    before = everything(room)
    done = room.record("--for", "1s", *case.words)
    said = done.errors.splitlines()
    assert done.status == case.status, done.errors
    assert len(said) == 2, done.errors
    assert said[0].startswith("liput: ")
    assert re.search(case.message, said[0]), said[0]
    assert re.match(r"       \S", said[1])
    # A busy PC says that it opens things meanwhile.
    told = {line.get("state") or line["kind"] for line in done.lines[:-1]}
    assert told <= {"idle", "priority-granted"}, done.lines
    assert done.lines[-1:] == [{"type": "error", "message": said[0].removeprefix("liput: "), "hint": said[1].strip()}]
    assert KEY not in done.errors
    assert everything(room) == before, "something was left"


def test_without_json_nothing_is_on_standard_output(room: Room) -> None:
    done = command.liput(room.home, *room.words("--video", "kamera-9"))
    assert (done.returncode, done.stdout) == (FAILED, "")
    assert done.stderr.startswith("liput: no connected device is called 'kamera-9'\n       ")


def test_a_machine_without_a_camera_records_all_the_same_and_says_what_to_plug_in(room: Room) -> None:
    """Tests have no camera but in the rig's machine, where guest tests see the same with drivers."""
    named = ("--video", "synthetic") if list(Path("/dev").glob("video*")) else ()
    done = command.liput(room.home, "record", "--title", "x", "--for", "2s", "--archive", room.archive, *named)
    assert done.returncode == (0 if named else DEGRADED)
    if not named:
        assert "no camera or capture card is plugged in" in done.stdout
    assert list(room.archive.glob("2*/*/*/data/media/program.mp4"))


TITLES = {
    "up and away": ("../../../../tmp/lepas", "tmp-lepas"),
    "lines": ("baris satu\nbaris dua\r\n", "baris-satu-baris-dua"),
    "not UTF-8": (os.fsdecode(b"latin \xe9"), "latin"),
    "an option": ("--for", "for"),
}
"""tests/recorder/model/test_model.py has more; these pass through the command line, the archive and its list."""


@pytest.mark.parametrize(("title", "slug"), TITLES.values(), ids=TITLES.keys())
def test_any_title_is_taken_and_lands_inside_the_archive(room: Room, title: str, slug: str) -> None:
    outside = sorted(path for path in room.home.parent.rglob("*") if room.home not in path.parents)
    done = command.liput(
        room.home, "record", f"--title={title}", "--video", "synthetic", "--archive", room.archive,
        "--for", "200ms", "--pace", "fast", "--json",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    (package,) = room.packages()
    assert room.leftovers() == []
    archives.validate_bag(package)
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\d_\d{{4}}_{slug}_[0-9a-f]{{8}}", package.name)
    assert frames(package) == 3
    assert sorted(path for path in room.home.parent.rglob("*") if room.home not in path.parents) == outside
    (entry,) = command.lines(
        command.liput(room.home, "archive", "list", "--json", "--archive", room.archive).stdout.strip().strip("[]")
    )
    assert entry["title"] == title.encode(errors="surrogateescape").decode(errors="replace")


def test_names_of_files_and_folders_need_not_be_unicode(room: Room) -> None:
    odd = os.fsdecode(b"arsip-\xff")
    done = room.record("--for", "200ms", "--pace", "fast", "--archive", odd)
    assert done.status == 0
    assert list((room.home / odd).glob("*/*/*/bagit.txt"))
    assert "arsip-\ufffd" in str(done.result["package"])


@pytest.mark.parametrize("options", [(), ("record",), ("demo",)])
def test_help_needs_nothing(room: Room, options: tuple[str, ...]) -> None:
    room.settings.write_text("broken")
    done = command.liput(room.home, *options, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Usage: liput")


def test_help_loads_no_media_library(room: Room) -> None:
    listing = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules)); from agent.cli import main; main.main()"
    )
    done = command.run_python(room.home, listing, "--help")
    loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert {"agent", "click"} <= loaded
    assert loaded.isdisjoint({"av", "cv2", "numpy", "rich", "msgspec", "psutil", "pyudev", "sounddevice"})


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("recrod",), "No such command 'recrod'; did you mean \"record\"?"),
        (("archive", "verfy"), "No such command 'verfy'; did you mean \"verify\"?"),
        (("schedule", "lst"), "No such command 'lst'; did you mean \"list\"?"),
        (("devices", "shwo"), "No such command 'shwo'; did you mean \"show\"?"),
        (("config", "chekc"), "Did you mean 'check'?"),
        (("xyzzy",), "No such command 'xyzzy'\n"),
        (("record", "--titel", "x"), "'--title'"),
    ],
)
def test_what_is_mistyped_gets_a_suggestion(room: Room, words: tuple[str, ...], said: str) -> None:
    done = command.liput(room.home, *words)
    assert done.returncode == 2
    assert said in done.stderr
