"""`liput rehearse` as an operator and as a script run it: a verdict, and nothing that is left of it."""

import json
from pathlib import Path

import psutil
import pytest

from tests.support import media
from tests.support.command import liput, running
from tests.support.room import Room
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("sessions in real time", lane="sessions")


def scratch(room: Room) -> list[Path]:
    """Return what is left of rehearsals, and in the archive."""
    state = room.home / ".local/state/liput/rehearsals"
    return [*(state.iterdir() if state.exists() else ()), *(room.archive.rglob("*") if room.archive.exists() else ())]


@pytest.fixture
def room(room: Room, monkeypatch: pytest.MonkeyPatch) -> Room:
    monkeypatch.delenv("LIPUT_STATE", raising=False)
    room.settings.write_text(room.settings.read_text().replace("[archive]\n", f'[archive]\npath = "{room.archive}"\n'))
    return room


def document(room: Room, *words: str | Path, status: int) -> dict[str, dict[str, object]]:
    """Rehearse and return what was found, by name."""
    done = liput(room.home, "rehearse", "--json", *words)
    assert done.returncode == status, done.stdout + done.stderr
    answer = json.loads(done.stdout)
    assert (answer["type"], answer["ready"]) == ("rehearsal", status == 0)
    return {check["name"]: check for check in answer["checks"]}


def test_what_goes_well_is_ready_and_nothing_is_left_of_it(room: Room, tmp_path: Path) -> None:
    plan = tmp_path / "wisuda.toml"
    plan.write_text('title = "Wisuda"\nvideo = ["synthetic"]\nprofile = "240p15"\nlength_s = "2h"\n')
    found = document(room, "--session", plan, "--for", "8s", status=0)  # so long for a flash and its beep
    assert {name: check["code"] for name, check in found.items()} == dict.fromkeys(
        ("recording", "rate", "picture", "sound", "sync", "size"), "ok"
    )
    sync = found["sync"]["measured"]
    assert isinstance(sync, dict)
    assert abs(sync["offset_s"]) <= 0.02
    assert scratch(room) == []
    assert json.loads(liput(room.home, "archive", "list", "--json").stdout) == []


def test_a_black_picture_is_not_ready_and_people_get_one_screen_in_their_language(room: Room, tmp_path: Path) -> None:
    film = tmp_path / "hitam.mp4"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "color=c=black:s=320x240:r=15:d=10",
        "-c:v", "libx264", "-pix_fmt", "yuv420p", film,
    )  # fmt: skip
    done = liput(room.home, "rehearse", "--video", film, "--for", "1s")
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("OK Rekaman: Utuh: 1,0 detik")
    assert [line for line in lines if "Gambarnya hitam" in line]
    assert lines[-1].startswith("BELUM SIAP")
    assert len(lines) < 24


def test_only_destinations_that_are_called_tests_are_streamed_to(room: Room) -> None:
    folders = {name: room.home / name for name in ("uji", "umum")}
    room.settings.write_text(
        room.settings.read_text()
        + f'[destinations.uji]\nurl = "file://{folders["uji"]}"\ntest = true\n'
        + f'[destinations.umum]\nurl = "file://{folders["umum"]}"\n'
    )
    for folder in folders.values():
        folder.mkdir()
    address = room.home / "tamu.url"
    address.touch(0o600)
    address.write_text("rtmp://127.0.0.1:9/live/kunci")
    streams = [word for name in ("uji", "umum", f"@{address}") for word in ("--stream", name)]
    found = document(room, "--video", "synthetic", "--for", "5s", *streams, status=0)
    assert {name: check["code"] for name, check in found.items() if name.startswith("destination")} == {
        "destination: uji": "ok", "destination: umum": "left-out", "destination: tamu": "left-out",
    }  # fmt: skip
    assert list(folders["uji"].iterdir())
    assert not list(folders["umum"].iterdir())


def test_ctrl_c_ends_it_and_leaves_nothing(room: Room) -> None:
    with running(room.home, "rehearse", "--video", "synthetic", "--for", "60s", "--json") as rehearsal:
        wait_for(lambda: [path for path in scratch(room) if path.joinpath(".incoming").exists()])
        children = psutil.Process(rehearsal.pid).children(recursive=True)
        rehearsal.interrupt_everything()
        assert rehearsal.wait_for_exit() == 1
        assert "nothing of it is kept" in rehearsal.errors()
    assert scratch(room) == []
    assert not [child for child in children if child.is_running()]
