"""`liput alarm test`: says of every way what came of it, and no secret."""

import json
from pathlib import Path

import pytest

from tests.support import command
from tests.support.servers import HookServer, SmtpServer

pytestmark = pytest.mark.server

PASSWORD = "kata-sandi-rahasia"


def settings(folder: Path, post: SmtpServer, web: HookServer, password: str = PASSWORD) -> dict[str, str]:
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
        more = settings(tmp_path, post, web)
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
        done = command.liput(tmp_path, "alarm", "test", more=settings(tmp_path, post, web))
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
