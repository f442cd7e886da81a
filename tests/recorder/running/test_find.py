"""Which of the sessions that run is meant."""

import threading
import time
from contextlib import ExitStack

from recorder.model.status import SessionState, SessionStatus
from recorder.running.find import PATIENCE_S, running, running_as
from tests.support.served import ServedRecorder, hanging, taken
from tests.support.waiting import wait_for


def test_one_that_is_named_is_found_and_no_other_is_asked() -> None:
    """One that hangs would hold up for seconds whoever starts or ends another."""
    asked: list[str] = []

    def counted(status: SessionStatus) -> SessionStatus:
        asked.append("Dua")
        return status

    with ServedRecorder("Satu") as one, ServedRecorder("Dua", counted):
        found = running_as(one.info.id)
        assert found
        assert (found.info.title, found.status is not None, asked) == ("Satu", True, [])
        assert running_as(one.info.id[:-1]) is None, "only its whole id means it"
        assert (len(running()), asked) == (2, ["Dua"])


def test_those_that_hang_are_waited_for_together_and_asked_nothing_more_meanwhile() -> None:
    with ExitStack() as stack:
        hung = [stack.enter_context(hanging(f"Macet {number}"))[1] for number in range(4)]
        well = stack.enter_context(ServedRecorder("Rapat"))
        for most_s in (3 * PATIENCE_S, PATIENCE_S, PATIENCE_S):
            began = time.monotonic()
            assert [one.state for one in running()] == [None] * 4 + [SessionState.LIVE]
            assert running_as(well.info.id)
            assert time.monotonic() - began < most_s
        assert [taken(listener) for listener in hung] == [1] * 4


def test_one_that_has_hung_is_asked_again_once_it_answers() -> None:
    answers = threading.Event()

    def late(status: SessionStatus) -> SessionStatus:
        answers.wait(60)
        return status

    with ServedRecorder("Macet", late):
        assert [found.status for found in running()] == [None]
        answers.set()
        wait_for(lambda: [found.state for found in running()] == [SessionState.LIVE])
