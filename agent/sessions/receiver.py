"""A throw-away RTMP server on loopback for the demo and for tests: nginx with its RTMP module, else ffmpeg."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from config.errors import LiputError
from devices.host.child import tie_to_parent

HOST = "127.0.0.1"
APPLICATION = "live"
START_S = 10.0
STOP_S = 5.0

_MODULES = ("/usr/lib/nginx/modules/ngx_rtmp_module.so", "/usr/lib64/nginx/modules/ngx_rtmp_module.so")
_SBIN = "/usr/local/sbin:/usr/sbin:/sbin"  # Debian has nginx here, which is not on every PATH


def nginx_with_rtmp() -> tuple[str, Path] | None:
    """Return the nginx command and its RTMP module; None if either is missing."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path=_SBIN)
    module = next((path for path in map(Path, _MODULES) if path.exists()), None)
    return (nginx, module) if nginx and module else None


def nginx_configuration(
    folder: Path, module: Path, port: int, *, host: str = HOST, rules: str = "", more: str = ""
) -> str:
    """Return a configuration that records all streams into `folder`/recorded, in one foreground process."""
    quoted = str(folder).replace("\\", "\\\\").replace('"', '\\"')
    return f"""
load_module "{module}";
daemon off;
master_process off;
pid "{quoted}/nginx.pid";
error_log "{quoted}/error.log" info;
events {{ worker_connections 64; }}
rtmp {{
    access_log "{quoted}/rtmp.log";
    server {{
        listen {host}:{port};
        max_message 16M;
        application {APPLICATION} {{
            live on;
            record all;
            record_path "{quoted}/recorded";
            record_unique on;
            record_suffix -%s.flv;
            {rules}
        }}
    }}
}}
{more}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def start_server(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    """Start a server with output in `folder`/output; if possible it ends with this thread."""
    with (folder / "output").open("ab") as output:
        # In its own session: Ctrl-C ends the stream first, and the server after it.
        return subprocess.Popen(
            tie_to_parent(command), stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def stop_server(server: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """End a server and wait for it; one that ignores the signal is killed."""
    if server.poll() is None:
        server.send_signal(how)
    try:
        server.wait(STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def listens(port: int, host: str = HOST, pid: int | None = None) -> bool:
    """Return whether `port` is listened on, in the network of `pid` or here, without connecting to it."""
    wanted = f"{int.from_bytes(socket.inet_aton(host), sys.byteorder):08X}:{port:04X}"
    rows = (line.split() for line in Path(f"/proc/{pid or 'self'}/net/tcp").read_text().splitlines()[1:])
    return any(row[1] == wanted and row[3] == "0A" for row in rows)


def wait_until_listening(
    port: int, server: subprocess.Popen[bytes], host: str = HOST, pid: int | None = None, timeout_s: float = START_S
) -> bool:
    """Wait until `server` listens on `port` (as `listens`); False if it ended, or after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline and server.poll() is None:
        if listens(port, host, pid):
            return True
        time.sleep(0.02)
    return False


class DemoReceiver:
    """A server that receives one demonstration stream and records it in `folder`, which it makes.

    Inside the `with`, `url` is the address, or None if no server is installed; after `stop` or the end, `received` is
    the recording. Raises LiputError if an installed server does not start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._server: subprocess.Popen[bytes] | None = None
        self._stop_by = signal.SIGTERM
        self.name: str | None = None
        """The server: nginx, ffmpeg or None."""
        self.url: str | None = None

    def __enter__(self) -> Self:
        recorded = self._folder / "recorded"
        recorded.mkdir(parents=True, exist_ok=True)
        port = free_port()
        url = f"rtmp://{HOST}:{port}/{APPLICATION}/demo"
        nginx, ffmpeg = nginx_with_rtmp(), shutil.which("ffmpeg")
        if nginx:
            configuration = self._folder / "nginx.conf"
            configuration.write_text(nginx_configuration(self._folder, nginx[1], port), encoding="utf-8")
            command = [nginx[0], "-e", f"{self._folder}/error.log", "-p", str(self._folder), "-c", str(configuration)]
        elif ffmpeg:
            command = [ffmpeg, "-hide_banner", "-nostdin", "-loglevel", "warning", "-listen", "1", "-i", url]
            command += ["-c", "copy", "-flvflags", "no_duration_filesize", str(recorded / "demo.flv")]
            self._stop_by = signal.SIGINT  # ffmpeg then finishes its file
        else:
            return self
        self._server = start_server(command, self._folder)
        if not wait_until_listening(port, self._server):
            stop_server(self._server)
            raise LiputError(
                "the demonstration's receiver did not start", hint=f"its output is in {self._folder / 'output'}"
            )
        self.name, self.url = ("nginx" if nginx else "ffmpeg"), url
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the server, so that its file is whole; idempotent."""
        if self._server:
            stop_server(self._server, self._stop_by)
            self._server = None

    @property
    def received(self) -> Path | None:
        """The largest recording that arrived, or None."""
        files = [(path.stat().st_size, path) for path in (self._folder / "recorded").glob("*.flv")]
        size, path = max(files, default=(0, self._folder))
        return path if size else None
