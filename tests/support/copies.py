"""Places for copies, each a real one, and packages to copy."""

import hashlib
import random
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from config.errors import CopyError
from config.settings.secrets import CopyCredentials, Secret
from config.settings.serving import CopyTarget
from recorder.archive.archive import Archive
from recorder.features.copies import copy_queue, package_copy
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.package_copy import PackageListing
from recorder.features.copies.s3 import S3Target
from recorder.features.copies.sftp import SftpTarget
from recorder.features.copies.target import CopyReason, Target
from recorder.package import bag
from recorder.package.fixity import ByteProgress, Progress, TransferThrottle
from recorder.package.metadata import Package, Recording
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, Seaweed
from tests.support.sshd import Sshd

EXTRA = "data/media/kamera-2.bin"
BUCKET = "arsip"
KINDS = ("folder", "sftp", "s3")


@dataclass(frozen=True)
class Place:
    """A place of one kind; `folder` is where its files are on this PC, None of an object store."""

    kind: str
    settings: CopyTarget
    login: CopyCredentials
    folder: Path | None = None
    server: Sshd | Seaweed | None = None

    def open(self, name: str | None = None) -> Target:
        if self.kind == "folder":
            return FolderTarget(name or self.kind, self.settings.folder)
        if self.kind == "sftp":
            return SftpTarget(name or self.kind, self.settings, self.login)
        return S3Target(name or self.kind, self.settings, self.login)

    @contextmanager
    def opened(self) -> Iterator[Target]:
        target = self.open()
        try:
            yield target
        finally:
            target.close()


def folder_place(folder: Path) -> Place:
    folder.mkdir(parents=True, exist_ok=True)
    return Place("folder", CopyTarget(url=f"file://{folder}"), CopyCredentials(), folder)


def sftp_place(server: Sshd, name: str) -> Place:
    folder = server.files / name
    folder.mkdir(parents=True, exist_ok=True)
    settings = CopyTarget(url=f"{server.url}/{name}", known_hosts=server.known_hosts)
    return Place("sftp", settings, CopyCredentials(private_key=Secret(server.login_key.read_text())), folder, server)


def s3_place(server: Seaweed, name: str, endpoint: str | None = None) -> Place:
    settings = CopyTarget(url=f"s3://{BUCKET}/{name}", endpoint=endpoint or server.endpoint)
    login = CopyCredentials(access_key=Secret(ACCESS_KEY), secret_key=Secret(SECRET_KEY))
    return Place("s3", settings, login, None, server)


def write_settings(folder: Path, *places: Place, more: str = "") -> Path:
    """Write a settings file with its file of keys for some places, called as their kinds; return it."""
    lines, keys = [more], ["[copies]"]
    for place in places:
        lines += [f"[copies.{place.kind}]", f'url = "{place.settings.url}"']
        if isinstance(place.server, Sshd):
            lines.append(f'known_hosts = "{place.settings.known_hosts}"')
            keys.append(f'sftp = {{ key_file = "{place.server.login_key}" }}')
        elif place.server:
            lines.append(f'endpoint = "{place.settings.endpoint}"')
            keys.append(f's3 = {{ access_key = "{ACCESS_KEY}", secret_key = "{SECRET_KEY}" }}')
        else:
            lines.append("must_be_mounted = false")  # tests have one disk
    (folder / "keys.toml").write_text("\n".join(keys))
    (folder / "keys.toml").chmod(0o600)
    file = folder / "liput.toml"
    file.write_text("\n".join((*lines, "")))
    return file


@contextmanager
def small_disk(at: Path, size: int = 4_000_000) -> Iterator[Path]:
    """Mount a small disk in memory."""
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


@contextmanager
def full_disk(at: Path) -> Iterator[Path]:
    """Mount a small disk in memory on which a file can be made, and nothing be written."""
    with small_disk(at) as disk:
        with suppress(OSError), (disk / "rest").open("wb", buffering=0) as rest:
            while rest.write(bytes(1 << 12)):
                pass
        yield disk


def large_package(archive: Archive, program: Path, size: int, title: str = "Rapat Besar") -> Package:
    """Return a package with a file of `size` bytes, which are the same in every run, beside its program."""
    with archives.recorded(archive, program, title) as work:
        (work.media / Path(EXTRA).name).write_bytes(random.Random(size).randbytes(size))
        return archive.seal(work, archives.FACTS)


def copy(
    package: Package, place: Place, last_version: str | None = None, progress: Progress | None = None
) -> tuple[PackageListing, int]:
    with place.opened() as target:
        return package_copy.copy_package(
            target, package.folder, place_of(package), last_version, flow=TransferThrottle(ByteProgress(0, progress))
        )


def refused(reason: CopyReason) -> pytest.RaisesExc[CopyError]:
    return pytest.raises(CopyError, check=lambda error: error.reason == reason)


def place_of(package: Package) -> str:
    return copy_queue.package_place(package.folder)


def flip(path: Path, at: int = 0) -> None:
    """Change one bit of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 0x10]))


def retitle(package: Package, title: str) -> None:
    """Correct a package as an edit does: its description is another, its media are the same."""
    recording = msgspec.json.decode((package.folder / RECORDING_FILE).read_bytes(), type=Recording)
    changed = msgspec.structs.replace(recording, title=title)
    rewrite(package.folder, RECORDING_FILE, lambda _: msgspec.json.encode(changed))


def rewrite(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a tag file, and the manifest of them to fit."""
    content = change((folder / name).read_bytes())
    (folder / name).write_bytes(content)
    listed = bag.read_manifest((folder / bag.TAG_MANIFEST_FILE).read_bytes())
    listed[name] = hashlib.sha256(content).hexdigest()
    (folder / bag.TAG_MANIFEST_FILE).write_bytes(bag.manifest_text(listed))
