"""The error tree: everything that goes wrong and that a person can do something about.

`docs/reference/errors.md` shows it as a tree; `./run docs` writes that page from here.

Errors of libraries are translated into these where they enter. A message says what happened and to what;
the hint says what to do. Neither ever holds a secret.
"""


class LiputError(Exception):
    """Something a person should hear about: one line of what happened, one of what to do."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


NO_THREAD = "can't start new thread"
"""What Python says where the system gives no further thread."""


def as_ours(error: BaseException, kind: type[LiputError] = LiputError, what: str = "") -> LiputError:
    """Return `error` if a person should hear about it, else one of `kind` that says so; `what` has failed with it.

    That is a mistake of ours, unless this PC has no more to give.
    """
    if isinstance(error, LiputError):
        return error
    before = f"{what}: " if what else ""
    if isinstance(error, MemoryError) or NO_THREAD in str(error):
        return kind(
            f"{before}this PC has no more threads or memory to give",
            hint="close other programs; limits are those of the service (TasksMax, MemoryMax), or ulimit -u and -v",
        )
    return kind(f"{before}{error!r}", hint="please report this")


class UsageError(LiputError):
    """The arguments or the settings cannot be carried out as they stand."""

    exit_status = 2


class SpeakersRefuse(UsageError):
    """The speakers do not agree to being recorded, and nobody has said to show them all the same."""


class PlanNotFound(UsageError):
    """No planned session answers to the id given."""


class SettingsError(UsageError):
    """A settings file that cannot be read, or holds a key or value that is not one of ours."""


class SecretError(UsageError):
    """A key or a file of keys that is missing, or that other users could read."""


class DeviceError(LiputError):
    """A camera, capture card or microphone does not do what was asked of it."""


class DeviceNotFound(DeviceError):
    """No device that is plugged in answers to the name given."""


class DeviceBusy(DeviceError):
    """Another program holds the device; the message names it."""


class DeviceAccessDenied(DeviceError):
    """This user may not open the device; the hint names the group."""


class DeviceBusFull(DeviceError):
    """The device's USB bus has no room for its stream beside the others."""


class DeviceUnsupported(DeviceError):
    """The device offers no picture or sound that can be recorded."""


class ControlRefused(DeviceError):
    """A camera refuses a value of one of its controls; it goes on working, and its other controls with it."""


class DeviceLost(DeviceError):
    """The device was open and has gone, or has stopped answering."""


class MediaError(LiputError):
    """A file holds no media that can be read."""


class StorageError(LiputError):
    """The folder that a recording should go to cannot take it."""


class StorageUnwritable(StorageError):
    """The folder is missing, not mounted, not a folder, read-only or not ours."""


class StorageNotMounted(StorageUnwritable):
    """The folder should be on a disk that is not mounted; what was written there would lie on the PC's own."""


class StorageReadOnly(StorageUnwritable):
    """The file system with the folder can be read, and takes nothing."""


class StorageFull(StorageError):
    """Less space is free than the reserve asks for."""


class StorageVanished(StorageError):
    """The disk was pulled out, unmounted, or its server cannot be reached."""


class StorageStalled(StorageError):
    """The disk neither takes what is written to it nor says why."""


class SessionError(LiputError):
    """A session that runs, or its recorder, does not do what was asked of it."""


class NoSession(SessionError):
    """No session runs of which it could be asked."""


class NetworkError(LiputError):
    """The network, or a server on it, does not do what was asked of it."""


class ServiceError(LiputError):
    """The service manager is not there, or does not do what was asked of it."""


class StateError(LiputError):
    """What Liput remembers of this PC (roles, control presets, health) cannot be read or written."""


class EncoderError(LiputError):
    """The encoder refused its settings, or failed on a picture."""


class DossierError(LiputError):
    """The papers of a request cannot be kept, read or changed as was asked."""


class RequestNotFound(DossierError):
    """No request, or more than one, answers to the id given."""


class CopyError(LiputError):
    """A copy of a package in another place cannot be made, read, or counted.

    `reason` is a word for scripts (`recorder.copies.reasons.CopyReason`).
    """

    def __init__(self, message: str, *, reason: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ArchiveError(LiputError):
    """The archive cannot do what was asked of it."""


class PackageNotFound(ArchiveError):
    """No package answers to the id given."""


class PackageBusy(ArchiveError):
    """Another process records into a work folder, or finishes it."""


class PackageDamaged(ArchiveError):
    """What a package holds is not what its manifests say."""
