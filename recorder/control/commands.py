"""What each command of the control socket does with the session."""

from collections.abc import Callable

from config.errors import SessionError
from recorder.control.controlled import Controlled
from recorder.control.protocol import (
    AnyRequest,
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
from recorder.status import SessionState, SessionStatus

_BEFORE_RECORDING = {SessionState.IDLE, SessionState.ARMED}
_AFTER_RECORDING = {SessionState.SEALING, SessionState.SEALED, SessionState.FAILED}


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


def _refuse_after(session: Controlled) -> None:
    state = session.status().state
    if state in _AFTER_RECORDING:
        raise SessionError(f"the session is {state}: its recording has ended", hint="liput record begins another one")


def _disarm(session: Controlled) -> None:
    state = session.status().state
    if state not in _BEFORE_RECORDING:
        raise SessionError(f"the session is {state}, not armed", hint="liput stop ends what is recorded")
    session.stop()
