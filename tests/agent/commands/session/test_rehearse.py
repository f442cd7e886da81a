"""`liput rehearse` as an operator and as a script run it: a verdict, and nothing that is left of it."""

import json
import signal
from pathlib import Path

import psutil
import pytest

from tests.support import media
from tests.support.command import liput, running
from tests.support.room import Room
from tests.support.waiting import wait_for


def scratch(room: Room) -> list[Path]:
    """Return what is left of rehearsals, and in the archive."""
    state = room.home / ".local/state/liput/rehearsals"
    return [*(state.iterdir() if state.exists() else ()), *(room.archive.rglob("*") if room.archive.exists() else ())]


@pytest.fixture
def room(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.delenv("LIPUT_STATE", raising=False)
    settings = f'path = "{room.archive}"\n'
    room.configure()
    room.settings.write_text(room.settings.read_text().replace("[archive]\n", f"[archive]\n{settings}"))
    return room


def document(room: Room, *words: str | Path, status: int) -> dict[str, dict[str, object]]:
    """Rehearse with synthetic sources and return what was found, by name."""
    done = liput(room.home, "rehearse", "--video", "synthetic", "--json", *words)
    assert done.returncode == status, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert answer["type"] == "rehearsal"
    assert answer["ready"] is (status == 0)
    return {check["name"]: check for check in answer["checks"]}


def test_what_goes_well_is_ready_and_nothing_is_left_of_it(room: Room) -> None:
    found = document(room, "--for", "8s", status=0)
    assert {name: check["code"] for name, check in found.items()} == dict.fromkeys(
        ("recording", "rate", "picture", "sound", "sync", "size"), "ok"
    )
    sync = found["sync"]["measured"]
    assert isinstance(sync, dict)
    assert abs(sync["offset_s"]) <= 0.02
    assert scratch(room) == []
    assert json.loads(liput(room.home, "archive", "list", "--json").stdout) == []


def test_people_get_one_screen_of_it_in_their_language(room: Room) -> None:
    done = liput(room.home, "rehearse", "--video", "synthetic", "--for", "4s")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) < 24
    assert lines[0].startswith("OK Rekaman: Utuh: 4.0 detik")
    assert lines[-1] == "SIAP"


def test_only_destinations_that_are_called_tests_are_streamed_to(room: Room) -> None:
    folders = {name: room.home / name for name in ("uji", "umum")}
    room.settings.write_text(
        room.settings.read_text()
        + f'[destinations.uji]\nurl = "file://{folders["uji"]}"\ntest = true\n'
        + f'[destinations.umum]\nurl = "file://{folders["umum"]}"\n'
        + '[destinations.mati]\nurl = "rtmp://127.0.0.1:9/live"\ntest = true\n'
    )
    keys = room.settings.with_name("keys.toml")
    keys.touch(0o600)
    keys.write_text('mati = "kunci"\n')
    for folder in folders.values():
        folder.mkdir()
    address = room.home / "tamu.url"
    address.touch(0o600)
    address.write_text("rtmp://127.0.0.1:9/live/kunci")
    streams = [word for name in ("uji", "umum", "mati", f"@{address}") for word in ("--stream", name)]
    found = document(room, "--for", "5s", *streams, status=1)
    said = {name: check["code"] for name, check in found.items() if name.startswith("destination")}
    assert said == {
        "destination: uji": "ok",
        "destination: mati": "not-live",
        "destination: umum": "left-out",
        "destination: tamu": "left-out",
    }
    assert list(folders["uji"].iterdir())
    assert not list(folders["umum"].iterdir())


def test_a_plan_says_what_is_rehearsed_and_not_how_long(room: Room, tmp_path: Path) -> None:
    plan = tmp_path / "wisuda.toml"
    plan.write_text('title = "Wisuda"\nvideo = ["synthetic"]\nprofile = "240p15"\nlength_s = "2h"\n')
    done = liput(room.home, "rehearse", "--session", plan, "--for", "2s", "--json")
    answer = json.loads(done.stdout)
    assert (answer["title"], answer["ready"]) == ("Wisuda", True)
    assert answer["checks"][0]["measured"]["asked_s"] == 2


def test_a_black_picture_is_not_ready(room: Room, tmp_path: Path) -> None:
    film = tmp_path / "hitam.mp4"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=black:s=320x240:r=15:d=20",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", film,
    )  # fmt: skip
    done = liput(room.home, "rehearse", "--video", film, "--for", "2s", "--json")
    found = {check["name"]: check["code"] for check in json.loads(done.stdout)["checks"]}
    assert done.returncode == 1
    assert (found["picture"], found["sound"]) == ("black", "no-sound")


def test_a_camera_that_is_not_there_is_said_in_a_line(room: Room) -> None:
    done = liput(room.home, "rehearse", "--video", "nowhere", "--for", "2s")
    assert done.returncode == 1
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert scratch(room) == []


@pytest.mark.parametrize("words", [["--stream", "no-such"], ["--profile", "1080p31"], ["--for", "soon"]])
def test_wrong_words_are_wrong_usage(room: Room, words: list[str]) -> None:
    done = liput(room.home, "rehearse", "--video", "synthetic", *words)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("after", ["opening", "recording"])
def test_ctrl_c_ends_it_and_leaves_nothing(room: Room, after: str) -> None:
    with running(room.home, "rehearse", "--video", "synthetic", "--for", "60s", "--json") as rehearsal:
        wait_for(lambda: [path for path in scratch(room) if after == "opening" or path.joinpath(".incoming").exists()])
        children = psutil.Process(rehearsal.pid).children(recursive=True)
        rehearsal.interrupt_everything()
        assert rehearsal.wait_for_exit(20) == 1
        assert "nothing of it is kept" in rehearsal.errors()
    assert scratch(room) == []
    assert not [child for child in children if child.is_running()]


def test_of_a_killed_one_there_is_nothing_to_recover_and_the_next_takes_the_rest_away(room: Room) -> None:
    with running(room.home, "rehearse", "--video", "synthetic", "--for", "60s", "--json") as rehearsal:
        wait_for(lambda: [path for path in scratch(room) if path.joinpath(".incoming").exists()])
        rehearsal.signal(signal.SIGKILL)
        rehearsal.wait_for_exit()
    assert len(scratch(room)) == 1
    recovered = liput(room.home, "recover")
    assert recovered.returncode == 0
    assert "rehears" not in (recovered.stdout + recovered.stderr).lower()
    assert json.loads(liput(room.home, "archive", "list", "--json").stdout) == []
    document(room, "--for", "2s", status=0)
    assert scratch(room) == []
