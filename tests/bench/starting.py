"""Row `start`: how long it takes from the wish to record until the first picture is in the file, cold and armed.

Cold: from the start of the `liput record` command where nothing of Liput runs, with a synthetic source, until the
recording's file holds a whole fragment. Armed: tests/proofs/latency.py, until it plays from the disk, after its sync.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from recorder.mp4.boxes import read_head
from recorder.mp4.fragments import FragmentTable
from tests.bench.pairs import Bench, Line
from tests.bench.peers import JobFailed
from tests.proofs import latency
from tests.support import command
from tests.support.room import Room

ROW = "start"
COLD_BAR, ARMED_BAR = 1.0, 0.2
PROFILE = "1080p30"
SECONDS = "3s"
RECORDED = (0, 3)
"""Exit status: complete, or with something missing, as where others keep this machine busy."""
GIVE_UP_S = 30.0
LOOKS_EVERY_S = 0.005


def start(bench: Bench) -> Iterator[Line]:
    """Start `bench.pairs` recordings of each kind."""
    colds, armeds = [], []
    for _ in range(bench.pairs):
        with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
            colds.append(cold(Room(Path(name) / "room")))
            armeds.append(latency.start(Path(name) / "armed", latency.Shown(), PROFILE, 0.0))
        bench.say(f"{ROW}: cold {colds[-1]:.3f} s, armed {armeds[-1]:.3f} s")
    yield Line(ROW, "cold", COLD_BAR, tuple(colds), "s")
    yield Line(ROW, "armed", ARMED_BAR, tuple(armeds), "s")


def cold(room: Room) -> float:
    """Return the seconds from the command's start to the first fragment; it then records to its end."""
    room.home.mkdir()
    room.configure()
    words = room.words("--json", "--for", SECONDS, "--profile", PROFILE)
    began = time.monotonic()
    with command.running(room.home, *words) as recording:
        took = _until_first_fragment(room.archive, began)
        if recording.wait() not in RECORDED:
            raise JobFailed(f"the recording failed: {recording.errors()}")
    return took


def _until_first_fragment(archive: Path, began: float) -> float:
    while time.monotonic() - began < GIVE_UP_S:
        if any(fragments(path) for path in archive.glob(".incoming/**/program.mp4")):
            return time.monotonic() - began
        time.sleep(LOOKS_EVERY_S)
    raise JobFailed(f"no fragment was written within {GIVE_UP_S:.0f} s")


def fragments(path: Path) -> int:
    """Return how many whole fragments a recording has that is still open."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        size = os.fstat(descriptor).st_size
        head = read_head(descriptor, size)
        return FragmentTable(descriptor, head, size).count if head and not head.is_torn else 0
    finally:
        os.close(descriptor)
