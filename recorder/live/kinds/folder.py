"""file://: HLS in a folder that a web server serves."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import ChildReport, DestinationKind, ReachResult, SendReport, StreamRequest
from recorder.live.url import FolderUrl, parse_folder_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Deadline


def _publish(request: StreamRequest, url: FolderUrl, report: SendReport) -> ChildReport:
    from recorder.live.transports.hls import publish

    return publish(request, url, report)


def _reach(url: FolderUrl, _ca_file: Path | None, _patience: "Deadline") -> ReachResult:
    from recorder.live.transports.hls_folder import reach_folder

    reach_folder(url)
    return "ok-folder"


KIND = DestinationKind(FolderUrl, parse_folder_url, _publish, _reach, is_here=True, goes_on=True)
