"""Dossiers on the disk: a folder for each request, in plain files.

    ROOT/2026-11-24_seminar-nasional_3f2a91c0/      0700
        request.json       what is known, and the history of it; 0600, and so are all files
        events.jsonl       that history, a change a line
        PERMOHONAN.txt     all of it for people
        surat/             letter and disposition sheets

`request.json` decides: it is replaced by a rename of a complete, synced file, under a lock on the dossier. Papers are
on the disk before it names them; the other two files are made from it, and made again by the next change where a kill
came between. A new dossier is built aside and renamed.
"""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from config.files import json_text, open_regular
from config.office import Office
from recorder.archive.disk import ASIDE, PRIVATE, Disk
from recorder.archive.place import check_place
from recorder.dossier.changes import amended
from recorder.dossier.hours import WorkingHours
from recorder.dossier.letters import LETTER_FILE, LETTERS, is_whole
from recorder.dossier.model import Letter, LetterKind, Request
from recorder.dossier.papers import SUFFIXES, Paper
from recorder.dossier.reading import REQUEST_FILE, read_request
from recorder.dossier.steps import steps_of
from recorder.dossier.text import request_text
from recorder.storage_errors import storage_error

EVENTS_FILE, TEXT_FILE = "events.jsonl", "PERMOHONAN.txt"
FOLDER, FILE = 0o700, PRIVATE
"""Modes: letters and names are personal data."""
SPARE_BYTES = 1_000_000
HALF_MADE_S = 3600.0
"""How long a dossier may be in the making before it is taken for one of a process that was killed."""
_NAMES: dict[LetterKind, str] = {"request": "permohonan", "disposition": "disposisi", "other": "lampiran"}
_LOCK = ".lock"


class Dossier:
    """The folder of one request."""

    def __init__(self, folder: Path, disk: Disk | None = None, office: Office | None = None) -> None:
        """`office` is whose hours the text for people goes by."""
        self.folder = folder
        self._disk = disk or Disk()
        self._office = office or Office()

    @property
    def id(self) -> str:
        """The request's id."""
        return self.folder.name

    def read(self) -> Request:
        """Return what is known of the request; raises DossierError."""
        return read_request(self.folder)

    def change(self, change: Callable[[Request], Request]) -> Request:
        """Replace what is known by what `change` makes of it, and return that; raises DossierError, StorageError.

        Whatever is raised, the dossier is as it was, but for papers that nothing names.
        """
        try:
            with locked(self.folder / _LOCK):
                for part in self.folder.rglob(ASIDE):  # half written by one that was killed
                    part.unlink()
                before = self.read()
                after = change(before)
                if after != before:
                    self._write(after)
        except OSError as error:
            raise storage_error(error, self.folder) from None
        return after

    def keep(
        self, papers: Sequence[Paper], kind: LetterKind, taken: Iterable[Letter], now: datetime
    ) -> tuple[Letter, ...]:
        """Bring copies of `papers` onto the disk and return them, numbered on from `taken`; call it within a change.

        One that is `taken` already is not kept twice; where what was kept of it is damaged or gone it is put back.
        Raises OSError.
        """
        kept: dict[str, Letter] = {letter.sha256: letter for letter in taken}
        new = []
        for paper in papers:
            if paper.sha256 not in kept:
                kept[paper.sha256] = self._keep_one(paper, kind, now)
                new.append(kept[paper.sha256])
            elif not is_whole(self.folder, kept[paper.sha256]):
                self._put_back(kept[paper.sha256], paper)
        return tuple(new)

    def _put_back(self, letter: Letter, paper: Paper) -> None:
        if LETTER_FILE.fullmatch(letter.file):
            self._put(self.folder / letter.file, paper)

    def _keep_one(self, paper: Paper, kind: LetterKind, now: datetime) -> Letter:
        path = self._free(self.folder / LETTERS, _NAMES[kind], SUFFIXES[paper.media_type])
        self._put(path, paper)
        return Letter(
            file=f"{LETTERS}/{path.name}", kind=kind, media_type=paper.media_type, bytes=len(paper.content),
            sha256=paper.sha256, name=paper.name, added_at=now,
        )  # fmt: skip

    def _put(self, path: Path, paper: Paper) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=FOLDER)
            self._disk.sync(self.folder)
        self._disk.write(path, paper.content, mode=FILE)
        self._disk.sync(path.parent)

    @staticmethod
    def _free(folder: Path, name: str, suffix: str) -> Path:
        number = 1
        while any(os.path.lexists(folder / f"{name}-{number}{each}") for each in SUFFIXES.values()):
            number += 1
        return folder / f"{name}-{number}{suffix}"

    def _write(self, request: Request) -> None:
        self._disk.write(self.folder / REQUEST_FILE, json_text(request), mode=FILE)
        self._disk.sync(self.folder)
        lines = b"".join(msgspec.json.encode(change) + b"\n" for change in request.history)
        self._disk.write(self.folder / EVENTS_FILE, lines, mode=FILE)
        hours = WorkingHours(self._office)
        now = request.history[-1].at.astimezone(hours.zone)
        text = request_text(request, steps_of(request, hours, now), now)
        self._disk.write(self.folder / TEXT_FILE, text.encode(), mode=FILE)
        self._disk.sync(self.folder)

    def make(
        self, request: Request, papers: Sequence[Paper], now: datetime, refuse: Callable[[], None] = lambda: None
    ) -> Request:
        """Make the dossier of a new request with its letters, and return it as it is kept.

        `refuse` may raise what forbids it; no other is made from then on. Raises StorageError where that cannot be;
        nothing is left then.
        """
        root, building = self.folder.parent, Dossier(self.folder.with_name(f".{self.id}.new"), self._disk, self._office)
        check_place(root, SPARE_BYTES + sum(len(paper.content) for paper in papers))
        try:
            self._make_root(root)
            with locked(root / _LOCK):
                refuse()
                _sweep(root, now)
                building.folder.mkdir(mode=FOLDER)
                letters = building.keep(papers, "request", (), now)
                request = amended(request, now, "created", letters=letters, note=request.event)
                building._write(request)
                self._disk.move_folder(building.folder, self.folder)
        except OSError as error:
            shutil.rmtree(building.folder, ignore_errors=True)  # ours, made this moment
            raise storage_error(error, self.folder) from None
        return request

    def _make_root(self, root: Path) -> None:
        """Make the folder of all dossiers, and bring it and those above it onto the disk."""
        if root.is_dir():
            return
        for folder in reversed(root.parents):
            self._disk.make_folder(folder)
        root.mkdir(mode=FOLDER, exist_ok=True)
        self._disk.sync(root.parent)


def _sweep(root: Path, now: datetime) -> None:
    """Remove dossiers that were never finished: nobody was told of them, and they hold letters."""
    for folder in root.glob(".*.new"):
        with contextlib.suppress(OSError):  # where no locks are to be had, another may just finish it
            if now.timestamp() - folder.stat().st_mtime > HALF_MADE_S:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock at `path` while the body runs; a file system without locks is worked on without."""
    fd = open_regular(path, os.O_RDWR | os.O_CREAT, FILE)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
