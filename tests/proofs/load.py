"""A PC that cannot keep up: a quota of the processor, and programs that want all of it, beside a 1080p30 session."""

import argparse
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import av
import numpy as np

from capture.source import SAMPLE_RATE
from config.settings.schema import BUILT_IN_PROFILES
from tests.proofs.sync import WINDOW_S, sound_times
from tests.support import command, media
from tests.support.markers import frame_number
from tests.support.quota import Quota, full_load, quota

SECONDS = 60.0
TOGETHER_S = 0.040
DELAY_S = 2.0
SETTLED_S = 3.0
"""How much of a session's beginning does not count for the delay: its first fragment is still to come."""
PROMISED = 0.3
"""The least share of all cores with which nothing is dropped at all."""
STEPS_S = 5.0
"""So long after it has got less the steps work, and nothing is dropped any more..."""
EXCUSED_S = 1.5
"""...and until then no more pictures than a source gives in this time."""
FAR_BEHIND_S = 0.6
"""Nobody is so far behind for as long as a status line needs to show it, and does nothing about it."""


@dataclass(frozen=True)
class Case:
    """What the session gets of all cores, each share for so many seconds of media; None: whatever it wants."""

    shares: Sequence[tuple[float | None, float]]
    is_contested: bool = False

    @property
    def seconds(self) -> float:
        return sum(seconds for _, seconds in self.shares)

    @property
    def short_from_s(self) -> float | None:
        """From which media time on it gets less than what is promised for; None: never."""
        at_s = 0.0
        for share, seconds in self.shares:
            if share is not None and share < PROMISED:
                return at_s
            at_s += seconds
        return None

    def share(self, at_s: float) -> float | None:
        for share, seconds in self.shares:
            if at_s < seconds:
                return share
            at_s -= seconds
        return self.shares[-1][0]


def cases(seconds: float) -> Mapping[str, Case]:
    """Return the cases of the whole proof, `seconds` long each, but for the one that recovers."""
    shares = {f"{percent} %": Case([(percent / 100, seconds)]) for percent in (100, 70, 50, 30, 20)}
    return shares | {
        "full load beside it": Case([(None, seconds)], is_contested=True),
        "20 %, then all": Case([(0.2, seconds / 3), (None, 2 * seconds)]),
    }


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Run every case for a minute, or `--seconds`."""
    return run(cases(arguments.seconds or SECONDS), arguments.profile or "1080p30")


def run(some: Mapping[str, Case], profile: str, *, busy: bool = False) -> Mapping[str, object]:
    """Run `some` cases; a `busy` machine, which may not have what a case gives, may drop pictures, and be late."""
    runs = {name: _one(case, profile, busy=busy) for name, case in some.items()}
    less = {"share": PROMISED, "dropped_s": EXCUSED_S, "within_s": STEPS_S}
    return {
        "profile": profile,
        "promise": {"av_s": TOGETHER_S, "delay_s": DELAY_S, "sound": "continuous", "dropped": 0, "below": less},
        "cases": runs,
        "holds": all(figures["holds"] for figures in runs.values()),
    }


@dataclass
class Watched:
    """What a session has told: (seconds since it was live, line)."""

    lines: list[tuple[float, command.Line]] = field(default_factory=list)

    def events(self, *kinds: str) -> list[tuple[float, Mapping[str, object]]]:
        return [
            (round(at_s, 2), {"kind": line["kind"], **line["detail"]})
            for at_s, line in self.lines
            if line["type"] == "event" and line["kind"] in kinds and isinstance(line["detail"], dict)
        ]

    @property
    def statuses(self) -> list[command.Line]:
        return [line for _, line in self.lines if line["type"] == "status" and line["state"] in {"live", "degraded"}]


def _one(case: Case, profile: str, *, busy: bool) -> Mapping[str, object]:
    words = ("--title", "Beban", "--video", "synthetic", "--audio", "synthetic", "--profile", profile, "--json")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="liput-load-")))
        part = stack.enter_context(quota("liput-load"))
        part.limit(case.share(0))
        lasts = "--for", f"{case.seconds}s", "--archive", folder / "archive"
        session = stack.enter_context(command.running(folder, "record", *words, *lasts, enter=part.enter))
        with full_load() if case.is_contested else nullcontext():
            told = _watch(session, part, case)
            code = session.wait()
        return _judged(told, case, BUILT_IN_PROFILES[profile].fps, code, busy=busy)


def _watch(session: command.Running, part: Quota, case: Case) -> Watched:
    """Read what it tells to its end, and give it what it gets."""
    told, live_at, share = Watched(), None, case.share(0)
    for line in session.read():
        now = time.monotonic()
        if line["type"] == "event" and line["kind"] == "session-live":
            live_at = now
        at_s = 0.0 if live_at is None else now - live_at
        told.lines.append((at_s, line))
        if line["type"] == "result":
            part.limit(None)  # sealing has no time to keep
        elif case.share(at_s) != share:
            share = case.share(at_s)
            part.limit(share)
    return told


def excused(told: Watched, case: Case, rate: Fraction) -> float:
    """Return how many of the pictures that were dropped may have been: some of those before the steps worked."""
    from_s = case.short_from_s
    if from_s is None:
        return 0.0
    return min(_dropped_by(told, from_s + STEPS_S) - _dropped_by(told, from_s), EXCUSED_S * rate)


def _dropped_by(told: Watched, by_s: float) -> float:
    return max((_number(line, "dropped") for line in told.statuses if _number(line, "elapsed_s") <= by_s), default=0.0)


def _judged(told: Watched, case: Case, rate: Fraction, code: int, *, busy: bool) -> Mapping[str, object]:
    seconds = case.seconds
    windows = range(ceil(seconds / WINDOW_S))
    (result,) = [line for _, line in told.lines if line["type"] == "result"]
    program = Path(str(result["package"])) / "data" / "media" / "program.mp4"
    media.decodes_cleanly(program)
    last = told.statuses[-1]
    load = last["load"]
    assert isinstance(load, dict)
    apart = [offset for number in windows for offset in _offsets(program, number * WINDOW_S, rate)]
    times_s = [(_number(line, "elapsed_s"), _number(line, "media_time_s")) for line in told.statuses]
    settled = [elapsed_s - media_s for elapsed_s, media_s in times_s if elapsed_s > SETTLED_S]
    may_be_dropped = excused(told, case, rate)
    gaps, sound_s = _sound(program)
    told_of_sound = told.events("sound-gap", "sound-lost")
    figures = {
        "steps": told.events("stepped-down", "stepped-up", "keeps-up"),
        "frames": media.decoded(program, "v").frames,
        "frames_of_the_source": round(seconds * rate),
        "left_out": load["left_out"],
        "dropped": last["dropped"],
        "excused": may_be_dropped,
        "repeated": last["repeated"],
        "delay_s": round(max(settled), 2),
        "av_s": max(apart, key=abs),
        "pictures_with_a_beep": len(apart),
        "sound_gaps": gaps,
        "sound_events": len(told_of_sound),
        "sound_s": round(sound_s, 3),
        "behind_s": max(_number(line["load"], "behind_s") for line in told.statuses if isinstance(line["load"], dict)),
        "exit_status": code,
    }
    has_stepped = bool(figures["steps"]) or _number(figures, "behind_s") < FAR_BEHIND_S
    is_sound_whole = gaps == 0 and not told_of_sound and abs(sound_s - seconds) < 0.1 and bool(apart)
    return {
        **figures,
        "holds": is_sound_whole
        and has_stepped
        and max(map(abs, apart)) <= TOGETHER_S
        and (busy or (max(settled) <= DELAY_S and last["dropped"] == may_be_dropped))
        and code in {0, 3},  # 3: that it was stepped down is told
    }


def _offsets(program: Path, from_s: float, rate: Fraction) -> list[float]:
    """Return how much later than its second the beep begins, for each picture of a window, by the pictures' numbers."""
    beeps, found, before = sound_times(program, from_s), [], None
    with av.open(str(program)) as container:
        container.seek(int(from_s * av.time_base))
        for picture in container.decode(video=0):
            if picture.time is not None and picture.time > from_s + WINDOW_S:
                break
            number = frame_number(np.asarray(picture.to_ndarray(format="gray"), np.uint8))
            is_new, before = number != before, number
            if picture.time is None or picture.time < from_s or number is None or not is_new:
                continue
            begin_s = picture.time - float(number / rate) % 1.0
            nearest = min((beep - begin_s for beep in beeps), key=abs, default=1.0)
            if abs(nearest) < 0.5:
                found.append(round(nearest, 5))
    return found


def _number(line: Mapping[str, object], name: str) -> float:
    return float(str(line[name]))


def _sound(program: Path) -> tuple[int, float]:
    """Return how often a frame of sound does not begin where the one before it ended, and where the last one ends."""
    with av.open(str(program)) as container:
        times = [(frame.time or 0.0, frame.samples / SAMPLE_RATE) for frame in container.decode(audio=0)]
    gaps = sum(abs(after - before - length) > length / 10 for (before, length), (after, _) in pairwise(times))
    return gaps, times[-1][0] + times[-1][1]
