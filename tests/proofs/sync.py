"""Flash and beep of the synthetic sources: how far apart they play at the start, and after ten minutes of media."""

import argparse
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer

from tests.support import command
from tests.support.markers import beep_times, is_flashing

PROMISE_S = 0.020
WINDOW_S = 10.0
"""How much of the start, and of the end, is looked at."""


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Record ten minutes of media, or `--seconds`, as fast as it goes, and compare."""
    return run(arguments.seconds or 600)


def run(seconds: float, profile: str = "480p15") -> Mapping[str, object]:
    """Return the offsets (sound minus picture, in seconds) at the start and at the end of `seconds` of media."""
    with tempfile.TemporaryDirectory(prefix="liput-sync-") as name:
        folder = Path(name)
        options = ("--title", "Sync", "--video", "synthetic", "--audio", "synthetic", "--pace", "fast")
        with command.running(
            folder, "record", *options, "--for", f"{seconds}s", "--profile", profile,
            "--archive", folder / "archive", "--json",
        ) as session:  # fmt: skip
            result = session.until("result")
            code = session.wait()
        program = Path(str(result["package"])) / "data" / "media" / "program.mp4"
        start = offsets(program, 0.0)
        end = offsets(program, seconds - WINDOW_S)
    worst = max(abs(offset) for offset in (*start, *end))
    return {
        "profile": profile,
        "media_s": result["duration_s"],
        "promise_s": PROMISE_S,
        "offsets_at_start_s": start,
        "offsets_at_end_s": end,
        "worst_s": worst,
        "exit_status": code,
        "holds": worst <= PROMISE_S and code == 0 and min(len(start), len(end)) >= WINDOW_S - 2,
    }


def offsets(program: Path, from_s: float) -> list[float]:
    """Return how much later each beep begins than its flash, over WINDOW_S from `from_s` on."""
    flashes, beeps = flash_times(program, from_s), sound_times(program, from_s)
    pairs = [(flash, min(beeps, key=lambda beep: abs(beep - flash))) for flash in flashes] if beeps else []
    # A flash or beep cut off by the window has no partner near it.
    return [round(beep - flash, 5) for flash, beep in pairs if abs(beep - flash) < 0.5]


def flash_times(program: Path, from_s: float) -> list[float]:
    shown = []
    with av.open(str(program)) as container:
        _go_to(container, from_s)
        for picture in container.decode(video=0):
            if picture.time is None or picture.time < from_s:
                continue
            if picture.time > from_s + WINDOW_S:
                break
            shown.append((picture.time, is_flashing(np.asarray(picture.to_ndarray(format="gray"), np.uint8))))
    started = [shown[0][0]] if shown and shown[0][1] and from_s == 0 else []
    return started + [after for (_, was), (after, lit) in pairwise(shown) if lit and not was]


def _go_to(container: InputContainer, from_s: float) -> None:
    """Go to a time, but not to the beginning: without what comes before it AAC is silent for 21 ms."""
    if from_s > 0:
        container.seek(int(from_s * av.time_base))


def sound_times(program: Path, from_s: float) -> list[float]:
    with av.open(str(program)) as container:
        _go_to(container, from_s)
        pieces, first_s = [], None
        for frame in container.decode(audio=0):
            if frame.time is None or frame.time + 0.1 < from_s:
                continue
            if frame.time > from_s + WINDOW_S:
                break
            first_s = frame.time if first_s is None else first_s
            pieces.append(frame.to_ndarray())
    samples = (np.concatenate(pieces, axis=1).T * 32767).astype(np.int16)
    return [(first_s or 0.0) + time for time in beep_times(samples)]
