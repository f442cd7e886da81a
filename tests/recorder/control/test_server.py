"""The control socket, by real sockets: what it answers and what it tells, until it closes."""

import socket
import threading
import time
from pathlib import Path

import pytest

from config.errors import LiputError
from config.events import Event
from recorder.model.status import SessionState, SessionStatus
from recorder.running import protocol
from recorder.running.client import Lost, ask
from tests.support.control_socket import NOW, Served, all_of, subjects
from tests.support.scripted_session import RESULT
from tests.support.waiting import wait_for


def test_each_command_does_what_it_says(served: Served) -> None:
    connection = served.connect()
    assert connection.request(protocol.Start(pre_roll_s=15.0)).ok
    assert connection.request(protocol.Mark(text="Tanya")).mark == {
        "at": "2026-11-25T00:00:00Z", "media_s": 1.0, "text": "Tanya",
    }  # fmt: skip
    assert connection.request(protocol.Mute(name="podium", on=False)).ok
    assert connection.request(protocol.Stop()).ok
    assert served.session.calls == [("start", 15.0), ("mark", "Tanya"), ("mute", "podium", False), ("stop",)]
    status = connection.request(protocol.Status()).status
    assert status is not None
    assert status.state is SessionState.LIVE


def test_a_refusal_and_a_mistake_of_ours_are_answered_and_end_nothing(served: Served) -> None:
    connection = served.connect()
    with pytest.raises(LiputError) as refused:
        connection.request(protocol.Mark(text=""))
    assert (refused.value.message, refused.value.hint, refused.value.exit_status) == (
        "the mark is empty",
        "say something",
        2,
    )
    with pytest.raises(LiputError, match="ZeroDivisionError"):
        connection.request(protocol.Layout(name="slides"))
    assert connection.request(protocol.Status()).ok


def test_what_nobody_waits_for_any_more_is_not_done_later_but_for_an_end(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    stands, goes_on = threading.Event(), threading.Event()

    def stand_still(*_: object, **__: object) -> None:
        stands.set()
        goes_on.wait(30)

    monkeypatch.setattr(served.session, "mute", stand_still)
    with pytest.raises(Lost, match="does not answer"):
        ask(served.folder, protocol.Mute(), 0.2)
    stands.wait(30)
    for request in (protocol.Mark(text="Tanya"), protocol.Stop()):
        with pytest.raises(Lost, match="does not answer"):
            ask(served.folder, request, 0.2)
    goes_on.set()
    assert ask(served.folder, protocol.Mark(text="Jawab")).ok
    assert sorted(served.session.calls) == [("mark", "Jawab"), ("stop",)]


@pytest.mark.parametrize("state", SessionState)
def test_disarming_is_for_what_is_not_recorded(served: Served, state: SessionState) -> None:
    served.session.state = state
    if state in {SessionState.IDLE, SessionState.ARMED}:
        assert ask(served.folder, protocol.Disarm()).ok
        assert served.session.calls == [("stop",)]
    else:
        with pytest.raises(LiputError, match=f"the session is {state}, not armed"):
            ask(served.folder, protocol.Disarm())
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
    served.server.tell(protocol.Sealing(done=1, total=2))
    wait_for(lambda: connection.told(1.0) == protocol.Sealing(done=1, total=2))


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
    with pytest.raises(Lost):
        early.told(10.0)


def test_it_waits_for_somebody_to_be_told(served: Served) -> None:
    served.server.finish(RESULT)
    assert not served.server.wait_told(0.05)
    ask(served.folder, protocol.Status())  # which is not to be told
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
        reply = connection.request(protocol.Status()).status
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
        wait_for(lambda: not connection.request(protocol.Status()).ok)
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
    "request_", [protocol.Mark(text="x"), protocol.Mute(name=None), protocol.Layout(name="pause")], ids=type
)
def test_what_has_ended_is_not_changed_any_more(served: Served, request_: protocol.AnyRequest) -> None:
    served.session.state = SessionState.SEALING
    with pytest.raises(LiputError, match="the session is sealing: its recording has ended"):
        ask(served.folder, request_)
    assert served.session.calls == []


def test_who_waits_waits_so_long_in_all_however_much_comes(served: Served) -> None:
    began_s = time.monotonic()
    came = list(served.watching(every_s=0.1).told_within(1.0))
    assert 1.0 <= time.monotonic() - began_s < 10.0
    assert len(came) >= 2
