"""Four destinations for ten minutes, three of which fail in different ways: the fourth and the recording are whole."""

import argparse
import contextlib
import signal
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import psutil

from config.settings.schema import BUILT_IN_PROFILES
from tests.net.faults import Net
from tests.net.lab import Lab
from tests.net.session import LiveSession, Viewer, missing, numbers
from tests.support.command import Line
from tests.support.processes import children, is_alive, own_mb
from tests.support.rtmp_server import NginxRtmp
from tests.support.waiting import wait_for

MINUTES = 10.0
STOP_S = 5.0
REASONS = {"hung": "stalled", "silent": "timeout", "refused": "refused"}
"""What people must be told of each."""
SILENT_PORT, REFUSED_PORT = 1937, 1938


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Stream for ten minutes, or `--minutes`."""
    return run((arguments.minutes or MINUTES) * 60, arguments.profile or "720p30")


def run(seconds: float, profile: str, mb_per_minute: float = 0.5, slack: float = 1.0) -> Mapping[str, object]:
    """Stream to four destinations for `seconds`, end in order; then once more, and kill the recorder."""
    with tempfile.TemporaryDirectory(prefix="liput-crowd-") as name, Lab() as lab:
        net = Net(lab, Path(name))
        hung = NginxRtmp(net.folder / "hung", lab.server)
        try:
            net.server.start()
            hung.start()
            net.start_silent(SILENT_PORT)
            streamed = _stream(net, hung, seconds, profile, slack)
            hung.thaw()
            killed = _kill(net, hung, profile)
        finally:
            hung.stop(signal.SIGKILL)
            net.close()
    grew = float(str(streamed["memory_mb_per_minute"]))
    holds = bool(streamed.pop("holds")) and killed["children_left"] == 0 and grew < mb_per_minute
    return {"profile": profile, "seconds": seconds, **streamed, **killed, "holds": holds}


def _destinations(net: Net, hung: NginxRtmp) -> dict[str, tuple[str, str]]:
    """Return the healthy one, and one each that will hang, that never answers, where nobody listens."""
    ports = {"healthy": net.server.port, "hung": hung.port, "silent": SILENT_PORT, "refused": REFUSED_PORT}
    return {name: (f"rtmp://{net.lab.server.address}:{port}/live", "good") for name, port in ports.items()}


def _stream(net: Net, hung: NginxRtmp, seconds: float, profile: str, slack: float) -> dict[str, object]:
    session = LiveSession(net.folder, net.lab.pc, _destinations(net, hung), profile)
    try:
        with Viewer(net.server.recorded) as viewer:
            for name in ("healthy", "hung"):
                session.told.wait_for(_is_live(name), 30)
            recorder = psutil.Process(session.recorder)
            hung.freeze()
            memory, healthy = _watch(recorder, seconds)
            family = [recorder, *recorder.children(recursive=True)]
            stop_s = session.stop()
            wait_for(lambda: not any(map(is_alive, family)))
        recorded = numbers(session.program)
        seen = viewer.seen()
    finally:
        session.close()
    rate = float(BUILT_IN_PROFILES[profile].fps)
    whole = session.is_whole(recorded, rate, busy=slack > 1)
    # What was encoded before the first connection stood is not missing, but not sent either.
    sent = [number for number in recorded if number is not None and number >= seen[0].number]
    lost = missing(sent, seen)
    growth, of_child = _mb_per_minute(memory), _mb_per_minute(healthy)
    reasons = {name: sorted(session.reasons(name)) for name in REASONS}
    told = all(REASONS[name] in reasons[name] for name in REASONS)
    return {
        "recorded": len(recorded),
        "expected": round(session.expected(rate)),
        "not_next": session.not_next(recorded)[:10],
        "recording_is_whole": whole,
        "healthy_lost": lost,
        "stopped_s": round(stop_s, 2),
        "memory_mb": [round(memory[0][1], 1), round(memory[-1][1], 1)],
        "memory_mb_per_minute": round(max(growth, of_child), 3),
        "reasons": reasons,
        "holds": whole and lost == 0 and stop_s < STOP_S * slack and told,
    }


def _is_live(name: str) -> Callable[[Line], bool]:
    return lambda line: line.get("kind") == "destination-live" and line["subject"] == name


def _watch(recorder: psutil.Process, seconds: float) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Return how many MB of its own the recorder had at each moment of `seconds`, and the healthy one's connection."""
    began, sizes, of_children = time.monotonic(), [], defaultdict(list)
    while (at := time.monotonic() - began) < seconds:
        sizes.append((at, own_mb(recorder)))
        for child in recorder.children():
            with contextlib.suppress(OSError):  # it has just ended
                of_children[child.pid].append((at, own_mb(child)))
        time.sleep(1.0)
    return sizes, max(of_children.values(), key=len)


def _mb_per_minute(sizes: list[tuple[float, float]]) -> float:
    """Return the slope of a line through the sizes, without the first tenth, when everything is still filled."""
    later = np.array(sizes[len(sizes) // 10 :])
    return float(np.polyfit(later[:, 0] / 60, later[:, 1], 1)[0])


def _kill(net: Net, hung: NginxRtmp, profile: str) -> dict[str, object]:
    """Kill the recorder while all four are tried; return how many of its children were there, and how many stayed."""
    session = LiveSession(net.folder, net.lab.pc, _destinations(net, hung), profile)
    try:
        session.told.wait_for(_is_live("healthy"), 30)
        recorder = psutil.Process(session.recorder)
        # The refused one is between two attempts most of the time.
        wait_for(lambda: len(children(of=recorder)) >= 3)
        family = recorder.children(recursive=True)
        recorder.kill()
        wait_for(lambda: not any(map(is_alive, family)))
    finally:
        session.close()
    return {"children_at_the_kill": len(family), "children_left": sum(map(is_alive, family))}
