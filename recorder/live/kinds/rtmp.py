"""rtmp:// and rtmps://: a streaming service, or a server of the campus."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import DestinationKind, Reached, Report, Request, Tell
from recorder.live.url import RtmpUrl, parse_rtmp_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Patience


def _publish(request: Request, url: RtmpUrl, report: Tell) -> Report:
    from recorder.live.kinds.publish import publish

    return publish(request, url, report)


def _reach(url: RtmpUrl, ca_file: Path | None, patience: "Patience") -> Reached:
    from recorder.live.reach import reach_rtmp

    return reach_rtmp(url, ca_file, patience)


KIND = DestinationKind(RtmpUrl, parse_rtmp_url, _publish, _reach)
