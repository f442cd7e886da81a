"""A process that makes or changes a dossier, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_clerk ROOT make|change`: in ROOT/0, ROOT/1, ... it leaves what a kill -9
before the first, second, ... step of that leaves, and in the last one what is there when nothing interferes.
"""

import sys
from datetime import timedelta
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.features.dossier.store import Dossier, with_change
from recorder.package.request import Request
from tests.support import dossiers
from tests.support.killing import Killer, kill_before_each_step


def work(root: Path, step: int, until: str) -> None:
    """Make a dossier in `root`, and attach a sheet to it; `until` says on the way to what the kill comes."""
    killer = Killer(step)
    killer.armed = until == "make"
    dossier = Dossier(root / "permohonan" / dossiers.ID, DurableFiles(killer))
    now = dossiers.RECEIVED + timedelta(minutes=5)
    dossier.make(dossiers.request(), [dossiers.paper(root / "meja")], now)
    killer.armed = until == "change"
    sheet = dossiers.paper(root / "meja", "lembar.jpg", dossiers.picture())

    def change(request: Request) -> Request:
        letters = (*request.letters, *dossier.keep([sheet], "disposition", request.letters, now))
        return with_change(request, now, "attached", letters=letters)

    if until == "change":
        dossier.change(change)


def main() -> None:
    """Do it up to each step."""
    root, until = Path(sys.argv[1]), sys.argv[2]
    kill_before_each_step(lambda step: work(root / str(step), step, until))


if __name__ == "__main__":
    main()
