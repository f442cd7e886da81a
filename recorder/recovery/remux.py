"""Copies, joins, repairs and exports media files packet by packet, without encoding again.

An MP4 that was not closed gets its index in place (`recorder/mp4/finalize.py`). Matroska and joined files are copied
aside, read back, compared packet by packet, and synced. Then the copy takes the original's place, with its modification
time.

Packets keep their times, moved to their file's place in the session. If two files overlap, the later one counts from
its first keyframe on. A gap stays a gap.
"""

import itertools
import os
import zlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import av
import av.error
import msgspec
from av.container import InputContainer
from av.stream import Stream
from av.video.stream import VideoStream

from config.errors import ArchiveError, MediaError
from config.files import open_regular
from recorder.disk.durable import DurableFiles, publishing, temporary_of
from recorder.disk.errors import storage_error
from recorder.model.marks import Mark
from recorder.model.titles import chapters, copy_made, copy_title
from recorder.mp4.boxes import read_box
from recorder.mp4.finalize import MOST_CUT_BYTES, finalize, repair_end
from recorder.package.fixity import ByteProgress, Progress, sha256
from recorder.package.media import NOT_DECODED, OPEN_SAFELY, Media, tracks
from recorder.package.metadata import Recording
from recorder.package.work_folder import program_files

if TYPE_CHECKING:
    from recorder.archive.exporting import PackageFile

BUFFER_BYTES = 1 << 20
MP4, MATROSKA = "mp4", "matroska"
CONTAINERS = {".mp4": MP4, ".m4a": MP4, ".mkv": MATROSKA, ".mka": MATROSKA, ".webm": MATROSKA}
"""The libavformat muxer for each suffix that a recorder writes."""


@dataclass(frozen=True, slots=True)
class MediaPiece:
    """A media file; `whole_bytes` of it are readable, and its time 0 is `offset_s` of the session.

    An open piece was never closed: a fragmented MP4, or Matroska without a length.
    """

    path: Path
    bytes: int
    whole_bytes: int
    is_open: bool
    offset_s: float = 0.0


def inspect_media(path: Path) -> MediaPiece:
    """Return the state of the file at `path`, with its time 0 at 0. Raises OSError."""
    size = path.stat().st_size
    kind = CONTAINERS.get(path.suffix)
    if kind == MP4:
        with path.open("rb", buffering=0) as file:
            whole = _fragments_end(file.fileno(), size)
        return MediaPiece(path, size, whole or size, whole > 0)
    return MediaPiece(path, size, size, kind == MATROSKA and size > 0 and _lacks_length(path))


def _fragments_end(descriptor: int, size: int) -> int:
    position = whole = 0
    is_inside = False
    # After a power cut, unwritten sectors hold anything, no box type.
    while (box := read_box(descriptor, position)) and box.end <= size and box.kind.isascii():
        if box.kind == b"mdat" and is_inside:
            whole = box.end
        is_inside = box.kind == b"moof" or (is_inside and box.kind != b"mdat")
        position = box.end
    return whole


def _lacks_length(path: Path) -> bool:
    try:
        with av.open(path, options=OPEN_SAFELY | NOT_DECODED) as container:
            return container.duration is None and any(packet.size > 0 for packet in container.demux())
    except (av.error.FFmpegError, ValueError):
        return False


@contextmanager
def open_piece(piece: MediaPiece, more: Mapping[str, str] = {}) -> Iterator[InputContainer]:
    """Open the readable bytes of a file, with `more` FFmpeg options. Raises av.error.FFmpegError."""
    name, options = os.fspath(piece.path), OPEN_SAFELY | dict(more)
    if piece.whole_bytes < piece.bytes:
        name = f"subfile,,start,0,end,{piece.whole_bytes},,:{name}"
        options["protocol_whitelist"] += ",subfile"
    with av.open(name, options=options, buffer_size=BUFFER_BYTES) as container:
        yield container


type Packet = av.Packet[Stream]
type Advance = Callable[[int], object]
"""Called with the bytes done since the last call; a repair counts twice a file's bytes."""
type TrackStart = tuple[float, float]
"""The start of a piece in a track of the copy: presentation and decoding time in seconds."""

LOOK_PACKETS = 5000  # the packets in which each track must begin: half a minute
SAME_S = 0.01  # the tolerance of copied times: Matroska counts milliseconds


@dataclass(slots=True)
class TrackCopy:
    """Number, checksum and times (s) of a copied track's packets; `delay_s`: the first one's pts - dts."""

    packets: int = 0
    checksum: int = 0
    first_s: float = float("inf")
    last_s: float = float("-inf")
    delay_s: float = 0.0
    end_s: float = float("-inf")

    def add(self, packet: Packet) -> None:
        self.packets += 1
        self.checksum = zlib.crc32(packet, self.checksum)
        at = _seconds(packet, packet.pts)
        if self.packets == 1 and packet.dts is not None:
            self.delay_s = at - _seconds(packet, packet.dts)
        self.first_s = min(self.first_s, at)
        self.last_s = max(self.last_s, at)
        self.end_s = max(self.end_s, at + _seconds(packet, packet.duration))

    def is_same(self, other: "TrackCopy") -> bool:
        """Return whether `other` has the same packets and times."""
        return (self.packets, self.checksum) == (other.packets, other.checksum) and (
            self.packets == 0
            or (abs(self.first_s - other.first_s) < SAME_S and abs(self.last_s - other.last_s) < SAME_S)
        )


def _count(seconds: float, stream: Media) -> int:
    base = stream.time_base
    return round(Fraction(seconds) * base.denominator / base.numerator) if base else 0


def _seconds(packet: Packet, count: int | None) -> float:
    return float((count or 0) * packet.time_base)


def has_tracks(piece: MediaPiece) -> bool:
    """Return whether a file is readable and has a video or audio track."""
    try:
        with open_piece(piece, NOT_DECODED) as container:
            return bool(tracks(container))
    except (av.error.FFmpegError, ValueError):
        return False


def join_key(piece: MediaPiece) -> tuple[object, ...]:
    """Return the properties that files to be joined must share: tracks in order, codecs and parameters."""
    try:
        with open_piece(piece) as container:
            return tuple(_form_of(stream) for stream in tracks(container))
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{piece.path} cannot be read: {error}") from None


def _form_of(stream: Media) -> tuple[object, ...]:
    context = stream.codec_context
    common = (context.name, bytes(context.extradata or b""), stream.time_base)
    if isinstance(stream, VideoStream):
        video = stream.codec_context
        return (*common, video.width, video.height, video.pix_fmt, video.color_range, video.colorspace)
    sound = stream.codec_context
    return (*common, sound.sample_rate, sound.layout.name)


def copy_packets(
    pieces: Sequence[MediaPiece],
    target: Path,
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
    container: str = MP4,
    tags: Mapping[str, str] | None = None,
    advance: Advance = lambda _: None,
) -> list[TrackCopy]:
    """Copy `pieces` of one `join_key`, in order, into a new file at `target`; return its tracks.

    `tags` are metadata for players; `advance` gets the bytes of each packet. Raises MediaError on an unreadable piece,
    StorageError if the disk fails. The file is not synced.
    """
    held: dict[int, Packet] = {}  # the last packet of each track, which is lengthened at the end
    try:
        with open_piece(pieces[0]) as template, av.open(str(target), "w", format=container) as output:
            streams = [output.add_stream_from_template(stream, opaque=True) for stream in tracks(template)]
            for original, stream in zip(tracks(template), streams, strict=True):
                copy_title(original, stream)
            copied = [TrackCopy() for _ in streams]
            copy_made(template, output)
            output.metadata.update(tags or {})
            output.start_encoding()
            for index, packet in _all_packets(pieces):
                copied[index].add(packet)
                advance(packet.size)
                packet.stream = streams[index]
                if index in held:
                    output.mux(held[index])
                held[index] = packet
            for index, packet in held.items():
                _lengthen_last(packet, copied[index])
                output.mux(packet)
            end_s = max((track.end_s for track in copied), default=0.0)
            output.set_chapters(chapters(marks, max(0.0, end_s), title))
    except av.error.FFmpegError as error:
        raise storage_error(error, target) from None
    return copied


def _all_packets(pieces: Sequence[MediaPiece]) -> Iterator[tuple[int, Packet]]:
    starts = [_track_starts(piece) for piece in pieces[1:]]
    for number, piece in enumerate(pieces):
        yield from _cut(_packets(piece, from_keyframe=number > 0), starts[number] if number < len(starts) else {})


def _lengthen_last(packet: Packet, copied: TrackCopy) -> None:
    """Lengthen the last packet of a track to the end of presentation.

    The muxer ends a track with its last packet. If that is a B-frame, the frame shown last would be cut off. The muxer
    also measures length by decoding times. If a kill took the B-frames before the last frame, that frame is decoded
    later, so that both lengths agree.
    """
    end = round(copied.end_s / packet.time_base)
    packet.duration = max(packet.duration or 0, end - (packet.pts or 0))
    if packet.dts is not None and packet.pts is not None:
        late = end - round(copied.delay_s / packet.time_base) - packet.duration
        packet.dts = max(packet.dts, min(late, packet.pts))


def _packets(piece: MediaPiece, *, from_keyframe: bool) -> Iterator[tuple[int, Packet]]:
    """Yield a piece's packets in the copy's time; with `from_keyframe` each track begins at a keyframe."""
    try:
        with open_piece(piece) as container:
            streams = tracks(container)
            number = {stream.index: index for index, stream in enumerate(streams)}
            shifts = [_count(piece.offset_s, stream) for stream in streams]
            waiting = set(range(len(streams))) if from_keyframe else set()
            for packet in container.demux(streams):
                if packet.size == 0 or packet.is_corrupt:
                    continue
                index = number[packet.stream_index]
                if index in waiting and not packet.is_keyframe:
                    continue
                waiting.discard(index)
                packet.pts = None if packet.pts is None else packet.pts + shifts[index]
                packet.dts = None if packet.dts is None else packet.dts + shifts[index]
                yield index, packet
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{piece.path} cannot be read: {error}") from None


def _track_starts(piece: MediaPiece) -> dict[int, TrackStart]:
    """Return the start of each track of a piece; a track that does not begin soon is left out."""
    found: dict[int, TrackStart] = {}
    for count, (index, packet) in enumerate(_packets(piece, from_keyframe=True)):
        if index not in found:
            dts = packet.pts if packet.dts is None else packet.dts
            found[index] = _seconds(packet, packet.pts), _seconds(packet, dts)
        if count >= LOOK_PACKETS:
            break
    return found


def _cut(packets: Iterator[tuple[int, Packet]], ends: Mapping[int, TrackStart]) -> Iterator[tuple[int, Packet]]:
    """Yield `packets` up to the next piece, in decoding order: frames behind a dropped one may need it."""
    over: set[int] = set()
    for index, packet in packets:
        end = ends.get(index)
        if end is not None and index not in over and _is_past(packet, end):
            over.add(index)
        if index not in over:
            yield index, packet
        elif over >= ends.keys():
            return


def _is_past(packet: Packet, end: TrackStart) -> bool:
    """Return whether most of a packet lies behind the start of the next piece."""
    pts_s, dts_s = end
    middle = _seconds(packet, packet.pts) + _seconds(packet, packet.duration) / 2
    return middle > pts_s or (packet.dts is not None and _seconds(packet, packet.dts) >= dts_s)


def is_same_copy(path: Path, copied: Sequence[TrackCopy], advance: Advance = lambda _: None) -> bool:
    """Return whether the file at `path` reads back as it was `copied`, and is not empty. Raises MediaError."""
    try:
        with av.open(path, options=OPEN_SAFELY, buffer_size=BUFFER_BYTES) as container:
            streams = tracks(container)
            found = {stream.index: TrackCopy() for stream in streams}
            for packet in container.demux(streams):
                if packet.size > 0:
                    found[packet.stream_index].add(packet)
                    advance(packet.size)
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{path} cannot be read: {error}") from None
    # The muxer leaves out tracks without packets.
    written, read = ([track for track in some if track.packets] for some in (copied, found.values()))
    pairs = zip(written, read, strict=False)
    return bool(written) and len(written) == len(read) and all(one.is_same(other) for one, other in pairs)


def repair_media(
    path: Path, disk: DurableFiles, *, marks: Sequence[Mark] = (), title: str = "", advance: Advance = lambda _: None
) -> None:
    """Close the file at `path` if it was left open.

    Raises MediaError if it is unreadable or its copy differs, StorageError or OSError if the disk fails. The file then
    plays as before.
    """
    piece = inspect_media(path)
    if piece.is_open and CONTAINERS[path.suffix] == MP4:
        _add_index(path, disk, marks, title, advance)
    elif piece.is_open:
        write_copy([piece], path, disk, marks=marks, title=title, advance=advance)


def _add_index(path: Path, disk: DurableFiles, marks: Sequence[Mark], title: str, advance: Advance) -> None:
    written, reached = path.stat(), 0

    def sync(descriptor: int) -> None:
        disk.begin("sync", path)
        os.fsync(descriptor)

    def scanned(position: int) -> None:
        nonlocal reached
        advance(2 * (position - reached))
        reached = position

    disk.begin("finish", path)
    descriptor = open_regular(path, os.O_RDWR)
    try:
        finalize(descriptor, path, marks=marks, title=title, sync=sync, advance=scanned)
    finally:
        os.close(descriptor)
        os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns))


def write_copy(
    pieces: Sequence[MediaPiece],
    target: Path,
    disk: DurableFiles,
    *,
    marks: Sequence[Mark],
    title: str,
    advance: Advance,
) -> None:
    """Copy `pieces` to `target`, verified, synced, with the last one's modification time. Raises as `repair_media`."""
    aside = temporary_of(target)  # sealing removes it after a kill
    written = pieces[-1].path.stat()
    disk.begin("copy", target)
    try:
        copied = copy_packets(
            pieces, aside, marks=marks, title=title, container=CONTAINERS[target.suffix], advance=advance
        )
        disk.begin("verify", target)
        if not is_same_copy(aside, copied, advance):
            raise MediaError(
                f"The copy of {target} differs from its original; the original stays",
                hint="Check the disk (smartctl -a), then run liput recover again.",
            )
        os.utime(aside, ns=(written.st_atime_ns, written.st_mtime_ns))
        disk.put(aside, target)
    finally:
        aside.unlink(missing_ok=True)
    disk.sync(target.parent)


def mend_end(path: Path) -> MediaPiece:
    """Cut off a torn last fragment of a file, and return its state. Raises StorageError, OSError."""
    if CONTAINERS.get(path.suffix) == MP4:
        before = path.stat()
        repair_end(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # keep the recorder's last write time
    return inspect_media(path)


def join_media(
    parts: Sequence[MediaPiece],
    target: Path,
    disk: DurableFiles,
    *,
    marks: Sequence[Mark] = (),
    title: str = "",
    taken: Container[str] = (),
    advance: Advance = lambda _: None,
) -> list[tuple[Path, float]]:
    """Join the parts of a session, in order, into `target`; each must be playable.

    Return the files with their start in the session's media time. A part of another `join_key` (size, codec, tracks)
    begins a new file: `program.mp4`, then `program-2.mp4`, skipping `taken` names. Times in each file begin at 0. Files
    are verified and synced before they get their names. Raises MediaError, StorageError, OSError; parts never change.
    """
    for part in parts:
        if part.bytes - part.whole_bytes > MOST_CUT_BYTES:
            raise MediaError(
                f"{part.path} is damaged; only the data before the damage could be joined",
                hint="the parts stay as they are; `liput archive seal` makes a package of each",
            )
    groups = [list(group) for _, group in itertools.groupby(parts, key=join_key)]
    starts = [group[0].offset_s for group in groups]
    further = (target.with_name(f"{target.stem}-{number}{target.suffix}") for number in itertools.count(2))
    paths = itertools.chain([target], (path for path in further if path.name not in taken))
    made = []
    for path, group, (offset_s, next_s) in zip(paths, groups, itertools.pairwise([*starts, inf]), strict=False):
        pieces = [replace(part, offset_s=part.offset_s - offset_s) for part in group]
        mine = [
            msgspec.structs.replace(mark, media_s=mark.media_s - offset_s)
            for mark in marks
            if offset_s <= mark.media_s < next_s
        ]
        write_copy(pieces, path, disk, marks=mine, title=title, advance=advance)
        made.append((path, offset_s))
    return made


def write_mp4(
    whole: "Sequence[PackageFile]", recording: Recording, target: Path, progress: Progress | None = None
) -> None:
    """Copy a package's program into a new MP4 at `target`, with chapters and title.

    `whole` lists the package's files. Packets are copied, read back and compared. Raises ArchiveError if `target`
    exists or there are several programs, PackageDamaged on a wrong checksum, StorageError if the disk fails.
    """
    described = {file.file for file in program_files(recording.media)}
    programs = [one for one in whole if one.path in described]
    if len(programs) != 1 or not isinstance(source := programs[0].source, Path):
        raise ArchiveError(
            f"{recording.title} has {len(programs)} programs, too many for one MP4",
            hint="Export it without --mp4, and use the files in data/media/.",
        )
    tally = ByteProgress(3 * programs[0].size, progress)
    tags = {"title": recording.title, "date": recording.started_at.isoformat(), "artist": recording.office}
    with publishing(target, programs[0].size) as part:
        if sha256(source, tally) != programs[0].digest:
            raise programs[0].changed()
        copied = copy_packets(
            [inspect_media(source)], part, marks=chapter_marks(recording), title=recording.title,
            tags={name: value for name, value in tags.items() if value}, advance=tally.add,
        )  # fmt: skip
        if not is_same_copy(part, copied, tally.add):
            raise ArchiveError(f"{target} does not read back as it was written", hint="Check the disk.")


def chapter_marks(recording: Recording) -> list[Mark]:
    """Return chapters and marks, without duplicates, as marks."""
    known = {(round(chapter.start_s, 1), chapter.title) for chapter in recording.chapters}
    found = [Mark(at=recording.started_at, media_s=one.start_s, text=one.title) for one in recording.chapters]
    found += (mark for mark in recording.marks if (round(mark.media_s, 1), mark.text) not in known)
    return sorted(found, key=lambda mark: mark.media_s)
