"""Whether a session can begin anywhere: asked before a device is opened."""

from collections.abc import Sequence

from config.errors import LiputError, UsageError
from config.schema import Storage as StorageSettings
from recorder.archive.archive import Archive
from recorder.storing.mounts import MountMemory


def check_places(archives: Sequence[Archive], settings: StorageSettings, memory: MountMemory | None = None) -> None:
    """Raise what is wrong with the first of `archives` when none of them can take a session; makes nothing.

    Each is checked, so that `Archive.check` has seen it; one that cannot be written is told when the session begins.
    """
    if settings.mirror and len(archives) < 2:
        raise UsageError("a mirror needs a second folder", hint="name one in the settings: [storage] paths")
    memory = memory or MountMemory()
    first: LiputError | None = None
    for archive in archives:
        try:
            if settings.must_be_mounted:
                memory.refuse_missing(archive.root)
            archive.check()
        except LiputError as error:
            first = first or error
        else:
            return
    if first:
        raise first
