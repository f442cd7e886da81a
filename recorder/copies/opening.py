"""The place for copies that a name of the settings means, opened; the library of its kind is imported here only."""

from pathlib import Path

from config.errors import CopyError, SecretError
from config.key_tables import login_for
from config.schema import Settings
from recorder.copies.reasons import CopyReason, copy_error
from recorder.copies.target import Target

EXTRAS = {"sftp": ("asyncssh", "sftp"), "s3": ("obstore", "s3")}
"""Which library a kind of place needs, and which extra of Liput's brings it."""


def open_target(settings: Settings, name: str) -> Target:
    """Return the place `name`, reached and logged in; raises UsageError where none is set, CopyError with a reason."""
    target = settings.copy(name)
    if target.scheme == "file":
        from recorder.copies.folder import FolderTarget

        own = (Path("/"), settings.archive.path) if target.must_be_mounted else ()
        return FolderTarget(name, target.folder, apart_from=own)
    try:
        login = login_for(settings, name, target)
    except SecretError as error:
        raise CopyError(error.message, reason=CopyReason.NO_CREDENTIALS, hint=error.hint) from None
    try:
        if target.scheme == "sftp":
            from recorder.copies.sftp import SftpTarget

            return SftpTarget(name, target, login)
        from recorder.copies.s3 import S3Target

        return S3Target(name, target, login)
    except ImportError:
        library, extra = EXTRAS[target.scheme]
        raise copy_error(CopyReason.NOT_INSTALLED, name, f"{library}: install liput[{extra}]") from None
