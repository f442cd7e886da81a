"""The error tree. Library errors are translated into these at their entry; no message or hint holds a secret."""

from typing import Literal

type ErrorCause = Literal[
    "", "missing", "speakers", "busy", "denied", "bus-full", "unsupported", "lost",
    "full", "unwritable", "read-only", "not-mounted", "vanished", "stalled",
]  # fmt: skip
"""The cause of an error, for programs.

    missing       nothing has the given name or id
    speakers      the speakers do not agree to being recorded, and nobody has confirmed to show them
    busy          another program holds the device; the message names it
    denied        this user may not open the device; the hint names the group
    bus-full      the device's USB bus has no room for its stream beside the others
    unsupported   the device offers no picture or sound that can be recorded
    lost          the open device has gone, or has stopped answering
    full          less space is free than the reserve
    unwritable    the path is missing, no folder, or not writable for this user
    read-only     the file system is read-only
    not-mounted   the disk of the folder is not mounted; a recording there would fill the PC's own disk
    vanished      the disk was pulled out, unmounted, or its server cannot be reached
    stalled       a write to the disk neither ends nor fails
"""


class LiputError(Exception):
    """An error for people: `message` says what failed, `hint` what to do about it."""

    exit_status = 1
    why: ErrorCause = ""

    def __init__(self, message: str, *, hint: str = "", why: ErrorCause = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if why:
            self.why = why


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
    error: BaseException, kind: type[LiputError] = LiputError, what: str = "", why: ErrorCause = ""
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


class UsageError(LiputError):
    """The arguments or settings cannot be carried out."""

    exit_status = 2


class SettingsError(UsageError):
    """A settings file cannot be read, or holds an unknown key or a wrong value."""


class SecretError(UsageError):
    """A key or a file of keys is missing, or other users can read it."""


class DeviceError(LiputError):
    """A camera, capture card or microphone fails or refuses."""


class DeviceNotFound(DeviceError):
    """No plugged-in device has the given name."""

    why = "missing"


class ControlRefused(DeviceError):
    """A camera refuses the value of one control; its stream and other controls go on."""


class MediaError(LiputError):
    """A file holds no readable media."""


class StorageError(LiputError):
    """The folder cannot take the recording."""


class SessionError(LiputError):
    """A running session or its recorder refuses or fails."""


class StateError(LiputError):
    """Saved state of this PC (roles, control presets, health) cannot be read or written."""


class EncoderError(LiputError):
    """The encoder refused its settings, or failed on a frame."""


class DossierError(LiputError):
    """The papers of a request cannot be stored, read or changed."""


class CopyError(LiputError):
    """A copy cannot be made or read; `reason` is a code for scripts (recorder/features/copies/target.py)."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ArchiveError(LiputError):
    """The archive cannot do the requested operation."""


class PackageNotFound(ArchiveError):
    """No package has the given id."""

    why = "missing"


class PackageBusy(ArchiveError):
    """Another process records into a work folder, or finishes it."""


class PackageDamaged(ArchiveError):
    """The content of a package differs from its manifests."""
