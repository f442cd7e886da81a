"""Lines of the control socket, and talking to a recorder: one that hangs keeps nobody waiting for too long."""

import threading
import time
from contextlib import ExitStack

import pytest

from config.errors import DeviceError, UsageError
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.access import BACKLOG
from recorder.running.client import (
    ANSWER_S,
    PATIENCE_S,
    ControlClient,
    RecorderLost,
    find_running,
    running_recorders,
    send_command,
)
from recorder.running.protocol import StatusCommand, WatchCommand
from tests.support.scripted_session import ServedRecorder, hanging, taken
from tests.support.waiting import wait_for


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\xff\xfe", b"[]", b'"stop"', b'{"command": "dance"}', b'{"command": "start"',
        b'{"command": "start", "pre_roll": 15}', b'{"command": "start", "pre_roll_s": "15"}',
        b'{"command": "start", "pre_roll_s": -1}', b'{"command": "mark"}', b'{"command": "watch", "every_s": 0}',
        b'{"command": "stop", "id": "' + b"x" * 65 + b'"}', b"[" * 60_000, b'{"command": "' + b"x" * 60_000 + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_command_is_refused_in_one_short_line(line: bytes) -> None:
    with pytest.raises(UsageError, match="no command") as refused:
        protocol.decode_request(line)
    assert "\n" not in refused.value.message
    assert len(refused.value.message) < 400


def test_what_a_client_says_changes_no_terminal() -> None:
    with pytest.raises(UsageError, match="no command") as refused:
        protocol.decode_request(b'{"command": "\\u001b]0;x\\u0007\\u001b[31mdance"}')
    assert refused.value.message.isprintable()
    assert "dance" in refused.value.message
    assert protocol.to_refusal(ZeroDivisionError("\x1b[31mred")).message.isprintable()


def test_a_path_that_is_no_text_is_told_as_far_as_it_is() -> None:
    result = SessionResult(state=SessionState.SEALED, package="/arsip-\udcff", duration_s=1.0, frames=30, degraded=[])
    read = protocol.LINE_DECODER.decode(protocol.encode(result))
    assert isinstance(read, SessionResult)
    assert read.package == "/arsip-\ufffd"


def test_an_error_arrives_with_its_words_and_its_exit_status() -> None:
    for error, status in ((DeviceError("busy", hint="wait", why="busy"), 1), (UsageError("wrong", hint="right"), 2)):
        again = protocol.RecorderRefused(protocol.to_refusal(error))
        assert (again.message, again.hint, again.exit_status) == (error.message, error.hint, status)
        assert protocol.RecorderRefused(protocol.to_failure(error)).exit_status == status
    ours = protocol.to_refusal(ZeroDivisionError("by\nzero"))
    assert (ours.message, ours.hint) == ("ZeroDivisionError('by\\nzero')", "please report this")


def test_who_waits_waits_so_long_in_all_however_much_comes() -> None:
    with ServedRecorder() as one, ControlClient(one.folder) as client:
        for _ in range(2):
            one.tell("mark")
        client.request(WatchCommand(every_s=0.1, events_from=0))
        began_s = time.monotonic()
        came = list(client.told_within(0.5))
        assert 0.5 <= time.monotonic() - began_s < 10.0
    assert len(came) >= 2


@pytest.mark.parametrize("clients", [0, BACKLOG + 1])
def test_one_that_hangs_is_given_up_in_time_however_many_wait_for_it(clients: int) -> None:
    with hanging(clients=clients) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost):
            send_command(folder, StatusCommand(), 0.5)
        assert time.monotonic() - began < ANSWER_S, "which is what it takes where nobody says how long"


@pytest.mark.parametrize("timeout_s", [0.0, 0.4e-6, 0.9999999])
def test_any_time_is_a_time_to_wait(timeout_s: float) -> None:
    """The kernel takes whole seconds and less than a million microseconds, and none at all for ever."""
    with hanging(clients=BACKLOG + 1) as (folder, _):
        began = time.monotonic()
        with pytest.raises(RecorderLost, match="cannot be reached: Resource temporarily unavailable"):
            send_command(folder, StatusCommand(), timeout_s)
        assert time.monotonic() - began < ANSWER_S


def test_one_that_is_named_is_found_and_no_other_is_asked() -> None:
    """One that hangs would hold up for seconds whoever starts or ends another."""
    asked: list[str] = []

    def counted(status: SessionStatus) -> SessionStatus:
        asked.append("Dua")
        return status

    with ServedRecorder("Satu") as one, ServedRecorder("Dua", counted):
        wait_for(lambda: (satu := find_running(one.info.id)) and satu.status)
        found = find_running(one.info.id)
        assert found
        assert (found.info.title, asked) == ("Satu", [])
        assert find_running(one.info.id[:-1]) is None, "only its whole id means it"
        assert len(running_recorders()) == 2
        wait_for(lambda: asked)


def test_those_that_hang_are_waited_for_together_and_asked_nothing_more_meanwhile() -> None:
    with ExitStack() as stack:
        hung = [stack.enter_context(hanging(f"Macet {number}"))[1] for number in range(12)]
        well = stack.enter_context(ServedRecorder("Rapat"))
        began = time.monotonic()
        for _ in range(6):
            wait_for(lambda: [one.state for one in running_recorders()] == [None] * 12 + [SessionState.LIVE])
            assert find_running(well.info.id)
        # One after the other they take twelve times as long, and six times if each look waits for them again.
        assert time.monotonic() - began < 5 * PATIENCE_S
        assert [taken(listener) for listener in hung] == [1] * 12


def test_one_that_has_hung_is_asked_again_once_it_answers() -> None:
    answers = threading.Event()

    def late(status: SessionStatus) -> SessionStatus:
        answers.wait(60)
        return status

    with ServedRecorder("Macet", late):
        assert [found.status for found in running_recorders()] == [None]
        answers.set()
        wait_for(lambda: [found.state for found in running_recorders()] == [SessionState.LIVE])
