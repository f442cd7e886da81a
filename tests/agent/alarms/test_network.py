"""Alarms by e-mail and webhook, through real servers: behind checked TLS, within a time, no secret in an error."""

import json
import time
from pathlib import Path

import pytest

from agent.alarms.message import Message
from agent.alarms.network import MailChannel, WebhookChannel
from agent.alarms.sender import PartlySent
from config.errors import LiputError, UsageError
from config.settings.office import use_time_zone
from config.settings.secrets import AlarmKeys, Secret
from config.settings.serving import AlarmSettings
from tests.support.alarms import AT, alarm, message, notice, over
from tests.support.servers import HookServer, SmtpServer

pytestmark = pytest.mark.server

PASSWORD = "kata-sandi-rahasia"


def mail(
    server: SmtpServer, password: str = PASSWORD, authority: Path | None = None, host: str = "localhost"
) -> MailChannel:
    settings = AlarmSettings(
        mail_server=f"{'smtps' if server.tls_at_once else 'smtp'}://{host}:{server.port}",
        mail_user="liput" if server.password else "",
        mail_from="liput@kampus.example",
        mail_to=("humas@kampus.example", "it@kampus.example"),
        ca_file=authority or server.authority,
    )
    return MailChannel(settings, AlarmKeys(mail_password=Secret(password)), "Aula", "id")


@pytest.mark.parametrize("at_once", [False, True])
def test_a_letter_in_both_languages_arrives_behind_tls(tmp_path: Path, at_once: bool) -> None:
    with SmtpServer(tmp_path / "smtp", tls_at_once=at_once, password=PASSWORD) as server:
        mail(server).send(message(alarm(), alarm("destination-lost", "youtube")))
    (letter,) = server.letters
    assert letter["Subject"] == (
        "Liput (Aula): Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan. dan 1 lagi"
    )
    assert (letter["From"], letter["To"]) == ("liput@kampus.example", "humas@kampus.example, it@kampus.example")
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_content()
    assert text.index("Kamera podium terlepas: colokkan kembali.") < text.index(
        "Podium camera was unplugged: plug it in again."
    )
    assert "09:00:00 Rapat" in text
    assert "internet" in text
    assert [word for word in server.commands if word.startswith("RCPT")] == [
        "RCPT to:<humas@kampus.example>",
        "RCPT to:<it@kampus.example>",
    ]
    assert server.commands[-1] == "QUIT"
    # Before TLS nothing is said but that it is wanted.
    first = [word.split()[0] for word in server.commands]
    assert at_once or first[:2] == ["EHLO", "STARTTLS"]


def test_times_are_the_offices(tmp_path: Path) -> None:
    use_time_zone("WIT")
    with SmtpServer(tmp_path / "smtp") as server:
        mail(server).send(message())
    assert "18:00:00 Rapat" in server.letters[0].get_content()


def test_what_is_over_and_a_test_are_said_so(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp") as server:
        mail(server).send(over())
        mail(server).send(Message(at=AT, is_test=True))
    assert server.letters[0]["Subject"].startswith("Liput (Aula): Sudah berlalu: Kamera podium terlepas")
    assert "Over:" in server.letters[0].get_content()
    assert "pesan uji" in server.letters[1]["Subject"]
    assert not any(word.startswith("AUTH") for word in server.commands)


def test_a_title_of_many_lines_makes_no_headers(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp") as server:
        mail(server).send(message(alarm(subject="a\r\nBcc: x@y.example", title="b\r\n.\r\nQUIT\r\n")))
    assert server.letters[0]["Bcc"] is None
    assert "b . QUIT" in server.letters[0].get_content()


def test_without_tls_nothing_is_sent(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path / "smtp", offers_tls=False, password=PASSWORD)
    with server, pytest.raises(LiputError, match="offers no TLS"):
        mail(server).send(message())
    assert [word.split()[0] for word in server.commands] == ["EHLO"]


@pytest.mark.parametrize("at_once", [False, True])
def test_a_certificate_that_nobody_signed_or_of_another_host_is_refused(tmp_path: Path, at_once: bool) -> None:
    with (
        SmtpServer(tmp_path / "other") as other,
        SmtpServer(tmp_path / "smtp", tls_at_once=at_once, password=PASSWORD) as server,
    ):
        with pytest.raises(LiputError, match=r"certificate of localhost:.* is not trusted"):
            mail(server, authority=other.authority).send(message())
        with pytest.raises(LiputError, match=r"certificate of 127\.0\.0\.1:.* is not trusted"):
            mail(server, host="127.0.0.1").send(message())
    assert server.letters == []
    assert not any(word.startswith("AUTH") for word in server.commands)


def test_a_wrong_password_is_told_and_not_repeated(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path / "smtp", password="another")
    with server, pytest.raises(LiputError, match="does not accept mail_user") as caught:
        mail(server).send(message())
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"


def test_what_a_server_says_is_repeated_without_what_is_secret(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path / "smtp", greeting=f"554 go away, {PASSWORD}".encode())
    with server, pytest.raises(LiputError, match=r"takes no e-mail: go away, \(hidden\)"):
        mail(server).send(message())


def test_what_a_server_says_changes_no_terminal(tmp_path: Path) -> None:
    server = SmtpServer(tmp_path / "smtp", greeting=b"554 go \x1b[31maway\x1b]0;x\x07")
    with server, pytest.raises(LiputError, match=r"takes no e-mail: go \[31maway") as refused:
        mail(server).send(message())
    assert refused.value.message.isprintable()


def test_nobody_there_is_one_line(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp") as server:
        pass
    with pytest.raises(LiputError, match="failed: Connection refused"):
        mail(server).send(message())


def test_who_is_refused_for_now_gets_the_same_letter_later_and_nobody_else_gets_it_twice(tmp_path: Path) -> None:
    told, greylisted = message(), {"it@kampus.example": b"450 later"}
    with SmtpServer(tmp_path / "smtp", refuses=greylisted) as server:
        sending = mail(server)
        for _ in range(2):
            with pytest.raises(PartlySent, match=r"does not write to it@kampus.example") as caught:
                sending.send(told)
            assert not caught.value.is_for_good, "that may be another answer later"
        greylisted.clear()
        sending.send(told)
        sending.send(message())
    first, later, another = server.letters
    assert (later["Message-ID"], later["To"]) == (first["Message-ID"], first["To"])
    assert another["Message-ID"] != first["Message-ID"]
    assert [words.partition("<")[2] for words in server.commands if words.startswith("RCPT")] == [
        "humas@kampus.example>", *["it@kampus.example>"] * 3, "humas@kampus.example>", "it@kampus.example>",
    ]  # fmt: skip


def test_who_is_refused_for_good_is_told_and_not_tried_again(tmp_path: Path) -> None:
    refused = {"it@kampus.example": b"550 no such user"}
    with SmtpServer(tmp_path / "smtp", refuses=refused) as server:
        sending = mail(server)
        with pytest.raises(PartlySent, match=r"does not write to it@kampus.example") as caught:
            sending.send(message())
        assert caught.value.is_for_good
        assert len(server.letters) == 1
        refused["humas@kampus.example"] = b"550 no such user"
        with pytest.raises(LiputError, match=r"does not write to humas@kampus.example, it@") as nobody:
            sending.send(message())
        assert not isinstance(nobody.value, PartlySent), "nobody has it"


def test_authorities_that_are_not_there_are_one_line(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp") as server, pytest.raises(UsageError, match=r"ca_file .* cannot be used"):
        mail(server, authority=tmp_path / "nowhere.pem").send(message())


@pytest.mark.parametrize("trickles", [False, True])
@pytest.mark.parametrize("hangs_at", ["", "EHLO", "MAIL", "DATA"])
def test_a_mail_server_that_hangs_costs_no_more_than_the_deadline(
    tmp_path: Path, hangs_at: str, trickles: bool
) -> None:
    with SmtpServer(tmp_path / "smtp", hangs_at=hangs_at, trickles=trickles) as server:
        sending = mail(server)
        sending.deadline_s = 1.0
        began = time.monotonic()
        with pytest.raises(LiputError, match="did not answer within 1 s"):
            sending.send(message())
        assert time.monotonic() - began < 20.0


@pytest.mark.parametrize("host", ["surat..kampus.example", f"{'x' * 64}.kampus.example"])
def test_a_name_that_is_none_is_one_line(tmp_path: Path, host: str) -> None:
    with SmtpServer(tmp_path / "smtp") as server, pytest.raises(LiputError, match=f"{host} cannot be looked up"):
        mail(server, host=host).send(message())


# What is posted to a webhook: JSON, to a server that is checked, within a time, and without a secret in an error


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
def test_a_web_server_that_hangs_costs_no_more_than_the_deadline(tmp_path: Path, tls: bool, trickles: bool) -> None:
    answer = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000
    with HookServer(tmp_path / "web", tls=tls, hangs=not trickles, trickles=trickles, answer=answer) as server:
        sending = hook(server)
        sending.deadline_s = 1.0
        began = time.monotonic()
        with pytest.raises(LiputError, match="did not answer within 1 s"):
            sending.send(message())
        assert time.monotonic() - began < 20.0
