"""A folder on an SFTP server as a place for copies, by asyncssh.

The library is asynchronous, a copy is sequential: each call runs the event loop to its end, within `stalled_s`.
"""

import asyncio
import getpass
import posixpath
import socket
import stat
import urllib.parse
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import cast

import asyncssh

from config.errors import CopyError
from config.settings.secrets import CopyCredentials
from config.settings.serving import CopyTarget
from recorder.disk.durable import temporary_name
from recorder.features.copies.target import (
    BLOCK_BYTES,
    STAGING,
    CopyReason,
    Target,
    blocks_of,
    copy_error,
    staging_folder,
    status_of,
)
from recorder.package.fixity import TransferThrottle

ROOM_BYTES = 4 * BLOCK_BYTES  # a disk with less free space counts as full: OpenSSH answers only "Failure"


class SftpTarget(Target):
    """A folder on a server. Raises CopyError from the constructor if the connection or login fails."""

    def __init__(self, name: str, settings: CopyTarget, login: CopyCredentials) -> None:
        self.name = name
        self._settings = settings
        parts = urllib.parse.urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port or 22
        self._user = urllib.parse.unquote(parts.username or "") or getpass.getuser()
        self._root = urllib.parse.unquote(parts.path)
        self._runner = asyncio.Runner()
        try:
            self._connection = self._do(self._connect(login))
            self._sftp = self._do(self._connection.start_sftp_client())
            self._refuse_missing_folder()
        except BaseException:
            self.close()
            raise

    def _connect(self, login: CopyCredentials) -> Awaitable[asyncssh.SSHClientConnection]:
        return asyncssh.connect(
            self._host, self._port, username=self._user, known_hosts=self._known_hosts(),
            client_keys=self._keys(login), password=login.password.reveal() if login.password else None,
            agent_path=None, config=None, gss_auth=False, gss_kex=False, login_timeout=0,
        )  # fmt: skip

    def _refuse_missing_folder(self) -> None:
        if not self._do(self._sftp.isdir(self._root)):
            raise copy_error(CopyReason.NO_FOLDER, self.name, self._root)

    def _known_hosts(self) -> asyncssh.SSHKnownHosts:
        path = self._settings.known_hosts or Path("~/.ssh/known_hosts").expanduser()
        try:
            return asyncssh.read_known_hosts(str(path))
        except (OSError, ValueError):
            raise copy_error(CopyReason.UNKNOWN_HOST, self.name, f"there is no list of keys {path}") from None

    def _keys(self, login: CopyCredentials) -> list[asyncssh.SSHKey] | None:
        if login.private_key is None:
            return None
        try:
            passphrase = login.passphrase.reveal() if login.passphrase else None
            return [asyncssh.import_private_key(login.private_key.reveal(), passphrase)]
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError):
            raise copy_error(CopyReason.WRONG_CREDENTIALS, self.name, "the key cannot be read") from None

    def folders(self, path: str) -> list[str]:
        """Return the folders in `path`, without links."""
        return sorted(name for name, kind, _ in self._entries(path) if kind == stat.S_IFDIR)

    def walk(self, path: str) -> tuple[dict[str, int], list[str]]:
        files: dict[str, int] = {}
        others: list[str] = []
        waiting = [""]
        while waiting:
            prefix = waiting.pop()
            for name, kind, size in self._entries(f"{path}/{prefix}"):
                if kind == stat.S_IFDIR:
                    waiting.append(f"{prefix}{name}/")
                elif kind == stat.S_IFREG:
                    files[f"{prefix}{name}"] = size
                else:
                    others.append(f"{prefix}{name}")
        return dict(sorted(files.items())), sorted(others)

    def _entries(self, path: str) -> list[tuple[str, int, int]]:
        """Return name, type and bytes of a folder's entries; none if it is missing."""

        async def listed() -> list[tuple[str, int, int]]:
            found = []
            async for entry in self._sftp.scandir(self._at(path)):
                name = entry.filename if isinstance(entry.filename, str) else entry.filename.decode(errors="replace")
                if name not in {".", ".."}:
                    found.append((name, stat.S_IFMT(entry.attrs.permissions or 0), entry.attrs.size or 0))
            return found

        try:
            return self._do(listed(), missing=True)
        except FileNotFoundError:
            return []

    def read(self, path: str, bytes_: int) -> Iterator[bytes]:
        file = self._do(self._sftp.open(self._at(path), "rb"))
        try:
            done = 0
            while done < bytes_:
                block = cast("bytes", self._do(file.read(min(BLOCK_BYTES, bytes_ - done), done)))
                if not block:
                    return
                yield block
                done += len(block)
        finally:
            with suppress(CopyError):
                self._do(file.close())

    def write(self, path: str, source: Path, flow: TransferThrottle, *, from_start: bool = False) -> int:
        """Write a file through `.NAME.part`, which a later attempt resumes."""
        folder, _, name = path.rpartition("/")
        part = f"{folder}/{temporary_name(name)}"
        self._do(self._sftp.makedirs(self._at(folder), exist_ok=True))
        status = status_of(source)
        offset = 0 if from_start else self._size(part)
        if not 0 < offset <= status.st_size:
            offset = 0
            with suppress(FileNotFoundError):
                self._do(self._sftp.remove(self._at(part)), missing=True)
        flow.tally.add(offset)
        attributes = asyncssh.SFTPAttrs(permissions=stat.S_IMODE(status.st_mode))
        file = self._do(self._sftp.open(self._at(part), "r+b" if offset else "xb", attributes))
        try:
            at = offset
            for block in blocks_of(source, offset):
                self._do(file.write(block, at))
                at += len(block)
                flow.sent(len(block))
            self._do(self._synced(file))
        finally:
            with suppress(CopyError):
                self._do(file.close())
        self._do(self._sftp.posix_rename(self._at(part), self._at(path)))
        return offset

    @staticmethod
    async def _synced(file: asyncssh.SFTPClientFile) -> None:
        with suppress(asyncssh.SFTPOpUnsupported):
            await file.fsync()

    def _size(self, path: str) -> int:
        try:
            found = self._do(self._sftp.lstat(self._at(path)), missing=True)
            return (found.size or 0) if stat.S_ISREG(found.permissions or 0) else 0
        except FileNotFoundError:
            return 0

    def remove(self, path: str) -> None:
        self._do(self._sftp.remove(self._at(path)))

    def begin(self, place: str, uuid: str) -> str:
        """Return a hidden folder, to be renamed to `place`."""
        self._do(self._sftp.makedirs(self._at(STAGING), exist_ok=True))
        if STAGING not in self.folders(""):
            raise copy_error(CopyReason.CHANGED_THERE, self.name, f"{STAGING} is a link")
        at = partial(posixpath.join, self._at(STAGING))
        return staging_folder(
            place, uuid, self.folders(STAGING),
            make=lambda name: self._do(self._sftp.mkdir(at(name))),
            owner=lambda name: self._do(self._sftp.lstat(at(name))).uid,
            remove=lambda name: self._do(self._sftp.rmdir(at(name))),
        )  # fmt: skip

    def finish(self, folder: str, place: str) -> None:
        """Rename; the server refuses an existing name."""
        if folder == place:
            return
        self._do(self._sftp.makedirs(self._at(place.rpartition("/")[0]), exist_ok=True))
        if place.rpartition("/")[2] in (name for name, _, _ in self._entries(place.rpartition("/")[0])):
            raise copy_error(CopyReason.NAME_TAKEN, self.name, place)
        self._do(self._sftp.rename(self._at(folder), self._at(place)))

    def close(self) -> None:
        """Abort the connection, without waiting for a hung server."""
        connection = getattr(self, "_connection", None)
        if connection is not None:
            connection.abort()
        self._runner.close()

    def _at(self, path: str) -> str:
        return posixpath.join(self._root, path.strip("/"))

    def _run[T](self, act: Awaitable[T]) -> T:
        """Run a call to its end, for `stalled_s` at most."""

        async def bounded() -> T:
            async with asyncio.timeout(self._settings.stalled_s):
                return await act

        return self._runner.run(bounded())

    def _do[T](self, act: Awaitable[T], *, missing: bool = False) -> T:
        """Run a call and translate its errors; with `missing`, a missing file raises FileNotFoundError."""
        try:
            return self._run(act)
        except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
            if missing:
                raise FileNotFoundError from None
            raise copy_error(CopyReason.NOT_THERE, self.name) from None
        except (asyncssh.Error, OSError, TimeoutError) as error:
            words = error.reason if isinstance(error, asyncssh.SFTPFailure) else ""  # words on a login are left out
            raise copy_error(self._reason(error), self.name, words) from None

    def _reason(self, error: Exception) -> CopyReason:
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                return reason
        if isinstance(error, asyncssh.HostKeyNotVerifiable):
            keys = asyncssh.match_known_hosts(self._known_hosts(), self._host, "", self._port)
            return CopyReason.HOST_KEY_CHANGED if any(keys[:2]) else CopyReason.UNKNOWN_HOST
        if isinstance(error, asyncssh.KeyExchangeFailed) and "host key" in error.reason:
            return CopyReason.HOST_KEY_CHANGED  # it has no key of the known type
        if isinstance(error, asyncssh.SFTPFailure) and self._is_full():
            return CopyReason.FULL
        return CopyReason.FAILED

    def _is_full(self) -> bool:
        try:
            disk = self._run(self._sftp.statvfs(self._root))
        except (asyncssh.Error, OSError, TimeoutError):
            return False
        return disk.bavail * (disk.frsize or disk.bsize) < ROOM_BYTES


_REASONS: tuple[tuple[type[Exception] | tuple[type[Exception], ...], CopyReason], ...] = (
    (asyncssh.PermissionDenied, CopyReason.WRONG_CREDENTIALS),
    ((asyncssh.SFTPPermissionDenied, asyncssh.SFTPWriteProtect), CopyReason.NOT_ALLOWED),
    ((asyncssh.SFTPNoSpaceOnFilesystem, asyncssh.SFTPQuotaExceeded), CopyReason.FULL),
    (ConnectionRefusedError, CopyReason.REFUSED),
    (socket.gaierror, CopyReason.UNREACHABLE),
    (TimeoutError, CopyReason.TIMEOUT),
    (
        (asyncssh.ConnectionLost, asyncssh.SFTPConnectionLost, asyncssh.SFTPNoConnection, ConnectionError),
        CopyReason.CONNECTION_LOST,
    ),
)
