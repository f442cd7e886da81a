"""RTMP servers for tests: nginx, which checks the key and records; and one that refuses every application."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from agent.sessions.receiver import (
    APPLICATION,
    HOST,
    free_port,
    nginx_configuration,
    nginx_with_rtmp,
    start_server,
    stop_server,
    wait_until_listening,
)
from tests.net.lab import LOOPBACK, Place
from tests.support.waiting import PATIENCE_S

RULES = """
            notify_method get;
            on_publish http://{host}:{http_port}/auth;
            drop_idle_publisher 6s;
"""
HTTP = """
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{http_port};
        location /auth {{ if ($arg_name ~ "^good") {{ return 200; }} return 403; }}
    }}
}}
"""


class NginxRtmp:
    """The server; keys that begin with "good" may publish. `url(key)` is where; it may be stopped and started again."""

    def __init__(self, folder: Path, place: Place = LOOPBACK) -> None:
        self.folder = folder
        self._place = place
        self.port, self._http_port = free_port(), free_port()
        self._server: subprocess.Popen[bytes] | None = None
        self.recorded = folder / "recorded"
        self.recorded.mkdir(parents=True)

    def url(self, key: str, application: str = APPLICATION) -> str:
        return f"rtmp://{self._place.address}:{self.port}/{application}/{key}"

    def start(self) -> None:
        found = nginx_with_rtmp()
        assert found, "nginx and its RTMP module must be installed (Debian: nginx libnginx-mod-rtmp)"
        host = self._place.address
        names = {"host": host, "http_port": self._http_port, "folder": self.folder}
        text = nginx_configuration(
            self.folder, found[1], self.port, host=host, rules=RULES.format(**names), more=HTTP.format(**names)
        )
        configuration = self.folder / "nginx.conf"
        configuration.write_text(text)
        words = [found[0], "-e", f"{self.folder}/error.log", "-p", str(self.folder), "-c", str(configuration)]
        self._server = start_server([*self._place.enter, *words], self.folder)
        if not wait_until_listening(self.port, self._server, host, self._place.pid, PATIENCE_S):
            stop_server(self._server)
            raise AssertionError((self.folder / "output").read_text() + (self.folder / "error.log").read_text())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        if self._server:
            os.kill(self._server.pid, signal.SIGCONT)
            stop_server(self._server, how)
            self._server = None

    def freeze(self) -> None:
        """Stop answering without closing anything, as a dead network looks."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._server
        self._server.send_signal(signal.SIGCONT)

    def recordings(self) -> list[Path]:
        """Return what was received, oldest first."""
        return sorted(self.recorded.glob("*.flv"), key=lambda path: path.stat().st_mtime_ns)


_HELLO = 1536
_CHUNK = 128
_END = b"\0\0\t"
NEED_AUTH = "[ AccessManager.Reject ] : [ code=403 need auth; authmod=adobe ] : "
CHALLENGE = "[ AccessManager.Reject ] : [ authmod=adobe ] : ?reason=needauth&user=u&salt=ab&challenge=cd&opaque=ef"
"""The first two answers to somebody with a login; the client connects anew after each."""


class ScriptedRtmp:
    """Gives one of `answers` to each connection, one after the other, and hangs up; `asked` is what it was sent."""

    def __init__(self, answers: Sequence[str]) -> None:
        self._answers = answers
        self._listener = socket.create_server((HOST, 0))
        self._listener.settimeout(30)
        self._thread = threading.Thread(target=self._serve, name="scripted-rtmp", daemon=True)
        self.port = int(self._listener.getsockname()[1])
        self.asked: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._thread.join(60)

    def _serve(self) -> None:
        for answer in self._answers:
            client, _ = self._listener.accept()
            client.settimeout(30)
            with client, client.makefile("rb") as incoming:
                incoming.read(1 + _HELLO)
                client.sendall(b"\3" + bytes(2 * _HELLO))
                incoming.read(_HELLO)
                asked = b""
                while not asked.endswith(_END) and (more := incoming.read(1)):
                    asked += more
                self.asked.append(asked)
                client.sendall(_refusal(answer))
                with contextlib.suppress(ConnectionError):
                    incoming.read()


def _refusal(description: str) -> bytes:
    """Return the answer to `connect` that says no."""
    fields = {"level": "error", "code": "NetConnection.Connect.Rejected", "description": description}
    body = b"\2" + _text("_error") + b"\0" + struct.pack(">d", 1) + b"\5\3"
    body += b"".join(_text(name) + b"\2" + _text(value) for name, value in fields.items()) + _END
    head = b"\3" + bytes(3) + len(body).to_bytes(3) + b"\x14" + bytes(4)
    return head + b"\xc3".join(body[at : at + _CHUNK] for at in range(0, len(body), _CHUNK))


def _text(text: str) -> bytes:
    return struct.pack(">H", len(text)) + text.encode()
