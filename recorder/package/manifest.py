"""What the archive knows about a session: the shapes of its metadata files, and of its answers.

`Recording` is the content of `metadata/recording.json`, the one file that says what a package holds; the JSON Schema
beside this module is made from it. Fields may be added in a version; renaming or retyping one makes a new version.
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
from recorder.package.wishes import Wishes

NEWEST = 1
"""The newest version of both files that is known here."""
INTERRUPTED = "interrupted"
"""Why a recording is degraded whose recorder did not live to describe it."""
UNREADABLE = "media-unreadable"
"""Why a recording is degraded of which a file is kept that cannot be read."""


class VideoTrack(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="video"):
    """One track of pictures; sizes in pixels, `rate` as the fraction FFmpeg gives, colours by FFmpeg's names."""

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
    """One track of sound; `sample_rate` in hertz, `bit_rate` in bits a second, `frames` in coded frames."""

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
    """One file of media; `file` is its path in the package, `problem` why it could not be read, if it could not.

    `offset_s` is the media time of the session at which the file begins: above 0 only where the parts of a session
    could not be made one file.
    """

    file: str
    container: str
    bytes: Count
    duration_s: Seconds
    tracks: tuple[VideoTrack | AudioTrack, ...]
    problem: str | None = None
    offset_s: Seconds = 0.0


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What records management says about the package, in the words of the office's own schedule.

    `classification` is the code of the file plan (kode klasifikasi), `security` the security class, `retention_active`
    and `retention_inactive` how long it is kept, `disposition` what becomes of it then (nasib akhir). Liput itself
    deletes nothing.
    """

    classification: str = ""
    security: str = ""
    retention_active: str = ""
    retention_inactive: str = ""
    disposition: str = ""


type ConsentState = Literal["given", "refused", "not-asked"]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the speakers agreed to being recorded, who said so to whom, and when it was noted."""

    state: ConsentState = "not-asked"
    note: str = ""
    noted_at: Moment | None = None


class SessionContext(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a session begins: where, with what, and to whom it is streamed (by name, never by address).

    `checked` is what the check before it found, as `liput check --json` says it. `request` is what it was begun for,
    `wishes` what is made of the recording when it is sealed; `records` and `consent` go into the package as they stand.
    """

    office: str = ""
    room: str = ""
    profile: str = ""
    destinations: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    checked: Mapping[str, Any] | None = None
    request: CarriedRequest | None = None
    wishes: Wishes | None = None
    records: Records = Records()
    consent: Consent = Consent()


class Chapter(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the recording that begins at `start_s` of media time, and what it is called.

    `source` is what it was made of: a slide that changed, or a moment that somebody marked. `text` is what was read on
    the slide, `thumbnail` its picture's path in the package.
    """

    start_s: Seconds
    title: str
    source: Literal["slide", "mark"]
    text: str = ""
    thumbnail: str | None = None


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The request that caused the session, as far as it is searched for; all of it is in `metadata/request.json`."""

    id: str
    letter_number: str = ""
    letter_date: date | None = None
    applicant: str = ""
    unit: str = ""
    event: str = ""
    place: str = ""


class Addition(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was handed in after the session: its path in the package, what it was called, and when it came."""

    file: str
    name: str
    bytes: Count
    added_at: Moment
    note: str = ""


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A span of media time that this recording lacks, and why; at the end of a recording it lies behind it.

    `part` is the part of the session that holds it, in a package of its own; null where nothing was recorded.
    """

    start_s: Seconds
    duration_s: Seconds
    reason: str
    part: Annotated[int, Meta(ge=1)] | None = None


class PartFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a session that had several: its number, where in media time it begins, how long it is.

    `copy` is that of a mirrored recording.
    """

    part: Annotated[int, Meta(ge=1)]
    offset_s: Seconds
    duration_s: Seconds
    copy: Annotated[int, Meta(ge=1)] = 1

    @property
    def end_s(self) -> float:
        """Where in media time it ends."""
        return self.offset_s + self.duration_s


class RecordingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a session ends; None for a count that was lost with the recorder that kept it.

    `degraded` holds the reasons why the recording is less than what happened in the room, as the result line of
    `liput record --json` gives them. `offsets` are the media times at which files begin that do not begin at 0, by
    name. `destinations` are those that were streamed to, beside those of its beginning. How loud the program is (EBU
    R128) is None for silence, and where nobody lived to measure it.
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


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/recording.json`: what was recorded, when, where, how, and what went wrong.

    `frames` and `duration_s` are those of the program; `dropped` and `repeated` are null when the recorder that
    counted them did not live to say. `gaps` is what a recorder that was killed could not record;
    `parts` is empty where one recorder recorded all of it, into one place. `loudness_lufs` is the program's integrated
    loudness, `loudness_range_lu` its range (EBU R128): null for silence and where it is not known; where several
    recorders recorded it the mean by energy of what they measured, and no range. `additions` is what was handed in
    later; `excerpt_of` the UUID of the package of which this one is an excerpt, without letters and personal data.
    A session can become several packages: one for each `copy` of a mirrored one, one for each part that could not be
    joined. `part` is the first that this package holds. `session` is the session's UUID, null where `uuid` is that.
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

    @property
    def of_session(self) -> str:
        """The UUID of the session."""
        return self.session or self.uuid

    @property
    def part_numbers(self) -> frozenset[int]:
        """The numbers of the parts of the session that it holds."""
        return frozenset(part.part for part in self.parts) | {self.part}


class Begun(msgspec.Struct, frozen=True, kw_only=True):
    """`begun.json` of a work folder: what another process needs to finish the package. Not part of the package.

    A session that another recorder or another disk went on with has several work folders with the same `uuid`: `part`
    counts them from 1, `offset_s` is the media time of the session at which this part's media time 0 lies. `boot` is
    the kernel's boot id: clocks of another boot cannot be compared. `joined` names the parts whose recordings a folder
    that recovery made holds all of, and `facts` is what it knows about them. `copy` counts the files that a session
    writes at once (`storage.mirror`), each in an archive of its own and with parts of its own.
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
    """Return how much of a session some packages of its parts hold, in seconds; parts may overlap."""
    held = sorted((part.offset_s, part.end_s) for each in recordings for part in each.parts)
    total_s, until_s = 0.0, 0.0
    for start_s, end_s in held:
        total_s += max(0.0, end_s - max(start_s, until_s))
        until_s = max(until_s, end_s)
    return round(total_s, 3)


# Made here, before there are threads: two that are the first to decode a type at once can crash msgspec.
_RECORDING = msgspec.json.Decoder(Recording)
_BEGUN = msgspec.json.Decoder(Begun)


class NewerVersion(msgspec.ValidationError):
    """It was written by a newer Liput, in a version that this one does not know."""


def decode_recording(content: bytes) -> Recording:
    """Return what `metadata/recording.json` says; raises msgspec.MsgspecError or UnicodeDecodeError."""
    return _decoded(_RECORDING, content)


def decode_begun(content: bytes) -> Begun:
    """Return what `begun.json` says, of a newer version what is understood; raises as `decode_recording`."""
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
    except RecursionError:  # brackets without end: a package may come from anywhere
        raise msgspec.DecodeError("it is nested too deeply") from None


class PackageState(StrEnum):
    """How far a package is: `unfinished` still has its work folder, `damaged` cannot say what it holds.

    The media of one that is `elsewhere` are at the places that its fetch.txt names, and not here.
    """

    SEALED = "sealed"
    ELSEWHERE = "elsewhere"
    UNFINISHED = "unfinished"
    DAMAGED = "damaged"


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """One package in the archive, as `liput archive list --json` prints it.

    `id` is the folder's name, `bytes` the size of everything in it. `duration_s` of an unfinished recording is the
    time between its start and its last write. `session`, `copy` and `part` are those of `Recording`.
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
    recording: Recording | UnsetType = UNSET

    @property
    def folder(self) -> Path:
        """The package's folder."""
        return Path(self.path)


class ProblemKind(StrEnum):
    """What can be wrong with a file of a package."""

    CHANGED = "changed"
    MISSING = "missing"
    EXTRA = "extra"
    UNSAFE = "unsafe"
    MALFORMED = "malformed"
    UNREADABLE = "unreadable"
    INCONSISTENT = "inconsistent"
    UNDECODABLE = "undecodable"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong: the file (its path in the package), a sentence about it, and its kind for scripts."""

    file: str
    problem: str
    kind: ProblemKind
