"""What an idle daemon takes: the bars of `python -m tests.bench.daemon`, and that no media library is in it."""

from pathlib import Path

import psutil
import pytest

from tests.bench import daemon
from tests.support.processes import children, slowness
from tests.support.room import Room
from tests.support.waiting import wait_for

READY_CPU_S = 1.0
MOST_BYTES = 80_000_000
RESERVE = "recorder.control.process"


@pytest.mark.server
@pytest.mark.slow
def test_a_daemon_that_nothing_is_asked_of_is_light(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.configure(daemon.SETTINGS, 'kampus = "abcd-1234"\n')
    room.archive.mkdir()
    with daemon.started(room) as (pid, start):
        assert start.cpu_s < READY_CPU_S * slowness()
        (spare,) = wait_for(lambda: children(RESERVE, of=psutil.Process(pid)), what="a recorder in reserve")
        wait_for(lambda: daemon.mapped(spare.pid), what="its media libraries")  # what they would look like
        assert daemon.mapped(pid) == set()
        assert daemon.memory(pid)["Rss"] < MOST_BYTES
