"""The error tree. Library errors are translated into these at their entry; no message or hint holds a secret."""

from typing import Literal

type ErrorCause = Literal[
    "failed", "usage", "settings", "secret", "device", "storage", "session", "state", "media", "encoder", "request",
    "archive", "missing", "no-device", "no-session", "no-request", "no-package", "no-plan",
    "busy", "denied", "bus-full", "unsupported", "lost", "control-refused",
    "full", "unwritable", "read-only", "not-mounted", "vanished", "stalled", "package-busy", "damaged",
    "speakers", "no-title", "not-begun", "not-ready", "ended", "recording", "not-recording", "killed", "broke-off",
    "layout", "several", "stream-there", "elsewhere", "by-it", "other-address", "session-runs", "path", "name",
    "backwards", "no-time", "past", "too-long", "closed", "token", "too-many", "too-large", "paper",
    "number-taken", "step-order", "no-drive", "taken", "no-end",
]  # fmt: skip
"""The cause of an error, for programs; config/locale/errors.json has its sentence for people."""


class LiputError(Exception):
    """An error for people: `message` says what failed, `hint` what to do about it, `about` names the thing."""

    exit_status = 1
    why: ErrorCause = "failed"

    def __init_subclass__(cls, why: ErrorCause | None = None) -> None:
        """`why`: the cause of an error of this class that is raised without one."""
        cls.why = why or cls.why

    def __init__(self, message: str, *, hint: str = "", why: ErrorCause | None = None, about: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.about = about
        self.why = why or self.why


NO_THREAD_MESSAGE = "can't start new thread"  # Python's message where the system gives no further thread


_TREE = __file__.removesuffix("config/errors.py")
_ROOTS = ("agent/", "recorder/", "capture/", "devices/", "config/")


def code_place(error: BaseException) -> str:
    """Return the innermost line of Liput's code that raised or passed `error`: " at recorder/live/flv.py:88", or ""."""
    place, trace = "", error.__traceback__
    while trace is not None:
        path = trace.tb_frame.f_code.co_filename.removeprefix(_TREE)
        if path.startswith(_ROOTS):
            place = f" at {path}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def as_liput_error(
    error: BaseException, kind: type[LiputError] = LiputError, what: str = "", why: ErrorCause | None = None
) -> LiputError:
    """Return a LiputError unchanged, and another error as one of `kind`, after the failed action, with its place."""
    if isinstance(error, LiputError):
        return error
    before = f"{what}: " if what else ""
    if isinstance(error, MemoryError) or NO_THREAD_MESSAGE in str(error):
        return kind(
            f"{before}this PC has no more threads or memory to give",
            hint="close other programs; limits are those of the service (TasksMax, MemoryMax), or ulimit -u and -v",
            why=why,
        )
    return kind(f"{before}{error!r}{code_place(error)}", hint="please report this", why=why)


class UsageError(LiputError, why="usage"):
    """The arguments or settings cannot be carried out."""

    exit_status = 2


class SettingsError(UsageError, why="settings"):
    """A settings file cannot be read, or holds an unknown key or a wrong value."""


class SecretError(UsageError, why="secret"):
    """A key or a file of keys is missing, or other users can read it."""


class DeviceError(LiputError, why="device"):
    """A camera, capture card or microphone fails or refuses."""


class DeviceNotFound(DeviceError, why="no-device"):
    """No plugged-in device has the given name."""


class ControlRefused(DeviceError, why="control-refused"):
    """A camera refuses the value of one control; its stream and other controls go on."""


class MediaError(LiputError, why="media"):
    """A file holds no readable media."""


class StorageError(LiputError, why="storage"):
    """The folder cannot take the recording."""


class SessionError(LiputError, why="session"):
    """A running session or its recorder refuses or fails."""


class StateError(LiputError, why="state"):
    """Saved state of this PC (roles, control presets, health) cannot be read or written."""


class EncoderError(LiputError, why="encoder"):
    """The encoder refused its settings, or failed on a frame."""


class DossierError(LiputError, why="request"):
    """The papers of a request cannot be stored, read or changed."""


class CopyError(LiputError):
    """A copy cannot be made or read; `reason` is a code for scripts (recorder/features/copies/target.py)."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ArchiveError(LiputError, why="archive"):
    """The archive cannot do the requested operation."""


class PackageNotFound(ArchiveError, why="no-package"):
    """No package has the given id."""


class PackageBusy(ArchiveError, why="package-busy"):
    """Another process records into a work folder, or finishes it."""


class PackageDamaged(ArchiveError, why="damaged"):
    """The content of a package differs from its manifests."""
