"""Clients that never end what they begin; another one comes for each that is hung up on."""

import contextlib
import os
import resource
import selectors
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path


@contextlib.contextmanager
def silent(host: str, port: int, count: int, sent: str = "", enter: Sequence[str] = ()) -> Iterator[None]:
    """Let so many clients be there while the body runs; `enter` as of tests.net.lab."""
    # Another user may see neither this folder nor the environment in it.
    code = Path(__file__).read_text()
    words = [*enter, os.path.realpath(sys.executable), "-c", code, host, str(port), str(count), sent]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as crowd:
        assert crowd.stdin
        assert crowd.stdout
        try:
            assert crowd.stdout.readline() == b"open\n"
            yield
        finally:
            crowd.stdin.close()


def main(host: str, port: int, count: int, sent: bytes) -> None:
    """Hold them."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 64, hard))
    with selectors.DefaultSelector() as waiting:
        waiting.register(sys.stdin, selectors.EVENT_READ)
        for _ in range(count):
            _open(waiting, host, port, sent)
        sys.stdout.write("open\n")
        sys.stdout.flush()
        while True:
            for key, _ in waiting.select():
                if key.fileobj is sys.stdin:
                    return
                assert isinstance(key.fileobj, socket.socket)
                waiting.unregister(key.fileobj)
                key.fileobj.close()
                _open(waiting, host, port, sent)


def _open(waiting: selectors.BaseSelector, host: str, port: int, sent: bytes) -> None:
    connection = socket.create_connection((host, port))
    with contextlib.suppress(OSError):
        connection.sendall(sent)
    waiting.register(connection, selectors.EVENT_READ)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4].encode())
