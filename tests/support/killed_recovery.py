"""A process that recovers what is left in archives, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_recovery TEMPLATE ROOT`: TEMPLATE holds archives, each a folder. In ROOT/0,
ROOT/1, ... it leaves what a kill -9 before the first, second, ... step leaves of a copy of it, and in the last one what
is there when nothing interferes. It forks for each: this process has one thread.
"""

import itertools
import os
import shutil
import sys
from pathlib import Path

from recorder.archive.disk import Disk
from recorder.recovery.find import find
from recorder.recovery.recover import Recovery
from tests.support import archives
from tests.support.killed_archivist import Killer
from tests.support.simulated import SimulatedClock


def recover(place: Path, step: int) -> None:
    """Recover everything in the archives below `place`, up to the step of the given number."""
    killer = Killer(step)
    killer.armed = True
    disk = Disk(killer)
    all_archives = [archives.archive_at(root, disk) for root in sorted(place.iterdir())]
    for session in find(all_archives):
        Recovery(all_archives, clock=SimulatedClock(), disk=disk).recover(session)


def main() -> None:
    """Fork a worker for each step, until one comes to its end."""
    template, root = Path(sys.argv[1]), Path(sys.argv[2])
    for step in itertools.count():
        place = root / str(step)
        shutil.copytree(template, place)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                recover(place, step)
                status = 0
            finally:
                os._exit(status)
        _, ended = os.waitpid(pid, 0)
        if os.WIFEXITED(ended):
            sys.exit(os.WEXITSTATUS(ended))


if __name__ == "__main__":
    main()
