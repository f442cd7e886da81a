"""The control socket, by real sockets: what it answers and what it tells, until it closes."""

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import LiputError, UsageError
from config.events import Event
from devices.host.clock import SystemClock
from recorder.control import server
from recorder.control.server import COMMANDS_AT_ONCE, MOST_CHANGES, ControlServer
from recorder.model.status import SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.client import ControlClient, RecorderLost, send_command
from recorder.running.protocol import DestinationChange, RecorderRefused
from recorder.running.runtime_directory import RecorderFolder
from tests.support.scripted_session import NOW, RESULT, ScriptedSession, Served, lines, subjects
from tests.support.waiting import wait_for


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.close()


def test_each_command_does_what_it_says(served: Served) -> None:
    connection = served.connect()
    assert connection.request(protocol.StartCommand(pre_roll_s=15.0)).ok
    assert connection.request(protocol.MarkCommand(text="Tanya")).mark == {
        "at": "2026-11-25T00:00:00Z", "media_s": 1.0, "text": "Tanya",
    }  # fmt: skip
    assert connection.request(protocol.MuteCommand(name="podium", on=False)).ok
    assert connection.request(protocol.StopCommand()).ok
    assert served.session.calls == [("start", 15.0), ("mark", "Tanya"), ("mute", "podium", False), ("stop",)]
    status = connection.request(protocol.StatusCommand()).status
    assert status is not None
    assert status.state is SessionState.LIVE


def test_a_refusal_and_a_mistake_of_ours_are_answered_and_end_nothing(served: Served) -> None:
    connection = served.connect()
    with pytest.raises(LiputError) as refused:
        connection.request(protocol.MarkCommand(text=""))
    told = refused.value
    assert (told.message, told.hint, told.exit_status) == ("the mark is empty", "say something", 2)
    with pytest.raises(LiputError, match="ZeroDivisionError"):
        connection.request(protocol.LayoutCommand(name="slides"))
    assert connection.request(protocol.StatusCommand()).ok


def test_what_nobody_waits_for_any_more_is_not_done_later_but_for_an_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands, goes_on = threading.Event(), threading.Event()

    def stand_still(*_: object, **__: object) -> None:
        stands.set()
        goes_on.wait(30)

    monkeypatch.setattr(served.session, "mute", stand_still)
    served.raw().sendall(protocol.encode(protocol.MuteCommand()))
    assert stands.wait(60)
    for request in (protocol.MarkCommand(text="Tanya"), protocol.StopCommand()):
        with pytest.raises(RecorderLost, match="does not answer"):
            send_command(served.folder, request, 0.5)
    goes_on.set()
    assert send_command(served.folder, protocol.MarkCommand(text="Jawab")).ok
    assert sorted(served.session.calls) == [("mark", "Jawab"), ("stop",)]


@pytest.mark.parametrize(
    ("state", "request_", "says"),
    [
        (SessionState.LIVE, protocol.DisarmCommand(), "the session is live, not armed"),
        (SessionState.SEALING, protocol.MarkCommand(text="x"), "the session is sealing: its recording has ended"),
        (SessionState.SEALED, protocol.AddDestinationCommand(name="kampus"), "sealed: its recording has ended"),
    ],
)
def test_what_comes_too_late_is_refused_and_changes_nothing(
    served: Served, state: SessionState, request_: protocol.AnyRequest, says: str
) -> None:
    served.session.state = state
    with pytest.raises(LiputError, match=says):
        send_command(served.folder, request_)
    assert served.session.calls == []


def test_what_is_armed_is_disarmed(served: Served) -> None:
    served.session.state = SessionState.ARMED
    assert send_command(served.folder, protocol.DisarmCommand()).ok
    assert served.session.calls == [("stop",)]


def test_one_who_watches_is_told_what_happens_and_how_it_is(served: Served) -> None:
    connection = served.watching(every_s=0.1)
    served.tell(3)
    assert subjects(connection, 3) == [0, 1, 2]
    statuses = [told for _ in range(3) if isinstance(told := connection.told(10.0), SessionStatus)]
    assert [status.state for status in statuses] == ["live"] * 3
    served.server.tell(protocol.SealingProgress(done=1, total=2))
    wait_for(lambda: connection.told(1.0) == protocol.SealingProgress(done=1, total=2))


def test_an_event_whose_detail_is_no_json_raises_nothing_where_it_happened(served: Served) -> None:
    connection = served.watching()
    served.server.tell(Event(NOW, "mark", "0", {"what": object()}, "told"))
    told = connection.told(20.0)
    assert isinstance(told, Event)
    assert (told.subject, told.detail) == ("0", {})


def test_what_happened_before_can_be_asked_for(served: Served) -> None:
    served.tell(5)
    assert subjects(served.watching(events_from=0), 5) == [0, 1, 2, 3, 4]
    assert subjects(served.watching(events_from=3), 2) == [3, 4]
    newest, beyond = served.watching(), served.watching(events_from=99)
    served.tell()
    assert subjects(newest, 1) == subjects(beyond, 1) == [5]


def test_the_end_is_told_to_all_also_to_one_who_comes_late(served: Served) -> None:
    served.tell(2)
    early = served.watching(events_from=0)
    served.server.finish(RESULT)
    late = served.watching(events_from=0)
    for connection in (early, late):
        assert subjects(connection, 2) == [0, 1]
        assert connection.told(10.0) == RESULT
    assert served.server.wait_told(10.0)
    served.server.close()
    with pytest.raises(RecorderLost):
        early.told(10.0)


def test_it_waits_for_somebody_to_be_told(served: Served) -> None:
    served.server.finish(RESULT)
    assert not served.server.wait_told(0.05)
    send_command(served.folder, protocol.StatusCommand())  # which is not to be told
    assert not served.server.wait_told(0.05)
    assert served.watching().told(10.0) == RESULT
    assert served.server.wait_told(10.0)


def test_a_status_is_never_older_than_what_happened(served: Served) -> None:
    """Who was told that it records, and asks, must not hear that it is armed."""
    connection = served.watching()
    for state in (SessionState.ARMED, SessionState.LIVE, SessionState.DEGRADED, SessionState.LIVE) * 5:
        served.session.state = state
        served.tell()
        subjects(connection, 1)
        reply = connection.request(protocol.StatusCommand()).status
        assert reply is not None
        assert reply.state is state


def test_a_line_may_come_in_pieces_and_several_at_once(served: Served) -> None:
    connection = served.raw()
    for byte in b'{"command": "mark", "te':
        connection.sendall(bytes([byte]))
    connection.sendall(b'xt": "satu", "id": 1}\n{"command": "mark", "text": "dua", "id": "b"}\n{"command": "stop"}')
    connection.shutdown(socket.SHUT_WR)  # as `echo ... | nc` does; the last line has no end
    assert [(line["id"], line["ok"]) for line in list(lines(connection))] == [(1, True), ("b", True), (None, True)]
    assert served.session.calls == [("mark", "satu"), ("mark", "dua"), ("stop",)]


def test_a_status_that_fails_ends_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    connection, reported = served.watching(every_s=0.1), list[object]()

    def broken() -> SessionStatus:
        raise RuntimeError("rusak")

    monkeypatch.setattr(threading, "excepthook", reported.append)  # pytest would fail the test for it
    with monkeypatch.context() as patch:
        patch.setattr(served.session, "status", broken)
        served.tell(2)
        assert subjects(connection, 2) == [0, 1]
        wait_for(lambda: reported)
        with pytest.raises(LiputError, match="rusak"):
            connection.request(protocol.StatusCommand())
    wait_for(lambda: isinstance(connection.told(1.0), SessionStatus))


# Hostile, broken and slow clients


def test_garbage_is_answered_line_by_line(served: Served) -> None:
    connection = served.raw()
    connection.sendall(
        b'halo\n\xff\xfe\x00\n\n{"command": "dance", "id": 3}\n{"command": "mark", "id": 4, "text": "x"}\n'
    )
    connection.shutdown(socket.SHUT_WR)
    answers = list(lines(connection))
    assert [line["ok"] for line in answers] == [False, False, False, False, True]
    assert all("no command" in line["error"]["message"] for line in answers[:4])  # type: ignore[index] # JSON
    assert served.session.calls == [("mark", "x")]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_of_a_megabyte_ends_that_client_with_a_word(served: Served, end: bytes) -> None:
    good = served.watching()
    connection = served.raw()
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        connection.sendall(b"x" * 1_000_000 + end)
    (answer,) = list(lines(connection))
    assert "longer than 65536 bytes" in answer["error"]["message"]  # type: ignore[index] # JSON
    served.tell()
    assert subjects(good, 1) == [0]


def test_half_a_line_and_a_dead_client_keep_nobody_waiting(served: Served) -> None:
    good = served.watching()
    half = served.raw()
    half.sendall(b'{"command": "sto')
    gone = served.raw()
    gone.sendall(b'{"command": "watch"}\n{"comm')
    gone.close()
    served.tell(2)
    assert subjects(good, 2) == [0, 1]
    assert served.session.calls == []


def test_a_client_that_is_stopped_costs_nothing(served: Served) -> None:
    """Of statuses it gets the newest; its events wait for it, in one place for all."""
    stopped, good = served.watching(every_s=0.1, events_from=0), served.watching(events_from=0)
    for _ in range(10):
        served.tell(100, size=4000)
        subjects(good, 100)
    served.server.finish(RESULT)
    assert good.told(10.0) == RESULT
    assert not served.server.wait_told(0.05)  # it has not been told
    assert subjects(stopped, 1000) == list(range(1000))
    wait_for(lambda: stopped.told(10.0) == RESULT)
    assert served.server.wait_told(10.0)


def test_one_that_falls_too_far_behind_is_let_go_and_the_others_have_everything(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    slow, good = served.raw(), served.watching(events_from=0)
    slow.sendall(b'{"command": "watch", "events_from": 0}\n')
    assert next(lines(slow))["ok"]
    seen = []
    for _ in range(12):  # more than the 8 MiB that are kept
        served.tell(100, size=10_000)
        seen += subjects(good, 100)
    assert seen == list(range(1200))
    # What was in its socket already is there; the rest is not, and no gap in between.
    got = [int(str(line["subject"])) for line in lines(slow)]
    assert got == list(range(len(got)))
    assert len(got) < 1200
    assert capfd.readouterr().err == ""  # which is no mistake of ours


def test_a_flood_of_commands_is_answered_at_our_pace(served: Served) -> None:
    flooder = (
        "import sys\nfrom pathlib import Path\nfrom recorder.running.access import connect_to\n"
        'flood = 100_000 * b\'{"command": "mark", "text": "banjir"}\\n\'\n'
        "connect_to(Path(sys.argv[1]), 60.0).sendall(flood)\n"
    )
    good = served.watching(events_from=0)
    with subprocess.Popen(
        [sys.executable, "-c", flooder, str(served.folder.control)], cwd=Path(__file__).parents[3]
    ) as flooding:
        began = time.monotonic()
        served.tell(100)
        assert subjects(good, 100) == list(range(100))
        assert send_command(served.folder, protocol.MarkCommand(text="sempat")).ok
        wait_for(lambda: len(served.session.calls) > COMMANDS_AT_ONCE)
        flooding.kill()
    taken = len(served.session.calls)
    assert ("mark", "sempat") in served.session.calls
    # The bucket's own arithmetic, not a measure of this machine: what it may have taken since it began.
    assert taken <= 2 * COMMANDS_AT_ONCE + 20 * (time.monotonic() - began) + 1


def test_one_that_never_reads_its_answers_is_not_read_from_either(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "COMMANDS_PER_S", 1e9)
    monkeypatch.setattr(server, "COMMANDS_AT_ONCE", 1e9)
    connection, line, sent = served.raw(), b'{"command": "mark", "text": "x"}\n', 0
    connection.settimeout(0)

    def is_stuck() -> bool:
        """Fill its socket; return whether nothing more of it is taken, turn by turn."""
        nonlocal sent
        taken = len(served.session.calls)
        with contextlib.suppress(BlockingIOError):
            while True:
                sent += connection.send(line * 1000)
        assert send_command(served.folder, protocol.StatusCommand()).ok
        return len(served.session.calls) == taken

    wait_for(is_stuck)
    taken = len(served.session.calls)
    assert taken < sent // len(line)
    for _ in range(20):
        assert send_command(served.folder, protocol.StatusCommand()).ok
    assert len(served.session.calls) == taken


def can_ask(folder: RecorderFolder) -> bool:
    try:
        return send_command(folder, protocol.StatusCommand()).ok
    except LiputError:
        return False


def test_further_connections_are_refused_one_by_one_and_the_first_go_on(served: Served) -> None:
    good = served.watching()
    others = [served.raw() for _ in range(31)]
    for other in others:
        other.sendall(b'{"command": "status"}\n')
        assert next(lines(other))["ok"]
    for _ in range(20):
        (line,) = list(lines(served.raw()))
        assert (line["type"], line["message"]) == ("error", "32 clients are connected already")
    served.tell()
    assert subjects(good, 1) == [0]
    others[0].close()
    wait_for(lambda: can_ask(served.folder))


# Changes of destinations, which may wait for a disk


class Slow:
    """Changes that take as long as a test wants."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.asked: list[DestinationChange] = []

    def __call__(self, request: DestinationChange) -> str:
        self.asked.append(request)
        self.may_end.wait(30)
        if isinstance(request, protocol.RemoveDestinationCommand):
            raise UsageError("no such", hint="another")
        return "noted"


@pytest.fixture
def slow(tmp_path: Path) -> Iterator[Slow]:
    """Return the changes of a session that is served in `tmp_path`."""
    slow, control = Slow(), ControlServer(RecorderFolder(tmp_path).control, SystemClock())
    control.start(ScriptedSession(), slow)
    with contextlib.closing(control):
        yield slow
        slow.may_end.set()


def test_a_change_that_takes_its_time_holds_up_nobody_else(tmp_path: Path, slow: Slow) -> None:
    folder, answers = RecorderFolder(tmp_path), list[str]()

    def change() -> None:
        with ControlClient(folder) as connection:
            answers.append(connection.request(protocol.AddDestinationCommand(name="kampus"), 30.0).note)
            answers.append(str(connection.request(protocol.MarkCommand(text="sesudah"), 30.0).ok))
            try:
                connection.request(protocol.RemoveDestinationCommand(name="kampus"), 30.0)
            except RecorderRefused as error:
                answers.append(f"{error.message}, {error.hint}, {error.exit_status}")

    thread = threading.Thread(target=change)
    thread.start()
    wait_for(lambda: slow.asked)
    assert send_command(folder, protocol.StatusCommand()).status
    assert send_command(folder, protocol.MarkCommand(text="sela")).ok
    assert answers == []
    slow.may_end.set()
    thread.join(30.0)
    assert answers == ["noted", "True", "no such, another, 2"]


def test_changes_that_hang_leave_places_for_everybody_else(tmp_path: Path, slow: Slow) -> None:
    folder = RecorderFolder(tmp_path)
    for number in range(32):  # as many as may connect; as a script does that gives up and tries again
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(folder.control))
            client.sendall(protocol.encode(protocol.AddDestinationCommand(name=f"d{number}")))
        wait_for(lambda: slow.asked)
    wait_for(lambda: can_ask(folder))
    with pytest.raises(LiputError, match="are still in progress"):
        send_command(folder, protocol.AddDestinationCommand(name="kampus"))
    slow.may_end.set()
    wait_for(lambda: len(slow.asked) > MOST_CHANGES)
    assert send_command(folder, protocol.AddDestinationCommand(name="kampus")).note == "noted"
    assert len(slow.asked) == 1 + MOST_CHANGES + 1


def test_an_address_is_not_repeated_in_what_is_refused(tmp_path: Path, slow: Slow) -> None:
    wrong = protocol.AddDestinationCommand(name="x", address="gUARDED-w0rd" * 1000)
    with ControlClient(RecorderFolder(tmp_path)) as connection, pytest.raises(RecorderRefused) as error:
        connection.request(wrong)
    assert "gUARDED" not in error.value.message
    assert repr(wrong) == "AddDestinationCommand(id=None, name='x', file=None)"
