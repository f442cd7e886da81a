"""nginx in the place of a LibreSpeed server: it takes what it is sent, and has a file of noise to give."""

import os
from pathlib import Path
from signal import SIGKILL
from types import TracebackType
from typing import Self

from agent.sessions.receiver import free_port, nginx_with_rtmp, start_server, stop_server, wait_until_listening
from tests.net.place import LOOPBACK, Place

GARBAGE_BYTES = 100 << 20
_CONFIGURATION = """
daemon off;
master_process off;
pid "{folder}/nginx.pid";
error_log "{folder}/error.log";
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path "{folder}/body";
    proxy_temp_path "{folder}/proxy";
    fastcgi_temp_path "{folder}/fastcgi";
    uwsgi_temp_path "{folder}/uwsgi";
    scgi_temp_path "{folder}/scgi";
    server {{
        listen {host}:{port};
        client_max_body_size 0;
        location = /backend/empty.php {{ return 200; }}
        location = /backend/garbage.php {{ alias "{folder}/garbage"; }}
    }}
}}
"""


class SpeedNginx:
    """The server, at `place`, inside a `with`."""

    def __init__(self, folder: Path, place: Place = LOOPBACK) -> None:
        self._folder = folder
        self._place = place
        self.port = free_port()

    @property
    def address(self) -> str:
        """As it stands in the settings."""
        return f"http://{self._place.address}:{self.port}/backend"

    def __enter__(self) -> Self:
        found = nginx_with_rtmp()
        assert found, "nginx must be installed (Debian: nginx)"
        self._folder.mkdir(parents=True)
        noise = os.urandom(1 << 20)
        with (self._folder / "garbage").open("wb") as garbage:
            for _ in range(GARBAGE_BYTES >> 20):
                garbage.write(noise)
        configuration = self._folder / "nginx.conf"
        configuration.write_text(_CONFIGURATION.format(folder=self._folder, host=self._place.address, port=self.port))
        words = [found[0], "-e", f"{self._folder}/error.log", "-p", str(self._folder), "-c", str(configuration)]
        self._server = start_server([*self._place.enter, *words], self._folder)
        if not wait_until_listening(self.port, self._server, self._place.address, self._place.pid):
            stop_server(self._server)
            raise AssertionError((self._folder / "output").read_text())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stop_server(self._server, SIGKILL)
