"""A rehearsal whose session hangs comes to an end all the same, and says so."""

import threading

import pytest

from config.errors import SessionError
from config.schema import Settings
from devices.host.clock import SystemClock
from recorder.asked import Asked
from recorder.model.status import SessionResult
from recorder.rehearsal import run
from recorder.rehearsal.run import rehearse
from recorder.session import Session

ASKED = Asked(title="", videos=("synthetic",), audios=("none",), profile="240p15")


def test_one_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go, was_asked_to_stop = threading.Event(), threading.Event()

    class Hangs(Session):
        def run(self) -> SessionResult:
            let_go.wait(60)
            raise SessionError("nobody waits for it any more")

        def stop(self) -> None:
            was_asked_to_stop.set()

    monkeypatch.setattr(run, "Session", Hangs)
    monkeypatch.setattr(run, "LONGER_S", 0.2)
    monkeypatch.setattr(run, "LET_GO_S", 0.2)
    try:
        rehearsed = rehearse(
            ASKED, Settings(), SystemClock(), threading.Event(), seconds=0.1, stage=lambda _stage, _share: None
        )
    finally:
        let_go.set()
    assert was_asked_to_stop.is_set()
    assert (rehearsed.film, rehearsed.result) == (None, None)
    assert rehearsed.problem is not None
    assert rehearsed.problem.message == "the rehearsal did not come to its end"
