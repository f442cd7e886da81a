"""The page's server as a part of the daemon: where it is, what hinders it, and that the rest goes on."""

import contextlib
import json
import os
import re
import signal
import socket
import ssl
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from agent.web.server import WebPart, listen, read_page_address
from config.settings.serving import WebSettings
from devices.host.clock import SystemClock
from tests.support import command, web
from tests.support.room import Room
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

PARTS = ("sessions", "alarms", "schedule", "web")


def test_the_daemon_serves_it_and_says_where(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.configure("[web]\nport = 0\n")
    began = time.monotonic()
    with command.running(tmp_path, "serve", "--json", more=_state()) as daemon:
        daemon.until("note", text="ready")
        assert time.monotonic() - began < 60
        page = web.found()
        assert page.get("/healthz").body == b"ok\n"
        scraped = page.get("/metrics").body.decode()
        for part in PARTS:
            assert re.search(rf'^liput_daemon_part_stands{{.*part="{part}".*}} 0\.0$', scraped, re.MULTILINE), scraped
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert read_page_address() is None
    assert any(str(line["text"]).startswith("the page is at http://127.0.0.1:") for line in daemon.seen)


def test_a_port_that_is_taken_is_one_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    room = Room(tmp_path)
    with contextlib.closing(listen(web.ANY_PORT)) as other:
        port = other.getsockname()[1]
        room.configure(f"[web]\nport = {port}\n")
        with command.running(tmp_path, "serve", "--json", more=_state()) as daemon:
            said = next(line for line in daemon.read() if "page" in str(line.get("text")))
            assert f"port {port}: Address already in use" in str(said["text"])
            other.close()
            daemon.until("note", text=f"the page is at http://127.0.0.1:{port}/")
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
    assert sum("cannot be served" in str(line.get("text")) for line in daemon.seen) == 1


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    room = Room(tmp_path)
    room.configure("[web]\nenabled = false\n")
    with command.running(tmp_path, "serve", "--json", more=_state()) as daemon:
        daemon.until("note", text="ready")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert [line["text"] for line in daemon.seen] == ["ready"]


def test_a_part_that_hangs_is_named(tmp_path: Path) -> None:
    with web.serving(standing=lambda: ["sessions"]) as page:
        answer = page.ask("GET", "/healthz", token=None)
        assert (answer.status, answer.body) == (503, b"standing: sessions\n")


def test_with_a_certificate_it_is_served_by_https_alone(tmp_path: Path) -> None:
    certificate, key = web.signed(tmp_path)
    settings = WebSettings(port=0, lan=True, tls_certificate=certificate, tls_key=key)
    with web.serving(settings) as page:
        trusting = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(f"https://localhost:{page.port}/healthz", context=trusting, timeout=60) as answer:
            assert answer.read() == b"ok\n"
        assert b"200" not in page.raw(f"GET /healthz HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode(), 5.0)[:20]


def test_a_certificate_that_is_renewed_is_taken_and_one_that_is_none_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.web.server.CERTIFICATE_TICKS", 2)
    certificate, key = web.signed(
        tmp_path, "ec -pkeyopt ec_paramgen_curve:prime256v1"
    )  # clients prefer it to the next one
    settings = WebSettings(port=0, lan=True, tls_certificate=certificate, tls_key=key)
    with web.serving(settings) as page:
        told, first = page.told, served(page.port)
        key.write_text("no key")
        wait_for(lambda: any("cannot be used" in line for line in told))
        assert served(page.port) == first
        web.signed(tmp_path)
        wait_for(lambda: any("the new one" in line for line in told))
        assert served(page.port) == certificate.read_text() != first
        refused = sum("cannot be used" in line for line in told)
        other = tmp_path / "other"
        other.mkdir()
        web.signed(other)[1].replace(key)  # of another certificate
        wait_for(lambda: sum("cannot be used" in line for line in told) > refused)
        assert served(page.port) == certificate.read_text()


def served(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port))


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no certificate")
    settings = WebSettings(port=0, tls_certificate=tmp_path / "x", tls_key=tmp_path / "x")
    told: list[str] = []
    stop = threading.Event()
    part = WebPart(settings, lambda: web.house(told), SystemClock(), told.append)
    thread = threading.Thread(target=part.run, args=(stop, lambda: None))
    thread.start()
    try:
        wait_for(lambda: told)
    finally:
        stop.set()
        thread.join(60)
    assert told[0].startswith("the page cannot be served: the certificate of [web] cannot be used")


def test_other_commands_load_no_server(tmp_path: Path) -> None:
    code = (
        "import json, sys, agent.commands.serve, agent.commands.token;"
        "print(json.dumps([name for name in ('starlette', 'uvicorn', 'h11', 'websockets') if name in sys.modules]))"
    )
    done = command.run_python(tmp_path, code)
    assert json.loads(done.stdout) == [], done.stderr


def test_the_same_settings_make_one_socket_only() -> None:
    with contextlib.closing(listen(web.ANY_PORT)) as first:
        taken = WebSettings(port=first.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            listen(taken)
        assert first.family is socket.AF_INET


def _state() -> dict[str, str]:
    return {"LIPUT_STATE": os.environ["LIPUT_STATE"]}
