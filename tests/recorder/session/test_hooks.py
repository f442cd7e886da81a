"""The moments of a hook, and that a broken one costs the session nothing."""

import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from capture.sources.source_kind import ChosenSources
from config.errors import UsageError
from config.events import Emit, Event
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from recorder.model.status import LoadLine, SessionResult, SessionState, SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.program.mixer import SamplesOrSilence
from recorder.session import hooks as in_hooks
from recorder.session.hooks import SessionHook, SessionHooks, make_hooks
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from tests.support.sessions import Room

WRONG = "tests.recorder.session.test_hooks"


class Noting(SessionHook):
    """Notes each moment; breaks in all of them if told to."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.moments: list[str] = []
        self.calls = 0
        self._breaks = breaks
        self.spacing = self._choose
        self.bus = self._take

    def _note(self, moment: str) -> None:
        self.moments.append(moment)
        if self._breaks:
            raise ZeroDivisionError("a bug")

    def _choose(self, _waited_ns: int, _filled: float) -> int:
        self.calls += 1
        if self._breaks:
            raise ZeroDivisionError("a bug")
        return 1

    def _take(self, _samples: Sequence[SamplesOrSilence], _count: int) -> None:
        self.calls += 1
        if self._breaks:
            raise ZeroDivisionError("a bug")

    def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
        self.moments.append(f"plan {len(chosen.pictures)} {unattended}")

    def attach(self, emit: Emit) -> None:
        self._note("attach")

    def hear(self, event: Event) -> None:
        if event.kind in {"session-live", "session-ended"}:
            self._note(event.kind)

    def arm(self, program: ArmedProgram) -> None:
        self._note(f"arm {program.shows()} {len(program.inputs)} {len(program.sounds)}")

    def start(self) -> None:
        self._note("start")

    def stop(self) -> None:
        self._note("stop")

    def close(self) -> None:
        self._note("close")

    def end(self, result: SessionResult | None) -> None:
        self._note(f"end {result and result.state}")

    def describe(self, status: SessionStatus) -> SessionStatus:
        if self._breaks:
            raise ZeroDivisionError("a bug")
        return super().describe(status)


class Loaded(SessionHook):
    def describe(self, status: SessionStatus) -> SessionStatus:
        return msgspec.structs.replace(status, load=LoadLine())


def make_hook(_asked: SessionRequest, _settings: Settings) -> object:
    return "no hook"


@pytest.mark.parametrize("breaks", [False, True])
def test_a_hook_hears_each_moment_and_a_broken_one_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, breaks: bool
) -> None:
    room, noting = Room(tmp_path, duration_s=1, live=True), Noting(breaks=breaks)
    logged: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda broken: logged.append(broken.exc_type))
    room.use(noting, Loaded())
    result = room.run()
    assert (set(logged) == {ZeroDivisionError}) is breaks
    assert room.session.status().load == LoadLine()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    told = list(dict.fromkeys(noting.moments))
    assert told == [
        "attach", "arm single 1 1", "start", "session-live", "session-ended", "stop", "close", "end sealed",
    ]  # fmt: skip
    assert noting.calls in {1, 2} if breaks else noting.calls > 20


def test_a_session_that_records_nothing_ends_its_hooks_too(tmp_path: Path) -> None:
    room, noting = Room(tmp_path, live=True), Noting()
    room.use(noting)
    room.session.stop()
    room.session.run()
    assert noting.moments[-1] == "end idle"


def test_a_hook_may_refuse_a_session_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(SessionHook):
        def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
            raise UsageError(f"{len(chosen.pictures)} {unattended}")

    monkeypatch.setattr("recorder.session.planning.make_hooks", lambda *_: SessionHooks([Noting(), Refusing()]))
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path, reserve=1)
    with pytest.raises(UsageError, match="1 True"):
        plan_session(asked, Settings(), SystemClock(), unattended=True)


def test_a_registered_module_has_to_make_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_hooks(SessionRequest(title="", live=False), Settings()).spacing(0, 1.0) == 1
    monkeypatch.setattr(in_hooks, "SESSION_HOOKS", (WRONG,))
    with pytest.raises(TypeError, match=WRONG):
        make_hooks(SessionRequest(title=""), Settings())
