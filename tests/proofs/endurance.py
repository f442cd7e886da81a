"""Hours of media through the whole pipeline as fast as it goes: memory, descriptors and threads stay as they are."""

import argparse
import gc
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from config.settings.layouts import ProgramSettings
from config.settings.schema import Profile, ReportSettings, Settings
from devices.host.clock import SystemClock
from recorder.model.status import SessionResult, SessionState
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.bench.scaling import BAR, line_of
from tests.proofs.sync import PROMISE_S, offsets

HOURS = 8.0
MOST_MB_PER_HOUR = 1.0
PROFILE = Profile(width=320, height=180, fps=Fraction(25), video_bitrate=200_000, audio_bitrate=64_000)
SAMPLES = 400
MARKS_MIN = (10, 20, 40, 60, 120, 240, 480)
"""After so many minutes of media it is noted what the processor was taken for."""
WARM_UP = 0.25
"""The part of the run after which memory is looked at: pools fill, libraries load."""


class Sample(NamedTuple):
    """How much of media there was, and what the process held then."""

    media_h: float
    rss_mb: float
    descriptors: int
    threads: int


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Record eight hours of media, or `--seconds`."""
    return run(arguments.seconds or HOURS * 3600)


def run(seconds: float, most_mb_per_hour: float = MOST_MB_PER_HOUR) -> Mapping[str, object]:
    """Return how memory, descriptors, threads and the processor went; less than an hour of media shows large leaks."""
    with tempfile.TemporaryDirectory(prefix="liput-endurance-") as name:
        settings = Settings(profiles={"1080p30": PROFILE}, program=ProgramSettings(), report=ReportSettings(made=False))
        asked = SessionRequest(
            title="Delapan jam", videos=("synthetic",), audios=("synthetic",), live=False, duration_s=seconds,
            archive=Path(name), reserve=1,
        )  # fmt: skip
        clock = SystemClock()
        planned = plan_session(asked, settings, clock)
        session = Session(planned.plan, clock=clock)
        session.start()
        watch = Watch(session, seconds)
        result = watch.run()
        program = Path(str(result.package)) / "data/media/program.mp4"
        start, end = offsets(program, 0.0), offsets(program, seconds - 10)
    samples = watch.samples
    settled = samples[int(len(samples) * WARM_UP) :]
    slope = slope_of(settled)
    worst = max((abs(offset) for offset in (*start, *end)), default=1.0)
    line = line_of("minutes", watch.cpu_s) if len(watch.cpu_s) > 2 else None
    grown = settled[-1].descriptors - settled[0].descriptors, settled[-1].threads - settled[0].threads
    return {
        "media_s": result.duration_s,
        "profile": "320x180 at 25",
        "promise_mb_per_hour": most_mb_per_hour,
        "memory_mb_per_hour": round(slope, 3),
        "memory_mb": [round(mb, 1) for mb in (settled[0].rss_mb, settled[-1].rss_mb, max(s.rss_mb for s in samples))],
        "descriptors_grown": grown[0],
        "threads_grown": grown[1],
        "worst_offset_s": worst,
        "cpu_s_after_minutes": {minutes: round(cpu_s, 1) for minutes, cpu_s in watch.cpu_s.items()},
        "cpu_off_the_line": round(line.median, 4) if line else None,
        "promise_off_the_line": BAR,
        "degraded": result.degraded,
        "samples": len(samples),
        "holds": slope < most_mb_per_hour
        and max(grown) <= 0
        and (line is None or line.holds)
        and worst <= PROMISE_S
        and result.state is SessionState.SEALED
        and result.degraded == []
        and min(len(start), len(end)) >= 8,
    }


def slope_of(samples: Sequence[Sample]) -> float:
    """Return the growth of memory in MB an hour, by least squares."""
    slope, _ = np.polyfit([sample.media_h for sample in samples], [sample.rss_mb for sample in samples], 1)
    return float(slope)


class Watch:
    """Runs a session on a thread and takes SAMPLES samples of this process while it records."""

    def __init__(self, session: Session, seconds: float) -> None:
        self.samples: list[Sample] = []
        self.cpu_s: dict[int, float] = {}
        """What this process had taken of the processor since it began to record, after each of MARKS_MIN."""
        self._session = session
        self._every_h = seconds / 3600 / SAMPLES
        self._process = psutil.Process()

    def run(self) -> SessionResult:
        results: list[SessionResult] = []
        thread = threading.Thread(target=lambda: results.append(self._session.run()))
        thread.start()
        due_h, began_s = 0.0, time.process_time()
        while thread.is_alive():
            thread.join(0.05)
            status = self._session.status()
            for minutes in MARKS_MIN:
                if status.elapsed_s >= 60 * minutes:
                    self.cpu_s.setdefault(minutes, time.process_time() - began_s)
            if status.state is SessionState.LIVE and status.elapsed_s / 3600 >= due_h:
                due_h = status.elapsed_s / 3600 + self._every_h
                gc.collect()
                held = self._process.memory_info().rss / 1e6, self._process.num_fds(), self._process.num_threads()
                self.samples.append(Sample(status.elapsed_s / 3600, *held))
        return results[0]
