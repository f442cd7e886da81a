"""A session that is disturbed again and again, and what its recorder holds: here, and in the rig's machine."""

import contextlib
import json
import os
import shutil
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import psutil

from tests.net.lab import LOOPBACK
from tests.net.session import NAME, LiveSession
from tests.rig.rig import CAMERA, SETTINGS, STICK_SOUND, RigDevice
from tests.support.command import Line
from tests.support.processes import held
from tests.support.rtmp_server import NginxRtmp

MOST_SAMPLES = 600
LEAST_EVERY_S = 0.5
FIRST_S = 90.0  # so long an emulated processor may take to the beginning of a session and its stream
LAST_S = 3.0  # what is recorded after the last cycle
LOSSES = frozenset({"frames-dropped", "frames-lost", "sound-gap", "sound-lost", "recording-gap"})
"""Events of something that is missing in the recording, beside the gaps of sources that were pulled."""

type Say = Callable[[str], object]


@dataclass(frozen=True)
class Disturbance:
    """What is done at `at`, a part of each cycle."""

    at: float
    what: str
    do: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Sample:
    """What was held `at_s` after the beginning; `is_calm`: with its sources there and its destination live."""

    at_s: float
    own_mb: float
    descriptors: int
    threads: int
    children: int
    log_bytes: int
    is_calm: bool


@dataclass
class Soaked:
    """What a run was: all of it can be JSON, but for the program, which is a path."""

    cycles: int
    cycle_s: float
    samples: list[Sample] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    gaps: list[tuple[str, float, float]] = field(default_factory=list)
    """From when to when (seconds of media) a source had nothing to give, as was told."""
    events: dict[str, int] = field(default_factory=dict)
    losses: list[Line] = field(default_factory=list)
    status: Line = field(default_factory=dict)  # the last one
    degraded: list[str] = field(default_factory=list)
    program: Path = Path()

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return asdict(self) | {"program": str(self.program)}


def server_comes_and_goes(server: NginxRtmp) -> list[Disturbance]:
    """Return what happens to the destination of each cycle: it ends and is started again; it hangs, and goes on."""
    return [
        Disturbance(0.25, "server ended", lambda: _end(server)),
        Disturbance(0.40, "server started", server.start),
        Disturbance(0.75, "server hangs", server.freeze),
        Disturbance(0.85, "server goes on", server.thaw),
    ]


def _end(server: NginxRtmp) -> None:
    server.stop()
    for path in server.recordings():  # hours of them would fill the guest's memory
        path.unlink()


def soak(
    home: Path, server: NginxRtmp, sources: tuple[str, ...], settings: str, profile: str,
    more: Sequence[Disturbance], *, seconds: float, cycles: int, say: Say = lambda _: None,
) -> Soaked:  # fmt: skip
    """Record for so long, disturbed in each cycle, and end in order; `server` runs. What is done is said."""
    destination = {NAME: (server.url("").removesuffix("/"), "good")}
    session = LiveSession(home, LOOPBACK, destination, profile, settings, sources)
    run = Soaked(cycles, seconds / cycles)
    try:
        session.told.wait_for(lambda line: line.get("kind") == "destination-live", FIRST_S)
        disturbances = sorted([*server_comes_and_goes(server), *more], key=lambda one: one.at)
        _record(home, session, run, disturbances, say)
        say("ending")
        session.stop()
        _take_stock(session, run)
    finally:
        session.close()
    return run


def _record(home: Path, session: LiveSession, run: Soaked, disturbances: Sequence[Disturbance], say: Say) -> None:
    """Do one thing after the other in each cycle, and take samples in between."""
    process, began_s = psutil.Process(session.recorder), time.monotonic()
    every_s = max(LEAST_EVERY_S, run.cycles * run.cycle_s / MOST_SAMPLES)

    def sample_until(at_s: float) -> None:
        while (now_s := time.monotonic() - began_s) < at_s:
            with contextlib.suppress(FileNotFoundError, psutil.NoSuchProcess):  # a child that has just ended
                now, is_calm = held(process), _is_calm(session)
                run.samples.append(Sample(round(now_s, 2), *now, log_bytes=log_bytes(home), is_calm=is_calm))
            time.sleep(max(0.0, min(every_s, at_s - now_s)))

    for cycle in range(run.cycles):
        for one in disturbances:
            sample_until((cycle + one.at) * run.cycle_s)
            one.do()
            line = f"{time.monotonic() - began_s:.1f} s: {one.what}"
            run.done.append(line)
            say(f"{line}; {run.samples[-1].own_mb:.1f} MB" if run.samples else line)
    sample_until(run.cycles * run.cycle_s + LAST_S)


def _is_calm(session: LiveSession) -> bool:
    status = next((line for _, line in reversed(session.told.lines) if line["type"] == "status"), None)
    if status is None or status["state"] != "live":
        return False
    destinations = status["destinations"]
    assert isinstance(destinations, list)
    return all(line["state"] == "live" for line in destinations)


def log_bytes(home: Path) -> int:
    """Return the bytes of all that is written about sessions and devices, below a home."""
    patterns = ("archive/**/events.jsonl", ".runtime/*/*.log", ".runtime/*/*.old", ".local/state/liput/health/*.jsonl")
    return sum(path.stat().st_size for pattern in patterns for path in home.glob(pattern))


def _take_stock(session: LiveSession, run: Soaked) -> None:
    lines = [line for _, line in session.told.lines]
    events = [line for line in lines if line["type"] == "event"]
    (result,) = [line for line in lines if line["type"] == "result"]
    assert result["state"] == "sealed", result
    run.program = Path(str(result["package"])) / "data/media/program.mp4"
    run.degraded = list(result["degraded"])  # type: ignore[call-overload] # JSON
    run.events = dict(Counter(str(line["kind"]) for line in events))
    run.losses = [line for line in events if line["kind"] in LOSSES]
    run.status = [line for line in lines if line["type"] == "status"][-1]
    run.gaps = gaps(events)


def gaps(events: Sequence[Line]) -> list[tuple[str, float, float]]:
    """Return the source of each gap, from when it has nothing to give to when it gives again, in seconds of media."""
    begun: defaultdict[str, list[float]] = defaultdict(list)
    found = []
    for event in events:
        subject, detail = str(event["subject"]), event["detail"]
        assert isinstance(detail, dict)
        if event["kind"] in {"source-silent", "source-missing"}:
            begun[subject].append(float(detail["since_s"]))
        elif event["kind"] == "source-returned" and subject in begun:
            found.append((subject, min(begun.pop(subject)), float(detail["at_s"])))
    return found


# In the rig's machine


CAMERA_PORTS, STICK_PORT = (0, 2), 1
FIGURES, PROGRAM = "soak.json", "program.mp4"
IN_TIME = SETTINGS.format(fps=5) + 'audio_bitrate = "64k"\npreset = "ultrafast"\n'
"""Pictures of the size and rate that the camera gives: each of them is in the recording, or has been lost.

It gives 15 a second, too, which take all that the emulated processor has.
"""
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
"""With them the kernel gives 2 MB where one page is touched, and makes 2 MB of a few pages later: steps that hide the
little that is looked for, up and down."""


def main(seconds: float, cycles: int) -> None:
    """Record, and leave what was found."""
    HUGE_PAGES.write_text("never")
    artifacts, home = Path(os.environ["ARTIFACTS"]), Path("/root/soak")
    home.mkdir(parents=True)
    with RigDevice("webcam", serial="CAM0001") as camera, RigDevice("hdmi-stick") as stick:
        camera.plug(CAMERA_PORTS[0])
        stick.plug(STICK_PORT)
        camera.wait_for_video()
        stick.wait_for_audio()
        with NginxRtmp(home / "server") as server:
            run = soak(
                home, server, ("--video", CAMERA, "--audio", STICK_SOUND), IN_TIME, "rig", replugs(camera, stick),
                seconds=seconds, cycles=cycles, say=partial(print, flush=True),
            )  # fmt: skip
        devices = {
            "camera_frames_dropped": int(camera.get("video.frames_dropped")),
            "stick_packets_lost": int(stick.get("audio.packets_lost")),
        }
    shutil.copyfile(run.program, artifacts / PROGRAM)
    (artifacts / FIGURES).write_text(json.dumps(run.facts() | devices))


def replugs(camera: RigDevice, stick: RigDevice) -> list[Disturbance]:
    """Return what happens to the devices in each cycle: the camera comes back in another port."""
    turn = count(1)

    def plug_camera() -> None:
        camera.plug(CAMERA_PORTS[next(turn) % len(CAMERA_PORTS)])
        camera.wait_for_video()

    def plug_stick() -> None:
        stick.plug(STICK_PORT)
        stick.wait_for_audio()

    return [
        Disturbance(0.50, "camera pulled", camera.unplug),
        Disturbance(0.56, "camera plugged in", plug_camera),
        Disturbance(0.62, "microphone pulled", stick.unplug),
        Disturbance(0.68, "microphone plugged in", plug_stick),
    ]


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
