"""What a report is made of: everything that a package, or a work folder that becomes one, says about its session."""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
from PIL import Image

from config.files import json_lines, read_file
from config.quantities import clock_text
from devices.model import Device
from recorder.archive import bag
from recorder.archive.catalog import is_inside
from recorder.archive.model import Recording, decode_recording
from recorder.archive.work import (
    CHECKS_FILE,
    DEVICES_FILE,
    EVENTS_FILE,
    LEVELS_FILE,
    POSTER_FILE,
    RECORDING_FILE,
    REQUEST_FILE,
    program_files,
)
from recorder.dossier.model import RequestRecord
from recorder.report.levels import Levels
from recorder.slides.keyframes import keyframes
from recorder.slides.sights import jpeg, to_image

STRIP = 7
"""Pictures from beginning to end."""
_POSTER_SIZE = 720, 405
_STRIP_SIZE = 320, 180
_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Material:
    """What a package says; `digests` has the SHA-256 of each file of media, `pictures` a time and a JPEG each."""

    id: str
    recording: Recording
    request: RequestRecord | None
    checks: Mapping[str, Any]
    devices: tuple[Device, ...]
    events: tuple[Mapping[str, Any], ...]
    levels: Levels | None
    digests: Mapping[str, str]
    manifest_digest: str
    poster: bytes | None
    pictures: tuple[tuple[str, bytes], ...]


def gather(folder: Path, name: str, changed: Mapping[str, bytes] = MappingProxyType({})) -> Material:
    """Return what the package in `folder`, called `name`, says; only its description and manifest have to be there.

    `changed` has files that are about to be other ones, by their paths in the package. Raises OSError,
    msgspec.MsgspecError or bag.BagFormatError where the description or the manifest cannot be read.
    """

    def content(path: str) -> bytes:
        return changed[path] if path in changed else read_file(folder / path)

    def read[T](path: str, kind: type[T]) -> T | None:
        """Return what a file says; None for one that is not there, or says nothing that is known."""
        try:
            return msgspec.json.decode(content(path), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    recording = decode_recording(content(RECORDING_FILE))
    manifest = content(bag.MANIFEST_FILE)
    digests = bag.read_manifest(manifest)
    return Material(
        id=name,
        recording=recording,
        request=read(REQUEST_FILE, RequestRecord),
        checks=read(CHECKS_FILE, dict[str, Any]) or {},
        devices=read(DEVICES_FILE, tuple[Device, ...]) or (),
        events=tuple(read_events(folder / EVENTS_FILE)),
        levels=read(LEVELS_FILE, Levels),
        digests={media.file: digests[media.file] for media in recording.media if media.file in digests},
        manifest_digest=hashlib.sha256(manifest).hexdigest(),
        poster=_poster(folder),
        pictures=tuple(_strip(folder, recording)),
    )


def read_events(path: Path) -> Iterator[Mapping[str, Any]]:
    """Give the lines of an event log; what is none is passed over."""
    try:
        content = read_file(path, cut=True)
    except OSError:
        return
    yield from json_lines(content, dict[str, Any])


def picture_of(path: Path, most: tuple[int, int]) -> bytes | None:
    """Return the picture file at `path`, as a JPEG or PNG no larger than `most`; None for what is no picture."""
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            image.thumbnail(most)
            if image.mode in {"RGBA", "LA", "P"}:  # a logo is drawn on what is behind it
                content = io.BytesIO()
                image.convert("RGBA").save(content, "PNG", optimize=True)
                return content.getvalue()
            return jpeg(image.convert("RGB"), _QUALITY)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _poster(folder: Path) -> bytes | None:
    path = folder / POSTER_FILE
    return picture_of(path, _POSTER_SIZE) if is_inside(folder, path) else None


def _strip(folder: Path, recording: Recording) -> Iterator[tuple[str, bytes]]:
    """Give pictures from beginning to end of the program, each with its time."""
    step_s = max(recording.duration_s / STRIP, 0.1)
    for file in program_files(recording.media):
        if not is_inside(folder, folder / file.file):
            continue  # a pipe, or somebody else's film
        before = ceil(file.offset_s / step_s - 0.5)  # of the pictures, those whose time lies before this file
        start_s = (before + 0.5) * step_s - file.offset_s
        for at_s, picture in keyframes(folder / file.file, step_s, start_s=start_s, end_s=file.duration_s):
            image = to_image(picture)
            image.thumbnail(_STRIP_SIZE)
            yield clock_text(file.offset_s + at_s), jpeg(image, _QUALITY)
