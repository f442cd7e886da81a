"""Clients that take all they can get, here and in the network: the page answers, and what is planned is recorded."""

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
from config.settings.serving import WebSettings
from tests.agent.web.test_server import signed
from tests.net.lab import Lab
from tests.support import command, web
from tests.support.room import Room
from tests.support.silent import silent
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

HALF = "POST /api/v1/recording/stop HTTP/1.1\r\nHost: x\r\n"
OTHER_USER = ("setpriv", "--reuid=65534", "--clear-groups") if os.geteuid() == 0 else ()
"""Only root can be another one; else they are this user's own."""
FEW = 256
"""Descriptors of a daemon, a quarter of the usual."""


def test_silent_connections_of_the_network_take_nothing_from_the_schedule(tmp_path: Path) -> None:
    room = Room(tmp_path / "home")
    room.home.mkdir()
    certificate, key = signed(tmp_path)
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


def test_half_requests_of_this_pc_keep_nobody_from_the_page() -> None:
    with web.serving() as page, silent("127.0.0.1", page.port, 300, HALF, OTHER_USER):
        assert [page.post("/api/v1/recording/stop").status for _ in range(20)] == [200] * 20
        assert page.ask("GET", "/open", token=None).status == 200, "somebody may be let in"


def test_requests_without_the_token_take_nothing_from_those_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "REQUESTS_AT_ONCE", 100.0)  # as a busy machine asks hardly faster than one may
    monkeypatch.setattr(guard, "REQUESTS_PER_S", 1.0)
    with web.serving() as page:
        is_told_to_wait, is_over = threading.Event(), threading.Event()

        def flood() -> None:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", page.port, timeout=60)) as connection:
                while not is_over.is_set():
                    connection.request("GET", "/healthz")
                    answer = connection.getresponse()
                    answer.read()
                    if answer.status == 429:
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


def test_a_handshake_that_never_ends_is_hung_up_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "HANDSHAKE_S", 0.5)
    certificate, key = signed(tmp_path)
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
