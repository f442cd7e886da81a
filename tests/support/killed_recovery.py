"""Recovers what is left in archives, for tests.support.killing."""

import shutil
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.recovery.recover import Recovery
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives
from tests.support.killing import Killer
from tests.support.simulated import SimulatedClock


def work(place: Path, killer: Killer, template: str) -> None:
    """Recover and join everything in a copy of the archives below `template`."""
    shutil.copytree(template, place)
    killer.armed = True
    disk = DurableFiles(killer)
    all_archives = [archives.archive_at(root, disk) for root in sorted(place.iterdir())]
    recovery = Recovery(all_archives, clock=SimulatedClock(), disk=disk)
    for find in (find_unfinished, find_joinable):
        for session in find(all_archives):
            recovery.recover(session)
