"""What `kill -9` of everything costs: the capture clock at the kill minus the last timestamp that ffmpeg plays."""

import argparse
import random
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support import command, media

PROMISE_S = 1.0
FIRST_S, LAST_S = 2.0, 8.0
"""The kill comes at a random moment between these, of media time."""


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Kill `--count` sessions and return what each lost."""
    return run(arguments.count, arguments.seed)


def run(count: int, seed: int, profile: str = "1080p30") -> Mapping[str, object]:
    """Kill `count` sessions at moments that `seed` decides."""
    moments = random.Random(seed)
    runs = []
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="liput-kill-") as folder:
            runs.append(kill_once(Path(folder), moments.uniform(FIRST_S, LAST_S), profile))
            print(f"killed at {runs[-1]['killed_at_s']:.2f} s, lost {runs[-1]['lost_s']:.3f} s", flush=True)
    worst = max(each["lost_s"] for each in runs)
    return {
        "profile": profile,
        "promise_s": PROMISE_S,
        "worst_lost_s": worst,
        "median_lost_s": sorted(each["lost_s"] for each in runs)[count // 2],
        "holds": worst <= PROMISE_S,
        "runs": runs,
    }


def kill_once(folder: Path, at_s: float, profile: str) -> dict[str, float]:
    """Kill one synthetic session when its media time is `at_s`, and look at what is left with ffmpeg."""
    archive = folder / "archive"
    options = ("--title", "Kill", "--video", "synthetic", "--profile", profile, "--archive", archive, "--json")
    with command.running(folder, "record", *options) as session:
        live = session.until("event", kind="session-live")
        detail = live["detail"]
        assert isinstance(detail, dict)
        zero_ns = int(detail["clock_ns"])
        # Its output is read on, or it would stop at a full pipe.
        drain = threading.Thread(target=lambda: list(session.read()), daemon=True)
        drain.start()
        threading.Event().wait(max(0.0, at_s - (time.monotonic_ns() - zero_ns) / 1e9))
        session.kill_everything()
        killed_at_s = (time.monotonic_ns() - zero_ns) / 1e9
        drain.join()
    (left,) = archive.glob(".incoming/*/data/media/program.mp4")
    ends = {kind: media.decoded(left, kind).end_s for kind in "va"}
    return {
        "killed_at_s": round(killed_at_s, 3),
        "video_to_s": round(ends["v"], 3),
        "audio_to_s": round(ends["a"], 3),
        "lost_s": round(killed_at_s - min(ends.values()), 3),
    }
