"""srt://: a server to call, or a port of this PC for callers."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import DestinationKind, Reached, Report, Request, Tell
from recorder.live.url import SrtUrl, parse_srt_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Patience


def _publish(request: Request, url: SrtUrl, report: Tell) -> Report:
    from recorder.live.kinds.srt_publish import publish

    return publish(request, url, report)


def _reach(url: SrtUrl, _ca_file: Path | None, patience: "Patience") -> Reached:
    from recorder.live.kinds import libsrt
    from recorder.live.reach import reach_srt, try_port

    if libsrt.find() is None:
        return "no-libsrt"
    return try_port(url, patience) if url.listens else reach_srt(url, patience)


KIND = DestinationKind(SrtUrl, parse_srt_url, _publish, _reach)
