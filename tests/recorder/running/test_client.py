"""Talking to a recorder: one that hangs keeps nobody waiting for longer than they wanted to wait."""

import threading
import time
from contextlib import ExitStack

import pytest

from recorder.model.status import SessionState, SessionStatus
from recorder.running.access import BACKLOG
from recorder.running.client import ANSWER_S, PATIENCE_S, RecorderLost, find_running, running_recorders, send_command
from recorder.running.protocol import StatusCommand
from tests.support.scripted_session import ServedRecorder, hanging, taken
from tests.support.waiting import wait_for


@pytest.mark.parametrize("clients", [0, BACKLOG + 1])
def test_one_that_hangs_is_given_up_in_time_however_many_wait_for_it(clients: int) -> None:
    with hanging(clients=clients) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost):
            send_command(folder, StatusCommand(), 0.5)
        assert time.monotonic() - began < ANSWER_S / 2


@pytest.mark.parametrize("timeout_s", [0.0, 0.4e-6, 0.9999999])
def test_any_time_is_a_time_to_wait(timeout_s: float) -> None:
    """The kernel takes whole seconds and less than a million microseconds, and none at all for ever."""
    with hanging(clients=BACKLOG + 1) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost, match="cannot be reached: Resource temporarily unavailable"):
            send_command(folder, StatusCommand(), timeout_s)
        assert time.monotonic() - began < ANSWER_S / 2


def test_one_that_is_named_is_found_and_no_other_is_asked() -> None:
    """One that hangs would hold up for seconds whoever starts or ends another."""
    asked: list[str] = []

    def counted(status: SessionStatus) -> SessionStatus:
        asked.append("Dua")
        return status

    with ServedRecorder("Satu") as one, ServedRecorder("Dua", counted):
        found = find_running(one.info.id)
        assert found
        assert (found.info.title, found.status is not None, asked) == ("Satu", True, [])
        assert find_running(one.info.id[:-1]) is None, "only its whole id means it"
        assert (len(running_recorders()), asked) == (2, ["Dua"])


def test_those_that_hang_are_waited_for_together_and_asked_nothing_more_meanwhile() -> None:
    with ExitStack() as stack:
        hung = [stack.enter_context(hanging(f"Macet {number}"))[1] for number in range(4)]
        well = stack.enter_context(ServedRecorder("Rapat"))
        for most_s in (3 * PATIENCE_S, PATIENCE_S, PATIENCE_S):
            began = time.monotonic()
            assert [one.state for one in running_recorders()] == [None] * 4 + [SessionState.LIVE]
            assert find_running(well.info.id)
            assert time.monotonic() - began < most_s
        assert [taken(listener) for listener in hung] == [1] * 4


def test_one_that_has_hung_is_asked_again_once_it_answers() -> None:
    answers = threading.Event()

    def late(status: SessionStatus) -> SessionStatus:
        answers.wait(60)
        return status

    with ServedRecorder("Macet", late):
        assert [found.status for found in running_recorders()] == [None]
        answers.set()
        wait_for(lambda: [found.state for found in running_recorders()] == [SessionState.LIVE])
