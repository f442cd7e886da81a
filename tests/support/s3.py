"""A real S3-compatible object store, SeaweedFS on loopback."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from functools import partial
from pathlib import Path
from typing import Self

from agent.sessions.receiver import HOST, start_server, stop_server, wait_until_listening
from tests.support.waiting import PATIENCE_S, wait_for

WEED = Path(sys.executable).with_name("weed")
SOCKETS = Path("/tmp")
"""Where the server makes sockets that it is not asked for, and leaves them."""
ACCESS_KEY, SECRET_KEY = "liput-access", "a-secret/that+nobody=prints"


class Seaweed:
    def __init__(self, folder: Path) -> None:
        (folder / "data").mkdir(parents=True)
        self.folder = folder
        with contextlib.ExitStack() as stack:  # no two the same
            probes = [stack.enter_context(socket.create_server((HOST, 0))) for _ in range(8)]
            self.port, self._filer, *self._others = (int(probe.getsockname()[1]) for probe in probes)
        self._server: subprocess.Popen[bytes] | None = None
        identity = {
            "name": "liput",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        names = [f"{part}.port{grpc}" for grpc in ("", ".grpc") for part in ("filer", "s3", "master", "volume")]
        ports = zip(names, (self._filer, self.port, *self._others), strict=True)
        self._server = start_server(
            [
                str(WEED), f"-logdir={self.folder}", "server", f"-dir={self.folder / 'data'}", f"-ip={HOST}",
                f"-ip.bind={HOST}", "-filer", "-s3",
                f"-s3.config={self.folder / 's3.json'}", "-master.volumeSizeLimitMB=64", "-volume.max=100",
                "-master.electionTimeout=1s", "-master.telemetry=false", "-s3.port.iceberg=0", "-s3.port.lance=0",
                *(f"-{name}={port}" for name, port in ports),
            ],
            self.folder,
        )  # fmt: skip
        try:
            for port in (self._filer, self.port):
                is_there = wait_until_listening(port, self._server, timeout_s=PATIENCE_S)
                assert is_there, (self.folder / "output").read_text()
            wait_for(self._answers, what="an answer of the store")
        except AssertionError:
            self.stop()
            raise

    def _answers(self) -> bool:
        try:
            urllib.request.urlopen(self.endpoint, timeout=5).close()
        except urllib.error.HTTPError:  # nobody is let in without a signature
            return True
        except OSError:
            return False
        return True

    def make_bucket(self, name: str) -> None:
        """Make a bucket, to SeaweedFS a folder; its first file takes seconds, which no test shall wait for."""
        for path, method, content in ((f"{name}/", "POST", None), (f"{name}/first", "PUT", b"-")):
            wait_for(partial(self._asked, path, method, content), what="a bucket")
        self._asked(f"{name}/first", "DELETE", None)

    def _asked(self, path: str, method: str, content: bytes | None) -> bool:
        request = urllib.request.Request(f"http://{HOST}:{self._filer}/buckets/{path}", content, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return bool(answer.status < 300)
        except OSError:
            return False

    def hang(self) -> None:
        """Neither take anything nor say anything, until `go_on`."""
        assert self._server
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        assert self._server
        self._server.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._server is not None:
            self.go_on()
            stop_server(self._server, signal.SIGKILL)  # asked kindly, it takes five seconds
            self._server = None
        for port in (self.port, self._filer, *self._others):
            for left in SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
