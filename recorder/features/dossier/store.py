"""Dossiers: a folder of plain files for each request, on a disk that several rooms may share.

    ROOT/2026-11-24_seminar-nasional_3f2a91c0/      0700
        request.json       the request with its history; 0600, as all files
        events.jsonl       the history, a change a line
        PERMOHONAN.txt     the request as text
        surat/             letter and disposition sheets

A rename of a synced file replaces `request.json`, under a lock on the dossier. Papers are on the disk before it names
them. The other two files are made from it; after a kill the next change makes them again. A new dossier is built aside
and renamed. People may edit the files.
"""

import contextlib
import fcntl
import os
import platform
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

import msgspec

from config.errors import DossierError, StorageError, UsageError
from config.files import json_lines, json_text, open_regular, read_file
from config.settings.office import Office
from config.settings.schema import Settings
from devices.host.process import account_name
from recorder.disk.archive_folder import check_archive_folder
from recorder.disk.durable import PRIVATE_MODE, TEMPORARY_FILES, DurableFiles
from recorder.disk.errors import storage_error, storage_errors
from recorder.features.dossier.papers import LETTER_FILE, SUFFIXES, Paper, is_letter_whole
from recorder.features.dossier.text import dossier_text
from recorder.model.names import quoted, similar_names, utf8_safe
from recorder.package.bag import TAG_MANIFEST_FILE
from recorder.package.documents import PremisEvent
from recorder.package.request import LETTERS, Change, FieldChange, Letter, LetterKind, Request
from recorder.package.work_folder import PREMIS_FILE

REQUEST_FILE = "request.json"
YEARS = range(1900, 2300)  # years of valid moments: a calendar is made of them
_decoder = msgspec.json.Decoder(Request)


def _moments(request: Request) -> Iterator[datetime]:
    yield request.received_at
    yield from filter(None, (request.starts_at, request.ends_at, request.receipt and request.receipt.at))
    yield from (each.at for each in request.dispositions)
    yield from (each.at for each in request.history)
    for recorded in request.recordings:
        yield from filter(None, (recorded.started_at, recorded.ended_at, recorded.archived_at))


def _with_archive_times(request: Request) -> Request:
    """Return `request` with `archived_at` of complete packages: a kill may have prevented the note."""
    recordings = []
    for recorded in request.recordings:
        with contextlib.suppress(OSError):
            if recorded.archived_at is None and Path(recorded.path).is_dir():
                complete_at = archived_at(Path(recorded.path), recorded.ended_at.tzinfo)
                recorded = msgspec.structs.replace(recorded, archived_at=complete_at)
        recordings.append(recorded)
    return msgspec.structs.replace(request, recordings=tuple(recordings))


def archived_at(folder: Path, zone: tzinfo | None) -> datetime:
    """Return the time of ingestion in premis.jsonl: corrections change file times. Raises OSError without a package."""
    changed = (folder / TAG_MANIFEST_FILE).stat().st_mtime
    return _ingested_at(folder) or datetime.fromtimestamp(changed, zone)


def _ingested_at(folder: Path) -> datetime | None:
    with contextlib.suppress(OSError):
        events = json_lines(read_file(folder / PREMIS_FILE), PremisEvent)
        return next((event.event_date_time for event in events if event.event_type == "ingestion"), None)
    return None


def with_change(request: Request, now: datetime, kind: str, *, note: str = "", **fields: object) -> Request:
    """Return `request` with changed `fields` and the change in its history; itself if nothing changes."""
    different = {}
    for name, value in fields.items():
        before, after = msgspec.to_builtins(getattr(request, name)), msgspec.to_builtins(value)
        if before != after:
            different[name] = FieldChange(before=before, after=after)
    if not different and not note:
        return request
    author = utf8_safe(f"{account_name()}@{platform.node()}")
    change = Change(at=now, kind=kind, who=author, note=note, fields=different)
    return msgspec.structs.replace(request, **fields, history=(*request.history, change))


EVENTS_FILE, TEXT_FILE = "events.jsonl", "PERMOHONAN.txt"
DOSSIER_FOLDER_MODE = 0o700  # as PRIVATE_MODE of the files: letters and names are personal data
SPARE_BYTES = 1_000_000
HALF_MADE_S = 3600.0  # a new dossier of this age was left by a killed process
_NAMES: dict[LetterKind, str] = {"request": "permohonan", "disposition": "disposisi", "other": "lampiran"}
_LOCK = ".lock"


class Dossier:
    def __init__(self, folder: Path, disk: DurableFiles | None = None, office: Office | None = None) -> None:
        """`office` has the working hours for the text file."""
        self.folder = folder
        self.id = folder.name
        self._disk = disk or DurableFiles()
        self._office = office or Office()

    def read(self) -> Request:
        """Return the request; raises DossierError."""
        path = self.folder / REQUEST_FILE
        try:
            request = _decoder.decode(read_file(path))
            if impossible := [at for at in _moments(request) if at.year not in YEARS]:
                raise msgspec.ValidationError(f"{impossible[0]} is an impossible time")
            return _with_archive_times(request)
        except OSError as error:
            raise DossierError(f"{path} cannot be read: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise DossierError(
                f"{path} has unexpected content: {error}",
                hint="Repair it, or restore it from a backup; the letters are unchanged.",
            ) from None

    def change(self, change: Callable[[Request], Request]) -> Request:
        """Replace the request by the result of `change`; return it. Raises DossierError, StorageError."""
        with storage_errors(self.folder), dossier_lock(self.folder / _LOCK):
            for part in self.folder.rglob(TEMPORARY_FILES):  # half written by a killed process
                part.unlink()
            before = self.read()
            after = change(before)
            if after != before:
                self._write(after)
        return after

    def keep(
        self, papers: Sequence[Paper], kind: LetterKind, taken: Iterable[Letter], now: datetime
    ) -> tuple[Letter, ...]:
        """Store copies of new or damaged `papers`; return the new ones. Call it within a change. Raises OSError."""
        kept: dict[str, Letter] = {letter.sha256: letter for letter in taken}
        new = []
        for paper in papers:
            letter = kept.get(paper.sha256)
            if letter is None:
                new.append(self._keep_one(paper, kind, now))
                kept[paper.sha256] = new[-1]
            elif not is_letter_whole(self.folder, letter) and LETTER_FILE.fullmatch(letter.file):
                self._put(self.folder / letter.file, paper)
        return tuple(new)

    def _keep_one(self, paper: Paper, kind: LetterKind, now: datetime) -> Letter:
        folder, name, number = self.folder / LETTERS, _NAMES[kind], 1
        while any(os.path.lexists(folder / f"{name}-{number}{suffix}") for suffix in SUFFIXES.values()):
            number += 1
        path = folder / f"{name}-{number}{SUFFIXES[paper.media_type]}"
        self._put(path, paper)
        return Letter(
            file=f"{LETTERS}/{path.name}", kind=kind, media_type=paper.media_type, bytes=len(paper.content),
            sha256=paper.sha256, name=paper.name, added_at=now,
        )  # fmt: skip

    def _put(self, path: Path, paper: Paper) -> None:
        if not path.parent.is_dir():
            path.parent.mkdir(mode=DOSSIER_FOLDER_MODE)
            self._disk.sync(self.folder)
        self._disk.write(path, paper.content, mode=PRIVATE_MODE)
        self._disk.sync(path.parent)

    def _write(self, request: Request) -> None:
        self._disk.write(self.folder / REQUEST_FILE, json_text(request), mode=PRIVATE_MODE)
        self._disk.sync(self.folder)
        lines = b"".join(msgspec.json.encode(change) + b"\n" for change in request.history)
        self._disk.write(self.folder / EVENTS_FILE, lines, mode=PRIVATE_MODE)
        self._disk.write(self.folder / TEXT_FILE, dossier_text(request, self._office).encode(), mode=PRIVATE_MODE)
        self._disk.sync(self.folder)

    def make(
        self, request: Request, papers: Sequence[Paper], now: datetime, refuse: Callable[[], None] = lambda: None
    ) -> Request:
        """Make the dossier of a new request with its letters; return the stored request.

        `refuse` may raise to forbid it, under the lock on all dossiers. Raises StorageError, and leaves nothing behind
        then.
        """
        root, building = self.folder.parent, Dossier(self.folder.with_name(f".{self.id}.new"), self._disk, self._office)
        check_archive_folder(root, SPARE_BYTES + sum(len(paper.content) for paper in papers))
        try:
            self._make_root(root)
            with dossier_lock(root / _LOCK):
                refuse()
                _sweep(root, now)
                building.folder.mkdir(mode=DOSSIER_FOLDER_MODE)
                letters = building.keep(papers, "request", (), now)
                request = with_change(request, now, "created", letters=letters, note=request.event)
                building._write(request)
                self._disk.move_folder(building.folder, self.folder)
        except OSError as error:
            shutil.rmtree(building.folder, ignore_errors=True)  # made just now
            raise storage_error(error, self.folder) from None
        return request

    def _make_root(self, root: Path) -> None:
        if root.is_dir():
            return
        for folder in reversed(root.parents):
            self._disk.make_folder(folder)
        root.mkdir(mode=DOSSIER_FOLDER_MODE, exist_ok=True)
        self._disk.sync(root.parent)


def _sweep(root: Path, now: datetime) -> None:
    """Remove dossiers left unfinished: nobody knows of them, and they hold letters."""
    for folder in root.glob(".*.new"):
        with contextlib.suppress(OSError):  # without locks another process may just finish it
            if now.timestamp() - folder.stat().st_mtime > HALF_MADE_S:
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def dossier_lock(path: Path) -> Iterator[None]:
    """Hold the lock at `path`; a file system without locks gives none."""
    fd = open_regular(path, os.O_RDWR | os.O_CREAT, PRIVATE_MODE)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


REQUESTS = "permohonan"  # the folder in the archive, beside the years; the archive does not list it
SUGGESTIONS = 5
LONGEST_SHOWN = 80


def dossier_store(settings: Settings) -> "DossierStore":
    return DossierStore(settings.request.path or settings.archive.path / REQUESTS, settings.office)


class DossierStore:
    """The dossiers below `root`, which may not exist."""

    def __init__(self, root: Path, office: Office | None = None) -> None:
        self.root = root.expanduser().absolute()
        self._office = office

    def dossier(self, identifier: str) -> Dossier:
        """Return the dossier `identifier`, which may not exist."""
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
        """Return all requests, the earliest first, and errors by id. Folders without `request.json` are no dossiers."""
        found, damaged = [], {}
        for identifier in self.ids():
            dossier = self.dossier(identifier)
            try:
                found.append(msgspec.structs.replace(dossier.read(), id=identifier))  # the folder may be renamed
            except DossierError as error:
                if (dossier.folder / REQUEST_FILE).exists():
                    damaged[identifier] = error.message
        return found, damaged

    def find(self, key: str) -> Dossier:
        """Return the dossier for a path, id, UUID, letter number, or a beginning of these; raises DossierError."""
        if "/" in key and os.path.isfile(path := Path(key) / REQUEST_FILE):  # noqa: PTH113 - Path's raises for long names
            return Dossier(path.parent.absolute(), office=self._office)
        wanted, shown = _comparable(key), repr(quoted(key, LONGEST_SHOWN))
        ids = self.ids()
        if wanted in ids and wanted:
            return self.dossier(wanted)
        known, _ = self.read()
        exact = [each.id for each in known if wanted in {each.uuid, _comparable(each.letter_number)}]
        begun = [each.id for each in known if each.id.startswith(wanted) or each.uuid.startswith(wanted)]
        found = (exact or begun) if wanted else []
        if len(found) == 1:
            return self.dossier(found[0])
        if found:
            raise DossierError(
                f"{shown} means {len(found)} requests: {', '.join(found[:SUGGESTIONS])}",
                hint="Write more of the id, or its last 8 digits.",
                why="no-request",
            )
        likely = similar_names(key, ids, SUGGESTIONS)
        hint = f"Near it: {', '.join(likely)}." if likely else "`liput request list --all` shows all requests."
        raise DossierError(f"No request in {self.root} is called {shown}", hint=hint, why="no-request")

    def add(self, request: Request, papers: Sequence[Paper], now: datetime, *, may_repeat: bool) -> Request:
        """Make a dossier. Raises UsageError for a known letter number unless it `may_repeat`; see `make`."""
        refuse = (lambda: None) if may_repeat else partial(self._refuse_repeated, request.letter_number)
        return self.dossier(request.id).make(request, papers, now, refuse)

    def _refuse_repeated(self, number: str) -> None:
        wanted = _comparable(number)
        for request in self.read()[0] if wanted else ():
            if _comparable(request.letter_number) == wanted:
                raise UsageError(
                    f"the request {request.id} has the letter number {number} already",
                    hint="`liput request attach` adds papers to it; --force makes another request.",
                    why="number-taken",
                )


def _comparable(text: str) -> str:
    return "".join(text.casefold().split())
