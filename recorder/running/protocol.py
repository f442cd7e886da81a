"""The lines of a recorder's control and preview sockets, one JSON object each (docs/reference/control.md)."""

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
"""Precedes each JPEG on the preview socket: its bytes."""
SHORTEST_PERIOD_S = 0.1

type RequestId = int | Annotated[str, msgspec.Meta(max_length=64)] | None
"""The client's choice; the reply repeats it."""
LONGEST_NAME = 256
type Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
type PreRoll = Annotated[float, msgspec.Meta(ge=0, le=3600)]
type MarkText = Annotated[str, msgspec.Meta(max_length=2000)]
type PicturesASecond = Annotated[float, msgspec.Meta(ge=0.1, le=5)]
WIDEST = 1280
type Width = Annotated[int, msgspec.Meta(ge=32, le=WIDEST)]


class Request(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """The base of all commands."""

    id: RequestId = None


class Start(Request, frozen=True, kw_only=True, tag="start"):
    """Start recording, `pre_roll_s` seconds back."""

    pre_roll_s: PreRoll = 0.0


class Stop(Request, frozen=True, kw_only=True, tag="stop"):
    """End the session: seal the recording, or disarm."""


class Disarm(Request, frozen=True, kw_only=True, tag="disarm"):
    """End an armed session; a recording one refuses."""


class Mark(Request, frozen=True, kw_only=True, tag="mark"):
    """Mark this moment."""

    text: MarkText


class Mute(Request, frozen=True, kw_only=True, tag="mute"):
    """Mute or unmute one audio input, or all."""

    name: Name | None = None
    on: bool = True


class Layout(Request, frozen=True, kw_only=True, tag="layout"):
    """Show another layout."""

    name: Name


class DestinationAdd(Request, frozen=True, kw_only=True, tag="destination-add"):
    """Add a destination: `name` of the settings, or `address` under that name, read from `file`."""

    name: Name
    address: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    file: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    although_refused: bool = False
    """Stream although speakers refuse to be recorded."""

    def __repr__(self) -> str:
        """Leave out the address: it holds a key."""
        return f"DestinationAdd(id={self.id!r}, name={self.name!r}, file={self.file!r})"


class DestinationRemove(Request, frozen=True, kw_only=True, tag="destination-remove"):
    """Remove a destination."""

    name: Name


class DestinationRestart(Request, frozen=True, kw_only=True, tag="destination-restart"):
    """Reconnect a destination now."""

    name: Name


class Status(Request, frozen=True, kw_only=True, tag="status"):
    """Ask for the status once."""


class Watch(Request, frozen=True, kw_only=True, tag="watch"):
    """Ask for events, and for the status every `every_s` seconds, first after that time.

    `events_from`: events and notes from that number on (0: the first); None: new ones only.
    """

    every_s: Annotated[float, msgspec.Meta(ge=SHORTEST_PERIOD_S, le=3600)] = 0.5
    events_from: Annotated[int, msgspec.Meta(ge=0)] | None = None


class Look(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for previews of `source`: `program`, or an input's name."""

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
    """The error of a command."""

    message: str
    hint: str = ""
    exit_status: int = 1
    is_of_consent: bool = False
    """Whether the speakers refuse; `although_refused` overrides it."""


class Reply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to one request."""

    id: RequestId
    ok: bool
    error: Refusal | None = None
    status: SessionStatus | None = None
    mark: object = None
    note: str = ""


class Sealing(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="sealing"):
    """Progress of sealing in bytes."""

    done: int
    total: int


class Note(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="note"):
    """A message for people that is no event."""

    text: str


class Failure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The last line of a session without a recording, and of a refused connection."""

    message: str
    hint: str = ""
    exit_status: int = 1
    is_of_device: bool = False
    """Whether a device is missing or does not open; `allow_missing` starts without it."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The only line of a ready recorder on its standard output; Failure takes its place."""

    id: str
    folder: str
    notes: list[str]


type Told = SessionStatus | Event | SessionResult | Sealing | Note | Failure
"""The lines for watching clients."""
type Line = Reply | Told

LOOKS = msgspec.json.Decoder[Look](Look)
REQUESTS = msgspec.json.Decoder[AnyRequest](AnyRequest)
LINES = msgspec.json.Decoder[Line](Line)
HANDSHAKES = msgspec.json.Decoder[Ready | Failure](Ready | Failure)


class RecorderRefused(LiputError):
    """A recorder's refusal, raised at the client."""

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
    """Decode a command. Raises UsageError."""
    return _decoded(REQUESTS, line, "this is no command", "docs/reference/control.md lists the commands")


def decode_look(line: bytes) -> Look:
    """Decode a client's line on the preview socket. Raises UsageError."""
    return _decoded(LOOKS, line, "this asks for no preview", "docs/reference/control.md says how one is asked for")


def _decoded[T](decoder: msgspec.json.Decoder[T], line: bytes, sentence: str, hint: str) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{sentence}: {quoted(str(error))}", hint=hint) from None


def encode(line: Line | AnyRequest | Ready) -> bytes:
    """Encode a line with its line end; characters outside UTF-8 (in file names) are replaced."""
    try:
        return msgspec.json.encode(line) + b"\n"
    except UnicodeEncodeError:
        return storable(json.dumps(msgspec.to_builtins(line), ensure_ascii=False)).encode() + b"\n"


def refusal(error: BaseException) -> Refusal:
    """Encode an error; one outside LiputError is reported as a bug."""
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
    """Return the exception of a refusal."""
    return RecorderRefused(
        refused.message,
        hint=refused.hint,
        exit_status=refused.exit_status,
        is_of_device=isinstance(refused, Failure) and refused.is_of_device,
        why="speakers" if isinstance(refused, Refusal) and refused.is_of_consent else "",
    )
