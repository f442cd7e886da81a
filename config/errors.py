"""The error tree: everything that goes wrong and that a person can do something about.

Errors of libraries are translated into these where they enter. Neither message nor hint holds a secret.
"""

from typing import Literal

type Why = Literal[
    "",
    "missing",
    "speakers",
    "busy",
    "denied",
    "bus-full",
    "unsupported",
    "lost",
    "full",
    "unwritable",
    "read-only",
    "not-mounted",
    "vanished",
    "stalled",
]
"""What an error is about, where programs tell that apart.

    missing       nothing answers to the name or id given
    speakers      the speakers do not agree to being recorded, and nobody has said to show them all the same
    busy          another program holds the device; the message names it
    denied        this user may not open the device; the hint names the group
    bus-full      the device's USB bus has no room for its stream beside the others
    unsupported   the device offers no picture or sound that can be recorded
    lost          the device was open and has gone, or has stopped answering
    full          less space is free than the reserve asks for
    unwritable    the folder is missing, no folder, or not ours
    read-only     the file system can be read, and takes nothing
    not-mounted   the folder should be on a disk that is not mounted; what is written lies on the PC's own
    vanished      the disk was pulled out, unmounted, or its server cannot be reached
    stalled       the disk neither takes what is written to it nor says why
"""


class LiputError(Exception):
    """Something a person should hear about: one line of what happened, one of what to do."""

    exit_status = 1
    why: Why = ""

    def __init__(self, message: str, *, hint: str = "", why: Why = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if why:
            self.why = why


NO_THREAD = "can't start new thread"
"""What Python says where the system gives no further thread."""


def as_ours(error: BaseException, kind: type[LiputError] = LiputError, what: str = "", why: Why = "") -> LiputError:
    """Return `error` if it is one of ours, else one of `kind` that says that `what` failed."""
    if isinstance(error, LiputError):
        return error
    before = f"{what}: " if what else ""
    if isinstance(error, MemoryError) or NO_THREAD in str(error):
        return kind(
            f"{before}this PC has no more threads or memory to give",
            hint="close other programs; limits are those of the service (TasksMax, MemoryMax), or ulimit -u and -v",
            why=why,
        )
    return kind(f"{before}{error!r}", hint="please report this", why=why)


class UsageError(LiputError):
    """The arguments or the settings cannot be carried out as they stand."""

    exit_status = 2


class SettingsError(UsageError):
    """A settings file that cannot be read, or holds a key or value that is not one of ours."""


class SecretError(UsageError):
    """A key or a file of keys that is missing, or that other users could read."""


class DeviceError(LiputError):
    """A camera, capture card or microphone does not do what was asked of it."""


class DeviceNotFound(DeviceError):
    """No device that is plugged in answers to the name given."""

    why = "missing"


class ControlRefused(DeviceError):
    """A camera refuses a value of one of its controls; it goes on working, and its other controls with it."""


class MediaError(LiputError):
    """A file holds no media that can be read."""


class StorageError(LiputError):
    """The folder that a recording should go to cannot take it."""


class SessionError(LiputError):
    """A session that runs, or its recorder, does not do what was asked of it."""


class StateError(LiputError):
    """What Liput remembers of this PC (roles, control presets, health) cannot be read or written."""


class EncoderError(LiputError):
    """The encoder refused its settings, or failed on a picture."""


class DossierError(LiputError):
    """The papers of a request cannot be kept, read or changed as was asked."""


class CopyError(LiputError):
    """A copy cannot be made or read; `reason` is a word for scripts (recorder/features/copies/target.py)."""

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ArchiveError(LiputError):
    """The archive cannot do what was asked of it."""


class PackageNotFound(ArchiveError):
    """No package answers to the id given."""

    why = "missing"


class PackageBusy(ArchiveError):
    """Another process records into a work folder, or finishes it."""


class PackageDamaged(ArchiveError):
    """What a package holds is not what its manifests say."""
