"""How often one address may ask, by a clock that is set by hand; and whose connections make room for others."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agent.schedule.plan import Plan, PlanMode
from agent.schedule.store import Plans
from agent.web.http import guard, limits
from agent.web.http.limits import MOST_ADDRESSES, REQUESTS_AT_ONCE, REQUESTS_PER_S, LimitedListener
from config.settings.serving import WebSettings
from devices.host.throttle import TokenBuckets
from tests.net.lab import Lab
from tests.support import command, web
from tests.support.room import Room
from tests.support.silent import silent
from tests.support.waiting import wait_for


class Asked:
    """Asks as one address or another, at `now_s`."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._rates = TokenBuckets(REQUESTS_AT_ONCE, REQUESTS_PER_S, MOST_ADDRESSES)

    def wait_s(self, address: str) -> float:
        return self._rates.take(address, self.now_s)

    def answered(self, address: str) -> int:
        """Ask until it is one too many; return how many were not."""
        count = 0
        while self.wait_s(address) == 0.0:
            count += 1
        return count


def test_an_address_may_ask_so_much_at_once_and_then_so_much_in_a_second() -> None:
    asked = Asked()
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE
    assert asked.wait_s("10.0.0.1") == pytest.approx(1 / REQUESTS_PER_S)
    asked.now_s += 1.0
    assert asked.answered("10.0.0.1") == REQUESTS_PER_S
    assert asked.answered("10.0.0.2") == REQUESTS_AT_ONCE, "another one has its own"
    asked.now_s += 3600.0
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE, "what is not used is not saved for long"


def test_the_address_that_was_silent_the_longest_is_forgotten_first() -> None:
    asked = Asked()
    assert asked.answered("first") == REQUESTS_AT_ONCE
    for number in range(MOST_ADDRESSES - 1):
        asked.wait_s(f"other {number}")
        assert asked.wait_s("first") > 0.0, "it asks all the time"
    for number in range(MOST_ADDRESSES):
        asked.wait_s(f"further {number}")
    assert asked.wait_s("first") == 0.0


def test_who_has_shown_the_token_makes_room_for_nobody_and_others_for_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.web.http.limits.MOST_CONNECTIONS", 40)  # ten of each kind, eight of each user
    users = iter([0] * 11 + [1000] * 2 + [1001] * 20 + [1002])
    monkeypatch.setattr("agent.web.http.limits.owner_of_peer", lambda _connection: next(users))
    with contextlib.ExitStack() as held, contextlib.closing(LimitedListener(socket.AF_INET)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def come(count: int, *, shows_token: bool = False) -> list[socket.socket]:
            """Return the server's ends of new connections; as it does, close those that are let go."""
            ends = []
            for _ in range(count):
                held.enter_context(socket.create_connection(listener.getsockname()))
                taken, client = listener.accept()
                ends.append(held.enter_context(taken))
                if shows_token:
                    listener.mark_authenticated(client)
                for end in {*there, *ends}:
                    if not _is_open(end):
                        end.close()
            there.update(ends)
            return ends

        there: set[socket.socket] = set()
        known = come(11, shows_token=True)
        first, others = come(2), come(20)
        assert [*map(_is_open, known)] == [True] * 10 + [False], "one too many counts as those without it"
        assert [*map(_is_open, first)] == [True] * 2
        assert [*map(_is_open, others)] == [False] * 12 + [True] * 8
        come(1)
        assert [*map(_is_open, first)] == [False, True], "of all, the oldest"


def _is_open(end: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return end.fileno() >= 0 and end.recv(1, socket.MSG_DONTWAIT) != b""
    return True


# Clients that take all they can get, here and in the network: the page answers, and what is planned is recorded


HALF = "POST /api/v1/recording/stop HTTP/1.1\r\nHost: x\r\n"
OTHER_USER = ("setpriv", "--reuid=65534", "--clear-groups") if os.geteuid() == 0 else ()
"""Only root can be another one; else they are this user's own."""
FEW = 256
"""Descriptors of a daemon, a quarter of the usual."""


@pytest.mark.server
@pytest.mark.slow
def test_silent_connections_of_the_network_take_nothing_from_the_schedule(tmp_path: Path) -> None:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    certificate, key = web.signed(tmp_path)
    served = f'[web]\nport = 0\nlan = true\ntls_certificate = "{certificate}"\ntls_key = "{key}"\n'
    room.configure(f"{served}[schedule]\nremind = []\ncheck_before_s = 0\narm_ahead_s = 5\n")
    room.archive.mkdir()
    with Lab() as lab:
        few = (*lab.pc.enter, "prlimit", f"--nofile={FEW}:{FEW}")
        serve = ("serve", "--archive", room.archive, "--json")
        state = {"LIPUT_STATE": os.environ["LIPUT_STATE"]}
        with command.running(room.home, *serve, more=state, enter=few) as daemon:
            daemon.until("note", text="ready")
            page = web.found()
            with silent(lab.pc.address, page.port, 2 * FEW, enter=lab.server.enter):
                _plan("Rapat1", begins_s=10.0, length_s=4.0)
                assert _answers(lab.pc.enter, page.port) == "ok\n"
                for text in ('"Rapat1" is recorded', '"Rapat1" is stopped as planned'):
                    assert any(text in str(line.get("text")) for line in daemon.read()), text
                wait_for(room.packages)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            said = [line["text"] for line in daemon.seen]
    assert len(said) < 30, said
    assert len(room.packages()) == 1


@pytest.mark.server
@pytest.mark.slow
def test_half_requests_of_this_pc_keep_nobody_from_the_page() -> None:
    with web.serving() as page, silent("127.0.0.1", page.port, 300, HALF, OTHER_USER):
        assert [page.post("/api/v1/recording/stop").status for _ in range(20)] == [200] * 20
        assert page.ask("GET", "/open", token=None).status == 200, "somebody may be let in"


@pytest.mark.server
@pytest.mark.slow
def test_requests_without_the_token_take_nothing_from_those_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS_AT_ONCE", 100.0)  # as a busy machine asks hardly faster than one may
    monkeypatch.setattr(guard, "REQUESTS_PER_S", 1.0)
    with web.serving() as page:
        is_told_to_wait, is_over, waits_s = threading.Event(), threading.Event(), list[int]()

        def flood() -> None:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)) as connection:
                while not is_over.is_set():
                    connection.request("GET", "/healthz")
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 429:
                        waits_s.append(int(answer.headers["retry-after"]))
                        is_told_to_wait.set()

        other = threading.Thread(target=flood)
        other.start()
        try:
            assert is_told_to_wait.wait(60)
            assert [page.post("/api/v1/recording/stop").status for _ in range(20)] == [200] * 20
            cookie = (
                page.ask("GET", page.ticket().removeprefix(page.origin), token=None)
                .headers["set-cookie"]
                .partition(";")[0]
            )
            assert [page.ask("GET", "/api/v1/state", token=None, Cookie=cookie).status for _ in range(20)] == [200] * 20
            assert page.ask("GET", "/openapi.json", token=None).status == 429
        finally:
            is_over.set()
            other.join()
    assert min(waits_s) >= 1


@pytest.mark.server
@pytest.mark.slow
def test_a_handshake_that_never_ends_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.5)
    certificate, key = web.signed(tmp_path)
    served = web.serving(WebSettings(port=0, lan=True, tls_certificate=certificate, tls_key=key))
    with served as page, socket.create_connection(("127.0.0.1", page.port), timeout=60) as connection:
        began = time.monotonic()
        assert connection.recv(1) == b""
        assert time.monotonic() - began < 10


def _plan(title: str, begins_s: float, length_s: float) -> None:
    begins = datetime.now().astimezone() + timedelta(seconds=begins_s)
    plan = Plan(
        id=f"{begins:%Y-%m-%d}_{title.lower()}_00000001", title=title, videos=("synthetic",), profile="240p15",
        starts_at=begins, ends_at=begins + timedelta(seconds=length_s), mode=PlanMode.RECORD,
    )  # fmt: skip
    Plans().add(plan)


def _answers(enter: tuple[str, ...], port: int) -> str:
    asked = ["curl", "-sk", "--max-time", "20", f"https://127.0.0.1:{port}/healthz"]
    return subprocess.run([*enter, *asked], capture_output=True, text=True, check=False).stdout
