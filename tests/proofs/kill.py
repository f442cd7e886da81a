"""What `kill -9` costs, in every state of a session, and whether `liput recover` makes a whole package of what is left.

Lost is the capture clock at the kill (of a session that was ending: at its end) less the last timestamp that ffmpeg
plays of the recovered recording, the smaller of picture and sound.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.proofs.killing import Stage, Trial, cases

PROMISE_S = 1.0
BACK_S = 3.0
"""How soon a daemon goes on with a session whose recorder was killed."""


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
            except AssertionError as error:
                wrong.append(f"{words}: {error}")
                print(f"{words}: WRONG: {error}", flush=True)
                continue
        back = f", back after {runs[-1]['back_s']} s" if "back_s" in runs[-1] else ""
        print(f"{words}: lost {runs[-1].get('lost_s', 'nothing')} s{back}", flush=True)
    lost = sorted(_seconds(each, "lost_s") for each in runs if "lost_s" in each)
    return {
        "profile": profile,
        "promise_s": PROMISE_S,
        "promise_back_s": BACK_S,
        "kills": dict(sorted(Counter(str(each["stage"]) for each in runs).items())),
        "worst_lost_s": lost[-1] if lost else 0.0,
        "worst_lost_sealing_s": max(
            (_seconds(each, "lost_s") for each in runs if each["stage"] is Stage.SEALING), default=0.0
        ),
        "median_lost_s": lost[len(lost) // 2] if lost else 0.0,
        "worst_back_s": max((_seconds(each, "back_s") for each in runs), default=0.0),
        "wrong": wrong,
        "holds": not wrong
        and len(runs) == count
        and all(each <= PROMISE_S for each in lost)
        and all(_seconds(each, "back_s") <= BACK_S for each in runs),
        "runs": runs,
    }


def _seconds(figures: Mapping[str, object], name: str) -> float:
    value = figures.get(name, 0.0)
    assert isinstance(value, float)
    return value
