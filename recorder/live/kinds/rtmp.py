"""rtmp:// and rtmps://: a streaming service, or a server of the campus."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import ChildReport, DestinationKind, ReachResult, SendReport, StreamRequest
from recorder.live.url import RtmpUrl, parse_rtmp_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Deadline


def _publish(request: StreamRequest, url: RtmpUrl, report: SendReport) -> ChildReport:
    from recorder.live.transports.rtmp_publish import publish

    return publish(request, url, report)


def _reach(url: RtmpUrl, ca_file: Path | None, patience: "Deadline") -> ReachResult:
    from recorder.live.reach import greet_rtmp, reach_server

    return reach_server(url, ca_file, patience, greet_rtmp)


KIND = DestinationKind(RtmpUrl, parse_rtmp_url, _publish, _reach)
