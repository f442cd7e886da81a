"""A process that begins and seals sessions, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_archivist ROOT PROGRAM begin|seal|request`: in ROOT/0, ROOT/1, ... it
leaves what a kill -9 before the first, second, ... step of that leaves, and in the last one what is there when nothing
interferes. `request` is sealing a session that is recorded for a request.
It forks for each: this process has one thread.
"""

import shutil
import sys
from pathlib import Path

from recorder.disk.durable import DurableFiles
from tests.support import archives, dossiers
from tests.support.killing import Killer, kill_before_each_step


def work(root: Path, program: Path, step: int, *, until: str) -> None:
    """Begin, record and seal a session in the archive at `root`; `until` says on the way to what the kill comes."""
    killer = Killer(step, passed={"sync"} if until == "seal" else ())
    archive = archives.archive_at(root, DurableFiles(killer))
    killer.armed = until == "begin"
    context = archives.CONTEXT
    if until == "request":
        context = dossiers.context_of(dossiers.made(root / "permohonan", root.parent / f"{root.name}.meja"))
        shutil.rmtree(root.parent / f"{root.name}.meja")
    with archives.recorded(archive, program, context=context) as folder:
        killer.armed = until != "begin"
        if killer.armed:
            archive.seal(folder, archives.FACTS)


def main() -> None:
    """Do it up to each step."""
    root, program, until = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    kill_before_each_step(lambda step: work(root / str(step), program, step, until=until))


if __name__ == "__main__":
    main()
