"""A process that begins and seals sessions, and has itself killed at every step on the way to the disk.

Started as `python -m tests.support.killed_archivist ROOT PROGRAM begin|seal|request|derive`: in ROOT/0, ROOT/1, ... it
leaves what a kill -9 before the first, second, ... step of that leaves, and in the last one what is there when nothing
interferes. `request` is sealing a session that is recorded for a request; `derive` with all that can be made of a
recording, its PDF by a stand-in that takes no time.
It forks for each: this process has one thread.
"""

import shutil
import sys
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.features.report import material, page
from recorder.features.slides import chapters
from tests.support import archives, dossiers
from tests.support.killing import Killer, kill_before_each_step

LOADED = material, chapters
"""What sealing loads when it is needed: here once, before there are workers."""


def work(root: Path, program: Path, step: int, *, until: str) -> None:
    """Begin, record and seal a session in the archive at `root`; `until` says on the way to what the kill comes."""
    killer = Killer(step)
    archive = archives.archive_at(root, DurableFiles(killer))
    killer.armed = until == "begin"
    context = archives.DERIVED if until == "derive" else archives.CONTEXT
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
    page.print_pdf = archives.no_pdf  # type: ignore[attr-defined]  # a name that it imports
    page._template()  # once, not in each worker
    kill_before_each_step(lambda step: work(root / str(step), program, step, until=until))


if __name__ == "__main__":
    main()
