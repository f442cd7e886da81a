"""srt://: a server to call, or a port of this PC for callers."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import ChildReport, DestinationKind, ReachResult, SendReport, StreamRequest
from recorder.live.url import SrtUrl, parse_srt_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Deadline


def _publish(request: StreamRequest, url: SrtUrl, report: SendReport) -> ChildReport:
    from recorder.live.transports.srt_publish import publish

    return publish(request, url, report)


def _reach(url: SrtUrl, _ca_file: Path | None, patience: "Deadline") -> ReachResult:
    from recorder.live.reach import check_port, reach_srt
    from recorder.live.transports import libsrt

    if libsrt.find() is None:
        return "no-libsrt"
    return check_port(url, patience) if url.listens else reach_srt(url, patience)


KIND = DestinationKind(SrtUrl, parse_srt_url, _publish, _reach)
