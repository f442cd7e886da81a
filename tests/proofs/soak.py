"""Hours of everything at once, of media, of this PC and in the rig: nothing grows, and no picture is lost."""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from statistics import median, median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.proofs import endurance
from tests.rig import pictures, vm
from tests.rig.guest_session import MODULES, compile_python
from tests.rig.soaking import FIGURES, PROGRAM, Sample, Soaked, soak
from tests.support import media
from tests.support.markers import frame_number
from tests.support.rtmp_server import NginxRtmp

ROOT = Path(__file__).resolve().parents[2]
MINUTES, CYCLES = 60.0, 12
"""The whole: a cycle of five minutes. What is shorter has as many cycles of its own length, but none below LEAST_S."""
LEAST_S = 40.0
MOST_MB = 1.0
"""How much memory may grow in an hour, or in the whole run where that is shorter."""
MOST_LOG_KB = 40.0
"""...and the logs for each cycle: it has some twenty things to tell of."""
WARM_UP = 0.25
PATIENCE = 8.0
"""How many seconds of the host one of the guest may take, on a machine that does nothing else."""
AROUND_S = 0.25
"""So far from a gap that was told a picture may be missing or shown again."""
DARK = 75
"""A slate's mean luma is below it, a picture's of the rig above."""

type Luma = NDArray[np.uint8]


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Run an hour, or `--minutes`, of each, and eight times as much media; `--only` rig, here or media: one of them."""
    minutes = arguments.minutes or MINUTES
    parts: dict[str, Callable[[], Mapping[str, object]]] = {
        "rig": lambda: run_in_the_rig(minutes * 60),
        "here": lambda: run_here(minutes * 60, _cycles(minutes * 60)),
        "media": lambda: endurance.run(endurance.HOURS * 3600 * minutes / MINUTES),
    }
    if arguments.only not in (None, *parts):
        raise SystemExit(f"there is no part {arguments.only}; there are {', '.join(parts)}")
    chosen = [arguments.only] if arguments.only else list(parts)
    found = {name: parts[name]() for name in chosen}
    return {"minutes": minutes, **found, "holds": all(part["holds"] for part in found.values())}


def _cycles(seconds: float) -> int:
    return max(1, min(CYCLES, int(seconds / LEAST_S)))


def run_in_the_rig(seconds: float) -> dict[str, object]:
    """Record in the rig's machine, and judge here what it has recorded."""
    compile_python()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="liput-soak-") as folder:
        artifacts = Path(folder)
        status = vm.run(
            [sys.executable, "-P", "-m", "tests.rig.soaking", str(seconds), str(_cycles(seconds))],
            artifacts,
            timeout=3600 + PATIENCE * seconds,  # the boot, where others use the processors too
            modules=MODULES,
            memory="3G",
            environment={"PYTHONPATH": str(ROOT)},
        )
        if status:
            raise SystemExit(f"the guest ended with {status}")
        told = json.loads((artifacts / FIGURES).read_text())
        took_s = time.monotonic() - began
        recorded = seen(artifacts / PROGRAM, (320, 240), _rig_number)
        # To compile, boot and shut down takes a minute at most where nothing else runs.
        figures = judged(told, recorded, pictures.NUMBERS, wall_s=took_s - 60)
        return {"took_s": round(took_s), **figures}


def run_here(seconds: float, cycles: int, *, most_mb: float = MOST_MB, busy: bool = False) -> dict[str, object]:
    """Record synthetic sources here, with the same server; a `busy` machine may cost pictures, if that is told."""
    with tempfile.TemporaryDirectory(prefix="liput-soak-") as folder, NginxRtmp(Path(folder) / "server") as server:
        home = Path(folder)
        sources = ("--video", "synthetic", "--audio", "synthetic")
        run = soak(home, server, sources, "[report]\nmade = false\n", "240p15", (), seconds=seconds, cycles=cycles)
        return judged(run.facts(), seen(run.program, (320, 180), frame_number), None, most_mb=most_mb, busy=busy)


# What was recorded


@dataclass(frozen=True, slots=True)
class Seen:
    """A recorded picture: when it is shown and its number, None for a slate."""

    at_s: float
    number: int | None


def seen(program: Path, size: tuple[int, int], number: Callable[[Luma], int | None]) -> list[Seen]:
    """Return every picture of a recording as ffmpeg decodes it, without a word of complaint."""
    media.decodes_cleanly(program)
    width, height = size
    lumas = (np.frombuffer(plane, np.uint8).reshape(height, width) for plane in media.lumas(program, width, height))
    return [Seen(at_s, number(luma)) for at_s, luma in zip(media.shown(program, "v"), lumas, strict=True)]


def _rig_number(luma: Luma) -> int | None:
    return None if luma.mean() < DARK else pictures.number_of(luma)


def lost(recorded: Sequence[Seen], gaps: Sequence[tuple[float, float]], modulus: int | None) -> list[str]:
    """Return each place where a picture does not follow on the one before, outside of the gaps that were told.

    Numbers begin again after `modulus` of them; in a gap there are slates, and the last picture before it, repeated.
    One that is shown again elsewhere was put in, which the recorder counts; if it stands for another, that is missing.
    """
    found = []
    for before, after in pairwise(recorded):
        if any(from_s - AROUND_S <= after.at_s and before.at_s <= to_s + AROUND_S for from_s, to_s in gaps):
            continue
        is_next = before.number is not None and (before.number + 1) % (modulus or sys.maxsize) == after.number
        if not is_next and (before.number is None or after.number != before.number):
            found.append(f"{after.at_s:.2f} s: {before.number}, {after.number}")
    return found


# The verdict


def judged(
    told: Mapping[str, Any],
    recorded: Sequence[Seen],
    modulus: int | None,
    *,
    wall_s: float | None = None,
    most_mb: float = MOST_MB,
    busy: bool = False,
) -> dict[str, object]:
    """Return a run's figures, and whether they hold; less than an hour (`wall_s`, where given) counts as one."""
    run = Soaked(**{name: value for name, value in told.items() if name in Soaked.__dataclass_fields__})
    samples = [Sample(**sample) for sample in told["samples"]]
    seconds = run.cycles * run.cycle_s
    settled = samples[int(len(samples) * WARM_UP) :]
    held = [endurance.Sample(one.at_s / 3600, one.own_mb, one.descriptors, one.threads) for one in settled]
    grown_mb = endurance.slope_of(held) * seconds / 3600
    mb_per_hour = grown_mb / max(1.0, (wall_s or seconds) / 3600)
    grown = _grown(samples)
    of_picture = [(from_s, to_s) for name, from_s, to_s in run.gaps if not name.endswith("(sound)")]
    missing = lost(recorded, of_picture, modulus)
    log_kb = (samples[-1].log_bytes - samples[0].log_bytes) / 1e3 / run.cycles
    figures = {
        "guest_s" if modulus else "seconds": seconds,
        "cycles": run.cycles,
        "promise": {"mb_per_hour": most_mb, "log_kb_per_cycle": MOST_LOG_KB, "grown": 0, "lost": 0},
        "memory_grown_mb": round(grown_mb, 3),
        "memory_mb_per_hour": round(mb_per_hour, 3),
        "memory_mb": [settled[0].own_mb, settled[-1].own_mb, max(sample.own_mb for sample in samples)],
        "memory_mb_of_each_cycle": [
            max(sample.own_mb for sample in some)
            for _, some in groupby(samples, lambda sample: int(sample.at_s / run.cycle_s))
        ],
        **grown,
        "log_kb_per_cycle": round(log_kb, 1),
        "pictures": len(recorded),
        "lost": missing[:20],
        "dropped": run.status["dropped"],
        "repeated": run.status["repeated"],
        "losses": [f"{line['kind']}: {line['subject']} {line['detail']}" for line in run.losses][:20],
        "gaps": len(run.gaps),
        "events": run.events,
        **{name: value for name, value in told.items() if name.startswith(("camera_", "stick_"))},
        "samples": len(samples),
        "memory_mb_over_time": over_time(samples, seconds / 60),
    }
    came_back = run.events.get("destination-live", 0) > run.cycles
    is_whole = not missing and not run.losses and run.status["dropped"] == 0
    is_told = bool(run.losses) and int(str(run.status["dropped"])) > 0
    is_small = mb_per_hour < most_mb and log_kb < MOST_LOG_KB and max(grown.values()) <= 0
    return {**figures, "holds": (is_whole or (busy and is_told)) and came_back and is_small}


def _grown(samples: Sequence[Sample]) -> dict[str, int]:
    """Return how much more there is, while all is well, near the end than near the beginning: medians; statuses lag."""
    calm = [sample for sample in samples if sample.is_calm]
    part = max(1, len(calm) // 4)
    first, last = calm[:part], calm[-part:]
    return {
        f"{what}_grown": median_low(getattr(one, what) for one in last)
        - median_low(getattr(one, what) for one in first)
        for what in ("descriptors", "threads", "children")
    }


def over_time(samples: Sequence[Sample], every_s: float) -> str:
    """Return what the memory was, the median of each `every_s`, as text: a step can be told from a slope by it."""
    parts = groupby(samples, lambda sample: int(sample.at_s / every_s))
    medians = ((part * every_s, median(sample.own_mb for sample in some)) for part, some in parts)
    return " ".join(f"{at_s:.0f}s:{own_mb:.1f}" for at_s, own_mb in medians)
