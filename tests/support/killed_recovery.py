"""A process that recovers what is left in archives, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_recovery ROOT TEMPLATE`: TEMPLATE holds archives, each a folder. In ROOT/0,
ROOT/1, ... it leaves what a kill -9 before the first, second, ... step leaves of a copy of it, and in the last one what
is there when nothing interferes. It forks for each: this process has one thread.
"""

import shutil
import sys
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.recovery.recover import Recovery
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives
from tests.support.killing import Killer, kill_before_each_step
from tests.support.simulated import SimulatedClock


def recover(template: Path, place: Path, step: int) -> None:
    """Recover and join everything in a copy of the archives below `template`, up to the step of the given number."""
    shutil.copytree(template, place)
    killer = Killer(step, passed={"sync"})
    killer.armed = True
    disk = DurableFiles(killer)
    all_archives = [archives.archive_at(root, disk) for root in sorted(place.iterdir())]
    recovery = Recovery(all_archives, clock=SimulatedClock(), disk=disk)
    for session in find_unfinished(all_archives):
        recovery.recover(session)
    for session in find_joinable(all_archives):
        recovery.recover(session)


def main() -> None:
    """Do it up to each step."""
    root, template = Path(sys.argv[1]), Path(sys.argv[2])
    kill_before_each_step(lambda step: recover(template, root / str(step), step))


if __name__ == "__main__":
    main()
