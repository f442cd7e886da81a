"""Clients of the control socket that send garbage, flood, hang or die cost neither the session nor others anything."""

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
from recorder.control import server
from recorder.control.server import COMMANDS_AT_ONCE
from recorder.model.eventlog import History
from recorder.model.status import SessionStatus
from recorder.running import protocol
from recorder.running.client import Lost, ask
from tests.support.control_socket import Served, all_of, lines, subjects
from tests.support.scripted_session import RESULT
from tests.support.waiting import wait_for

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
        "from recorder.running.directory import RecorderFolder\nfrom recorder.running.protocol import *\n"
        "with Connection(RecorderFolder(Path(sys.argv[1]))) as c:\n"
        "    c.request(Watch(every_s=0.1, events_from=0))\n    print('watching', flush=True)\n"
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
    served.server._history = History(most_bytes=2_000_000)
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
    with pytest.raises(Lost):
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
        assert ask(served.folder, protocol.Mark(text="sempat")).ok
        wait_for(lambda: len(served.session.calls) > COMMANDS_AT_ONCE)
        flooder.kill()
    taken = len(served.session.calls)
    assert ("mark", "sempat") in served.session.calls
    # The bucket's own arithmetic, not a measure of this machine: what it may have taken since it began.
    assert taken <= 2 * COMMANDS_AT_ONCE + 20 * (time.monotonic() - began) + 1


FLOODER = """
import sys
from pathlib import Path
from recorder.running import access
flood = 100_000 * b'{"command": "mark", "text": "banjir"}\\n'
with access.connect(Path(sys.argv[1]), 60.0) as connection:
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
        assert ask(served.folder, protocol.Status()).ok
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
            return ask(served.folder, protocol.Status()).ok
        except LiputError:
            return False

    return is_free
