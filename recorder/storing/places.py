"""Whether a session can begin anywhere: asked before a device is opened."""

from collections.abc import Sequence
from functools import partial

from config.errors import LiputError, UsageError
from config.schema import Storage as StorageSettings
from devices.host.clock import Clock
from devices.host.deadline import DeadlineTask
from recorder.archive.archive import Archive
from recorder.storing.faults import OPEN_S, stalled
from recorder.storing.mounts import MountMemory


def check_places(
    archives: Sequence[Archive], settings: StorageSettings, clock: Clock, memory: MountMemory | None = None
) -> None:
    """Raise the fault of the first of `archives` when none of them can take a session; make nothing.

    A disk that does not answer within OPEN_S takes none. One that cannot be written is told when the session begins.
    """
    if settings.mirror and len(archives) < 2:
        raise UsageError("a mirror needs a second folder", hint="name one in the settings: [storage] paths")
    memory = memory or MountMemory()
    first: LiputError | None = None
    for archive in archives:
        try:
            asking = DeadlineTask(
                partial(_check, archive, memory if settings.must_be_mounted else None), "storage-check", clock=clock
            )
            asking.get(OPEN_S, stalled(archive.root, OPEN_S))
        except LiputError as error:
            first = first or error
        else:
            return
    if first:
        raise first


def _check(archive: Archive, memory: MountMemory | None) -> None:
    if memory:
        memory.refuse_missing(archive.root)
    archive.check()
