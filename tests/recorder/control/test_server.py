"""The control socket, by real sockets: what it answers and what it tells, until it closes."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import LiputError
from config.events import Event
from recorder.control import server
from recorder.control.server import COMMANDS_AT_ONCE
from recorder.model.eventlog import LineBuffer
from recorder.model.status import SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.client import RecorderLost, send_command
from tests.support.scripted_session import NOW, RESULT, Served, all_of, lines, subjects
from tests.support.waiting import wait_for


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
    assert (refused.value.message, refused.value.hint, refused.value.exit_status) == (
        "the mark is empty",
        "say something",
        2,
    )
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
    with pytest.raises(RecorderLost, match="does not answer"):
        send_command(served.folder, protocol.MuteCommand(), 0.2)
    stands.wait(30)
    for request in (protocol.MarkCommand(text="Tanya"), protocol.StopCommand()):
        with pytest.raises(RecorderLost, match="does not answer"):
            send_command(served.folder, request, 0.2)
    goes_on.set()
    assert send_command(served.folder, protocol.MarkCommand(text="Jawab")).ok
    assert sorted(served.session.calls) == [("mark", "Jawab"), ("stop",)]


@pytest.mark.parametrize("state", SessionState)
def test_disarming_is_for_what_is_not_recorded(served: Served, state: SessionState) -> None:
    served.session.state = state
    if state in {SessionState.IDLE, SessionState.ARMED}:
        assert send_command(served.folder, protocol.DisarmCommand()).ok
        assert served.session.calls == [("stop",)]
    else:
        with pytest.raises(LiputError, match=f"the session is {state}, not armed"):
            send_command(served.folder, protocol.DisarmCommand())
        assert served.session.calls == []


def test_an_event_whose_detail_is_no_json_raises_nothing_where_it_happened(served: Served) -> None:
    connection = served.watching()
    served.server.tell(Event(NOW, "mark", "0", {"what": object()}, "told"))
    told = connection.told(20.0)
    assert isinstance(told, Event)
    assert (told.subject, told.detail) == ("0", {})


def test_one_who_watches_is_told_what_happens_and_how_it_is(served: Served) -> None:
    connection = served.watching(every_s=0.1)
    served.tell(3)
    assert subjects(connection, 3) == [0, 1, 2]
    statuses = [told for _ in range(3) if isinstance(told := connection.told(10.0), SessionStatus)]
    assert [status.state for status in statuses] == ["live"] * 3
    served.server.tell(protocol.SealingProgress(done=1, total=2))
    wait_for(lambda: connection.told(1.0) == protocol.SealingProgress(done=1, total=2))


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
    for state in (SessionState.ARMED, SessionState.LIVE, SessionState.DEGRADED, SessionState.LIVE) * 10:
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
    assert [(line["id"], line["ok"]) for line in all_of(connection)] == [(1, True), ("b", True), (None, True)]
    assert served.session.calls == [("mark", "satu"), ("mark", "dua"), ("stop",)]


def test_a_status_that_fails_ends_nothing(
    served: Served, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = served.watching(every_s=0.1)

    def broken() -> SessionStatus:
        raise RuntimeError("rusak")

    monkeypatch.setattr(served.session, "status", broken)
    served.tell(2)
    assert subjects(connection, 2) == [0, 1]
    with pytest.raises(LiputError, match="rusak"):
        wait_for(lambda: not connection.request(protocol.StatusCommand()).ok)
    monkeypatch.undo()
    wait_for(lambda: isinstance(connection.told(1.0), SessionStatus))
    assert "rusak" in capfd.readouterr().err


def test_closing_lets_go_of_everything(served: Served) -> None:
    def open_files() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    (served.folder.path / "lain").mkdir()
    before = open_files()
    other = Served(served.folder.path / "lain")
    other.watching()
    assert open_files() > before
    other.close()
    other.close()
    other.tell()  # which a session may still do
    assert open_files() == before


@pytest.mark.parametrize(
    "request_",
    [protocol.MarkCommand(text="x"), protocol.MuteCommand(name=None), protocol.LayoutCommand(name="pause")],
    ids=type,
)
def test_what_has_ended_is_not_changed_any_more(served: Served, request_: protocol.AnyRequest) -> None:
    served.session.state = SessionState.SEALING
    with pytest.raises(LiputError, match="the session is sealing: its recording has ended"):
        send_command(served.folder, request_)
    assert served.session.calls == []


def test_who_waits_waits_so_long_in_all_however_much_comes(served: Served) -> None:
    began_s = time.monotonic()
    came = list(served.watching(every_s=0.1).told_within(1.0))
    assert 1.0 <= time.monotonic() - began_s < 10.0
    assert len(came) >= 2


ROOT = Path(__file__).parents[3]


def test_garbage_is_answered_line_by_line(served: Served) -> None:
    connection = served.raw()
    connection.sendall(
        b'halo\n\xff\xfe\x00\n\n{"command": "dance", "id": 3}\n{"command": "mark", "id": 4, "text": "x"}\n'
    )
    connection.shutdown(socket.SHUT_WR)
    answers = all_of(connection)
    assert [line["ok"] for line in answers] == [False, False, False, False, True]
    assert all("no command" in line["error"]["message"] for line in answers[:4])  # type: ignore[index] # JSON
    assert served.session.calls == [("mark", "x")]


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_of_a_megabyte_ends_that_client_with_a_word(served: Served, end: bytes) -> None:
    good = served.watching()
    connection = served.raw()
    with contextlib.suppress(OSError):  # it has been closed meanwhile
        connection.sendall(b"x" * 1_000_000 + end)
    (answer,) = all_of(connection)
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
    code = (
        "import sys\nfrom pathlib import Path\nfrom recorder.running.client import *\n"
        "from recorder.running.runtime_directory import RecorderFolder\nfrom recorder.running.protocol import *\n"
        "with ControlClient(RecorderFolder(Path(sys.argv[1]))) as c:\n"
        "    c.request(WatchCommand(every_s=0.1, events_from=0))\n    print('watching', flush=True)\n"
        "    events = 0\n"
        "    while not isinstance(told := c.told(60.0), SessionResult):\n        events += isinstance(told, Event)\n"
        "    print(events)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(served.folder.path)], stdout=subprocess.PIPE, cwd=ROOT
    ) as sleeper:
        assert sleeper.stdout
        assert sleeper.stdout.readline() == b"watching\n"
        sleeper.send_signal(signal.SIGSTOP)
        good = served.watching(events_from=0)
        for _ in range(40):
            served.tell(100, size=1000)
            subjects(good, 100)
        asked = served.session.asked
        served.server.finish(RESULT)
        assert good.told(10.0) == RESULT
        assert not served.server.wait_told(0.05)  # it has not been told
        assert served.session.asked <= asked + 1
        sleeper.send_signal(signal.SIGCONT)
        assert sleeper.stdout.readline() == b"4000\n"
        assert served.server.wait_told(10.0)


def test_one_that_falls_too_far_behind_is_let_go_and_the_others_have_everything(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    served.server._history = LineBuffer(most_bytes=2_000_000)
    slow, good = served.raw(), served.watching(events_from=0)
    slow.sendall(b'{"command": "watch", "events_from": 0}\n')
    assert next(lines(slow))["ok"]
    seen = []
    for _ in range(40):
        served.tell(100, size=1000)
        seen += subjects(good, 100)
    assert seen == list(range(4000))
    # What was in its socket already is there; the rest is not, and no gap in between.
    got = [int(str(line["subject"])) for line in lines(slow)]
    assert got == list(range(len(got)))
    assert len(got) < 4000
    assert capfd.readouterr().err == ""  # which is no mistake of ours


def test_a_server_that_hangs_keeps_what_there_is_room_for_and_goes_on_with_who_comes_anew(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs, goes_on, status = threading.Event(), threading.Event(), served.session.status

    def hung() -> SessionStatus:
        hangs.set()
        assert goes_on.wait(60)
        return status()

    behind, asks = served.watching(events_from=0), served.raw()
    served.tell(10)
    assert subjects(behind, 10) == list(range(10))
    monkeypatch.setattr(served.session, "status", hung)
    asks.sendall(b'{"command": "status"}\n')
    assert hangs.wait(60)
    served.tell(1000, size=10_000)  # returns, though nobody takes it
    goes_on.set()
    with pytest.raises(RecorderLost):
        subjects(behind, 1010)
    anew = served.watching(events_from=0)
    kept = subjects(anew, 1)[0]
    assert 100 < kept < 1010
    assert subjects(anew, 1009 - kept) == list(range(kept + 1, 1010))


def test_a_flood_of_commands_is_answered_at_our_pace(served: Served) -> None:
    good = served.watching(events_from=0)
    with subprocess.Popen(
        [sys.executable, "-c", FLOODER, str(served.folder.control)], stdin=subprocess.PIPE, cwd=ROOT
    ) as flooder:
        assert flooder.stdin
        began = time.monotonic()
        served.tell(100)
        assert subjects(good, 100) == list(range(100))
        assert send_command(served.folder, protocol.MarkCommand(text="sempat")).ok
        wait_for(lambda: len(served.session.calls) > COMMANDS_AT_ONCE)
        flooder.kill()
    taken = len(served.session.calls)
    assert ("mark", "sempat") in served.session.calls
    # The bucket's own arithmetic, not a measure of this machine: what it may have taken since it began.
    assert taken <= 2 * COMMANDS_AT_ONCE + 20 * (time.monotonic() - began) + 1


FLOODER = """
import sys
from pathlib import Path
from recorder.running.access import connect_to
flood = 100_000 * b'{"command": "mark", "text": "banjir"}\\n'
with connect_to(Path(sys.argv[1]), 60.0) as connection:
    connection.sendall(flood)
"""


def test_one_that_never_reads_its_answers_is_not_read_from_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "COMMANDS_PER_S", 1e9)
    monkeypatch.setattr(server, "COMMANDS_AT_ONCE", 1e9)
    served = Served(tmp_path)
    connection = served.raw()
    connection.settimeout(0)
    line = b'{"command": "status"}\n'

    def is_full() -> bool:
        try:
            connection.send(line * 100)
        except BlockingIOError:
            return len(one._replies) >= server.UNREAD_REPLIES
        return False

    wait_for(lambda: served.server._clients)
    (one,) = served.server._clients
    wait_for(is_full)
    asked = served.session.asked
    for _ in range(50):
        assert send_command(served.folder, protocol.StatusCommand()).ok
    assert served.session.asked <= asked + 50  # its own commands wait
    assert len(one._replies) < server.UNREAD_REPLIES + 20_000
    served.close()


def test_a_hundred_connections_are_refused_one_by_one_and_the_first_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "MOST_CLIENTS", 4)
    served = Served(tmp_path)
    try:
        good = served.watching()
        others = [served.raw() for _ in range(3)]
        for other in others:
            other.sendall(b'{"command": "status"}\n')
            assert next(lines(other))["ok"]
        for _ in range(100):
            (line,) = all_of(served.raw())
            assert (line["type"], line["message"]) == ("error", "4 clients are connected already")
        served.tell()
        assert subjects(good, 1) == [0]
        others[0].close()
        wait_for(_free(served))
    finally:
        served.close()


def _free(served: Served) -> Callable[[], bool]:
    def is_free() -> bool:
        try:
            return send_command(served.folder, protocol.StatusCommand()).ok
        except LiputError:
            return False

    return is_free
