"""Makes or changes a dossier, for tests.support.killing."""

from datetime import timedelta
from pathlib import Path

from recorder.disk.durable import DurableFiles
from recorder.features.dossier.store import Dossier, with_change
from recorder.package.request import Request
from tests.support import dossiers
from tests.support.killing import Killer


def work(root: Path, killer: Killer, until: str) -> None:
    """Make a dossier in `root`, and attach a sheet to it; `until` says on the way to what the kill comes."""
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
