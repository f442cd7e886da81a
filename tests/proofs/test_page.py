"""What `./run prove page` takes for proved, and what not."""

import json
import subprocess
import sys

import psutil
import pytest

from tests.proofs import page
from tests.proofs.page import Pair, Viewer, Window, per_second
from tests.support.waiting import wait_for

ASK = {"type": "watch", "session": "a", "levels": True, "previews": [{"source": "program", "fps": 5, "width": 640}]}
JPEG = b"\xff\xd8 a picture \xff\xd9"


def pair(closed: float, opened: float, least: float = 1.0) -> Pair:
    return Window(closed, 1.0), Window(opened, 1.0 + closed, [{}], least)


def figures(**other: object) -> dict[str, object]:
    return {
        "one": page.added([pair(0.01, 0.04)]), "twenty": page.added([pair(0.01, 0.3)], 20), "state": "sealed",
        "degraded": [], "dropped": 0, "frames_expected": 300, "frames_in_mp4": 300, "not_next": [],
        "is_long_enough": True,
    } | other  # fmt: skip


def test_what_is_added_is_the_median_of_the_pairs_whatever_one_of_them_is() -> None:
    found = page.added([pair(0.01, 0.04), pair(0.02, 0.9), pair(0.01, 0.04, least=0.7)], 20)
    assert (found["added"], found["by_daemon"], found["by_recorder"]) == (0.04, 0.03, 0.01)
    assert (found["each"], found["least_added"], found["most_added"]) == (0.002, 0.04, 0.9)
    assert (found["pairs"], found["viewers"], found["least_got"]) == (3, 20, 0.7)


@pytest.mark.parametrize(
    "other",
    [
        {"one": page.added([pair(0.01, 0.09)])},
        {"one": page.added([pair(0.01, 0.04, least=0.7)])},
        {"twenty": page.added([pair(0.01, 0.3, least=0.7)], 20)},
        {"state": "failed"},
        {"degraded": ["pictures-dropped: podium"]},
        {"dropped": 1},
        {"frames_in_mp4": 299},
        {"not_next": ["17: 16, 18"]},
        {"is_long_enough": False},
    ],
)
def test_one_thing_that_is_not_so_and_it_does_not_hold(other: dict[str, object]) -> None:
    assert page.holds(figures())
    assert not page.holds(figures(**other))


def test_what_a_viewer_gets_is_counted_by_what_it_asked_for() -> None:
    ask = json.dumps(ASK)
    assert per_second(ask) == {"state": 1.0, "levels": 10.0, "picture 0": 5.0}
    viewer = Viewer("lean", ask)
    has_of_all = []
    for message in ('{"type": "levels"}', b"\0" + JPEG, '{"type": "state"}'):
        viewer.take(message)
        has_of_all.append(viewer.has_of_all)
    assert has_of_all == [False, False, True]
    for _ in range(9):
        viewer.take('{"type": "levels"}')
        viewer.take(b"\0" + JPEG)
    assert viewer.share(viewer.got, 1.0) == 1.0
    assert viewer.share(viewer.got, 4.0) == 0.25
    viewer.take(b"\0" + JPEG[:-1])
    viewer.take(b"\1" + JPEG)
    assert (viewer.got["picture 0"], viewer.got["picture 1"]) == (10, 1)


def test_a_page_that_asks_for_no_pictures_is_no_viewer_yet() -> None:
    viewer = Viewer("Chromium", json.dumps(ASK | {"levels": False, "previews": []}))
    viewer.take('{"type": "state"}')
    assert not viewer.has_of_all


def test_a_process_counts_with_all_that_it_has_started() -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass\n"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n{burn}print(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert page.family(process.pid) == {psutil.Process(process.pid)}
        assert wait_for(lambda: page._cpu_s(page.family(process.pid)) >= 0.5)
        process.communicate(b"\n")
