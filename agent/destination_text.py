"""How each live destination is, in plain words."""

from datetime import datetime

from recorder.model.status import DestinationLine

FAR_BEHIND_S = 2.0


def destination_text(line: DestinationLine) -> str:
    """Return how a destination is, in one line: what it does, since when, why, and what it has cost viewers."""
    said = {
        "armed": "kept for the start",
        "connecting": "connecting",
        "listening": "waits for somebody to call",
        "live": f"LIVE{_since(line.since)}",
        "waiting": f"NOT LIVE{_since(line.since)}, trying again",
        "stopped": "stopped",
        "removed": "removed",
    }.get(line.state, line.state)
    if line.state == "live" and line.reason:
        said = f"LIVE, but TOO SLOW{_since(line.since)}"
    parts = [said]
    if line.message:
        parts.append(line.message)
    if line.state == "live" and (line.reason or line.backlog_s >= FAR_BEHIND_S):
        parts.append(f"{line.backlog_s:.1f} s behind")
    if line.dropped:
        parts.append(f"{line.dropped} pictures left out")
    if line.reconnects:
        parts.append(f"connected again {'once' if line.reconnects == 1 else f'{line.reconnects} times'}")
    return f"{line.name}: {'; '.join(parts)}"


def _since(since: datetime | None) -> str:
    return f" since {since.astimezone():%H:%M:%S}" if since else ""
