"""What each command of the control socket does with the session."""

from collections.abc import Callable
from typing import Protocol, TypeIs

from config.errors import SessionError
from recorder.control.protocol import (
    AnyRequest,
    DestinationAdd,
    DestinationChange,
    DestinationRemove,
    DestinationRestart,
    Disarm,
    Layout,
    Mark,
    Mute,
    Reply,
    Start,
    Status,
    Stop,
    Watch,
)
from recorder.model.status import AFTER, BEFORE, SessionResult, SessionStatus


class Controlled(Protocol):
    """A session that is run on one thread and told what to do from others.

    All but `run` return at once, from any thread; what cannot be done now is refused with a LiputError, a wrong name
    with a UsageError.
    """

    def run(self) -> SessionResult:
        """Arm, record once told to, seal; return what came of it. Raises what kept it from recording anything."""
        ...

    def start(self, pre_roll_s: float = 0.0) -> None:
        """Begin to record, `pre_roll_s` seconds back as far as they are kept; nothing new to one that records."""
        ...

    def stop(self) -> None:
        """End what is recorded, or disarm; asking again changes nothing."""
        ...

    def mark(self, text: str) -> object:
        """Mark this moment; return the mark."""
        ...

    def mute(self, name: str | None, *, on: bool) -> None:
        """Mute the sound input `name`, None for all, or let it be heard again."""
        ...

    def layout(self, name: str) -> None:
        """Show the layout or card `name`."""
        ...

    def status(self) -> SessionStatus:
        """Return what is true now."""
        ...


type Change = Callable[[DestinationChange], str]
"""Changes the destinations and returns what else there is to say of it; may wait for a disk."""


def takes_time(request: AnyRequest) -> TypeIs[DestinationChange]:
    """Whether a request is not carried out at once."""
    return isinstance(request, DestinationAdd | DestinationRemove | DestinationRestart)


def is_of_the_moment(request: AnyRequest) -> bool:
    """Whether a request is meant for now only: whoever was told that it failed wants no more of it later."""
    return isinstance(request, Mark | Mute | Layout)


def carry_out(request: AnyRequest, session: Controlled, status: Callable[[], SessionStatus]) -> Reply:
    """Do what was asked for, and return the answer; raises LiputError for what cannot be done now."""
    mark: object = None
    shown: SessionStatus | None = None
    if isinstance(request, Mark | Mute | Layout):
        _refuse_after(session)
    match request:
        case Start():
            session.start(request.pre_roll_s)
        case Stop():
            session.stop()
        case Disarm():
            _disarm(session)
        case Mark():
            mark = session.mark(request.text)
        case Mute():
            session.mute(request.name, on=request.on)
        case Layout():
            session.layout(request.name)
        case Status():
            shown = status()
        case Watch():
            pass  # a matter of the connection alone
    return Reply(id=request.id, ok=True, status=shown, mark=mark)


def carry_out_change(request: DestinationChange, session: Controlled, change: Change | None) -> Reply:
    """Change the destinations, and return the answer; raises LiputError for what cannot be done now."""
    _refuse_after(session)
    if change is None:
        raise SessionError("the destinations of this session cannot be changed")
    return Reply(id=request.id, ok=True, note=change(request))


def _refuse_after(session: Controlled) -> None:
    state = session.status().state
    if state in AFTER:
        raise SessionError(f"the session is {state}: its recording has ended", hint="liput record begins another one")


def _disarm(session: Controlled) -> None:
    state = session.status().state
    if state not in BEFORE:
        raise SessionError(f"the session is {state}, not armed", hint="liput stop ends what is recorded")
    session.stop()
