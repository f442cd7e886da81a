"""Live streams through networks that fail in each way we know: who notices, when viewers are back, what they missed."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from tests.net.faults import FAULTS, HOST_NAME, Fault, Net
from tests.net.lab import Lab
from tests.net.session import NAME, PROFILE, RATE, SHED, LiveSession, Viewer, film, missing, numbers, settings, sources
from tests.support.command import Line

BEFORE_S = 6.0
"""Of undisturbed streaming before a fault."""
AFTER_S = 12.0
LONGEST_S = 45.0
"""Of film beyond the fault itself; the session is stopped before it ends."""
RETURN_S = 5.0
"""The bar: live again so soon after the network is back."""
DELAY_S = 6.0
"""The bar: no picture is older than this when it is given to the network."""
ON_ITS_WAY_S = 1.5
"""What encoding before it, and the kernel and the link after it, may add."""
STOP_S = 5.0
NEWEST_S = 4.0
"""The bar: so old is the first picture of a new beginning at most. Keyframes are 2 s apart."""
TROUBLES = ("destination-lost", "destination-slow")


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    return run(list(FAULTS), arguments.seed)


def run(
    names: Sequence[str],
    seed: int,
    bit_rate: str = "4.5M",
    *,
    longest_s: float = 60.0,
    slack: float = 1.0,
) -> Mapping[str, object]:
    """Try the faults called `names`, each for `longest_s` at most; a busy machine may be `slack` times as late."""
    faults = {name: replace(FAULTS[name], lasts_s=min(longest_s, FAULTS[name].lasts_s)) for name in names}
    runs = {name: try_fault(fault, seed, bit_rate, slack) for name, fault in faults.items()}
    return {"bit_rate": bit_rate, "faults": runs, "holds": all(figures["holds"] for figures in runs.values())}


def try_fault(fault: Fault, seed: int, bit_rate: str, slack: float = 1.0) -> Mapping[str, object]:
    with tempfile.TemporaryDirectory(prefix="liput-live-") as name, Lab(seed) as lab:
        net = Net(lab, Path(name), fault.scheme)
        try:
            return _stream(fault, net, bit_rate, slack)
        finally:
            net.close()


def _stream(fault: Fault, net: Net, bit_rate: str, slack: float) -> Mapping[str, object]:
    if fault.by_name:
        net.host = HOST_NAME
    (fault.begin if fault.from_the_start else lambda net: net.server.start())(net)
    film(net.folder / "noise.mp4", fault.lasts_s + LONGEST_S)
    destinations = {NAME: (net.address, fault.key if fault.scheme == "rtmp" else "")}
    words = sources(net.folder / "noise.mp4")
    session = LiveSession(net.folder, net.lab.pc, destinations, PROFILE, settings(bit_rate), words)
    try:
        with Viewer(net.server.recorded) as viewer:
            began, ended = _let_it_fail(fault, net, session)
            time.sleep(AFTER_S)
            stop_s = session.stop()
        return _judge(fault, session, viewer, began, ended, stop_s, slack)
    finally:
        session.close()


def _let_it_fail(fault: Fault, net: Net, session: LiveSession) -> tuple[float, float]:
    if fault.from_the_start:
        began = session.told.wait_for(_is("session-live"), 30)
    else:
        session.told.wait_for(_is("destination-live"), 30)
        time.sleep(BEFORE_S)
        fault.begin(net)
        began = time.monotonic()
    time.sleep(fault.lasts_s)
    if fault.end:
        fault.end(net)
    return began, time.monotonic()


def _judge(
    fault: Fault, session: LiveSession, viewer: Viewer, began: float, ended: float, stop_s: float, slack: float
) -> Mapping[str, object]:
    recorded = numbers(session.program)
    first = next(number for number in recorded if number is not None)
    seen = viewer.seen()
    ages = [(picture.at, picture.at - session.zero - (picture.number - first) / RATE) for picture in seen]
    back = next(((at, age) for at, age in ages if at >= ended), None) if fault.end else None
    told = session.told.first(lambda line: line.get("kind") in TROUBLES, began)
    given = [age for at, age in ages if not (fault.takes_what_it_got and at >= ended and at - age < (told or ended))]
    reasons = [str(detail["reason"]) for _, detail in session.told_of(*TROUBLES)]
    figures = {
        "fault": fault.what,
        "scheme": fault.scheme,
        "reasons": list(dict.fromkeys(reasons)),
        "noticed_s": _rounded(told and told - began),
        "returned_s": _rounded(back and back[0] - ended),
        "age_on_return_s": _rounded(back and back[1]),
        "lost_s": round(missing(recorded, seen) / RATE, 2),
        "oldest_s": _rounded(max(given, default=None)),
        "usual_age_s": _rounded(statistics.median(age for _, age in ages) if ages else None),
        "stopped_s": round(stop_s, 2),
        "recorded": len(recorded),
        "expected": round(session.expected(RATE)),
        "not_next": session.not_next(recorded)[:5],
        "shed": [f"{at - session.zero:.1f}: {detail}" for at, detail in session.told_of(*SHED)],
    }
    holds = {
        "recording_is_whole": session.is_whole(recorded, RATE, busy=slack > 1),
        "reason_is_right": next(iter(reasons), None) in fault.reasons,
        "noticed_in_time": None in fault.reasons or (told is not None and told - began < fault.notice_s * slack),
        "back_in_time": fault.key != "good" or (back is not None and back[0] - ended < RETURN_S * slack),
        "newest_on_return": not (fault.anew and back) or back[1] < NEWEST_S * slack,
        "never_old": all(age < (DELAY_S + ON_ITS_WAY_S) * slack for age in given),
        "stopped_in_time": stop_s < STOP_S * slack,
    }
    return {**figures, **holds, "holds": all(holds.values())}


def _is(kind: str) -> Callable[[Line], bool]:
    return lambda line: line.get("kind") == kind


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
