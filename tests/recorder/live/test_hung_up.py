"""A server that takes every stream and hangs up at once: it is not live again and again."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

import pytest

from agent.receiver import HOST
from recorder.live.backoff import SHORT_LIFE_S
from tests.support.encoded import SmallEncoder
from tests.support.live import Events, Pump, is_live, running
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

TAKEN = 8000
"""Bytes of a client: the handshake, what it asks for, and some of its stream."""


class HangsUp:
    """Stands before an RTMP server: hangs up on each client that streams, as long as `hangs_up`."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server((HOST, 0))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.port = int(self._listener.getsockname()[1])
        self.clients = 0
        self.hangs_up = True

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.clients += 1
                server = socket.create_connection((HOST, self._to))
                for one, other in ((client, server), (server, client)):
                    thread = threading.Thread(target=self._pass_on, args=(one, other, one is client), daemon=True)
                    self._threads.append(thread)
                    thread.start()

    def _pass_on(self, one: socket.socket, other: socket.socket, from_client: bool) -> None:
        passed = 0
        with contextlib.suppress(OSError), one:
            while data := one.recv(4096):
                other.sendall(data)
                passed += len(data)
                if from_client and passed > TAKEN and self.hangs_up:
                    break
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def test_one_that_hangs_up_at_once_is_told_once_and_is_live_again_when_that_lasts(
    server: NginxRtmp, encoder: SmallEncoder, events: Events
) -> None:
    with HangsUp(server.port) as front:
        url = server.url("good").replace(f":{server.port}", f":{front.port}")
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: front.clients >= 3)
            assert not is_live(destination)
            assert [len(events.of(kind)) for kind in ("destination-live", "destination-lost")] == [1, 1]
            assert events.reasons() == ["closed"]
            front.hangs_up = False
            wait_for(lambda: is_live(destination))
            told_s = [at_s for at_s, kind, *_ in events.seen if kind == "destination-live"]
            assert told_s[1] - told_s[0] > SHORT_LIFE_S
            assert destination.status().reconnects == 1
