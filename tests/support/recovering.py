"""Recovery of all that was left in some archives, and how to look into what came out."""

import json
from pathlib import Path

from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.package.fixity import walk
from recorder.package.metadata import Package, Recording
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, media
from tests.support.simulated import SimulatedClock


def recover(*archives_: Archive, disk: DurableFiles | None = None) -> list[RecoveryOutcome]:
    recovery = Recovery(archives_, clock=SimulatedClock(), disk=disk or DurableFiles())
    return [recovery.recover(session) for session in find_unfinished(archives_)]


def only(*archives_: Archive) -> tuple[RecoveryOutcome, Package, Recording]:
    """Recover the one session there is; everything about its package must hold."""
    (outcome,) = recover(*archives_)
    assert outcome.state is RecoveryState.SEALED, outcome
    (package,) = [package for archive in archives_ for package in archive.list()]
    assert package.path == outcome.package
    checked(archives_[0], package)
    assert package.recording
    assert recover(*archives_) == [], "a second time changes nothing"
    for archive in archives_:
        incoming = archive.root / ".incoming"
        assert not incoming.exists() or not any(incoming.iterdir())
    return outcome, package, package.recording


def checked(archive: Archive, package: Package) -> None:
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    for file in (package.folder / "data" / "media").iterdir():
        media.decodes_cleanly(file)


def program_of(package: Package) -> Path:
    return package.folder / "data" / "media" / "program.mp4"


def log_of(package: Package) -> list[dict[str, object]]:
    return [json.loads(line) for line in (package.folder / "metadata" / "events.jsonl").read_text().splitlines()]


def contents(root: Path) -> dict[str, bytes]:
    return {path: (root / path).read_bytes() for path in walk(root)[0]}
