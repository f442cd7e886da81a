"""Gathers the material of a report from a package or work folder: levels, thumbnails, images, documents."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, log10, sqrt
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import av.error
import msgspec
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Discard
from PIL import Image, ImageDraw, ImageFont

from config.events import Event
from config.files import read_file
from config.settings.quantities import clock_text
from devices.model.device import Device
from recorder.archive.archive import is_package_file
from recorder.model.eventlog import read_events, read_log
from recorder.package import bag
from recorder.package.keyframes import Advance, frame_image, image_jpeg, keyframes
from recorder.package.media import OPEN_SAFELY
from recorder.package.metadata import MediaFile, Recording, decode_recording
from recorder.package.request import RequestRecord
from recorder.package.work_folder import (
    CHECKS_FILE,
    DEVICES_FILE,
    EVENTS_FILE,
    LEVELS_FILE,
    POSTER_FILE,
    RECORDING_FILE,
    REQUEST_FILE,
    program_files,
)

PLOT_POINTS = 360  # points of a plot: more than its pixels on paper
LISTENED_S = 1.0  # seconds decoded at each point, at most
SILENCE_DBFS = -100.0  # the floor of levels


class SoundLevels(msgspec.Struct, frozen=True, kw_only=True):
    """Levels of the program's first sound track: RMS and peak in dBFS for every `step_s` seconds."""

    step_s: float
    rms_dbfs: tuple[float, ...] = ()
    peak_dbfs: tuple[float, ...] = ()


def read_levels(root: Path, media: Sequence[MediaFile], advance: Advance = lambda _share: None) -> SoundLevels | None:
    """Return the program's levels, or None without sound; `root` is the package's folder. Gaps are silent."""
    files = program_files(media) or media[:1]
    length_s = max((file.offset_s + file.duration_s for file in files), default=0.0)
    points = min(PLOT_POINTS, max(1, ceil(length_s)))
    step_s = length_s / points
    measured = [(0.0, 0.0)] * points
    has_sound = False
    for file in files:
        first, end = (ceil(at_s / step_s) if step_s else 0 for at_s in (file.offset_s, file.offset_s + file.duration_s))
        times = [point * step_s - file.offset_s for point in range(first, min(end, points))]
        try:
            for place, found in enumerate(_of_file(root / file.file, times, min(step_s, LISTENED_S)), first):
                measured[place], has_sound = found, True
                advance((place + 1) / points)
        except (av.error.FFmpegError, ValueError):
            continue
    if not has_sound:
        return None
    return SoundLevels(
        step_s=round(step_s, 3),
        rms_dbfs=tuple(_dbfs(rms) for rms, _ in measured),
        peak_dbfs=tuple(_dbfs(peak) for _, peak in measured),
    )


def _of_file(path: Path, times: Iterable[float], listen_s: float) -> Iterator[tuple[float, float]]:
    with av.open(path, options=OPEN_SAFELY) as container:
        if not container.streams.audio:
            raise ValueError(f"{path} holds no sound")
        stream = container.streams.audio[0]
        for other in container.streams:
            if other is not stream:
                other.discard = Discard.all
        for at_s in times:
            yield _loudness(container, stream, at_s, listen_s)


def _loudness(container: InputContainer, stream: AudioStream, at_s: float, listen_s: float) -> tuple[float, float]:
    """Return RMS and peak (1 is full scale) of `listen_s` seconds from `at_s` on; 0 if nothing decodes."""
    total, count, peak = 0.0, 0, 0.0
    try:
        for block in _decoded(container, stream, at_s, listen_s):
            total += float(np.square(block).sum())
            count += block.size
            peak = max(peak, float(np.abs(block).max(initial=0.0)))
    except av.error.FFmpegError:
        stream.codec_context.flush_buffers()
    return (sqrt(total / count) if count else 0.0), peak


def _decoded(
    container: InputContainer, stream: AudioStream, at_s: float, listen_s: float
) -> Iterator[np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    container.seek((stream.start_time or 0) + int(at_s / stream.time_base), stream=stream)
    for packet in container.demux(stream):
        for frame in packet.decode():
            if frame.time is not None and frame.time >= at_s + listen_s:
                return
            samples = frame.to_ndarray()
            scale = float(np.iinfo(str(samples.dtype)).max) if samples.dtype.kind == "i" else 1.0
            yield samples.astype(np.float64) / scale


def _dbfs(level: float) -> float:
    return round(max(SILENCE_DBFS, 20 * log10(level)), 1) if level > 0 else SILENCE_DBFS


SHEET_FILE = "data/thumbnails.jpg"
COLUMNS, ROWS = 5, 6
MOST_THUMBNAILS = COLUMNS * ROWS
CELL = 320, 180
_GAP = 8
_LINE = 24
_LEAST_STEP_S = 1.0
_SHEET_QUALITY = 82


def thumbnails_sheet(root: Path, media: Sequence[MediaFile], advance: Advance) -> bytes | None:
    """Return a JPEG of at most MOST_THUMBNAILS frames, spread evenly over the program; None if no frame decodes."""
    found = list(_thumbnails(root, media, advance))
    if not found:
        return None
    rows = -(-len(found) // COLUMNS)
    across, down = CELL[0] + _GAP, CELL[1] + _LINE + _GAP
    sheet = Image.new("RGB", (min(len(found), COLUMNS) * across + _GAP, rows * down + _GAP), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for number, (at_s, image) in enumerate(found):
        x, y = _GAP + number % COLUMNS * across, _GAP + number // COLUMNS * down
        sheet.paste("black", (x, y, x + CELL[0], y + CELL[1]))
        sheet.paste(image, (x + (CELL[0] - image.width) // 2, y + (CELL[1] - image.height) // 2))
        draw.text((x, y + CELL[1] + 3), clock_text(at_s), fill="black", font=font)
    return image_jpeg(sheet, _SHEET_QUALITY)


def _thumbnails(root: Path, media: Sequence[MediaFile], advance: Advance) -> list[tuple[float, Image.Image]]:
    files = program_files(media) or list(media[:1])
    step_s = max(_LEAST_STEP_S, sum(file.duration_s for file in files) / MOST_THUMBNAILS)
    found: list[tuple[float, Image.Image]] = []
    for file in files:
        for at_s, picture in keyframes(root / file.file, step_s, end_s=file.duration_s):
            if len(found) == MOST_THUMBNAILS:
                break
            image = frame_image(picture)
            image.thumbnail(CELL)
            found.append((file.offset_s + at_s, image))
            advance(len(found) / MOST_THUMBNAILS)
    return found


STRIP_FRAMES = 7  # frames from beginning to end
_POSTER_SIZE = 720, 405
_STRIP_SIZE = 320, 180
_QUALITY = 75


@dataclass(frozen=True, slots=True)
class ReportMaterial:
    """The content of a package; `digests` are SHA-256 of media files, `pictures` have a time and a JPEG."""

    id: str
    recording: Recording
    request: RequestRecord | None
    checks: Mapping[str, Any]
    devices: tuple[Device, ...]
    events: tuple[Event, ...]
    levels: SoundLevels | None
    digests: Mapping[str, str]
    manifest_digest: str
    poster: bytes | None
    pictures: tuple[tuple[str, bytes], ...]


def read_material(folder: Path, name: str, changed: Mapping[str, bytes] = MappingProxyType({})) -> ReportMaterial:
    """Return the material of the package in `folder`; only description and manifest must exist.

    `changed` has new content of files by path. Raises OSError, msgspec.MsgspecError or bag.BagFormatError if
    description or manifest cannot be read.
    """

    def content(path: str) -> bytes:
        return changed[path] if path in changed else read_file(folder / path)

    def read[T](path: str, kind: type[T]) -> T | None:
        """Return a decoded file; None if it is missing or invalid."""
        try:
            return msgspec.json.decode(content(path), type=kind)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None

    recording = decode_recording(content(RECORDING_FILE))
    manifest, poster = content(bag.MANIFEST_FILE), folder / POSTER_FILE
    digests = bag.read_manifest(manifest)
    return ReportMaterial(
        id=name,
        recording=recording,
        request=read(REQUEST_FILE, RequestRecord),
        checks=read(CHECKS_FILE, dict[str, Any]) or {},
        devices=read(DEVICES_FILE, tuple[Device, ...]) or (),
        events=tuple(read_events(read_log(folder / EVENTS_FILE))),
        levels=read(LEVELS_FILE, SoundLevels),
        digests={media.file: digests[media.file] for media in recording.media if media.file in digests},
        manifest_digest=hashlib.sha256(manifest).hexdigest(),
        poster=image_file(poster, _POSTER_SIZE) if is_package_file(folder, poster) else None,
        pictures=tuple(_strip(folder, recording)),
    )


def image_file(path: Path, most: tuple[int, int]) -> bytes | None:
    """Return an image file as JPEG or PNG of size `most` at most; None if it is no image."""
    try:
        with Image.open(path, formats=("JPEG", "PNG")) as image:
            image.thumbnail(most)
            if image.mode in {"RGBA", "LA", "P"}:  # a logo keeps its transparency
                content = io.BytesIO()
                image.convert("RGBA").save(content, "PNG", optimize=True)
                return content.getvalue()
            return image_jpeg(image.convert("RGB"), _QUALITY)
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _strip(folder: Path, recording: Recording) -> Iterator[tuple[str, bytes]]:
    step_s = max(recording.duration_s / STRIP_FRAMES, 0.1)
    for file in program_files(recording.media):
        if not is_package_file(folder, folder / file.file):
            continue  # a pipe, or a link to a foreign file
        before = ceil(file.offset_s / step_s - 0.5)  # frames before this file
        start_s = (before + 0.5) * step_s - file.offset_s
        for at_s, picture in keyframes(folder / file.file, step_s, start_s=start_s, end_s=file.duration_s):
            image = frame_image(picture)
            image.thumbnail(_STRIP_SIZE)
            yield clock_text(file.offset_s + at_s), image_jpeg(image, _QUALITY)
