"""A link that narrows and widens again: the live side's own encode follows it, without delay and without waste."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.net.faults import Net
from tests.net.lab import Lab
from tests.net.session import NAME, PROFILE, RATE, LiveSession, Viewer, film, missing, numbers, settings, sources

SETTLE_S = (8.0, 8.0, 25.0)
"""How long after each change the rate may take: down at once, up slowly."""
DELAY_S = 3.0
DOWN_S = 3.0
USE = 0.8
QUEUE_S = 0.3


def prove(_: argparse.Namespace) -> Mapping[str, object]:
    """Stream through a link of so many bits a second for so many seconds."""
    return run(((6e6, 20.0), (2e6, 30.0), (6e6, 45.0)))


def run(trace: Sequence[tuple[float, float]], *, busy: bool = False) -> Mapping[str, object]:
    """Stream noise through a link that changes as in `trace`; a `busy` machine may be late and waste some of it."""
    with tempfile.TemporaryDirectory(prefix="liput-congestion-") as name, Lab() as lab:
        net = Net(lab, Path(name))
        try:
            return _stream(net, trace, busy=busy)
        finally:
            net.close()


def _stream(net: Net, trace: Sequence[tuple[float, float]], *, busy: bool) -> Mapping[str, object]:
    film(net.folder / "noise.mp4", sum(seconds for _, seconds in trace) + 20)
    net.server.start()
    net.lab.both(delay_s=0.02)
    net.lab.link(up={"rate": trace[0][0], "queue_s": QUEUE_S})
    destinations, more = {NAME: (net.address, "good")}, '[video]\nstream_encode = "separate"\n' + settings("5.5M")
    session = LiveSession(net.folder, net.lab.pc, destinations, PROFILE, more, sources(net.folder / "noise.mp4"))
    try:
        with Viewer(net.server.recorded) as viewer:
            session.told.wait_for(lambda line: line.get("kind") == "destination-live", 30)
            changes = []
            for rate, seconds in trace:
                net.lab.link(up={"rate": rate})
                changes.append(time.monotonic())
                time.sleep(seconds)
            changes.append(time.monotonic())
            session.stop()
        recorded, seen = numbers(session.program), viewer.seen()
    finally:
        session.close()
    first = next(number for number in recorded if number is not None)
    ages = [(picture.at, picture.at - session.zero - (picture.number - first) / RATE) for picture in seen]
    phases = [
        _phase(rate, begin, end, settle_s, ages, viewer.bytes_at)
        for (rate, _), begin, end, settle_s in zip(trace, changes, changes[1:], SETTLE_S, strict=False)
    ]
    whole, used = session.is_whole(recorded, RATE, busy=busy), _used_in_all(trace, changes, viewer.bytes_at)
    down_s = _down_s(trace, changes, list(session.told_of("stream-rate-changed")))
    return {
        "phases": phases,
        "used_in_all": round(used, 3),
        "down_s": down_s,
        "lost_pictures": missing([number for number in recorded if number and number >= seen[0].number], seen),
        "recorded": len(recorded),
        "recording_is_whole": whole,
        "rates": [(round(at - changes[0], 1), detail) for at, detail in session.told_of("stream-rate-changed")],
        "holds": whole
        and down_s is not None
        and all(float(str(phase["oldest_s"])) < DELAY_S * (1 + busy) for phase in phases)
        and (busy or all(part > USE for part in (used, *(float(str(phase["used_once_settled"])) for phase in phases)))),
    }


def _used_in_all(
    trace: Sequence[tuple[float, float]], changes: Sequence[float], bytes_at: Sequence[tuple[float, int]]
) -> float:
    """Return what part of all that the link could have carried was used."""
    could = sum(rate * (end - begin) for (rate, _), begin, end in zip(trace, changes, changes[1:], strict=False))
    counts = [count for at, count in bytes_at if changes[0] <= at < changes[-1]]
    return (counts[-1] - counts[0]) * 8 / could


def _down_s(
    trace: Sequence[tuple[float, float]], changes: Sequence[float], told: Sequence[tuple[float, dict[str, str]]]
) -> float | None:
    """Return how soon after the link had narrowed the rate was below its; None where that took too long."""
    narrow = next(index for index, (rate, _) in enumerate(trace) if rate < trace[0][0])
    since = changes[narrow]
    below = (at - since for at, detail in told if at >= since and int(detail["bitrate"]) < trace[narrow][0])
    return next((round(after_s, 2) for after_s in below if after_s < DOWN_S), None)


def _phase(
    rate: float,
    begin: float,
    end: float,
    settle_s: float,
    ages: Sequence[tuple[float, float]],
    bytes_at: Sequence[tuple[float, int]],
) -> Mapping[str, object]:
    within = [age for at, age in ages if begin <= at < end]
    used, steady = (_used(rate, since, end, bytes_at) for since in (begin, begin + settle_s))
    return {
        "link_bps": rate,
        "oldest_s": round(max(within), 2),
        "usual_age_s": round(statistics.median(within), 2),
        "used": round(used, 3),
        "used_once_settled": round(steady, 3),
    }


def _used(rate: float, begin: float, end: float, bytes_at: Sequence[tuple[float, int]]) -> float:
    counts = [count for at, count in bytes_at if begin <= at < end]
    return (counts[-1] - counts[0]) * 8 / rate / (end - begin) if counts else 0.0
