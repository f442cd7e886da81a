"""The places of the settings: opens them by name, queues copies to them, and finds the packages there.

`open_target` alone imports the library of a kind of place.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from config.errors import CopyError, PackageNotFound, SecretError
from config.settings.schema import Settings
from config.settings.secrets import copy_credentials
from devices.health.log_line import HealthLogger, discard_line
from devices.host.clock import Clock
from recorder.features.copies.copy_queue import CopyQueue
from recorder.features.copies.package_copy import LARGEST_TAG_FILE
from recorder.features.copies.target import CopyReason, Target, copy_error
from recorder.model.names import NAME, one_line, start_in_name, utf8_safe
from recorder.package.bag import TAG_MANIFEST_FILE
from recorder.package.metadata import Package, PackageState, Recording, decode_recording
from recorder.package.work_folder import RECORDING_FILE

EXTRAS = {"sftp": ("asyncssh", "sftp"), "s3": ("obstore", "s3")}
"""The library of each kind of place, and the extra that installs it."""


def open_target(settings: Settings, name: str) -> Target:
    """Connect to the place `name`. Raises UsageError for an unknown one, CopyError with the reason."""
    target = settings.copy(name)
    if target.scheme == "file":
        from recorder.features.copies.folder import FolderTarget

        own = (Path("/"), settings.archive.path) if target.must_be_mounted else ()
        return FolderTarget(name, target.folder, apart_from=own)
    try:
        login = copy_credentials(settings, name, target)
    except SecretError as error:
        raise CopyError(error.message, reason=CopyReason.NO_CREDENTIALS, hint=error.hint) from None
    try:
        if target.scheme == "sftp":
            from recorder.features.copies.sftp import SftpTarget

            return SftpTarget(name, target, login)
        from recorder.features.copies.s3 import S3Target

        return S3Target(name, target, login)
    except ImportError:
        library, extra = EXTRAS[target.scheme]
        raise copy_error(CopyReason.NOT_INSTALLED, name, f"{library}: install liput[{extra}]") from None


def settings_queue(
    settings: Settings, roots: Sequence[Path], clock: Clock, record: HealthLogger = discard_line
) -> CopyQueue:
    """Return the queue of copies from the archives at `roots` to the places of the settings."""
    return CopyQueue(roots, settings.copies, partial(open_target, settings), clock, record=record)


_PLACE = re.compile(r"(?P<place>\d{4}/\d{2}/(?P<name>[^./][^/]*))/(?P<file>.+)", re.DOTALL)
_YEAR = re.compile(r"\d{4}")
_NO_TIME = datetime.fromtimestamp(0, UTC)


def list_places(target: Target) -> dict[str, Mapping[str, int]]:
    """Return files and bytes of each package at a target, by place; hidden and unprintable names are skipped."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for year in filter(_YEAR.fullmatch, target.folders("")):  # skips lost+found, which is unreadable
        files, _ = target.walk(year)
        for path, size in files.items():
            match = _PLACE.fullmatch(f"{year}/{path}")
            if match and match["name"].isprintable():
                found[match["place"]][match["file"]] = size
    return dict(sorted(found.items()))


def list_packages(target: Target) -> list[Package]:
    """Return the packages at a target, oldest first; an incomplete copy is `UNFINISHED`."""
    return [_package(target, place, files) for place, files in list_places(target).items()]


def _package(target: Target, place: str, files: Mapping[str, int]) -> Package:
    name = utf8_safe(place.rpartition("/")[2])
    recording = _recording(target, place, files)
    state = PackageState.SEALED if recording else PackageState.DAMAGED
    if TAG_MANIFEST_FILE not in files:
        state = PackageState.UNFINISHED
    return Package(
        id=name,
        uuid=recording.uuid if recording else "",
        title=recording.title if recording else name,
        started_at=recording.started_at if recording else start_in_name(name) or _NO_TIME,
        duration_s=recording.duration_s if recording else 0.0,
        bytes=sum(files.values()), path=f"{target.name}:{place}", state=state, recording=recording or msgspec.UNSET,
    )  # fmt: skip


def _recording(target: Target, place: str, files: Mapping[str, int]) -> Recording | None:
    size = files.get(RECORDING_FILE, LARGEST_TAG_FILE)
    if size >= LARGEST_TAG_FILE:
        return None
    try:
        return decode_recording(b"".join(target.read(f"{place}/{RECORDING_FILE}", size)))
    except (msgspec.MsgspecError, UnicodeDecodeError, CopyError):
        return None


def search_packages(packages: list[Package], words: str) -> list[Package]:
    """Return the packages with all `words` in their description, also as parts of words."""
    wanted = words.casefold().split()
    return [package for package in packages if all(word in _text(package) for word in wanted)]


def _text(package: Package) -> str:
    words = [package.id, package.title]
    if recording := package.recording:
        words += [recording.office, recording.room, recording.host, *(mark.text for mark in recording.marks)]
        words += [word for chapter in recording.chapters for word in (chapter.title, chapter.text)]
        words += map(str, msgspec.to_builtins(recording.request).values()) if recording.request else ()
    return " ".join(words).casefold()


def find_place(target: Target, key: str) -> str:
    """Return the place of the package that `key` names. Raises PackageNotFound, CopyError."""
    there, wanted = list_places(target), key.lower()
    fits = [place for place in there if place.rpartition("/")[2] in {key, wanted}]
    fits = fits or [place for place, files in there.items() if _matches(target, place, files, wanted)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise PackageNotFound(
            f"{one_line(key)!r} means {len(fits)} packages at {target.name}", hint="Write more of the name."
        )
    raise PackageNotFound(
        f"No package at {target.name} is called {one_line(key)!r}",
        hint=f"`liput archive list --at {target.name}` shows all packages.",
    )


def _matches(target: Target, place: str, files: Mapping[str, int], wanted: str) -> bool:
    """Return whether a package's name or UUID begins with `wanted`; a name ends with 8 digits of the UUID."""
    name = place.rpartition("/")[2]
    if not wanted or name.startswith(wanted):
        return bool(wanted)
    ours = NAME.fullmatch(name)
    if ours is None or not ours["suffix"].startswith(wanted[: len(ours["suffix"])]):
        return False
    recording = _recording(target, place, files) if len(wanted) > len(ours["suffix"]) else None
    return recording is None or recording.uuid.startswith(wanted)
