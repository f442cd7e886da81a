"""Alarms by e-mail, webhook and desktop, through real servers: checked TLS, a deadline, no secret in an error."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.alarms.desktop import DesktopChannel, NoDesktop
from agent.alarms.message import Message
from agent.alarms.network import MailChannel, WebhookChannel
from agent.alarms.sender import PartlySent
from config.errors import LiputError
from config.settings.office import use_time_zone
from config.settings.secrets import AlarmKeys, Secret
from config.settings.serving import AlarmSettings
from tests.support import command
from tests.support.alarms import AT, alarm, message, notice, over
from tests.support.buses import Notifications, private_bus
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


def test_what_is_over_and_a_test_are_said_so(tmp_path: Path) -> None:
    use_time_zone("WIT")
    with SmtpServer(tmp_path / "smtp") as server:
        mail(server).send(over())
        mail(server).send(Message(at=AT, is_test=True))
    assert server.letters[0]["Subject"].startswith("Liput (Aula): Sudah berlalu: Kamera podium terlepas")
    assert "Over:" in server.letters[0].get_content()
    assert "18:00:00 Rapat" in server.letters[0].get_content(), "times are the office's"
    assert "pesan uji" in server.letters[1]["Subject"]
    assert not any(word.startswith("AUTH") for word in server.commands)


def test_a_title_of_many_lines_makes_no_headers(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp") as server:
        mail(server).send(message(alarm(subject="a\r\nBcc: x@y.example", title="b\r\n.\r\nQUIT\r\n")))
    assert server.letters[0]["Bcc"] is None
    assert "b . QUIT" in server.letters[0].get_content()


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ({"offers_tls": False}, "offers no TLS"),
        ({"password": "another"}, "does not accept mail_user"),
        ({"greeting": f"554 go \x1b[31maway\x07, {PASSWORD}".encode()}, r"takes no e-mail: go \[31maway , \(hidden\)"),
    ],
)
def test_a_server_that_takes_no_mail_says_why_without_a_secret(tmp_path: Path, server: Any, said: str) -> None:
    post = SmtpServer(tmp_path / "smtp", **({"password": PASSWORD} | server))
    with post, pytest.raises(LiputError, match=said) as caught:
        mail(post).send(message())
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"
    assert caught.value.message.isprintable(), "it changes no terminal"
    assert post.letters == []
    with pytest.raises(LiputError, match="failed: Connection refused"):
        mail(post).send(message())  # nobody is there now


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


# What is posted to a webhook


SECRET = "rahasia-0123456789"


def hook(
    server: HookServer, keys: AlarmKeys | None = None, url: str = "", authority: Path | None = None
) -> WebhookChannel:
    settings = AlarmSettings(webhook=url or server.url, ca_file=authority or server.authority)
    return WebhookChannel(settings, keys or AlarmKeys(), "Aula", "id")


def test_what_is_posted_says_it_all(tmp_path: Path) -> None:
    with HookServer(tmp_path / "web") as server:
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


def test_what_is_no_web_server_is_one_line(tmp_path: Path) -> None:
    with (
        HookServer(tmp_path / "web", answer=b"220 smtp\r\n") as server,
        pytest.raises(LiputError, match="like a web s"),
    ):
        hook(server).send(message())


# By mail and to a webhook alike


def test_a_server_that_is_not_to_be_trusted_is_told_nothing(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp", password=PASSWORD) as post, HookServer(tmp_path / "web") as web:
        untrusted: list[tuple[str, MailChannel | WebhookChannel]] = [
            ("localhost", mail(post, authority=web.authority)),
            ("localhost", hook(web, authority=post.authority)),
            (r"127\.0\.0\.1", mail(post, host="127.0.0.1")),
            (r"127\.0\.0\.1", hook(web, url=web.url.replace("localhost", "127.0.0.1"))),
        ]
        for host, channel in untrusted:
            with pytest.raises(LiputError, match=f"certificate of {host}:.* is not trusted"):
                channel.send(message())
    assert (post.letters, web.posted) == ([], [])
    assert not any(word.startswith("AUTH") for word in post.commands)


def test_a_server_that_hangs_costs_no_more_than_the_deadline(tmp_path: Path) -> None:
    slow = b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 1000
    with (
        SmtpServer(tmp_path / "smtp", trickles_at="DATA") as post,
        HookServer(tmp_path / "web", trickles=True, answer=slow) as web,
    ):
        channels: tuple[MailChannel | WebhookChannel, ...] = (mail(post), hook(web))
        for channel in channels:
            channel.deadline_s = 0.5
            began = time.monotonic()
            with pytest.raises(LiputError, match=r"did not answer within 0\.5 s"):
                channel.send(message())
            assert time.monotonic() - began < 20.0


# The notification on a desktop


@pytest.fixture
def bus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with private_bus(tmp_path / "bus") as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def desktop() -> DesktopChannel:
    return DesktopChannel("Aula", "id", deadline_s=20.0)  # beside other tests it takes longer than on a free PC


def test_one_notification_is_replaced_and_goes_with_the_trouble(bus: str, desktop: DesktopChannel) -> None:
    with Notifications(bus) as screen:
        desktop.send(Message(at=AT, present=(alarm(),), closes=True))
        assert screen.shown == {}, "that is news to nobody"
        desktop.send(message(alarm()))
        ((number, shown),) = screen.shown.items()
        assert shown.summary.startswith("Liput (Aula): Kamera podium terlepas: colokkan kembali.")
        assert shown.body == "Kamera podium terlepas: colokkan kembali. Rekaman tetap berjalan."
        assert (shown.urgency, shown.expires_ms) == (2, 0)
        desktop.update(DesktopChannel("Aula Lantai 2", "id"))
        desktop.send(message(alarm(subject="<b>R&D</b>"), alarm("destination-lost", "youtube")))
        assert list(screen.shown) == [number]
        assert screen.shown[number].summary.startswith("Liput (Aula Lantai 2): ")
        assert screen.shown[number].body.count("\n") == 1
        assert "&lt;b&gt;R&amp;D&lt;/b&gt; terlepas" in screen.shown[number].body, "it is no markup"
        desktop.send(over())
        assert screen.shown == {}
        desktop.close()
        assert screen.asked == 3


def test_a_notice_of_the_schedule_leaves_the_trouble(bus: str, desktop: DesktopChannel) -> None:
    with Notifications(bus) as screen:
        desktop.send(message(alarm()))
        desktop.send(Message(at=AT, notices=(notice(),), present=(alarm(),), closes=True))
        trouble, said = screen.shown.values()
        assert (trouble.urgency, said.urgency, said.expires_ms) == (2, 1, -1)
        desktop.send(Message(at=AT, notices=(notice("waits", text="Rapat: tekan mulai"),)))
        trouble, said = screen.shown.values()
        assert (said.body, said.urgency, said.expires_ms) == ("Rapat: tekan mulai", 2, 0)
        assert trouble.body.startswith("Kamera podium terlepas")
        desktop.send(over())
        assert [one.body for one in screen.shown.values()] == ["Rapat: tekan mulai"]
        desktop.send(Message(at=AT, notices=(notice(plan="wisuda", text="Wisuda dimulai 10 min lagi"),)))
        assert [one.body for one in screen.shown.values()] == ["Rapat: tekan mulai", "Wisuda dimulai 10 min lagi"]


def test_no_bus_or_desktop_is_said(tmp_path: Path, desktop: DesktopChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with pytest.raises(NoDesktop, match="no desktop here"):
        desktop.send(message())
    with private_bus(tmp_path / "bus") as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
        with pytest.raises(NoDesktop, match="ServiceUnknown"):
            desktop.send(message())
        with Notifications(bus, refuses=True), pytest.raises(NoDesktop, match="no program shows"):
            desktop.send(message())


def test_a_desktop_or_a_bus_that_hangs_costs_no_more_than_the_deadline(
    tmp_path: Path, bus: str, desktop: DesktopChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    desktop.deadline_s = 1.0
    began = time.monotonic()
    with Notifications(bus, mute=True), pytest.raises(NoDesktop, match="does not answer"):
        desktop.send(message())
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mute"))
        listener.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path / 'mute'}")
        with pytest.raises(NoDesktop, match="does not answer"):
            desktop.send(message())
    assert time.monotonic() - began < 20.0


# `liput alarm test` says of every way what came of it


def alarm_settings(folder: Path, post: SmtpServer, web: HookServer, password: str = PASSWORD) -> dict[str, str]:
    config = folder / "liput.toml"
    config.write_text(
        f"""
        [alarms]
        desktop = true
        mail_server = "smtp://localhost:{post.port}"
        mail_user = "liput"
        mail_from = "liput@kampus.example"
        mail_to = ["humas@kampus.example"]
        webhook = "{web.url}"
        ca_file = "semua.pem"
        """
    )
    (folder / "semua.pem").write_text(post.authority.read_text() + web.authority.read_text())
    (folder / "keys.toml").write_text(f'[alarms]\nmail_password = "{password}"\n')
    (folder / "keys.toml").chmod(0o600)
    return {"LIPUT_CONFIG": str(config), "DBUS_SESSION_BUS_ADDRESS": f"unix:path={folder / 'nowhere'}"}


def test_every_way_is_tried(tmp_path: Path) -> None:
    with SmtpServer(tmp_path / "smtp", password=PASSWORD) as post, HookServer(tmp_path / "web") as web:
        more = alarm_settings(tmp_path, post, web)
        done = command.liput(tmp_path, "alarm", "test", "--json", more=more)
        assert done.returncode == 0, done.stderr
        found = {line["way"]: line for line in command.lines(done.stdout)}
        assert {way: line["result"] for way, line in found.items()} == {
            "desktop": "nobody", "mail": "sent", "webhook": "sent",
        }  # fmt: skip
        assert found["mail"]["to"] == "humas@kampus.example"
        one = command.liput(tmp_path, "alarm", "test", "--to", "webhook", more=more)
        assert (one.returncode, one.stdout) == (0, f"webhook (localhost:{web.port}): sent\n")
    assert len(post.letters) == 1
    assert [json.loads(posted.body)["test"] for posted in web.posted] == [True, True]


def test_what_fails_is_said_without_a_secret(tmp_path: Path) -> None:
    with (
        SmtpServer(tmp_path / "smtp", password="another") as post,
        HookServer(tmp_path / "web", answer=b"HTTP/1.1 403 No\r\n\r\n") as web,
    ):
        done = command.liput(tmp_path, "alarm", "test", more=alarm_settings(tmp_path, post, web))
    assert done.returncode == 1
    assert "mail (humas@kampus.example): failed: " in done.stderr
    assert "does not accept mail_user and its password" in done.stderr
    assert "it answers 403" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_what_is_not_set_up_is_wrong_usage(tmp_path: Path) -> None:
    config = tmp_path / "liput.toml"
    config.write_text("[alarms]\ndesktop = false\n")
    for options in ((), ("--to", "mail"), ("--to", "desktop")):
        done = command.liput(tmp_path, "alarm", "test", *options, more={"LIPUT_CONFIG": str(config)})
        assert done.returncode == 2
        assert "alarms are not set up" in done.stderr
