"""Begins and seals a session, for tests.support.killing."""

import shutil
from pathlib import Path

from recorder.disk.durable import DurableFiles
from tests.support import archives, dossiers
from tests.support.killing import Killer


def work(root: Path, killer: Killer, program: str, until: str) -> None:
    """Begin and seal a session, which is recorded for a `request`; `until` says on the way to what the kill comes."""
    archive = archives.archive_at(root, DurableFiles(killer))
    killer.armed = until == "begin"
    context = archives.CONTEXT
    if until == "request":
        desk = root.parent / f"{root.name}.meja"
        context = dossiers.context_of(dossiers.made(root / "permohonan", desk))
        shutil.rmtree(desk)
    with archives.recorded(archive, Path(program), context=context) as folder:
        killer.armed = until != "begin"
        if killer.armed:
            archive.seal(folder, archives.FACTS)
