"""Which session has which device, before it is opened: a lock on a file for each, which the kernel frees at the end."""

import contextlib
import fcntl
import hashlib
import os
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

import msgspec

from config.errors import DeviceError, StorageError
from recorder.running.directory import runtime_folder

LONGEST_NAME = 200
"""File systems take 255 bytes."""
LONGEST_CLAIM = 65_536


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """Which session has a device."""

    id: str
    title: str
    pid: int


class Claims:
    """The devices of one session; they are free again after `release`, and when the process ends."""

    def __init__(self, session: Claim, folder: Path | None = None) -> None:
        self._session = session
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, devices: Iterable[tuple[str, str]]) -> None:
        """Take devices, each an id and a name; all or none. Raises DeviceError with the session that has one."""
        before = set(self._held)
        try:
            for device, name in devices:
                if device not in self._held:
                    self._held[device] = self._take(device, name)
        except BaseException:
            self._let_go(set(self._held) - before)
            raise

    def release(self) -> None:
        """Leave them to others; idempotent."""
        self._let_go(set(self._held))

    def _let_go(self, devices: Iterable[str]) -> None:
        for device in devices:
            os.close(self._held.pop(device))

    def _take(self, device: str, name: str) -> int:
        path = self._path(device)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StorageError(
                f"{path} cannot be written: {error.strerror}",
                hint="see `liput --help` for LIPUT_RUNTIME",
                why="unwritable",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._busy(path, name) from None
        except OSError:
            pass  # a file system without locks: the device itself refuses a second one
        with contextlib.suppress(OSError):  # for the sentence only
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(self._session), 0)
        return descriptor

    def _path(self, device: str) -> Path:
        return _lock_of(device, self._folder or runtime_folder(make=True))

    @staticmethod
    def _busy(path: Path, name: str) -> DeviceError:
        try:
            held = msgspec.json.decode(path.read_bytes(), type=Claim)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):  # it has just been taken, and says so in a moment
            return DeviceError(
                f"{name} is used by another session", hint="liput status says which sessions run", why="busy"
            )
        return DeviceError(
            f'{name} is used by the session "{held.title}" ({held.id})',
            hint=f"liput stop --session {held.id} ends that session; or choose another device",
            why="busy",
        )


def claimed(device: str) -> Claim | None:
    """Return which session has the device of an id, None where none has or none that can be read."""
    try:
        descriptor = os.open(_lock_of(device, runtime_folder()), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return msgspec.json.decode(os.pread(descriptor, LONGEST_CLAIM, 0), type=Claim)
    except OSError:
        pass  # a file system without locks tells nothing
    finally:
        os.close(descriptor)
    return None


def _lock_of(device: str, folder: Path) -> Path:
    name = urllib.parse.quote(device, safe=":@+", errors="surrogateescape")
    if len(name) > LONGEST_NAME:
        name = hashlib.sha256(name.encode()).hexdigest()
    return folder / "claims" / f"{name}.lock"
