"""The runtime directory: clients find running recorders here, and sessions claim devices.

    RUNTIME/                    0700, ours
    ├── claims/                 a lock for each device in use
    ├── ended/ID.json           the last line of each of the last recorders that ended in order
    ├── previews/               as RUNTIME: the recorder that shows the devices while no session runs
    ├── previews.lock           locked by that recorder; shared by all others that open devices
    └── ID/                     one for each recorder, 0700
        ├── recorder.json       RecorderInfo
        ├── spec.json           its specification and settings, without addresses; 0600
        ├── control.sock        commands in, status and events out; 0600
        ├── preview.sock        JPEGs; 0600
        └── recorder.log        output of libraries

With a group of operators (recorder.running.access), RUNTIME and `ended` are 0750, ID 0710, the sockets 0660,
recorder.json and the files in `ended` 0640.

RUNTIME is gone after a restart of the PC. A recorder removes its folder when it ends in order. The folder of a killed
recorder stays until another one resumes its session and records or is armed.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from config.errors import DeviceError, LiputError, StorageError
from config.files import PrepareFile, json_text, read_json, replace_file, with_mode
from devices.host.clock import boot_id
from devices.host.process import PREVIEW_COMMAND, command_of, process_started
from recorder.model.names import session_in_name, utf8_safe
from recorder.running.access import (
    PRIVATE_FILE,
    PRIVATE_FOLDER,
    SHARED_FILE,
    SHARED_RECORDER_FOLDER,
    SHARED_RUNTIME_FOLDER,
    grant_group,
    operators_gid,
)

RUNTIME_VARIABLE = "LIPUT_RUNTIME"
RECORDER_FILE, SPEC_FILE = "recorder.json", "spec.json"
ENDED, ENDS_KEPT = "ended", 50
PREVIEWS = "previews"
CONTROL_SOCKET, PREVIEW_SOCKET, LOG_FILE = "control.sock", "preview.sock", "recorder.log"

_NEW = ".new-"


class RecorderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The identity of a recorder. `pid_started` (clock ticks since boot) and `boot_id` tell it from later processes.

    `archive` is the archive's folder, `work` the present work folder; names that are not UTF-8 are approximate.
    `live_at` and `live_clock_ns` (CLOCK_MONOTONIC) are the start of the recording. `replaces` is the id of the killed
    recorder whose session this one resumes.
    """

    id: str
    pid: int
    pid_started: int
    boot_id: str
    title: str
    archive: str
    started_at: datetime
    work: str | None = None
    live_at: datetime | None = None
    live_clock_ns: int | None = None
    replaces: str | None = None
    practice: bool = False

    @property
    def session(self) -> str | None:
        """The name of the recorded session, None before it records."""
        return session_in_name(Path(self.work).name) if self.work else None

    @property
    def is_alive(self) -> bool:
        """Whether this very process runs."""
        return is_process_alive(self.pid, self.pid_started, self.boot_id)


class RecorderFolder:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        self.control = path / CONTROL_SOCKET
        """The control socket; connect with `recorder.running.access`."""
        self.preview = path / PREVIEW_SOCKET
        self.log = path / LOG_FILE
        """The output of libraries."""
        self.spec = path / SPEC_FILE
        self._info = path / RECORDER_FILE
        self._ended = path.parent / ENDED / f"{self.id}.json"

    @property
    def last_line(self) -> bytes | None:
        """The last line of the control socket, None unless the recorder ended in order."""
        try:
            return self._ended.read_bytes()
        except OSError:
            return None

    @property
    def has_ended(self) -> bool:
        """Whether the recorder ended in order."""
        return self._ended.exists()

    def info(self) -> RecorderInfo | None:
        """Return the recorder's identity; None if unreadable, as while the folder is removed."""
        return read_json(self._info, RecorderInfo)

    def write_info(self, info: RecorderInfo) -> None:
        """Replace recorder.json atomically. Raises OSError."""
        write_file(self._info, json_text(info), operators_gid())

    def write_spec(self, spec: bytes) -> None:
        """Replace the specification for a recorder that resumes the session, atomically. Raises OSError."""
        write_file(self.spec, spec)

    def beat(self) -> None:
        """Touch recorder.json, as a sign of life."""
        with contextlib.suppress(OSError):
            os.utime(self._info)

    @property
    def last_beat_s(self) -> float:
        """The time of the last `beat` as of time.time(); 0 without the folder."""
        try:
            return self._info.stat().st_mtime
        except OSError:
            return 0.0

    def end(self, last_line: bytes) -> None:
        """Write the recorder's last line into `ended`, and remove the folder."""
        with contextlib.suppress(OSError):  # without that line the recorder counts as killed
            group = operators_gid()
            self._ended.parent.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            if group is not None:
                grant_group(self._ended.parent, group, SHARED_RUNTIME_FOLDER)
            write_file(self._ended, last_line, group)
            ends = sorted(self._ended.parent.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
            for old in ends[:-ENDS_KEPT]:
                old.unlink()
        self.remove()

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def make_recorder_folder(info: RecorderInfo, spec: bytes, *, is_preview: bool = False) -> RecorderFolder:
    """Make the folder of a recorder atomically. Raises StorageError."""
    runtime = runtime_folder(make=True)
    if is_preview:
        runtime /= PREVIEWS
        with contextlib.suppress(OSError):  # the folder in it fails then
            runtime.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    aside = RecorderFolder(runtime / f"{_NEW}{info.id}")
    try:
        aside.path.mkdir(mode=PRIVATE_FOLDER)
        if (group := operators_gid()) is not None:
            grant_group(aside.path, group, SHARED_RECORDER_FOLDER)
        aside.write_info(info)
        write_file(aside.spec, spec)
        aside.path.rename(runtime / info.id)
    except OSError as error:
        aside.remove()
        raise _refused(runtime, error) from None
    return RecorderFolder(runtime / info.id)


def new_recorder_info(title: str, archive: Path, started_at: datetime) -> RecorderInfo:
    """Return this process's identity as a recorder, with a new id."""
    started = process_started(os.getpid())
    runtime = runtime_folder(make=True)
    while (runtime / (name := os.urandom(3).hex())).exists() or (runtime / ENDED / f"{name}.json").exists():
        pass
    return RecorderInfo(
        id=name, pid=os.getpid(), pid_started=started or 0, boot_id=boot_id(), title=utf8_safe(title),
        archive=utf8_safe(str(archive)), started_at=started_at,
    )  # fmt: skip


def known_recorders(*, previews: bool = False) -> list[tuple[RecorderFolder, RecorderInfo]]:
    """Return all recorders, or `previews`, oldest first; removes the folders of previews and of others that ended."""
    try:
        runtime = runtime_folder() / PREVIEWS if previews else runtime_folder()
        names = [entry.name for entry in os.scandir(runtime) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _refused(runtime, error) from None
    found = []
    for folder in (RecorderFolder(runtime / name) for name in names):
        info, is_new = folder.info(), folder.id.startswith(_NEW)  # new: it is starting, or was killed at its start
        if info and not info.is_alive and (folder.has_ended or is_new or previews):
            folder.remove()
        elif info and not is_new:
            found.append((folder, info))
    return sorted(found, key=lambda pair: (pair[1].started_at, pair[0].id))


def ended_recorder_folder(recorder_id: str) -> RecorderFolder:
    """Return the former folder of a recorder; `last_line` works on it."""
    return RecorderFolder(_runtime_path() / Path(recorder_id).name)


def runtime_folder(*, make: bool = False) -> Path:
    """Return the runtime directory: LIPUT_RUNTIME, else the user's session's, root's, or one below /tmp.

    With `make` it is created if missing. Raises FileNotFoundError without it. Raises StorageError where others can
    write: anyone could command recorders. Another user's directory, as of a service, counts only without `make`, by
    LIPUT_RUNTIME, and for a group of ours.
    """
    path = _runtime_path()
    try:
        if make:
            _make_runtime(path)
        found = path.lstat()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _refused(path, error) from None
    is_ours = found.st_uid == os.geteuid() or (RUNTIME_VARIABLE in os.environ and not make and _is_for_our_group(found))
    if not stat.S_ISDIR(found.st_mode) or not is_ours or found.st_mode & 0o022:
        raise StorageError(
            f"{path} is no folder that only this user can write to, so no session is controlled there",
            hint=f"remove it, or name another folder in {RUNTIME_VARIABLE}",
            why="unwritable",
        )
    return path


def is_foreign_runtime() -> bool:
    """Return whether the runtime directory is another user's, as a service's. Raises StorageError."""
    try:
        return runtime_folder().lstat().st_uid != os.geteuid()
    except FileNotFoundError:
        return False


def _is_for_our_group(found: os.stat_result) -> bool:
    """Return whether another user's folder is closed to others and open to our groups; root passes."""
    groups = {os.getegid(), *os.getgroups()}
    return not found.st_mode & 0o007 and (found.st_gid in groups or os.geteuid() == 0)


def _make_runtime(path: Path) -> None:
    path.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    found = path.lstat()
    group = operators_gid()
    if group is None or not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        return
    if (found.st_gid, stat.S_IMODE(found.st_mode)) != (group, SHARED_RUNTIME_FOLDER):
        grant_group(path, group, SHARED_RUNTIME_FOLDER)


def _runtime_path() -> Path:
    if named := os.environ.get(RUNTIME_VARIABLE):
        return Path(named).absolute()
    if session := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(session) / "liput"
    if os.geteuid() == 0:
        return Path("/run/liput")
    return _below_tmp(Path(tempfile.gettempdir(), f"liput-{os.geteuid()}"))


def _below_tmp(plain: Path) -> Path:
    """Return `plain`, or a name of our own if another user owns that: anyone may create names there."""
    for path in (plain, *sorted(plain.parent.glob(f"{plain.name}-*"))):
        with contextlib.suppress(OSError):
            found = path.lstat()
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid():
                return path
    return plain.with_name(f"{plain.name}-{os.urandom(8).hex()}") if os.path.lexists(plain) else plain


def _refused(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"the runtime directory {path} cannot be used: {error.strerror}",
        hint=f"name another folder in {RUNTIME_VARIABLE}",
        why="unwritable",
    )


def write_file(path: Path, content: bytes, group: int | None = None) -> None:
    """Replace a file of the runtime directory atomically; private, or readable by `group`. Raises OSError."""
    prepare: PrepareFile = (
        with_mode(PRIVATE_FILE) if group is None else partial(grant_group, group=group, mode=SHARED_FILE)
    )
    replace_file(path, content, prepare, durable=False)  # the directory does not outlive the PC's uptime


def is_process_alive(pid: int, started: int, boot: str) -> bool:
    """Return whether process `pid`, started at `started` ticks in boot `boot`, still runs."""
    return boot == boot_id() and process_started(pid) == started


def alive_recorders(*, previews: bool = False) -> list[tuple[RecorderFolder, RecorderInfo]]:
    return [(folder, info) for folder, info in known_recorders(previews=previews) if info.is_alive]


def is_session_running() -> bool:
    """Return whether a session of this user is armed or recorded: it needs the disk and the network."""
    with contextlib.suppress(OSError, LiputError):
        return bool(alive_recorders())
    return False


def killed_recorders() -> list[RecorderFolder]:
    """Return the folders of killed recorders. Their sessions can be resumed."""
    return [folder for folder, info in known_recorders() if not info.is_alive and not folder.has_ended]


GIVES_WAY_S = 0.5  # the time that a preview has to close its devices


@contextmanager
def preview_lock() -> Iterator[None]:
    """Let this preview run until another program wants the devices. Raises DeviceError if one has them now."""
    descriptor = _open_preview_lock()
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    except OSError as error:
        os.close(descriptor)
        raise DeviceError(
            "the devices are used without a preview", hint="wait until they are free", why="busy"
        ) from error
    try:
        yield
    finally:
        os.close(descriptor)


@contextmanager
def without_preview() -> Iterator[None]:
    """End the preview, if any, and let none begin. Blocks for 2 * GIVES_WAY_S at most."""
    try:
        descriptor = _open_preview_lock()
    except LiputError:  # another user's directory; a session then says so
        yield
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            if _try_share(descriptor, 0.0):
                break
            with contextlib.suppress(ValueError, ProcessLookupError):  # it is just beginning, or has just ended
                pid = int(os.pread(descriptor, 20, 0))
                if command_of(pid) == PREVIEW_COMMAND:  # a former preview's number may be another process's now
                    os.kill(pid, number)
            _try_share(descriptor, GIVES_WAY_S)
        yield
    finally:
        os.close(descriptor)


def _open_preview_lock() -> int:
    path = runtime_folder(make=True) / f"{PREVIEWS}.lock"
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, PRIVATE_FILE)
    except OSError as error:
        raise _refused(path, error) from None


def _try_share(descriptor: int, timeout_s: float) -> bool:
    """Lock for sharing; return whether that worked within `timeout_s`. Without locks on the file system it does."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline_s:
                return False
            time.sleep(0.02)  # flock has no timeout
        except OSError:
            return True
        else:
            return True


LONGEST_NAME = 200  # the longest file name without a hash; file systems take 255 bytes


class SessionClaim(msgspec.Struct, frozen=True, kw_only=True):
    """The session that holds a device."""

    id: str
    title: str
    pid: int


class DeviceClaims:
    """Device locks of one session; `release` or the end of the process frees them."""

    def __init__(self, session: SessionClaim) -> None:
        self._session = session
        self._held: dict[str, int] = {}

    def take(self, devices: Iterable[tuple[str, str]]) -> None:
        """Lock devices, given as (id, name): all or none. Raises DeviceError with the holder's title."""
        before = set(self._held)
        try:
            for device, name in devices:
                if device not in self._held:
                    self._held[device] = self._lock(device, name)
        except BaseException:
            self._unlock(set(self._held) - before)
            raise

    def release(self) -> None:
        """Unlock all devices; idempotent."""
        self._unlock(set(self._held))

    def _unlock(self, devices: Iterable[str]) -> None:
        for device in devices:
            os.close(self._held.pop(device))

    def _lock(self, device: str, name: str) -> int:
        path = _lock_of(device, runtime_folder(make=True))
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _refused(path, error) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise self._busy_error(path, name) from None
        except OSError:
            pass  # a file system without locks: the device itself refuses a second user
        with contextlib.suppress(OSError):  # only the message needs it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, msgspec.json.encode(self._session), 0)
        return descriptor

    @staticmethod
    def _busy_error(path: Path, name: str) -> DeviceError:
        held = read_json(path, SessionClaim)
        if held is None:  # the holder is just writing its claim
            return DeviceError(
                f"{name} is used by another session", hint="liput status lists running sessions", why="busy", about=name
            )
        return DeviceError(
            f'{name} is used by the session "{held.title}" ({held.id})',
            hint=f"liput stop --session {held.id} ends that session; or choose another device",
            why="busy",
            about=name,
        )


def device_claim(device: str) -> SessionClaim | None:
    """Return the session that holds a device, None if free or unreadable."""
    try:
        path = _lock_of(device, runtime_folder())
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return read_json(path, SessionClaim)
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
