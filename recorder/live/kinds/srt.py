"""srt://: a server that is called, or a port of this PC that is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from recorder.live.kind import DestinationKind, Reached, Tell
from recorder.live.protocol import Report, Request
from recorder.live.srt_url import SrtUrl, parse_srt_url

if TYPE_CHECKING:
    from devices.uplink.connecting import Patience


def _parse(_scheme: str, rest: str, _key: str | None) -> SrtUrl:
    return parse_srt_url(rest)


def _publish(request: Request, url: SrtUrl, report: Tell) -> Report:
    from recorder.live.srt import publish

    return publish(request, url, report)


def _reach(url: SrtUrl, _ca_file: Path | None, patience: "Patience") -> Reached:
    from recorder.live.reach import may_listen, reach_srt

    if url.listens:
        return Reached.LISTENS if may_listen(url) else Reached.PORT_TAKEN
    reach_srt(url, patience)
    return Reached.ANSWERS


KIND = DestinationKind(SrtUrl, _parse, _publish, _reach)
