"""What is posted to a webhook: JSON, to a server that is checked, within a time, and without a secret in an error."""

import json
import time
from pathlib import Path

import pytest

from agent.alarms.message import Message
from agent.alarms.network import WebhookChannel
from config.errors import LiputError
from config.settings.secrets import AlarmKeys, Secret
from config.settings.serving import AlarmSettings
from tests.support.alarms import AT, alarm, message, notice
from tests.support.servers import HookServer

pytestmark = pytest.mark.server

SECRET = "rahasia-0123456789"


def hook(
    server: HookServer, keys: AlarmKeys | None = None, url: str = "", authority: Path | None = None
) -> WebhookChannel:
    settings = AlarmSettings(webhook=url or server.url, ca_file=authority or server.authority)
    return WebhookChannel(settings, keys or AlarmKeys(), "Aula", "id")


@pytest.mark.parametrize("tls", [True, False])
def test_what_is_posted_says_it_all(tmp_path: Path, tls: bool) -> None:
    with HookServer(tmp_path / "web", tls=tls) as server:
        keys = AlarmKeys(webhook_header=("Authorization", Secret(f"Bearer {SECRET}", SECRET)))
        hook(server, keys).send(message(alarm(), alarm("destination-lost", "youtube")))
    (posted,) = server.posted
    assert posted.line == "POST /kait/liput HTTP/1.1"
    assert posted.headers["content-type"] == "application/json"
    assert posted.headers["authorization"] == f"Bearer {SECRET}"
    body = json.loads(posted.body)
    assert (body["type"], body["room"], body["test"]) == ("alarms", "Aula", False)
    assert body["began"][0] == {
        "type": "alarm", "session": "a1b2c3", "title": "Rapat", "kind": "source-lost", "subject": "podium",
        "since": "2026-11-24T09:00:00Z", "message": "podium: source-lost",
        "text": {
            "id": "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan.",
            "en": "Podium camera was unplugged: plug it in again. The recording goes on.",
        },
    }  # fmt: skip
    assert len(body["present"]) == 2
    assert body["lasting"] == body["over"] == []
    assert "Kamera podium terlepas" in body["text"]


def test_notices_of_planned_sessions_are_posted_apart_from_what_is_wrong(tmp_path: Path) -> None:
    with HookServer(tmp_path / "web") as server:
        hook(server).send(Message(at=AT, notices=(notice("waits"),), present=(alarm(),)))
    body = json.loads(server.posted[0].body)
    assert (body["began"], len(body["present"])) == ([], 1)
    assert body["notices"] == [{
        "type": "notice", "kind": "waits", "plan": "rapat", "title": "Rapat", "at": "2026-11-24T09:00:00Z",
        "urgent": True, "text": {"id": "Rapat dimulai 10 min lagi", "en": "en: Rapat dimulai 10 min lagi"},
    }]  # fmt: skip


def test_a_test_says_that_it_is_one(tmp_path: Path) -> None:
    with HookServer(tmp_path / "web") as server:
        hook(server).send(Message(at=AT, is_test=True))
    assert json.loads(server.posted[0].body)["test"] is True


def test_an_address_that_is_a_secret_is_used_and_shown_to_nobody(tmp_path: Path) -> None:
    with HookServer(tmp_path / "web", answer=b"HTTP/1.1 404 Not Found\r\n\r\n") as server:
        keys = AlarmKeys(webhook_url=Secret(f"https://localhost:{server.port}/hooks/{SECRET}?v=1"))
        sending = hook(server, keys, url="https://elsewhere.example/")
        with pytest.raises(LiputError, match="it answers 404") as caught:
            sending.send(message())
    assert server.posted[0].line == f"POST /hooks/{SECRET}?v=1 HTTP/1.1"
    assert SECRET not in f"{caught.value.message} {caught.value.hint} {sending.to}"


def test_a_secret_is_not_carried_elsewhere(tmp_path: Path) -> None:
    with HookServer(tmp_path / "there") as there:
        answer = f"HTTP/1.1 307 Elsewhere\r\nLocation: {there.url}\r\n\r\n".encode()
        with (
            HookServer(tmp_path / "web", answer=answer) as server,
            pytest.raises(LiputError, match="redirects the alarm"),
        ):
            hook(server).send(message())
    assert there.posted == []


def test_a_server_that_is_not_to_be_trusted_is_told_nothing(tmp_path: Path) -> None:
    with HookServer(tmp_path / "web") as server, HookServer(tmp_path / "other") as other:
        with pytest.raises(LiputError, match=r"certificate of localhost:.* is not trusted"):
            hook(server, authority=other.authority).send(message())
        with pytest.raises(LiputError, match=r"certificate of 127\.0\.0\.1:.* is not trusted"):
            hook(server, url=server.url.replace("localhost", "127.0.0.1")).send(message())
    assert server.posted == []


def test_what_is_no_web_server_is_one_line(tmp_path: Path) -> None:
    with (
        HookServer(tmp_path / "web", answer=b"220 smtp\r\n") as server,
        pytest.raises(LiputError, match="like a web s"),
    ):
        hook(server).send(message())


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("trickles", [True, False])
def test_a_server_that_hangs_costs_no_more_than_the_deadline(tmp_path: Path, tls: bool, trickles: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000
    with HookServer(tmp_path / "web", tls=tls, hangs=not trickles, trickles=trickles, answer=answer) as server:
        sending = hook(server)
        sending.deadline_s = 1.0
        began = time.monotonic()
        with pytest.raises(LiputError, match="did not answer within 1 s"):
            sending.send(message())
        assert time.monotonic() - began < 20.0
