"""The page's server as a part of the daemon: where it is, what hinders it, and what its OpenAPI document says."""

import contextlib
import os
import re
import signal
import ssl
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.web import server
from agent.web.app import ENDPOINTS
from agent.web.openapi import described, document
from agent.web.server import WebPart, listen, read_page_address
from config.settings.serving import WebSettings
from devices.host.clock import SystemClock
from tests.proofs import web as proof
from tests.support import command, web
from tests.support.figures import in_full
from tests.support.pages import ROOT
from tests.support.room import Room
from tests.support.waiting import wait_for
from tests.support.web import Page

pytestmark = pytest.mark.server


def test_the_daemon_serves_it_and_says_where(tmp_path: Path) -> None:
    Room(tmp_path).configure("[web]\nport = 0\n")
    with command.running(tmp_path, "serve", "--json", more={"LIPUT_STATE": os.environ["LIPUT_STATE"]}) as daemon:
        daemon.until("note", text="ready")
        page = web.found()
        assert page.get("/healthz").body == b"ok\n"
        scraped = page.get("/metrics").body.decode()
        for part in ("sessions", "alarms", "schedule", "web"):
            assert re.search(rf'^liput_daemon_part_stands{{.*part="{part}".*}} 0\.0$', scraped, re.MULTILINE), scraped
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert read_page_address() is None
    assert any(str(line["text"]).startswith("the page is at http://127.0.0.1:") for line in daemon.seen)


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    Room(tmp_path).configure("[web]\nenabled = false\n")
    with command.running(tmp_path, "serve", "--json") as daemon:
        daemon.until("note", text="ready")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert [line["text"] for line in daemon.seen] == ["ready"]


@contextlib.contextmanager
def hindered(settings: WebSettings) -> Iterator[list[str]]:
    """Let the part try to serve while the body runs; give what it tells, once it has told something."""
    told, stop = list[str](), threading.Event()
    part = WebPart(settings, lambda: web.house(told), SystemClock(), told.append)
    thread = threading.Thread(target=part.run, args=(stop, lambda: None))
    thread.start()
    try:
        wait_for(lambda: told)
        yield told
    finally:
        stop.set()
        thread.join(60)


def test_a_port_that_is_taken_is_one_line_and_it_is_served_once_the_port_is_free(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "AGAIN_S", 0.1)
    with contextlib.closing(listen(web.ANY_PORT)) as other:
        port = other.getsockname()[1]
        with hindered(WebSettings(port=port)) as told:
            assert f"port {port}: Address already in use" in told[0]
            other.close()
            wait_for(read_page_address)
    assert told[1:] == [f"the page is at http://127.0.0.1:{port}/"]


def test_a_certificate_that_is_none_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no certificate")
    with hindered(WebSettings(port=0, tls_certificate=tmp_path / "x", tls_key=tmp_path / "x")) as told:
        assert told[0].startswith("the page cannot be served: the certificate of [web] cannot be used")


def test_a_part_that_hangs_is_named() -> None:
    with web.serving(standing=lambda: ["sessions"]) as page:
        answer = page.ask("GET", "/healthz", token=None)
        assert (answer.status, answer.body) == (503, b"standing: sessions\n")


def test_with_a_certificate_it_is_served_by_https_alone_and_a_renewed_one_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def served() -> str:
        return ssl.get_server_certificate(("127.0.0.1", page.port))

    monkeypatch.setattr("agent.web.server.CERTIFICATE_TICKS", 2)
    certificate, key = web.signed(tmp_path, "ec -pkeyopt ec_paramgen_curve:prime256v1")  # preferred to the next one
    settings = WebSettings(port=0, lan=True, tls_certificate=certificate, tls_key=key)
    with web.serving(settings) as page:
        trusting = ssl.create_default_context(cafile=certificate)
        with urllib.request.urlopen(f"https://localhost:{page.port}/healthz", context=trusting, timeout=60) as answer:
            assert answer.read() == b"ok\n"
        assert b"200" not in page.raw(f"GET /healthz HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode())[:20]
        first = served()
        key.write_text("no key")
        wait_for(lambda: any("cannot be used" in line for line in page.told))
        assert served() == first
        web.signed(tmp_path)
        wait_for(lambda: any("the new one" in line for line in page.told))
        assert served() == certificate.read_text() != first


# The OpenAPI document


def operations(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}


def test_every_route_is_on_the_page_for_people() -> None:
    text = (ROOT / "docs/api.md").read_text()
    named = set(re.findall(r"^\| `([A-Z]+) (/[^` ]*)`", text, re.MULTILINE))
    assert named == operations(described(ENDPOINTS))


def test_the_document_is_served_and_its_references_are_there(page: Page) -> None:
    answer = page.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == document(ENDPOINTS)
    references = set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', answer.body.decode()))
    assert references
    assert references <= set(answer.json["components"]["schemas"])


def test_answers_are_as_it_says(page: Page) -> None:
    found = page.get("/openapi.json").json
    for name in ("state", "archive", "health", "health/timeline", "requests", "checks", "roles", "schedule"):
        path = f"/api/v1/{name}"
        schema = found["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        jsonschema.validate(page.get(path).json, {**schema, "components": found["components"]})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sample_of_made_up_requests_breaks_nothing() -> None:
    figures = proof.run(100, 20261126)
    assert figures["holds"], in_full(figures)
    assert int(str(figures["cases"])) >= 100
