"""A power cut at each flush of a recording on ext4, as the virtual machine's kernel logs its writes."""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from recorder.encode.x264 import DELAY_S

ROOT = Path(__file__).resolve().parents[2]
TEST = "tests/rig/guest/guest_storage.py::test_a_power_cut_costs_what_was_not_synced"
BAR_S = 1.5


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Run at most five times: each takes two minutes, and tries some thirty power cuts."""
    return run(min(arguments.count, 5))


def run(count: int) -> dict[str, object]:
    """Return the seconds lost at each power cut, with those of the pictures that wait in an encoder (DELAY_S)."""
    lost = [loss_s + DELAY_S for _ in range(count) for _, loss_s in _losses()]
    return {
        "bar_s": BAR_S,
        "power_cuts": len(lost),
        "worst_s": round(max(lost), 3),
        "median_s": round(statistics.median(lost), 3),
        "holds": max(lost) <= BAR_S,
        "runs": [round(loss_s, 3) for loss_s in lost],
    }


def _losses() -> list[tuple[float, float]]:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", TEST, "--timeout", "1200"],
            cwd=ROOT,
            env=os.environ | {"LIPUT_RIG_ARTIFACTS": folder},
            capture_output=True,
            text=True,
            check=False,
        )
        figures = [*Path(folder).glob("*/power-cut-s.json")]
        if not figures:
            raise SystemExit(done.stdout[-3000:])
        found: list[tuple[float, float]] = json.loads(figures[0].read_text())
        return found
