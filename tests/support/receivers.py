"""What takes a stream of each kind here: by the scheme of its address, a server, a caller, or a folder."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from agent.sessions.receiver import HOST
from config.settings.secrets import StreamTarget, secret_url
from devices.uplink.connecting import Deadline
from recorder.live.reach import check_port
from recorder.live.url import SrtUrl
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import TlsFront
from tests.support.srt_peer import SrtPeer, free_udp_port
from tests.support.waiting import PATIENCE_S, wait_for


@contextmanager
def _rtmp(folder: Path) -> Iterator[StreamTarget]:
    with NginxRtmp(folder / "nginx") as server:
        yield StreamTarget("rtmp", secret_url(server.url("good")))


@contextmanager
def _rtmps(folder: Path) -> Iterator[StreamTarget]:
    with NginxRtmp(folder / "nginx") as server:
        tls = TlsFront(folder / "tls", server.port)
        try:
            yield StreamTarget("rtmps", secret_url(f"rtmps://localhost:{tls.port}/live/good"), tls.certificate)
        finally:
            tls.stop()


@contextmanager
def _srt(folder: Path) -> Iterator[StreamTarget]:
    peer = SrtPeer(folder / "srt.ts", free_udp_port(), "listener")
    peer.start()
    try:
        url, patience = SrtUrl(HOST, peer.port, "listener"), Deadline.of(PATIENCE_S, threading.Event())
        wait_for(lambda: check_port(url, patience) == "port-taken", what="it to listen")
        yield StreamTarget("srt", secret_url(f"srt://{HOST}:{peer.port}?latency=200"))
    finally:
        peer.stop()


@contextmanager
def _folder(folder: Path) -> Iterator[StreamTarget]:
    yield StreamTarget("file", secret_url(f"file://{folder}"))


RECEIVERS: dict[str, Callable[[Path], AbstractContextManager[StreamTarget]]] = {
    "rtmp": _rtmp,
    "rtmps": _rtmps,
    "srt": _srt,
    "file": _folder,
}
"""Each is there until its context ends."""
