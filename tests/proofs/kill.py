"""What `kill -9` costs, in every state of a session, and whether `liput recover` makes a whole package of what is left.

Lost is the capture clock at the kill (of a session that was ending: at its end) less the last timestamp that ffmpeg
plays of the recovered recording, the smaller of picture and sound.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.proofs.killing import Stage, Trial, Wrong, cases

PROMISE_S = 1.0


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Kill `--count` sessions, recover each, and return what each lost."""
    return run(arguments.count, arguments.seed, arguments.profile or "720p30")


def run(count: int, seed: int, profile: str) -> Mapping[str, object]:
    """Kill `count` sessions at moments that `seed` decides."""
    runs: list[dict[str, object]] = []
    wrong: list[str] = []
    for number, case in enumerate(cases(count, seed), start=1):
        words = f"{number}/{count} {case.stage}, {case.victim}, after {case.after_s:.2f} s"
        with tempfile.TemporaryDirectory(prefix="liput-kill-") as folder:
            try:
                runs.append(Trial(Path(folder), case, profile).run())
            except Wrong as error:
                wrong.append(f"{words}: {error}")
                print(f"{words}: WRONG: {error}", flush=True)
                continue
        print(f"{words}: lost {runs[-1].get('lost_s', 'nothing')}", flush=True)
    lost = sorted(_lost(each) for each in runs if "lost_s" in each)
    return {
        "profile": profile,
        "promise_s": PROMISE_S,
        "kills": dict(sorted(Counter(str(each["stage"]) for each in runs).items())),
        "worst_lost_s": lost[-1] if lost else 0.0,
        "worst_lost_sealing_s": max((_lost(each) for each in runs if each["stage"] is Stage.SEALING), default=0.0),
        "median_lost_s": lost[len(lost) // 2] if lost else 0.0,
        "wrong": wrong,
        "holds": not wrong and len(runs) == count and all(each <= PROMISE_S for each in lost),
        "runs": runs,
    }


def _lost(figures: Mapping[str, object]) -> float:
    lost_s = figures.get("lost_s", 0.0)
    assert isinstance(lost_s, float)
    return lost_s
