"""What may hang on a disk is waited for as long as it gets on, and no longer."""

import threading
import time
from pathlib import Path

from devices.clock import SystemClock
from recorder.storing.bounded import Bounded

PATIENCE_S = 2.0


def test_what_reads_for_long_gets_on_though_it_never_says_so(tmp_path: Path) -> None:
    path = tmp_path / "hours.mkv"
    path.write_bytes(bytes(4096))

    def read() -> int:
        for _ in range(20):
            path.read_bytes()
            time.sleep(PATIENCE_S / 10)
        return 20

    reading = Bounded(read, "storage-seal")
    too_late = TimeoutError()
    assert reading.get(SystemClock(), PATIENCE_S, too_late, lambda: reading.moved_bytes) == 20


def test_what_stands_still_is_left_to_itself() -> None:
    let_go = threading.Event()
    hanging = Bounded(let_go.wait, "storage-seal")
    assert not hanging.wait(SystemClock(), PATIENCE_S, lambda: hanging.moved_bytes)
    let_go.set()
