"""How tests are shared among processes: in which order, and that a test that asks to be alone is alone."""

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.support.sharing import LANES, MORE_PATIENT, Turns, turn, turn_of
from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
OURS = "from tests.conftest import pytest_configure, pytest_xdist_make_scheduler\n"
FILES = {
    "rig/guest/test_in_machine": "",
    "recorder/test_small": "pytestmark = pytest.mark.computing",
    "recorder/test_large": "pytestmark = pytest.mark.computing",
    "net/test_links": 'pytestmark = pytest.mark.alone("why", lane="links")',
    "net/test_more_links": 'pytestmark = pytest.mark.alone("why", lane="links")',
    "capture/test_sound": 'pytestmark = [pytest.mark.alone("why", lane="sound")]',
    "agent/test_figures": 'pytestmark = pytest.mark.alone("why")',
    "agent/test_server": "pytestmark = pytest.mark.server",
    "config/test_many": "",
}


def test_machines_come_first_then_lanes_then_alone_with_what_computes_beside_it(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(OURS)
    for number, (name, mark) in enumerate(FILES.items(), 1):
        file = tmp_path / "tests" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        tests = [f"def test_{each}():\n    assert True\n" for each in range(number)]
        file.write_text("\n".join(["import pytest", mark, *tests]))
    options = ["-p", "no:cacheprovider", "--import-mode=importlib", f"--basetemp={tmp_path / 'base'}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", "-v", "-n", "1", "tests"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    ran = [line.split()[-1].partition("::")[0] for line in lines if "PASSED" in line]
    order = (
        "rig/guest/test_in_machine", "capture/test_sound", "net/test_links", "net/test_more_links",
        "agent/test_figures", "recorder/test_large", "agent/test_server", "recorder/test_small", "config/test_many",
    )  # fmt: skip
    assert list(dict.fromkeys(ran)) == [f"tests/{name}.py" for name in order], done.stdout + done.stderr
    assert "45 passed" in lines[-1]
    assert (tmp_path / "base" / "lane-links").exists(), "each test has had its turn, in a folder of all processes"


def test_a_test_that_is_alone_waits_for_those_that_share_and_is_not_overtaken(tmp_path: Path) -> None:
    order: list[str] = []

    def have_a_turn(name: str, how: int) -> None:
        with turn(tmp_path, how):
            order.append(name)

    with turn(tmp_path, fcntl.LOCK_SH), turn(tmp_path, fcntl.LOCK_SH):
        alone = threading.Thread(target=have_a_turn, args=("alone", fcntl.LOCK_EX))
        alone.start()
        wait_for(lambda: is_locked(tmp_path / f"queue-{LANES[0]}"), what="somebody in the queue")
        shares = threading.Thread(target=have_a_turn, args=("shares", fcntl.LOCK_SH))
        shares.start()
        assert order == []
    alone.join(60)
    shares.join(60)
    assert order == ["alone", "shares"]


@pytest.mark.parametrize(
    ("mark", "held"),
    [
        (pytest.mark.alone("why"), dict.fromkeys(LANES, fcntl.LOCK_SH)),
        (pytest.mark.alone("why", lane="links"), {"links": fcntl.LOCK_SH}),
        (pytest.mark.slow, dict.fromkeys(LANES, fcntl.LOCK_EX)),
        (pytest.mark.computing, {}),
        (pytest.mark.unit, {}),
    ],
)
def test_a_mark_decides_what_runs_beside_a_test(
    request: pytest.FixtureRequest, tmp_path: Path, mark: pytest.MarkDecorator, held: dict[str, int]
) -> None:
    request.node.add_marker(mark)
    with turn(tmp_path, fcntl.LOCK_SH):
        pass  # makes the files
    with turn_of(request.node, tmp_path):
        locked = {lane for lane in LANES if is_locked(tmp_path / f"lane-{lane}")}
        assert locked == set(held)
        for lane in locked:
            assert is_locked(tmp_path / f"lane-{lane}", fcntl.LOCK_SH) == (held[lane] == fcntl.LOCK_SH)
    assert not any(is_locked(tmp_path / f"lane-{lane}") for lane in LANES)


def test_tests_without_a_lane_have_one_turn_together(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    request.node.add_marker(pytest.mark.alone("why"))
    turns = Turns(tmp_path)
    for following, is_held in ((request.node, True), (request.node, True), (None, False)):
        protocol = turns.pytest_runtest_protocol(request.node, following)
        next(protocol)
        assert is_locked(tmp_path / "lane-links", fcntl.LOCK_SH)
        assert list(protocol) == []
        assert is_locked(tmp_path / "lane-links", fcntl.LOCK_SH) == is_held


PATIENTLY = """
import os
from tests.support.sharing import be_patient
before = os.nice(0)
with be_patient():
    print(os.nice(0), os.getsid(0) == os.getpid())
print(os.nice(0) - before)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be less nice again")
def test_a_patient_process_is_no_longer_so_afterwards() -> None:
    command = [sys.executable, "-c", PATIENTLY]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert said.split() == [str(MORE_PATIENT), "True", "0"]


def is_locked(path: Path, how: int = fcntl.LOCK_EX) -> bool:
    with path.open("w") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
