"""The token: made once, private, and compared with nothing but itself."""

import contextlib
import json
import os
import secrets
import socket
import stat
import subprocess
import threading
from pathlib import Path

import pytest

from agent.commands.token import EXAMPLES
from agent.web.http.token import COOKIE_S, MOST_TICKETS, TICKET_S, Auth, read_token, token_file
from config.errors import SecretError
from devices.host.clock import NANOSECONDS
from tests.support import command
from tests.support.servers import RawServer
from tests.support.simulated import SimulatedClock

TOKEN = "t" * 43


def gate(tmp_path: Path, clock: SimulatedClock, token: str = TOKEN) -> Auth:
    """Return one whose file holds `token`."""
    path = tmp_path / token
    path.touch(0o600)
    path.write_text(token)
    return Auth(clock, path)


def later(clock: SimulatedClock, seconds: float) -> None:
    clock.advance_to(clock.now_ns() + int(seconds * NANOSECONDS))


def test_it_is_made_once_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "state" / "web-token"
    token = read_token(path)
    assert len(token) >= 43
    assert read_token(path) == token
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_one_that_others_could_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "web-token"
    read_token(path)
    path.chmod(0o640)
    with pytest.raises(SecretError, match="is readable by other users"):
        read_token(path)
    path.chmod(0o600)
    path.write_text("short\n")
    with pytest.raises(SecretError, match="holds no token") as refused:
        read_token(path)
    assert "short" not in refused.value.message


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    read_token(tmp_path / "real")
    (tmp_path / "web-token").symlink_to(tmp_path / "real")
    with pytest.raises(Exception, match="cannot be read"):
        read_token(tmp_path / "web-token")


def test_tickets_are_good_once_and_for_a_minute(tmp_path: Path) -> None:
    clock = SimulatedClock()
    one = gate(tmp_path, clock)
    first, second = one.ticket(), one.ticket()
    assert one.use_ticket(first)
    assert not one.use_ticket(first)
    later(clock, TICKET_S + 1)
    assert not one.use_ticket(second)
    many = [one.ticket() for _ in range(MOST_TICKETS + 1)]
    assert not one.use_ticket(many[0]), "the oldest goes where there are too many"
    assert one.use_ticket(many[-1])


def test_a_cookie_holds_for_its_time_and_for_its_token_alone(tmp_path: Path) -> None:
    clock = SimulatedClock()
    cookie = gate(tmp_path, clock).cookie()
    assert gate(tmp_path, clock).is_cookie_valid(cookie), "also after the daemon has begun anew"
    assert not gate(tmp_path, clock, "u" * 43).is_cookie_valid(cookie)
    assert TOKEN not in cookie
    later(clock, COOKIE_S + 1)
    assert not gate(tmp_path, clock).is_cookie_valid(cookie)


def test_another_token_holds_at_once_and_one_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    clock, path = SimulatedClock(), tmp_path / "web-token"
    one = Auth(clock, path)
    token, cookie, ticket = read_token(path), one.cookie(), one.ticket()
    path.unlink()
    assert one.is_token(token)
    path.write_text("too short")
    assert one.is_token(token)
    path.unlink()
    other = read_token(path)
    assert not one.use_ticket(ticket)
    assert not one.is_cookie_valid(cookie)
    assert not one.is_token(token)
    assert one.is_token(other)
    assert one.is_cookie_valid(one.cookie())
    assert one.use_ticket(one.ticket())


def test_the_command_shows_it_and_makes_another(tmp_path: Path) -> None:
    more = {"LIPUT_STATE": os.environ["LIPUT_STATE"]}
    shown = command.liput(tmp_path, "token", more=more).stdout.strip()
    assert shown == token_file().read_text().strip()
    assert json.loads(command.liput(tmp_path, "token", "--json", more=more).stdout) == {"token": shown}
    assert command.liput(tmp_path, "token", "--new", more=more).stdout.strip() not in {"", shown}


@pytest.mark.parametrize("text", [EXAMPLES, (command.ROOT / "docs/api.md").read_text()])
def test_the_example_shows_it_to_the_page_and_in_no_command(tmp_path: Path, text: str) -> None:
    (example,) = (line.strip() for line in text.splitlines() if "liput token" in line and "curl" in line)
    token = secrets.token_hex(16)
    (tmp_path / "liput").write_text(f"#!/bin/sh\necho {token}\n")
    (tmp_path / "liput").chmod(0o755)
    words: list[bytes] = []

    def look(connection: socket.socket, over: threading.Event) -> None:
        for process in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words.append(process.read_bytes())
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with RawServer(look) as server:
        typed = example.replace(":8466", f":{server.port}")
        subprocess.run(["sh", "-c", typed], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, check=True, timeout=60)
        assert f"Authorization: Bearer {token}\r\n".encode() in server.asked[0]
    assert any(b"curl" in each for each in words)
    assert not any(token.encode() in each for each in words)
