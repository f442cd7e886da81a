"""A real RTMP server for tests: nginx with its RTMP module, which asks for a good key and records what it takes."""

import os
import signal
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from agent.sessions.receiver import (
    APPLICATION,
    free_port,
    nginx_configuration,
    nginx_with_rtmp,
    start_server,
    stop_server,
    wait_until_listening,
)
from tests.net.place import LOOPBACK, Place

RULES = """
            notify_method get;
            on_publish http://{host}:{http_port}/auth;
            drop_idle_publisher 6s;
            hls on;
            hls_path "{folder}/hls";
            hls_fragment 1s;
            hls_continuous on;
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
        if not wait_until_listening(self.port, self._server, host, self._place.pid):
            stop_server(self._server)
            raise AssertionError((self.folder / "output").read_text() + (self.folder / "error.log").read_text())

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
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

    def playlist(self, key: str) -> Path:
        """Return the HLS playlist that the server makes of what is published with `key`."""
        return self.folder / "hls" / f"{key}.m3u8"

    def recordings(self) -> list[Path]:
        """Return what was received, oldest first."""
        return sorted(self.recorded.glob("*.flv"), key=lambda path: path.stat().st_mtime_ns)
