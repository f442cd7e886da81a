"""How tests are shared among processes, and that who wants to be alone is alone."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.sharing import ALL_LANES, MORE_PATIENT, turn, turn_of
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
OURS = """
from tests.conftest import (
    pytest_configure, pytest_runtest_setup, pytest_timeout_set_timer, pytest_xdist_make_scheduler,
)
"""


def test_machines_come_first_then_what_computes_then_lanes_then_what_is_measured_then_what_is_long(
    tmp_path: Path,
) -> None:
    (tmp_path / "conftest.py").write_text(OURS)
    names = (
        "recorder/live/transports/test_srt_publish", "net/test_few", "agent/test_few", "agent/test_more",
        "config/test_many", "net/test_more", "recorder/session/test_session_armed", "rig/guest/test_in_machine",
        "recorder/features/report/test_page", "recorder/mp4/test_finalize",
    )  # fmt: skip
    for number, name in enumerate(names):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        tests = [f"def test_{each}():\n    assert True\n" for each in range(1 + number)]
        file.write_text("".join(tests))
    done = run_pytest(tmp_path, "-v", "-n", "1", "tests")
    lines = done.stdout.splitlines()
    ran = [line.split()[-1].partition("::")[0] for line in lines if "PASSED" in line]
    assert list(dict.fromkeys(ran)) == [
        "tests/rig/guest/test_in_machine.py", "tests/recorder/features/report/test_page.py",
        "tests/recorder/mp4/test_finalize.py", "tests/net/test_more.py",
        "tests/recorder/live/transports/test_srt_publish.py", "tests/net/test_few.py",
        "tests/recorder/session/test_session_armed.py", "tests/agent/test_more.py",
        "tests/agent/test_few.py", "tests/config/test_many.py",
    ], done.stdout + done.stderr  # fmt: skip
    assert "55 passed in" in lines[-1]
    assert (tmp_path / "base" / "lane-1").exists(), "each test has had its turn, in a folder of all processes"


TRIED_AGAIN = ("--reruns", "1", "--max-suite-reruns", "5", "--rerun-show-tracebacks")
"""As `./run test` has it."""

FAILS_AT_FIRST = """
import fcntl
import pytest
from pathlib import Path
from tests.support.sharing import ALL_LANES
from tests.support.test_sharing import is_locked

@pytest.mark.parametrize("number", range({count}))
def test_one(number):
    base = Path({base!r})
    tried = base / f"tried-{{number}}"
    was_tried = tried.exists()
    tried.touch()
    assert was_tried, "the machine was busy"
    assert all(is_locked(base / f"lane-{{lane}}", fcntl.LOCK_SH) for lane in ALL_LANES), "others may run beside it"
"""


@pytest.mark.parametrize(("count", "status"), [(0, 0), (1, 0), (5, 0), (6, 1)])
def test_what_fails_is_tried_once_more_alone_and_told_and_too_many_fail_the_run(
    tmp_path: Path, count: int, status: int
) -> None:
    base = tmp_path / "base"
    (tmp_path / "conftest.py").write_text(OURS)
    (tmp_path / "test_first.py").write_text(FAILS_AT_FIRST.format(count=count, base=str(base)))
    (tmp_path / "test_other.py").write_text("def test_other():\n    assert True\n")
    done = run_pytest(tmp_path, "-n", "2", *TRIED_AGAIN)
    assert done.returncode == status, done.stdout + done.stderr
    assert " ".join(TRIED_AGAIN) in (ROOT / "run").read_text()
    assert done.stdout.count("E       AssertionError: the machine was busy") == count
    assert (f", {min(count, 5)} rerun in" in done.stdout.splitlines()[-1]) is bool(count)


def test_what_fails_alone_too_has_failed(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OURS)
    (tmp_path / "test_wrong.py").write_text("def test_wrong():\n    assert False, 'it is wrong'\n")
    done = run_pytest(tmp_path, "-n", "1", *TRIED_AGAIN)
    assert done.returncode == 1
    assert "1 failed, 1 rerun in" in done.stdout.splitlines()[-1]


def test_what_hangs_hangs_no_longer_when_it_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OURS)
    (tmp_path / "test_hangs.py").write_text("import time\ndef test_hangs():\n    time.sleep(60)\n")
    done = run_pytest(tmp_path, "-n", "1", "-o", "timeout=1", *TRIED_AGAIN)
    assert done.returncode == 1
    assert done.stdout.count("Timeout (>1.0s) from pytest-timeout") >= 2
    assert "1 failed, 1 rerun in" in done.stdout.splitlines()[-1]


def test_who_shares_runs_beside_others_and_who_is_alone_does_not(tmp_path: Path) -> None:
    places = [tmp_path / f"lane-{lane}" for lane in ALL_LANES]
    with turn(tmp_path, alone=False), turn(tmp_path, alone=False):
        assert all(map(is_locked, places))
    with turn(tmp_path, alone=True):
        assert all(is_locked(place, fcntl.LOCK_SH) for place in places)
    assert not any(map(is_locked, places))


def test_what_mostly_waits_runs_beside_one_of_each_other_lane_and_nobody_else(tmp_path: Path) -> None:
    sound, link = "tests/capture/sound/test_server.py::test_x", "tests/net/test_lab.py::test_y"
    disk = "tests/recorder/live/transports/test_srt_publish.py::test_w"
    began, order = threading.Event(), list[str]()

    def share() -> None:
        began.set()
        with turn_of("tests/config/test_load.py::test_z", tmp_path):
            order.append("another")

    with turn_of(sound, tmp_path):
        assert not is_locked(tmp_path / "lane-1")
        with turn_of(link, tmp_path), turn_of(disk, tmp_path):
            other = threading.Thread(target=share)
            other.start()
            began.wait(60)
            wait_for(lambda: is_locked(tmp_path / "queue-0"), what="somebody in the queue")
            assert all(is_locked(tmp_path / f"lane-{lane}", fcntl.LOCK_SH) for lane in ALL_LANES)
            order.append("all lanes")
    other.join(60)
    assert order == ["all lanes", "another"]


def test_what_merely_computes_runs_beside_whatever_is_alone(tmp_path: Path) -> None:
    with turn(tmp_path, alone=True), turn_of("tests/recorder/features/slides/test_chapters.py::test_x", tmp_path):
        assert all(is_locked(tmp_path / f"lane-{lane}", fcntl.LOCK_SH) for lane in ALL_LANES)
    with turn_of("tests/recorder/features/slides/test_chapters.py::test_x", tmp_path) as be_alone:
        assert not any(is_locked(tmp_path / f"lane-{lane}") for lane in ALL_LANES)
        be_alone()
        assert all(is_locked(tmp_path / f"lane-{lane}", fcntl.LOCK_SH) for lane in ALL_LANES)


PATIENTLY = """
import os
from tests.support.sharing import be_patient
before = os.nice(0)
with be_patient():
    print(os.nice(0), os.getsid(0) == os.getpid())
print(os.nice(0) - before)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be less nice again")
def test_who_is_patient_is_no_longer_so_afterwards() -> None:
    command = [sys.executable, "-c", PATIENTLY]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(MORE_PATIENT), "True", "0"]


def test_what_has_a_lane_and_failed_is_tried_again_quite_alone(tmp_path: Path) -> None:
    with turn_of("tests/recorder/live/transports/test_srt_publish.py::test_x", tmp_path) as be_alone:
        assert not is_locked(tmp_path / "lane-0")
        be_alone()
        assert all(is_locked(tmp_path / f"lane-{lane}", fcntl.LOCK_SH) for lane in ALL_LANES)


def test_who_waits_to_be_alone_is_not_overtaken(tmp_path: Path) -> None:
    order: list[str] = []

    def have_a_turn(name: str, *, alone: bool) -> None:
        with turn(tmp_path, alone=alone):
            order.append(name)

    with turn(tmp_path, alone=False):
        waits = threading.Thread(target=have_a_turn, args=("alone",), kwargs={"alone": True})
        waits.start()
        wait_for(lambda: is_locked(tmp_path / "queue-0"), what="somebody in the queue")
        comes_later = threading.Thread(target=have_a_turn, args=("shares",), kwargs={"alone": False})
        comes_later.start()
        assert order == []
    waits.join(60)
    comes_later.join(60)
    assert order == ["alone", "shares"]


def test_machines_wait_for_nobody(tmp_path: Path) -> None:
    with turn(tmp_path, alone=True), turn_of("tests/rig/guest/guest_rig.py::test_x", tmp_path):
        assert is_locked(tmp_path / "lane-0")


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the tests in `folder` with our conftest's hooks; its processes share the folder `base` in it."""
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", f"--basetemp={folder / 'base'}"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={folder}", *words],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def is_locked(path: Path, how: int = fcntl.LOCK_EX) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
