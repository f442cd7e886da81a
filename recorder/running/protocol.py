"""The lines of a recorder's control socket, one JSON object each (docs/reference/control.md).

Requests are decoded strictly: an unknown word is refused.
"""

import json
import struct
from typing import Annotated

import msgspec

from config.errors import DeviceError, LiputError, UsageError, Why, as_ours
from config.events import Event
from recorder.model.names import quoted, storable
from recorder.model.status import SessionResult, SessionStatus

LONGEST_LINE = 64 * 1024
PREVIEW_LENGTH = struct.Struct(">I")
"""In front of each JPEG on the preview socket: how many bytes it has."""
SHORTEST_PERIOD_S = 0.1

type RequestId = int | Annotated[str, msgspec.Meta(max_length=64)] | None
"""Chosen by the client; its reply has it."""
LONGEST_NAME = 256
type Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
type PreRoll = Annotated[float, msgspec.Meta(ge=0, le=3600)]
type MarkText = Annotated[str, msgspec.Meta(max_length=2000)]
type PicturesASecond = Annotated[float, msgspec.Meta(ge=0.1, le=5)]
WIDEST = 1280
type Width = Annotated[int, msgspec.Meta(ge=32, le=WIDEST)]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """What every command has."""

    id: RequestId = None


class Start(Request, frozen=True, kw_only=True, tag="start"):
    """Begin to record, reaching back `pre_roll_s` seconds."""

    pre_roll_s: PreRoll = 0.0


class Stop(Request, frozen=True, kw_only=True, tag="stop"):
    """End the session: close and seal what is recorded, or disarm."""


class Disarm(Request, frozen=True, kw_only=True, tag="disarm"):
    """End a session that is armed; refused by one that records."""


class Mark(Request, frozen=True, kw_only=True, tag="mark"):
    """Mark this moment."""

    text: MarkText


class Mute(Request, frozen=True, kw_only=True, tag="mute"):
    """Mute one sound input, or all, or let them be heard again."""

    name: Name | None = None
    on: bool = True


class Layout(Request, frozen=True, kw_only=True, tag="layout"):
    """Show another layout."""

    name: Name


class DestinationAdd(Request, frozen=True, kw_only=True, tag="destination-add"):
    """Stream to one more: to `name` of the settings, or by that name to `address`, which stands in `file`."""

    name: Name
    address: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    file: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    although_refused: bool = False
    """Whether it may see speakers who do not agree to being recorded."""

    def __repr__(self) -> str:
        """Show no address: it holds a key."""
        return f"DestinationAdd(id={self.id!r}, name={self.name!r}, file={self.file!r})"


class DestinationRemove(Request, frozen=True, kw_only=True, tag="destination-remove"):
    """Stream to it no more."""

    name: Name


class DestinationRestart(Request, frozen=True, kw_only=True, tag="destination-restart"):
    """Connect to it anew, now."""

    name: Name


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """Ask for the status once."""


class Watch(Request, frozen=True, kw_only=True, tag="watch"):
    """Ask for the status every `every_s` seconds, the first after that time, and for what happens.

    `events_from`: events and notes from that number on (0: the first); None: only those still to come.
    """

    every_s: Annotated[float, msgspec.Meta(ge=SHORTEST_PERIOD_S, le=3600)] = 0.5
    events_from: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for pictures of `source` (`program`, or an input's name) on the preview socket."""

    id: RequestId = None
    source: Name = "program"
    fps: PicturesASecond = 2.0
    width: Width = 320


type DestinationChange = DestinationAdd | DestinationRemove | DestinationRestart
type AnyRequest = (
    Start | Stop | Disarm | Mark | Mute | Layout | Status | Watch
    | DestinationAdd | DestinationRemove | DestinationRestart
)  # fmt: skip


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a command was not carried out."""

    message: str
    hint: str = ""
    exit_status: int = 1
    is_of_consent: bool = False
    """Whether the speakers refuse: it is done with `although_refused`."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to one request."""

    id: RequestId
    ok: bool
    error: Refusal | None = None
    status: SessionStatus | None = None
    mark: object = None
    note: str = ""


class Sealing(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="sealing"):
    """How far sealing is, in bytes."""

    done: int
    total: int


class Note(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="note"):
    """A sentence for people that is no event."""

    text: str


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The last line of a session of which nothing was recorded, and of a connection that is refused."""

    message: str
    hint: str = ""
    exit_status: int = 1
    is_of_device: bool = False
    """Whether a device is not there, or cannot be opened: the session can begin without it (`allow_missing`)."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The first and only line of a recorder on its standard output (or a Failure): it can be talked to."""

    id: str
    folder: str
    notes: list[str]


type Told = SessionStatus | Event | SessionResult | Sealing | Note | Failure
"""What a recorder tells those who watch it."""
type Line = Reply | Told

LOOKS = msgspec.json.Decoder[Look](Look)
REQUESTS = msgspec.json.Decoder[AnyRequest](AnyRequest)
LINES = msgspec.json.Decoder[Line](Line)
HANDSHAKES = msgspec.json.Decoder[Ready | Failure](Ready | Failure)


class RecorderRefused(LiputError):
    """What a recorder answered, as the error that it was there."""

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        exit_status: int = 1,
        is_of_device: bool = False,
        why: Why = "",
    ) -> None:
        super().__init__(message, hint=hint, why=why)
        self.exit_status = exit_status
        self.is_of_device = is_of_device


def decode_request(line: bytes) -> AnyRequest:
    """Return the request in a line; raises UsageError for what is none."""
    return _decoded(REQUESTS, line, "this is no command", "docs/reference/control.md lists the commands")


def decode_look(line: bytes) -> Look:
    """Return what a client of the preview socket asks for; raises UsageError for what is no such line."""
    return _decoded(LOOKS, line, "this asks for no preview", "docs/reference/control.md says how one is asked for")


def _decoded[T](decoder: msgspec.json.Decoder[T], line: bytes, sentence: str, hint: str) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{sentence}: {quoted(str(error))}", hint=hint) from None


def encode(line: Line | AnyRequest | Ready) -> bytes:
    """Return a line of the protocol, its end included; what UTF-8 cannot hold (a name of a file) is replaced."""
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        return storable(json.dumps(msgspec.to_builtins(line), ensure_ascii=False)).encode() + b"\n"


def refusal(error: BaseException) -> Refusal:
    """Return an error as it is sent; one that is not ours is a mistake of the program."""
    told = as_ours(error)
    return Refusal(
        message=storable(told.message if told is error else quoted(told.message)),
        hint=storable(told.hint),
        exit_status=told.exit_status,
        is_of_consent=told.why == "speakers",
    )


def failure(error: BaseException) -> Failure:
    """Return the last line of a session that ended with `error`."""
    told = refusal(error)
    is_of_device = isinstance(error, DeviceError)
    return Failure(message=told.message, hint=told.hint, exit_status=told.exit_status, is_of_device=is_of_device)


def raised(refused: Refusal | Failure) -> RecorderRefused:
    """Return what was sent as an error again."""
    return RecorderRefused(
        refused.message,
        hint=refused.hint,
        exit_status=refused.exit_status,
        is_of_device=isinstance(refused, Failure) and refused.is_of_device,
        why="speakers" if isinstance(refused, Refusal) and refused.is_of_consent else "",
    )
