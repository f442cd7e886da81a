"""Hands over a package: its files, an excerpt without personal data, or one ZIP file.

An excerpt has its own UUID and only the files named here. A ZIP file is read back before it gets its name. Media are
stored uncompressed; private files stay private.
"""

import hashlib
import io
import stat
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO
from uuid import UUID, uuid4

import msgspec

from config.errors import ArchiveError, PackageDamaged
from config.files import json_text, read_file
from config.version import VERSION
from recorder.archive.archive import read_recording
from recorder.archive.package_draft import damaged_error, refuse_incomplete
from recorder.disk.durable import PRIVATE_MODE, publishing
from recorder.model import names
from recorder.model.session_faults import kind_and_subject
from recorder.package import bag, fixity
from recorder.package.documents import bag_info, dublin_core, premis_event, premis_lines, readme_files, software_agent
from recorder.package.fixity import ByteProgress, Progress, copy_hashed
from recorder.package.metadata import Consent, Recording
from recorder.package.work_folder import DEVICES_FILE, DUBLIN_CORE_FILE, POSTER_FILE, PREMIS_FILE, RECORDING_FILE


@dataclass(frozen=True, slots=True)
class PackageFile:
    """One file of a package: bytes, hex SHA-256, and its source, a file or the content itself."""

    path: str
    size: int
    digest: str
    source: Path | bytes

    @classmethod
    def made(cls, path: str, content: bytes) -> "PackageFile":
        return cls(path, len(content), hashlib.sha256(content).hexdigest(), content)

    @property
    def is_private(self) -> bool:
        """Whether only its owner may read it, since it holds personal data."""
        return isinstance(self.source, Path) and not stat.S_IMODE(self.source.stat().st_mode) & 0o077

    def changed(self) -> PackageDamaged:
        """Return the error of content that differs from its checksum."""
        package = self.source.parents[self.path.count("/")].name if isinstance(self.source, Path) else ""
        return damaged_error(package, f"{names.one_line(self.path)} is changed: its SHA-256 is not the one listed")

    def open(self) -> IO[bytes]:
        """Open the content for reading."""
        return io.BytesIO(self.source) if isinstance(self.source, bytes) else self.source.open("rb")


def package_files(folder: Path) -> list[PackageFile]:
    """Return all files of a package, the tag manifest last; reads no media. Raises PackageDamaged, ArchiveError."""
    refuse_incomplete(folder)
    try:
        listed = {
            path: digest
            for manifest in (bag.MANIFEST_FILE, bag.TAG_MANIFEST_FILE)
            for path, digest in bag.read_manifest(read_file(folder / manifest)).items()
        }
        sizes = fixity.walk(folder)[0]
        found = [PackageFile(path, sizes[path], digest, folder / path) for path, digest in sorted(listed.items())]
        vouching = read_file(folder / bag.TAG_MANIFEST_FILE)
    except (OSError, KeyError, bag.BagFormatError) as error:
        raise PackageDamaged(f"{folder.name} cannot be read: {error}") from None
    return [*found, PackageFile.made(bag.TAG_MANIFEST_FILE, vouching)]


def with_manifests(payload: list[PackageFile], tags: Mapping[str, bytes]) -> Iterator[PackageFile]:
    """Yield the files of a new package: `payload`, `tags`, and the manifests of both."""
    yield from payload
    digests = bag.manifest_text({one.path: one.digest for one in payload})
    made = [PackageFile.made(path, content) for path, content in {**tags, bag.MANIFEST_FILE: digests}.items()]
    yield from made
    yield PackageFile.made(bag.TAG_MANIFEST_FILE, bag.manifest_text({one.path: one.digest for one in made}))


SHARED_PAYLOAD = ("data/media/", POSTER_FILE, "data/thumbnails.jpg", "data/slides/", "data/transcript/")
"""Shared payload: the recording, as seen and heard in the room."""


def excerpt_files(folder: Path, now: datetime) -> tuple[str, list[PackageFile]]:
    """Return name and files of an excerpt; raises PackageDamaged."""
    whole = package_files(folder)
    payload = [one for one in whole if one.path.startswith(SHARED_PAYLOAD)]
    # Of the metadata: logs name accounts, and folders named after people.
    technical = {one.path: _read(one) for one in whole if one.path == DEVICES_FILE}
    recording = _without_persons(read_recording(folder), payload)
    detail = f"An excerpt of urn:uuid:{recording.excerpt_of}: letters and personal data are left out"
    redaction = premis_event(recording, "redaction", now, detail, [software_agent(VERSION)])
    paths = [*(one.path for one in payload), *technical, RECORDING_FILE, DUBLIN_CORE_FILE, PREMIS_FILE]
    tags = technical | {
        RECORDING_FILE: json_text(recording),
        DUBLIN_CORE_FILE: dublin_core(recording),
        PREMIS_FILE: premis_lines([redaction]),
        **readme_files(recording, paths),
        bag.INFO_FILE: bag_info(recording, {one.path: one.size for one in payload}, f"{now:%Y-%m-%d}"),
        bag.DECLARATION_FILE: bag.DECLARATION.encode(),
    }
    name = names.package_name(recording.title, recording.started_at, UUID(recording.uuid))
    return name, list(with_manifests(payload, tags))


def _read(content: PackageFile) -> bytes:
    with content.open() as file:
        return file.read()


def _without_persons(recording: Recording, payload: Sequence[PackageFile]) -> Recording:
    """Return the excerpt's description: the announced part of the request, and the bare state of consent."""
    request = recording.request and msgspec.structs.replace(
        recording.request, id="", letter_number="", letter_date=None, applicant=""
    )
    there = {one.path for one in payload}
    return msgspec.structs.replace(
        recording,
        uuid=str(uuid4()),
        session=None,
        copy=1,
        part=1,
        excerpt_of=recording.uuid,
        request=request,
        consent=Consent(state=recording.consent.state),
        degraded=tuple(dict.fromkeys(map(_without_place, recording.degraded))),
        additions=tuple(
            msgspec.structs.replace(one, name=Path(one.file).name, note="")
            for one in recording.additions
            if one.file in there
        ),
        chapters=tuple(
            chapter if chapter.thumbnail in there else msgspec.structs.replace(chapter, thumbnail=None)
            for chapter in recording.chapters
        ),
    )


def _without_place(reason: str) -> str:
    """Return a reason without its folder or letter, which may be named after people."""
    kind, subject = kind_and_subject(reason)
    return kind if "/" in subject else reason


_EARLIEST = (1980, 1, 1, 0, 0, 0)  # the earliest time in a ZIP file


def write_zip(
    contents: Sequence[PackageFile], root: str, target: Path, progress: Progress | None = None, *, mode: int = 0o666
) -> None:
    """Write `contents` into a new ZIP file at `target`, below a folder `root`; `mode` is the file's.

    On an error no file is left: PackageDamaged for content that differs from its checksum, ArchiveError if `target`
    exists or does not read back, StorageError.
    """
    total = sum(one.size for one in contents)
    tally = ByteProgress(2 * total, progress)
    mode = mode & PRIVATE_MODE if any(one.is_private for one in contents) else mode
    with publishing(target, total, mode=mode) as part:
        with zipfile.ZipFile(part, "w", allowZip64=True) as archive:
            for one in contents:
                _put(archive, one, root, tally)
        _read_back(part, target, contents, root, tally)


def _put(archive: zipfile.ZipFile, content: PackageFile, root: str, tally: ByteProgress) -> None:
    entry = zipfile.ZipInfo(f"{root}/{content.path}", _time_of(content))
    entry.compress_type = zipfile.ZIP_STORED if content.path.startswith(bag.PAYLOAD) else zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | (PRIVATE_MODE if content.is_private else 0o644)) << 16
    entry.file_size = content.size
    with content.open() as source, archive.open(entry, "w", force_zip64=True) as target:
        digest = copy_hashed(source, target, tally)
    if digest != content.digest:
        raise content.changed()


def _time_of(content: PackageFile) -> tuple[int, int, int, int, int, int]:
    if isinstance(content.source, bytes):
        return _EARLIEST
    local = time.localtime(content.source.stat().st_mtime)
    return max(_EARLIEST, (local.tm_year, local.tm_mon, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec))


def _read_back(path: Path, target: Path, contents: Sequence[PackageFile], root: str, tally: ByteProgress) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            if sorted(archive.namelist()) != sorted(f"{root}/{one.path}" for one in contents):
                raise ArchiveError(f"{target} differs from the written data", hint="Check the disk.")
            for one in contents:
                with archive.open(f"{root}/{one.path}") as file:
                    if copy_hashed(file, None, tally) != one.digest:
                        raise ArchiveError(f"{one.path} does not read back as it was written", hint="Check the disk.")
    except (zipfile.BadZipFile, zlib.error) as error:
        raise ArchiveError(f"{target} does not read back: {error}", hint="Check the disk.") from None
