"""Removing the media of a package here that has enough copies elsewhere; what describes it stays.

What is left is a bag with holes, as RFC 8493 has it: `fetch.txt` says where each file is that is not here. It is
written before anything is removed, so a kill leaves a package that says where its media are, here too or not.
"""

import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

from config.errors import ArchiveError
from config.files import make_file
from config.settings.serving import CopyTarget
from recorder.disk.durable import Disk
from recorder.disk.errors import storage_error
from recorder.disk.locking import locked
from recorder.disk.mounts import whole_disk
from recorder.features.copies.copying import MEDIA, Item, listed_here, listed_there, whole_there
from recorder.features.copies.target import CopyReason, Target, copy_error, refuse_archive, refuse_links, refuse_same
from recorder.package import bag
from recorder.package.fixity import Flow
from recorder.package.verification import verify


def prune(
    folder: Path, place: str, targets: Sequence[tuple[Target, CopyTarget]], disk: Disk, go_on: Callable[[], None]
) -> int:
    """Remove the media of the package at `folder` once a whole copy of its present state was read at each of `targets`.

    Return the bytes that were removed. Raises CopyError where a copy is not whole, or of another state, or not apart
    from the archive and the other copies, or the package is damaged here, and nothing is removed then; ArchiveError
    without `targets`; PackageBusy, PackageNotFound, StorageError.
    """
    if not targets:
        raise ArchiveError(f"{folder.name} has no copy", hint="`liput archive copy` makes one.")
    with locked(folder, alone=True):
        try:
            _refuse_near(folder, [target for target, _ in targets])
            listing = listed_here(folder)
            if wrong := verify(folder):
                raise copy_error(CopyReason.DAMAGED_HERE, folder.name, wrong[0].file)
            for target, _ in targets:
                copy = whole_there(target, place, Flow(go_on=go_on))
                refuse_links(target, place)
                if copy.version != listing.version:
                    raise copy_error(CopyReason.CHANGED_THERE, target.name, place)
            for target, _ in targets:  # hours may have gone by since the first was read
                _refuse_changed(target, place, listing.version)
            # What is in the copy, for an attempt that was stopped may have removed a part of it here.
            media = [item for item in copy.items if item.path.startswith(MEDIA)]
            left = [item for item in media if (folder / item.path).exists()]
            _remove(folder, left, _fetch_text(media, place, targets[0][1]), disk)
        except OSError as error:
            raise storage_error(error, folder) from None
        return sum(item.bytes for item in left)


def _refuse_near(folder: Path, targets: Sequence[Target]) -> None:
    """Raise CopyError where a copy would be lost with another, or with the package here, or is the package here."""
    root = folder.parents[2]
    here = whole_disk(root.stat().st_dev)
    for target in targets:
        refuse_archive(target, root, "/".join(folder.parts[-3:-1]))
        if target.disk == here:
            raise copy_error(CopyReason.SAME_PLACE, target.name, f"it is on the disk of the archive {root}")
    refuse_same(targets)


def _refuse_changed(target: Target, place: str, version: str) -> None:
    listing = listed_there(target, place)
    if listing.version != version or listing.problems:
        raise copy_error(CopyReason.CHANGED_THERE, target.name, place)


def _remove(folder: Path, media: Sequence[Item], fetch: bytes, disk: Disk) -> None:
    aside = folder.with_name(f".{folder.name}.fetch")  # half of it would be one file too many in the package
    disk.begin("write", aside)
    with open(make_file(aside, 0o666), "wb") as file:  # noqa: PTH123 - no link is followed
        file.write(fetch)
    disk.put(aside, folder / bag.FETCH_FILE)
    disk.sync(folder)
    for item in media:
        disk.unlink(folder / item.path)


def _fetch_text(media: Sequence[Item], place: str, settings: CopyTarget) -> bytes:
    url = settings.url.replace(" ", "%20")  # a blank ends an address there
    lines = (
        f"{url}/{urllib.parse.quote(f'{place}/{item.path}')} {item.bytes} {bag.encode_path(item.path)}\n"
        for item in media
    )
    return "".join(lines).encode()
