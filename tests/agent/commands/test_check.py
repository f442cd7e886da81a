"""`liput check` and `liput headroom` as an operator and as a script run them."""

import json
import os
import signal
import subprocess
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from agent.commands.headroom import headroom_command
from recorder.live_encode.headroom import Headroom, HeadroomMeasurement
from tests.net.speed_server import serving
from tests.support.command import LIPUT, environment, liput
from tests.support.room import PROFILE, Room
from tests.support.waiting import wait_for


def test_ticked_off_is_well_and_the_rest_says_what_to_do(room: Room) -> None:
    done = liput(room.home, "check", "--quick", "--have", "tripod", "--json")
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert checks["by-hand: tripod"]["verdict"] == "ok"
    cables = checks["by-hand: cables"]
    assert (cables["verdict"], cables["code"]) == ("unchecked", "not-ticked")
    assert cables["en"] == {
        "reason": cables["en"]["reason"], "advice": "Check it yourself, then tick it.", "for_it": "--have cables",
    }  # fmt: skip
    assert document["ready"] is (done.returncode == 0)
    log = map(json.loads, liput(room.home, "health", "--level", "debug", "--json").stdout.splitlines())
    (line,) = [line for line in log if line["detail"].get("check") == "by-hand: cables"]
    assert (line["kind"], line["detail"]["verdict"]) == ("checked", "unchecked")
    assert line["detail"]["text"] == {language: cables[language]["reason"] for language in ("id", "en")}
    assert done.returncode == (1 if any(check["verdict"] == "failure" for check in document["checks"]) else 0)


def test_what_was_found_is_kept_with_the_session_that_follows(room: Room) -> None:
    document = json.loads(liput(room.home, "check", "--quick", "--have", "tripod", "--json").stdout)
    room.record("--for", "500ms")
    assert json.loads((room.only_package() / "metadata" / "checks.json").read_text()) == document


def test_the_uplink_is_measured_kept_and_listed(room: Room, tmp_path: Path) -> None:
    with serving(tmp_path / "server") as server:
        room.configure(f'[check]\nserver = "{server.address}"\nmost_data = "2 MB"\n')
        assert liput(room.home, "check", "--history").stderr.startswith("Kecepatan internet ruangan ini belum pernah")
        done = liput(room.home, "check", "--fit", "--json")
    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}["uplink"]
    assert found["measured"]["up_bps"] > 10e6
    assert f"Profil {PROFILE} muat" in done.stderr
    (kept,) = map(json.loads, liput(room.home, "check", "--history", "--json").stdout.splitlines())
    assert (kept["type"], kept["up_bps"]) == ("uplink", found["measured"]["up_bps"])
    heading, row = liput(room.home, "check", "--history").stdout.splitlines()
    assert heading.split()[:3] == ["Waktu", "Unggah", "Unduh"]
    assert "bit/s" in row


def of_group(group: int) -> list[str]:
    """Return the commands of the processes that are left in a process group."""
    left = []
    for process in psutil.process_iter(["name"]):
        try:
            is_left = os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE
        except (ProcessLookupError, psutil.Error):
            continue
        if is_left:
            left.append(process.info["name"])
    return left


def test_ctrl_c_ends_it_and_leaves_nothing(room: Room) -> None:
    words = ["check", "--video", "synthetic", "--audio", "synthetic", "--archive", str(room.archive)]
    with subprocess.Popen(
        [*LIPUT, *words],
        env=environment(room.home),
        cwd=room.home,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as check:
        assert check.stdout
        assert check.stdout.readline()
        os.killpg(check.pid, signal.SIGINT)
        said, errors = check.communicate(timeout=30)
    assert (check.returncode, errors) == (1, "")
    assert said.splitlines()[-1].startswith("DIBATALKAN: ")
    wait_for(lambda: not of_group(check.pid))
    assert not room.archive.exists()


def test_headroom_says_what_is_left_and_which_encode_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Headroom(one_encode=1.2, two_encodes=2.2, cores=2)
    monkeypatch.setattr(HeadroomMeasurement, "run", lambda *_: found)
    said = CliRunner().invoke(headroom_command, ["--profile", "1080p30"]).stdout
    assert "0% would be left" in said
    assert "it is shared: 30% are to be left." in said
    answer = json.loads(CliRunner().invoke(headroom_command, ["--profile", "240p15", "--json"]).stdout)
    assert (answer["profile"], answer["two_encodes"], answer["affords_two"]) == ("240p15", 2.2, False)
