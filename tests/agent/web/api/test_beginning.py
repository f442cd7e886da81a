"""The one button, pressed just when the recorder of a session was killed."""

import threading
import time
from pathlib import Path

import msgspec
import pytest
from starlette.requests import Request

from agent.daemon import presence
from agent.daemon.presence import SUCCESSOR_WAIT_S
from agent.sessions import control
from agent.sessions.control import NOTHING_RUNS, line_of
from agent.web.api import sessions
from agent.web.api.sessions import TAKEN_UP_S, Begun, NewSession
from agent.web.http.endpoint import ApiCall
from devices.host.clock import SystemClock
from recorder.model.status import SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder
from recorder.running.protocol import RecorderRefused
from tests.support.situations import session
from tests.support.web import house


def press() -> Begun:
    """Press the button."""
    return sessions.start_recording(ApiCall(house([]), {}, Request({"type": "http"})))


@pytest.mark.slow
@pytest.mark.parametrize(("gone_after_s", "begun_within_s"), [(0.5, TAKEN_UP_S - 1), (60.0, SUCCESSOR_WAIT_S / 2)])
def test_the_button_does_not_wait_long_for_a_session_that_nobody_goes_on_with(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, gone_after_s: float, begun_within_s: float
) -> None:
    """The daemon has given it up and takes its folder away; or its disk is gone, and it is tried again and again."""
    begun: list[str] = []

    def begin(_call: ApiCall, new: NewSession) -> Begun:
        begun.append(new.title)
        return NOTHING_RUNS

    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    info = msgspec.structs.replace(info, work="/arsip/.incoming/rapat", pid_started=1)
    killed = runtime_directory.make_recorder_folder(info, b"{}")
    monkeypatch.setattr(sessions, "begin_session", begin)
    giving_up = threading.Timer(gone_after_s, killed.remove)
    began_s = time.monotonic()
    with presence.daemon_lock():
        giving_up.start()
        press()
        giving_up.cancel()
    assert len(begun) == 1
    assert time.monotonic() - began_s < begun_within_s


def test_where_the_next_recorder_says_why_it_cannot_another_session_is_begun(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_key: object, **_how: object) -> RunningRecorder:
        raise RecorderRefused("the disk is full")

    monkeypatch.setattr(control, "successor_of", refuse)
    monkeypatch.setattr(sessions, "begin_session", lambda _call, _new: NOTHING_RUNS)
    assert press() == NOTHING_RUNS


@pytest.mark.parametrize(("state", "goes_on"), [(SessionState.LIVE, True), (SessionState.SEALING, False)])
def test_a_session_that_was_gone_on_with_and_has_ended_since_is_no_recording(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, state: SessionState, goes_on: bool
) -> None:
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    following = RunningRecorder(runtime_directory.RecorderFolder(runtime / info.id), info, session(state))
    monkeypatch.setattr(control, "successor_of", lambda *_key, **_how: following)
    monkeypatch.setattr(sessions, "begin_session", lambda _call, _new: NOTHING_RUNS)
    assert press() == (line_of(following) if goes_on else NOTHING_RUNS)
