"""The metadata files of a package, and the archive's answers, as msgspec structs.

`Recording` is `metadata/recording.json`, which describes the package; `./run docs` makes the JSON Schema beside this
module from it. New fields keep the version; renaming or retyping a field makes a new one.
"""

import contextlib
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from devices.model.device import Device
from recorder.model.marks import Count, Mark, Moment, Seconds, Uuid
from recorder.package.request import CarriedRequest

NEWEST = 1  # the newest known version of recording.json and begun.json
INTERRUPTED = "interrupted"  # a degraded reason: the recorder died before it described the recording
UNREADABLE = "media-unreadable"  # a degraded reason: a media file cannot be read
SLIDES_FOLDER = "data/slides"  # the folder of slide images in a package


class FrameArea(msgspec.Struct, frozen=True, kw_only=True):
    """A part of a frame: left upper corner and size, from 0 to 1."""

    x: float = 0.0
    y: float = 0.0
    width: float = 1.0
    height: float = 1.0


class SlidesView(msgspec.Struct, frozen=True, kw_only=True):
    """The area of slides in a layout, and the areas that cover it."""

    area: FrameArea = FrameArea()
    covered: tuple[FrameArea, ...] = ()


class SlideOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Slides to find, and their texts to read (config/settings/schema.py).

    `inputs` are subjects in the session's log. `isolated` are stems of iso files with slides only. `views` are the
    program's layouts with slides, `layout` is the first one shown.
    """

    inputs: tuple[str, ...] = ()
    isolated: tuple[str, ...] = ()
    layout: str = ""
    views: Mapping[str, SlidesView] = {}
    least_s: float = 5.0
    languages: tuple[str, ...] = ()
    text_s: float = 0.0


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The look of the session's report (config/settings/schema.py); `logo` is a file on this PC."""

    pdf: bool = True
    address: tuple[str, ...] = ()
    logo: str = ""
    signers: tuple[str, ...] = ()


class SealOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The derived files to make, noted in `begun.json`; None for none of a kind. `language` is `id` or `en`."""

    language: str = "id"
    slides: SlideOptions | None = None
    report: ReportOptions | None = None


class DerivedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/derived.json`: slides, slides with text, failures, and options to make the report again."""

    slides: int = 0
    slides_read: int = 0
    language: str = "id"
    report: ReportOptions | None = None
    problems: tuple[str, ...] = ()


class VideoTrack(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="video"):
    """One video track; sizes in pixels, `rate` as FFmpeg's fraction, colours by FFmpeg's names."""

    index: Count
    codec: str
    profile: str | None
    width: Count
    height: Count
    rate: str
    bit_rate: Count
    pixel_format: str
    color_range: str
    color_matrix: str
    color_primaries: str
    color_transfer: str
    frames: Count
    duration_s: Seconds


class AudioTrack(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="audio"):
    """One audio track; `sample_rate` in hertz, `bit_rate` in bits a second, `frames` in coded frames."""

    index: Count
    codec: str
    profile: str | None
    sample_rate: Count
    channels: Count
    layout: str
    bit_rate: Count
    frames: Count
    duration_s: Seconds


class MediaFile(msgspec.Struct, frozen=True, kw_only=True):
    """One media file; `file` is its path in the package, `problem` the reason if it could not be read.

    `offset_s` is the media time at which the file begins: above 0 only where parts could not be joined into one file.
    """

    file: str
    container: str
    bytes: Count
    duration_s: Seconds
    tracks: tuple[VideoTrack | AudioTrack, ...]
    problem: str | None = None
    offset_s: Seconds = 0.0


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """The package in the terms of the office's records schedule.

    `classification` is the code of the file plan (kode klasifikasi), `security` the security class. `retention_active`
    and `retention_inactive` are periods, `disposition` the final action (nasib akhir). Liput itself deletes nothing.
    """

    classification: str = ""
    security: str = ""
    retention_active: str = ""
    retention_inactive: str = ""
    disposition: str = ""


type ConsentState = Literal["given", "refused", "not-asked"]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """The speakers' consent to the recording, with a note and its time."""

    state: ConsentState = "not-asked"
    note: str = ""
    noted_at: Moment | None = None


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """The session at its beginning: place, devices and the names of destinations, never their addresses.

    `checked` is the output of `liput check --json` before it. `request` is the request that caused it. `wishes` are the
    derived files to make when it is sealed. `records`, `consent` and `practice` go into the package unchanged.
    """

    office: str = ""
    room: str = ""
    profile: str = ""
    destinations: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    checked: Mapping[str, Any] | None = None
    request: CarriedRequest | None = None
    wishes: SealOptions | None = None
    records: Records = Records()
    consent: Consent = Consent()
    practice: bool = False


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """A chapter from a slide or a mark; `text` is read from the slide, `thumbnail` is the path of its image."""

    start_s: Seconds
    title: str
    source: Literal["slide", "mark"]
    text: str = ""
    thumbnail: str | None = None


def sorted_chapters(chapters: Iterable[Chapter]) -> tuple[Chapter, ...]:
    return tuple(sorted(chapters, key=lambda chapter: chapter.start_s))


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The searchable part of the request; `metadata/request.json` has all of it."""

    id: str
    letter_number: str = ""
    letter_date: date | None = None
    applicant: str = ""
    unit: str = ""
    event: str = ""
    place: str = ""


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """A file added after the session: its path in the package, its former name, size and time."""

    file: str
    name: str
    bytes: Count
    added_at: Moment
    note: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A span of media time that this recording lacks; `part` has it in another package, or is null."""

    start_s: Seconds
    duration_s: Seconds
    reason: str
    part: Annotated[int, Meta(ge=1)] | None = None


class PartFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a session in media time; `copy` counts the copies of a mirrored recording."""

    part: Annotated[int, Meta(ge=1)]
    offset_s: Seconds
    duration_s: Seconds
    copy: Annotated[int, Meta(ge=1)] = 1

    @property
    def end_s(self) -> float:
        return self.offset_s + self.duration_s


class RecordingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The session at its end; a count is None if its recorder died.

    `degraded` has the reasons of the result line of `liput record --json`. `offsets` are the media times of files that
    do not begin at 0, by name. `destinations` are those added during the session. Loudness (EBU R128) is None for
    silence, or if its recorder died.
    """

    ended_at: Moment
    dropped: Count | None = 0
    repeated: Count | None = 0
    degraded: tuple[str, ...] = ()
    marks: tuple[Mark, ...] = ()
    gaps: tuple[Gap, ...] = ()
    parts: tuple[PartFacts, ...] = ()
    offsets: dict[str, float] = {}
    loudness_lufs: float | None = None
    loudness_range_lu: float | None = None
    destinations: tuple[str, ...] = ()
    title: str = ""  # the last one that people gave it; "" for that of the beginning


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/recording.json`: the recording, its time and place, and its faults.

    `frames` and `duration_s` count the program. `dropped` and `repeated` are null if the recorder died. `gaps` are the
    spans that it lacks. `parts` is empty if one recorder recorded all of it in one place. `loudness_lufs` is the
    program's integrated loudness, `loudness_range_lu` its range (EBU R128); both are null if unknown or silent. Several
    recorders give the mean by energy, and no range. `additions` were added later. `excerpt_of` is the UUID of the full
    package of an excerpt without letters and personal data. `practice` marks a session that was no event, which counts
    for no request. A session becomes several packages if it is mirrored
    (`copy`), or if its parts could not be joined. `part` is the first part in this package. `session` is the session's
    UUID, null if it equals `uuid`.
    """

    version: Literal[1] = 1
    uuid: Uuid
    session: Uuid | None = None
    copy: Annotated[int, Meta(ge=1)] = 1
    part: Annotated[int, Meta(ge=1)] = 1
    title: str
    started_at: Moment
    ended_at: Moment
    duration_s: Seconds
    frames: Count
    dropped: Count | None
    repeated: Count | None
    degraded: tuple[str, ...]
    office: str
    room: str
    host: str
    profile: str
    destinations: tuple[str, ...]
    media: tuple[MediaFile, ...]
    software: dict[str, str]
    marks: tuple[Mark, ...] = ()
    gaps: tuple[Gap, ...] = ()
    parts: tuple[PartFacts, ...] = ()
    loudness_lufs: float | None = None
    loudness_range_lu: float | None = None
    chapters: tuple[Chapter, ...] = ()
    request: RequestFacts | None = None
    records: Records = Records()
    consent: Consent = Consent()
    additions: tuple[Addition, ...] = ()
    excerpt_of: Uuid | None = None
    practice: bool = False

    @property
    def of_session(self) -> str:
        return self.session or self.uuid

    @property
    def part_numbers(self) -> frozenset[int]:
        return frozenset(part.part for part in self.parts) | {self.part}


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """`begun.json` of a work folder: another process can finish the package with it. Not part of the package.

    Each recorder or disk of a session has a work folder with the same `uuid`. `part` counts them from 1. `offset_s` is
    the session's media time at the start of the part. `boot` is the kernel's boot id: clocks of different boots cannot
    be compared. `joined` has the parts that recovery put into this folder, `facts` their facts. `copy` counts the files
    written at once (`storage.mirror`), each in its own archive and with its own parts.
    """

    version: Literal[1] = 1
    uuid: str
    title: str
    started_at: Moment
    host: str
    context: SessionContext
    part: Annotated[int, Meta(ge=1)] = 1
    offset_s: Seconds = 0.0
    boot: str = ""
    joined: tuple[int, ...] = ()
    facts: RecordingFacts | None = None
    copy: Annotated[int, Meta(ge=1)] = 1


def length_s(recordings: Iterable[Recording]) -> float:
    """Return the seconds of a session that packages of its parts cover; parts may overlap."""
    held = sorted((part.offset_s, part.end_s) for each in recordings for part in each.parts)
    total_s, until_s = 0.0, 0.0
    for start_s, end_s in held:
        total_s += max(0.0, end_s - max(start_s, until_s))
        until_s = max(until_s, end_s)
    return round(total_s, 3)


# Made before there are threads: msgspec can crash when two threads decode a type for the first time.
_RECORDING = msgspec.json.Decoder(Recording)
_BEGUN = msgspec.json.Decoder(Begun)


class NewerVersion(msgspec.ValidationError):
    """A newer Liput wrote the file in an unknown version."""


def decode_recording(content: bytes) -> Recording:
    """Decode `metadata/recording.json`; raises msgspec.MsgspecError or UnicodeDecodeError."""
    return _decoded(_RECORDING, content)


def decode_begun(content: bytes) -> Begun:
    """Decode `begun.json`, and the known fields of a newer version; raises as `decode_recording`."""
    try:
        return _decoded(_BEGUN, content)
    except NewerVersion:
        said: dict[str, Any] = {"host": "", "context": SessionContext()}
        raw = msgspec.json.decode(content)
        for field in msgspec.structs.fields(Begun):
            with contextlib.suppress(KeyError, msgspec.ValidationError):
                said[field.name] = msgspec.convert(raw[field.name], field.type)
        return msgspec.convert(msgspec.to_builtins(said), Begun)


def _decoded[Said](decoder: msgspec.json.Decoder[Said], content: bytes) -> Said:
    try:
        try:
            return decoder.decode(content)
        except msgspec.ValidationError:
            raw = msgspec.json.decode(content)
            version = raw.get("version") if isinstance(raw, dict) else None
            if isinstance(version, int) and version > NEWEST:
                raise NewerVersion(f"is of version {version}: a newer Liput wrote it, and can read it") from None
            raise
    except RecursionError:  # nested brackets without end in a hostile package
        raise msgspec.DecodeError("it is nested too deeply") from None


class PackageState(StrEnum):
    """`unfinished`: a work folder. `damaged`: no readable description. `elsewhere`: media at other places."""

    SEALED = "sealed"
    ELSEWHERE = "elsewhere"
    UNFINISHED = "unfinished"
    DAMAGED = "damaged"


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package of the archive, as in `liput archive list --json`.

    `id` is the folder's name, `bytes` the size of the folder. `duration_s` of an unfinished recording runs from its
    start to its last write. `session`, `copy`, `part` and `practice` are those of `Recording`. `snippet` is the text
    that a search found.
    """

    id: str
    uuid: str
    title: str
    started_at: datetime
    duration_s: float
    bytes: int
    path: str
    state: PackageState
    session: str | None = None
    copy: int = 1
    part: int = 1
    practice: bool = False
    recording: Recording | UnsetType = UNSET
    snippet: str | UnsetType = UNSET

    @property
    def folder(self) -> Path:
        return Path(self.path)


class ProblemKind(StrEnum):
    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"
    UNSAFE = "unsafe"
    MALFORMED = "malformed"
    UNREADABLE = "unreadable"
    INCONSISTENT = "inconsistent"
    UNDECODABLE = "undecodable"


class Problem(msgspec.Struct, frozen=True):
    """One problem: the file's path in the package, a sentence, and a kind for scripts."""

    file: str
    problem: str
    kind: ProblemKind
