"""Removes the media of a package that has enough copies elsewhere; its description stays.

The rest is a bag with holes (RFC 8493): `fetch.txt` has the address of each missing file. It is written first, so a
package names its media's places after a kill, too.
"""

import urllib.parse
from collections.abc import Callable, Sequence
from pathlib import Path

from config.errors import ArchiveError
from config.files import create_file
from config.settings.serving import CopyTarget
from recorder.disk.durable import DurableFiles
from recorder.disk.errors import storage_errors
from recorder.disk.mounts import whole_disk
from recorder.disk.package_locks import package_lock
from recorder.features.copies.package_copy import MEDIA, list_local, list_remote, list_whole_remote
from recorder.features.copies.target import CopyReason, Target, copy_error, refuse_archive, refuse_links, refuse_same
from recorder.package import bag
from recorder.package.fixity import TransferThrottle
from recorder.package.verification import verify_package


def prune(
    folder: Path,
    place: str,
    targets: Sequence[tuple[Target, CopyTarget]],
    disk: DurableFiles,
    go_on: Callable[[], None],
) -> int:
    """Remove the media of the package at `folder`, after reading a whole copy at each target; return their bytes.

    Raises CopyError if the package is damaged, or if a copy is damaged, of another version, or on a disk with another
    copy or the archive. Raises ArchiveError without `targets`, PackageBusy, PackageNotFound, StorageError. Then nothing
    is removed.
    """
    if not targets:
        raise ArchiveError(f"{folder.name} has no copy", hint="`liput archive copy` makes one.")
    with package_lock(folder, alone=True), storage_errors(folder):
        _refuse_near(folder, [target for target, _ in targets])
        listing = list_local(folder)
        if wrong := verify_package(folder):
            raise copy_error(CopyReason.DAMAGED_HERE, folder.name, wrong[0].file)
        for target, _ in targets:
            copy = list_whole_remote(target, place, TransferThrottle(go_on=go_on))
            refuse_links(target, place)
            if copy.version != listing.version:
                raise copy_error(CopyReason.CHANGED_THERE, target.name, place)
        for target, _ in targets:  # reading may have taken hours
            now = list_remote(target, place)
            if now.version != listing.version or now.problems:
                raise copy_error(CopyReason.CHANGED_THERE, target.name, place)
        # From the copy's list: a stopped attempt may have removed media here.
        media = [path for path in copy.paths if path.startswith(MEDIA)]
        left = [path for path in media if (folder / path).exists()]
        url = targets[0][1].url.replace(" ", "%20")  # a space ends an address there
        fetch = "".join(
            f"{url}/{urllib.parse.quote(f'{place}/{path}')} {copy.files[path]} {bag.encode_path(path)}\n"
            for path in media
        )
        _remove(folder, left, fetch.encode(), disk)
        return sum(copy.files[path] for path in left)


def _refuse_near(folder: Path, targets: Sequence[Target]) -> None:
    """Raise CopyError if a copy shares a disk with another or with the package, or is the package."""
    root = folder.parents[2]
    here = whole_disk(root.stat().st_dev)
    for target in targets:
        refuse_archive(target, root, "/".join(folder.parts[-3:-1]))
        if target.disk == here:
            raise copy_error(CopyReason.SAME_PLACE, target.name, f"it is on the disk of the archive {root}")
    refuse_same(targets)


def _remove(folder: Path, media: Sequence[str], fetch: bytes, disk: DurableFiles) -> None:
    aside = folder.with_name(f".{folder.name}.fetch")  # written aside: half of it would damage the package
    disk.begin("write", aside)
    with open(create_file(aside, 0o666), "wb") as file:  # noqa: PTH123 - no link is followed
        file.write(fetch)
    disk.put(aside, folder / bag.FETCH_FILE)
    disk.sync(folder)
    for path in media:
        disk.unlink(folder / path)
