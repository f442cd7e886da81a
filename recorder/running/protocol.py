"""The lines of a recorder's control and preview sockets, one JSON object each (docs/reference/control.md)."""

import struct
from typing import Annotated, cast

import msgspec

from config.errors import DeviceError, ErrorCause, LiputError, UsageError, as_liput_error
from config.events import Event
from recorder.model.names import json_bytes, quoted, utf8_safe
from recorder.model.status import SessionResult, SessionStatus

LONGEST_LINE = 64 * 1024
PREVIEW_LENGTH = struct.Struct(">I")  # precedes each JPEG or piece of sound on the preview socket: its bytes
SOUND = "sound"  # the preview source of the session's sound: samples of 16 bits, little-endian, at 48 kHz
SHORTEST_PERIOD_S = 0.1

type RequestId = int | Annotated[str, msgspec.Meta(max_length=64)] | None  # the client's choice; the reply repeats it
LONGEST_NAME = 256
type Name = Annotated[str, msgspec.Meta(max_length=LONGEST_NAME)]
type PreRoll = Annotated[float, msgspec.Meta(ge=0, le=3600)]
type MarkText = Annotated[str, msgspec.Meta(max_length=2000)]
type EndsIn = Annotated[float, msgspec.Meta(ge=0, le=30 * 86_400)]
type Title = Annotated[str, msgspec.Meta(max_length=300)]
type PreviewRate = Annotated[float, msgspec.Meta(ge=0.1, le=5)]
LARGEST_PREVIEW_WIDTH = 1280
type Width = Annotated[int, msgspec.Meta(ge=32, le=LARGEST_PREVIEW_WIDTH)]


class ControlCommand(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """The base of all commands."""

    id: RequestId = None


class StartCommand(ControlCommand, frozen=True, kw_only=True, tag="start"):
    """Start recording, `pre_roll_s` seconds back."""

    pre_roll_s: PreRoll = 0.0


class StopCommand(ControlCommand, frozen=True, kw_only=True, tag="stop"):
    """End the session: seal the recording, or disarm."""


class DisarmCommand(ControlCommand, frozen=True, kw_only=True, tag="disarm"):
    """End an armed session; a recording one refuses."""


class MarkCommand(ControlCommand, frozen=True, kw_only=True, tag="mark"):
    """Mark this moment."""

    text: MarkText


class MuteCommand(ControlCommand, frozen=True, kw_only=True, tag="mute"):
    """Mute or unmute one audio input, or all."""

    name: Name | None = None
    on: bool = True


class TitleCommand(ControlCommand, frozen=True, kw_only=True, tag="title"):
    """Give the session another title."""

    title: Title


class EndCommand(ControlCommand, frozen=True, kw_only=True, tag="end"):
    """Move the planned end of a recording."""

    ends_in_s: EndsIn


class LayoutCommand(ControlCommand, frozen=True, kw_only=True, tag="layout"):
    """Show another layout."""

    name: Name


class AddDestinationCommand(ControlCommand, frozen=True, kw_only=True, tag="destination-add"):
    """Add a destination: `name` of the settings, or `address` under that name, read from `file`."""

    name: Name
    address: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    file: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    although_refused: bool = False  # stream although speakers refuse to be recorded

    def __repr__(self) -> str:
        """Leave out the address: it holds a key."""
        return f"AddDestinationCommand(id={self.id!r}, name={self.name!r}, file={self.file!r})"


class RemoveDestinationCommand(ControlCommand, frozen=True, kw_only=True, tag="destination-remove"):
    """Remove a destination."""

    name: Name


class RestartDestinationCommand(ControlCommand, frozen=True, kw_only=True, tag="destination-restart"):
    """Reconnect a destination now."""

    name: Name


class StatusCommand(ControlCommand, frozen=True, kw_only=True, tag="status"):
    """Ask for the status once."""


class WatchCommand(ControlCommand, frozen=True, kw_only=True, tag="watch"):
    """Ask for events, and for the status every `every_s` seconds, first after that time.

    `events_from`: events and notes from that number on (0: the first); None: new ones only.
    """

    every_s: Annotated[float, msgspec.Meta(ge=SHORTEST_PERIOD_S, le=3600)] = 0.5
    events_from: Annotated[int, msgspec.Meta(ge=0)] | None = None


class PreviewCommand(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Ask for previews of `source`: `program`, an input's name, or `sound`, whose rate and width do not count."""

    id: RequestId = None
    source: Name = "program"
    fps: PreviewRate = 2.0
    width: Width = 320


type DestinationChange = AddDestinationCommand | RemoveDestinationCommand | RestartDestinationCommand
type AnyRequest = (
    StartCommand | StopCommand | DisarmCommand | MarkCommand | MuteCommand | LayoutCommand | TitleCommand | EndCommand
    | StatusCommand | WatchCommand | DestinationChange
)  # fmt: skip


class CommandRefusal(msgspec.Struct, frozen=True, kw_only=True):
    """The error of a command."""

    message: str
    hint: str = ""
    why: str = "failed"
    about: str = ""
    exit_status: int = 1
    is_of_consent: bool = False  # whether the speakers refuse; `although_refused` overrides it


class CommandReply(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to one request."""

    id: RequestId
    ok: bool
    error: CommandRefusal | None = None
    status: SessionStatus | None = None
    mark: object = None
    note: str = ""


class SealingProgress(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="sealing"):
    """Progress of sealing in bytes."""

    done: int
    total: int


class RecorderNote(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="note"):
    """A message for people that is no event."""

    text: str


class RecorderFailure(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """The last line of a session without a recording, and of a refused connection."""

    message: str
    hint: str = ""
    why: str = "failed"
    about: str = ""
    exit_status: int = 1
    is_of_device: bool = False  # whether a device is missing or does not open; `allow_missing` starts without it


class RecorderReady(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ready"):
    """The only line of a ready recorder on its standard output; Failure takes its place."""

    id: str
    folder: str
    notes: list[str]


type RecorderMessage = SessionStatus | Event | SessionResult | SealingProgress | RecorderNote | RecorderFailure
"""The lines for watching clients."""
type ControlLine = CommandReply | RecorderMessage

PREVIEW_REQUEST_DECODER = msgspec.json.Decoder[PreviewCommand](PreviewCommand)
COMMAND_DECODER = msgspec.json.Decoder[AnyRequest](AnyRequest)
LINE_DECODER = msgspec.json.Decoder[ControlLine](ControlLine)
HANDSHAKE_DECODER = msgspec.json.Decoder[RecorderReady | RecorderFailure](RecorderReady | RecorderFailure)


class RecorderRefused(LiputError):
    """A recorder's refusal, raised at the client. A newer recorder may give a cause that is not known here."""

    def __init__(self, told: "CommandRefusal | RecorderFailure") -> None:
        super().__init__(told.message, hint=told.hint, why=cast("ErrorCause", told.why), about=told.about)
        self.exit_status = told.exit_status
        self.is_of_device = isinstance(told, RecorderFailure) and told.is_of_device


def decode_request(line: bytes) -> AnyRequest:
    """Decode a command. Raises UsageError."""
    return _decoded(COMMAND_DECODER, line, "this is no command", "docs/reference/control.md lists the commands")


def decode_look(line: bytes) -> PreviewCommand:
    """Decode a client's line on the preview socket. Raises UsageError."""
    return _decoded(
        PREVIEW_REQUEST_DECODER, line, "this asks for no preview", "docs/reference/control.md says how one is asked for"
    )


def _decoded[T](decoder: msgspec.json.Decoder[T], line: bytes, sentence: str, hint: str) -> T:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{sentence}: {quoted(str(error))}", hint=hint) from None


def encode(line: ControlLine | AnyRequest | RecorderReady) -> bytes:
    """Encode a line with its line end; characters outside UTF-8 (in file names) are replaced."""
    return json_bytes(line) + b"\n"


def to_refusal(error: BaseException) -> CommandRefusal:
    """Encode an error; one outside LiputError is reported as a bug."""
    told = as_liput_error(error)
    return CommandRefusal(
        message=utf8_safe(told.message if told is error else quoted(told.message)),
        hint=utf8_safe(told.hint),
        why=told.why,
        about=utf8_safe(told.about),
        exit_status=told.exit_status,
        is_of_consent=told.why == "speakers",
    )


def to_failure(error: BaseException) -> RecorderFailure:
    """Return the last line of a session that ended with `error`."""
    told = to_refusal(error)
    return RecorderFailure(
        message=told.message, hint=told.hint, why=told.why, about=told.about, exit_status=told.exit_status,
        is_of_device=isinstance(error, DeviceError),
    )  # fmt: skip
