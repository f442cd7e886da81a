"""All dossiers of an office: one folder of them, which several rooms may share."""

import difflib
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from config.errors import DossierError, StorageError, UsageError
from config.office import Office
from config.schema import Settings
from recorder.archive.names import one_line, slug
from recorder.dossier.model import Request
from recorder.dossier.papers import Paper
from recorder.dossier.reading import REQUEST_FILE
from recorder.dossier.store import Dossier

FOLDER = "permohonan"
"""In the archive's folder, beside the years; the archive's own listing passes it over."""
SUGGESTIONS = 5
LONGEST_SHOWN = 80


def dossiers_of(settings: Settings) -> "Dossiers":
    """Return the dossiers that the settings name."""
    return Dossiers(settings.request.path or settings.archive.path / FOLDER, settings.office)


class Dossiers:
    """The dossiers below `root`, which need not be there yet."""

    def __init__(self, root: Path, office: Office | None = None) -> None:
        self.root = root.expanduser().absolute()
        self._office = office

    def dossier(self, identifier: str) -> Dossier:
        """Return the dossier of the request with the id `identifier`, which need not be there."""
        return Dossier(self.root / identifier, office=self._office)

    def ids(self) -> list[str]:
        """Return the ids of all requests, the earliest first; raises StorageError."""
        try:
            with os.scandir(self.root) as entries:
                return sorted(
                    entry.name
                    for entry in entries
                    if not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False)
                )
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(
                f"The requests in {self.root} cannot be read: {error.strerror}", why="unwritable"
            ) from None

    def read(self) -> tuple[list[Request], dict[str, str]]:
        """Return every request, the earliest first; and why others cannot be read, by id.

        A folder without a `request.json` is none.
        """
        found, damaged = [], {}
        for identifier in self.ids():
            dossier = self.dossier(identifier)
            try:
                found.append(msgspec.structs.replace(dossier.read(), id=identifier))  # somebody may have renamed it
            except DossierError as error:
                if (dossier.folder / REQUEST_FILE).exists():
                    damaged[identifier] = error.message
        return found, damaged

    def find(self, key: str) -> Dossier:
        """Return the dossier that `key` means: a path, an id, a UUID, a letter number, or a beginning of id or UUID.

        Raises DossierError, which names what is near, when none or several answer.
        """
        if "/" in key and os.path.isfile(path := Path(key) / REQUEST_FILE):  # noqa: PTH113 - Path's raises for long names
            return Dossier(path.parent.absolute(), office=self._office)
        wanted = _plain(key)
        ids = self.ids()
        if wanted in ids and wanted:
            return self.dossier(wanted)
        known, _ = self.read()
        for names in (_exact, _beginnings):
            found = [request for request in known if wanted and wanted in names(request, len(wanted))]
            if len(found) == 1:
                return self.dossier(found[0].id)
            if found:
                raise _several(key, [request.id for request in found])
        raise _none(self.root, key, ids)

    def add(self, request: Request, papers: Sequence[Paper], now: datetime, *, may_repeat: bool) -> Request:
        """Make the dossier of a new request with its letters, and return it as it is kept.

        Raises UsageError where another has the number of its letter, unless it `may_repeat` that; and what
        `Dossier.make` raises.
        """

        def refuse() -> None:
            if not may_repeat:
                self._refuse_repeated(request.letter_number)

        return self.dossier(request.id).make(request, papers, now, refuse)

    def _refuse_repeated(self, number: str) -> None:
        wanted = _plain(number)
        for request in self.read()[0] if wanted else ():
            if _plain(request.letter_number) == wanted:
                raise UsageError(
                    f"the request {request.id} has the letter number {number} already",
                    hint="`liput request attach` adds papers to it; --force makes another request.",
                )


def _plain(text: str) -> str:
    return "".join(text.casefold().split())


def _exact(request: Request, _length: int) -> Iterable[str]:
    return request.uuid, _plain(request.letter_number)


def _beginnings(request: Request, length: int) -> Iterable[str]:
    return request.id[:length], request.uuid[:length]


def _several(key: str, ids: list[str]) -> DossierError:
    return DossierError(
        f"{_shown(key)} means {len(ids)} requests: {', '.join(ids[:SUGGESTIONS])}",
        hint="Write more of the id, or its last 8 digits.",
        why="missing",
    )


def _none(root: Path, key: str, ids: list[str]) -> DossierError:
    near = difflib.get_close_matches(key, ids, SUGGESTIONS, cutoff=0.5)
    near += [identifier for identifier in ids if slug(key) in identifier and identifier not in near]
    hint = f"Near it: {', '.join(near[:SUGGESTIONS])}." if near else "`liput request list --all` shows what there is."
    return DossierError(f"No request in {root} is called {_shown(key)}", hint=hint, why="missing")


def _shown(key: str) -> str:
    text = one_line(key)
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")
