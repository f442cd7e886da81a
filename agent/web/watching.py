"""What a page asks for by its WebSocket, and what it is told besides the state."""

from typing import Annotated

import msgspec

from recorder.control.protocol import Name, PicturesASecond, Width
from recorder.model.status import SessionState, SessionStatus, SoundLine

MOST_PREVIEWS = 16


class Preview(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source to be looked at: at most so many pictures a second, at least so many pixels wide where it has them."""

    source: Name = "program"
    fps: PicturesASecond = 2.0
    width: Width = 480


class Watching(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="watch", forbid_unknown_fields=True):
    """What one page wants to be told of which session; each such message takes the place of the last."""

    session: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    levels: bool = False
    previews: Annotated[tuple[Preview, ...], msgspec.Meta(max_length=MOST_PREVIEWS)] = ()


class PreviewProblem(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="preview-problem"):
    """Why a source cannot be looked at."""

    source: str
    message: str


class Levels(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="levels"):
    """How loud a session is now (peaks, dBFS), and what of it is on disk: the record light."""

    session: str
    state: SessionState
    levels_dbfs: list[float]
    sounds: list[SoundLine]
    media_time_s: float
    bytes: int

    @classmethod
    def of(cls, session: str, status: SessionStatus) -> "Levels":
        """Return what of a status is told ten times a second."""
        return cls(
            session=session, state=status.state, levels_dbfs=status.levels_dbfs, sounds=status.sounds,
            media_time_s=status.media_time_s, bytes=status.bytes,
        )  # fmt: skip


WATCHES = msgspec.json.Decoder(Watching)
