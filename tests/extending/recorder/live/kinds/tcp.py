"""tcp://HOST:PORT: MPEG-TS to a TCP listener."""

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import UsageError
from recorder.live.kind import (
    AttemptOutcome,
    ChildReport,
    DestinationFault,
    DestinationKind,
    LinkReport,
    ReachResult,
    SendReport,
    StreamRequest,
)
from recorder.live.url import format_host, host_and_port

if TYPE_CHECKING:
    from devices.uplink.connecting import Deadline

EXAMPLE = "an address looks like tcp://host:5000"


class TcpUrl(msgspec.Struct, frozen=True, tag="tcp"):
    """The listener's address; nothing of it is secret."""

    host: str
    port: int

    scheme = "tcp"
    listens = False
    secrets = ()

    @property
    def where(self) -> str:
        """Host and port."""
        return format_host(self.host, self.port)


def parse(_scheme: str, rest: str) -> TcpUrl:
    """Parse HOST:PORT; raises UsageError without repeating any of it."""
    host, port = host_and_port(rest.rstrip("/"), EXAMPLE)
    if port is None:
        raise UsageError("a TCP address has no port", hint=EXAMPLE)
    return TcpUrl(host, port)


def publish(request: StreamRequest, url: TcpUrl, report: SendReport) -> ChildReport:
    """Stream until the input or the connection ends; return the last report."""
    import av
    from av.error import FFmpegError

    from recorder.live.flv import add_streams, demuxed_packets

    report("connect")
    options = {"timeout": str(round(request.io_timeout_s * 1_000_000))}
    step = "connect"
    try:
        with av.open(f"tcp://{url.where}", "w", format="mpegts", options=options) as sink:
            add_streams(sink, request)
            sink.start_encoding()
            step = "live"
            report("live")
            for packet, _ in demuxed_packets(sink, lambda dts_s: report(LinkReport(dts_s))):
                sink.mux(packet)
    except ConnectionRefusedError:
        return AttemptOutcome(DestinationFault.REFUSED)
    except (FFmpegError, OSError) as error:
        return AttemptOutcome(
            DestinationFault.CLOSED if step == "live" else DestinationFault.UNREACHABLE, error.strerror or ""
        )
    return AttemptOutcome()


def reach(url: TcpUrl, ca_file: Path | None, patience: "Deadline") -> ReachResult:
    """Connect, and hang up. Raises NetworkError and Cancelled."""
    from recorder.live.reach import reach_server

    return reach_server(url, ca_file, patience, lambda *_: None)


KIND = DestinationKind(TcpUrl, parse, publish, reach)
