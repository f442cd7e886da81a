"""What is known about a request for a video conference, and what a package keeps of it.

`Request` is the content of a dossier's `request.json`, `RequestRecord` that of a package's `metadata/request.json`.
Fields may be added in a version; renaming or retyping one makes a new version. docs/request.md says the same to people.
Light to import: a session's recorder is asked with these shapes.
"""

from collections.abc import Mapping
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from config.settings.office import Office, StandardTime

type Count = Annotated[int, Meta(ge=0)]
type Seconds = Annotated[float, Meta(ge=0)]
type Moment = Annotated[datetime, Meta(tz=True)]
type LetterKind = Literal["request", "disposition", "other"]
type MediaType = Literal["application/pdf", "image/jpeg", "image/png"]


class StepKind(StrEnum):
    """What is done in a step of the procedure."""

    RECEIVE = "receive"
    DISPOSE = "dispose"
    CARRY_OUT = "carry-out"
    ARCHIVE = "archive"


class StepState(StrEnum):
    """How a step stands against its standard time."""

    MET = "met"
    """Done in time."""
    LATE = "late"
    """Done, or not done yet, after it was due."""
    DUE = "due"
    """Not done yet, and there is time left."""
    WAITING = "waiting"
    """What comes before it is not done, or not noted."""
    DROPPED = "dropped"
    """The request was closed or cancelled before it was done."""


class RequestState(StrEnum):
    """What people have decided about a request."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """How far a request has come, as its papers and recordings tell."""

    NEW = "new"
    RECEIVED = "received"
    DISPOSED = "disposed"
    """It has reached the last of the roles."""
    ASSIGNED = "assigned"
    ARCHIVED = "archived"
    """A recording of it is in the archive."""
    CLOSED = "closed"
    CANCELLED = "cancelled"


class ProcedureStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the procedure that has a standard time: who does it, and for `dispose` whom it goes to."""

    kind: StepKind
    by: str
    to: str = ""
    standard: StandardTime


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """The procedure that was in force when the request came: the chain of disposition, and the steps in order."""

    roles: Annotated[tuple[str, ...], Meta(min_length=1)]
    steps: tuple[ProcedureStep, ...]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A paper of the dossier: a copy, hashed when it was taken in.

    `file` is its path from the folder of `request.json`: `surat/permohonan-1.pdf` in the dossier,
    `data/surat/permohonan-1.pdf` in a package. `name` is what the file was called that it was copied from.
    """

    file: str
    kind: LetterKind
    media_type: MediaType
    bytes: Count
    sha256: str
    name: str = ""
    added_at: Moment


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """That the first of the roles has taken up the letter: when, and who."""

    at: Moment
    by: str = ""


class Disposition(msgspec.Struct, frozen=True, kw_only=True):
    """One disposition: from which role to which, the instruction, who gave it, when; `sheets` are files of `letters`.

    `noted_at` is when it was entered: paper is often entered later.
    """

    giver: str
    to: str
    instruction: str = ""
    by: str = ""
    at: Moment
    noted_at: Moment
    sheets: tuple[str, ...] = ()


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was recorded for the request, and its package: name, UUID, and the folder it was put into.

    `archived_at` is when the package was complete; None while it was being sealed when this was written. `ready` is
    what the check before it said (None: there was none), `degraded` why the recording is less than what happened.
    """

    package: str
    uuid: str
    path: str
    title: str
    room: str = ""
    started_at: Moment
    ended_at: Moment
    archived_at: Moment | None = None
    ready: bool | None = None
    degraded: tuple[str, ...] = ()


class FieldChange(msgspec.Struct, frozen=True):
    """What a field held before a change, and after it; JSON values."""

    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the dossier: when it was written, by whom (`login@host`), what was done, and which fields changed.

    `kind` is created, received, disposed, withdrawn, assigned, edited, attached, recorded, archived, closed, cancelled
    or reopened; `note` what was said about it.
    """

    at: Moment
    kind: str
    who: str
    note: str = ""
    fields: Mapping[str, FieldChange] = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`request.json` of a dossier: the request, its way through the office, and what became of it.

    `id` is the dossier's folder, made of the day it came in, the event as it was called then, and the UUID's first 8
    digits. `received_at` is when the letter came in; `starts_at` and `ends_at` are those of the event.
    """

    version: Literal[1] = 1
    id: str
    uuid: str
    state: RequestState = RequestState.OPEN
    letter_number: str = ""
    letter_date: date | None = None
    applicant: str = ""
    unit: str = ""
    contact: str = ""
    event: str
    place: str = ""
    starts_at: Moment | None = None
    ends_at: Moment | None = None
    needs: tuple[str, ...] = ()
    received_at: Moment
    receipt: Receipt | None = None
    letters: tuple[Letter, ...] = ()
    dispositions: tuple[Disposition, ...] = ()
    staff: tuple[str, ...] = ()
    equipment: tuple[str, ...] = ()
    recordings: tuple[RecordedSession, ...] = ()
    procedure: Procedure
    history: tuple[Change, ...] = ()


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the procedure as it stands at a moment.

    `started_at` is when its time began to run, `due_at` when it had to be done. Seconds are of office hours: `used_s`
    from its start until it was done (or until that moment), `left_s` until it is due, `late_s` after it was due.
    """

    number: Annotated[int, Meta(ge=1)]
    kind: StepKind
    by: str
    to: str = ""
    standard: StandardTime
    state: StepState
    started_at: Moment | None = None
    due_at: Moment | None = None
    done_at: Moment | None = None
    used_s: Seconds | None = None
    left_s: Seconds | None = None
    late_s: Seconds | None = None


class RequestRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`metadata/request.json` of a package: all about the request that caused the session, as it was at `as_of`.

    `steps` are judged at that moment, with the hours of `office`. `missing` has what of the dossier could not be put
    into the package, as codes with what they are about: `request-not-found`, `letter-missing: surat/permohonan-1.pdf`,
    `letter-changed: surat/...`. The paths in `request.letters` are those in the package.
    """

    version: Literal[1] = 1
    as_of: Moment
    request: Request
    steps: tuple[Step, ...]
    office: Office
    missing: tuple[str, ...] = ()


class CarriedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a session takes along of its request: the dossier's folder, what it said then (without history), the hours.

    That is enough for whoever seals the session when the dossier is not to be reached any more.
    """

    folder: str
    request: Request
    office: Office
