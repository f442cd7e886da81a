"""A request for a video conference: `request.json` of its dossier, `metadata/request.json` of a package.

New fields keep the version; renaming or retyping a field makes a new one. docs/request.md describes the fields. Light
to import: a recorder gets these shapes before it loads anything else.
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

LETTERS = "surat"  # the folder of letters and disposition sheets, in a dossier and in the payload of a package

REQUEST_NOT_FOUND, REQUEST_NOT_NOTED, LETTER_MISSING, LETTER_CHANGED = (
    "request-not-found",
    "request-not-noted",
    "letter-missing",
    "letter-changed",
)
"""Reasons for an incomplete request in a package."""
INCOMPLETE_REASONS = frozenset({REQUEST_NOT_FOUND, REQUEST_NOT_NOTED, LETTER_MISSING, LETTER_CHANGED})


class StepKind(StrEnum):
    RECEIVE = "receive"
    DISPOSE = "dispose"
    CARRY_OUT = "carry-out"
    ARCHIVE = "archive"


class StepState(StrEnum):
    """The state of a step against its standard time."""

    MET = "met"  # done in time
    LATE = "late"  # overdue, done or not
    DUE = "due"  # not done, and time is left
    WAITING = "waiting"  # the step before it is not done or not noted
    DROPPED = "dropped"  # the request was closed or cancelled first


class RequestState(StrEnum):
    """The decision of people about a request."""

    OPEN = "open"
    CLOSED = "closed"
    CANCELLED = "cancelled"


class Stage(StrEnum):
    """The progress of a request, from its papers and recordings."""

    NEW = "new"
    RECEIVED = "received"
    DISPOSED = "disposed"  # it has reached the last role
    ASSIGNED = "assigned"
    ARCHIVED = "archived"  # a recording is in the archive
    CLOSED = "closed"
    CANCELLED = "cancelled"


class ProcedureStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step with its standard time: the role `by`, and for `dispose` the next role `to`."""

    kind: StepKind
    by: str
    to: str = ""
    standard: StandardTime


class Procedure(msgspec.Struct, frozen=True, kw_only=True):
    """The procedure at the time of the request: the chain of roles, and the steps in order."""

    roles: Annotated[tuple[str, ...], Meta(min_length=1)]
    steps: tuple[ProcedureStep, ...]


class Letter(msgspec.Struct, frozen=True, kw_only=True):
    """A copied and hashed paper of the dossier.

    `file` is its path from the folder of `request.json`: `surat/permohonan-1.pdf` in the dossier,
    `data/surat/permohonan-1.pdf` in a package. `name` is the name of the original file.
    """

    file: str
    kind: LetterKind
    media_type: MediaType
    bytes: Count
    sha256: str
    name: str = ""
    added_at: Moment


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The first role has taken up the letter."""

    at: Moment
    by: str = ""


class Disposition(msgspec.Struct, frozen=True, kw_only=True):
    """One disposition between two roles; `sheets` are files of `letters`. Paper is often entered (`noted_at`) later."""

    giver: str
    to: str
    instruction: str = ""
    by: str = ""
    at: Moment
    noted_at: Moment
    sheets: tuple[str, ...] = ()


class RecordedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session recorded for the request, and its package: name, UUID and folder.

    `archived_at` is None until the package is complete. `ready` is the result of the check before it (None without a
    check). `degraded` has the reasons of the recording.
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
    """A field before and after a change; JSON values."""

    before: Any
    after: Any


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of the dossier: time, author (`login@host`), kind and fields.

    `kind` is created, received, disposed, withdrawn, assigned, edited, attached, recorded, archived, closed, cancelled
    or reopened; `note` has more about it.
    """

    at: Moment
    kind: str
    who: str
    note: str = ""
    fields: Mapping[str, FieldChange] = {}


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """`request.json` of a dossier: the request, its dispositions and its recordings.

    `id` is the dossier's folder: the day of entry, the event's first title, and 8 digits of the UUID. `received_at` is
    the arrival of the letter; `starts_at` and `ends_at` are the times of the event.
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
    """A step of the procedure at a moment.

    `started_at` is the start of its time, `due_at` its deadline. Seconds are office hours: `used_s` from the start
    until it was done (or the moment), `left_s` until the deadline, `late_s` after it.
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
    """`metadata/request.json` of a package: the request at `as_of`.

    `steps` use that moment and the hours of `office`. `missing` has codes of papers that the package lacks:
    `request-not-found`, `letter-missing: surat/permohonan-1.pdf`, `letter-changed: surat/...`. `request.letters` has
    paths in the package.
    """

    version: Literal[1] = 1
    as_of: Moment
    request: Request
    steps: tuple[Step, ...]
    office: Office
    missing: tuple[str, ...] = ()


class CarriedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The request that a session carries, without history. Sealing uses it if the dossier is out of reach."""

    folder: str
    request: Request
    office: Office
