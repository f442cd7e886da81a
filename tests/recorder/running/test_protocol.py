"""Lines of the control socket: what goes out comes in again; what is no command is said to be none, in one line."""

from datetime import UTC, datetime

import pytest

from config.errors import DeviceError, UsageError
from config.events import Event
from recorder.model.status import SessionResult, SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.protocol import AnyRequest, ControlLine

STATUS = SessionStatus(
    state=SessionState.LIVE, elapsed_s=1.0, media_time_s=0.5, bytes=5, frames=1, dropped=0, repeated=0, fps=30.0,
    levels_dbfs=[], disk_left_s=None, destinations=[],
)  # fmt: skip


@pytest.mark.parametrize(
    "request_",
    [
        protocol.StartCommand(id=1, pre_roll_s=15.0), protocol.StopCommand(id="dua"), protocol.DisarmCommand(),
        protocol.MarkCommand(text="Tanya"),
        protocol.MuteCommand(name="podium", on=False), protocol.MuteCommand(), protocol.LayoutCommand(name="slides"),
        protocol.StatusCommand(id=7),
        protocol.WatchCommand(every_s=0.25, events_from=0),
    ],
)  # fmt: skip
def test_a_command_comes_in_as_it_went_out(request_: AnyRequest) -> None:
    line = protocol.encode(request_)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert protocol.decode_request(line) == request_


@pytest.mark.parametrize(
    "line",
    [
        protocol.CommandReply(id=1, ok=True, status=STATUS),
        protocol.CommandReply(id=None, ok=False, error=protocol.CommandRefusal(message="x")),
        STATUS, protocol.SealingProgress(done=1, total=2), protocol.RecorderNote(text="x"),
        protocol.RecorderFailure(message="x", exit_status=2),
        Event(datetime(2026, 11, 25, tzinfo=UTC), "source-lost", "podium", {"count": 1}, "lost"),
        SessionResult(state=SessionState.SEALED, package="/p", duration_s=1.0, frames=30, degraded=[]),
    ],
)  # fmt: skip
def test_what_a_recorder_says_comes_in_as_it_went_out(line: ControlLine) -> None:
    assert protocol.LINE_DECODER.decode(protocol.encode(line)) == line


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\n", b"halo", b"\xff\xfe", b"[]", b"null", b'"stop"', b"{}", b'{"command": "dance"}',
        b'{"command": "start"',
        b'{"command": "start", "pre_roll": 15}', b'{"command": "start", "pre_roll_s": "15"}',
        b'{"command": "start", "pre_roll_s": -1}', b'{"command": "start", "pre_roll_s": 1e9}',
        b'{"command": "mark"}',
        b'{"command": "mute", "on": 1}', b'{"command": "watch", "every_s": 0}', b'{"command": "stop", "id": [1]}',
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
        again = protocol.to_exception(protocol.to_refusal(error))
        assert (again.message, again.hint, again.exit_status) == (error.message, error.hint, status)
        assert protocol.to_exception(protocol.to_failure(error)).exit_status == status
    ours = protocol.to_refusal(ZeroDivisionError("by\nzero"))
    assert (ours.message, ours.hint) == ("ZeroDivisionError('by\\nzero')", "please report this")
