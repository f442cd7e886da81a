"""Row `adaptive`: the default profile with an adaptive frame rate, beside ffmpeg's `veryfast`, which encodes all.

On the clips that stand still now and then. Every picture that is not the one before must be in both files, at its own
time, and stay until the next; as it is shown at a constant rate, VMAF may be no lower than ffmpeg's.
"""

import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

from recorder.encode.x264 import STILL_RATE
from tests.bench.default_profile import judged, vmaf_line
from tests.bench.material import Clip, clips
from tests.bench.pairs import Bench, Line, Match, cpu_line, interleaved
from tests.bench.peers import Job, JobFailed, ffmpeg_job, liput_job

ROW = "adaptive"
BARS = {"slides": 0.25, "mix": 0.50}
EXACT_S = 0.002
"""Files count milliseconds."""


def adaptive(bench: Bench) -> Iterator[Line]:
    """Measure CPU by turns, then judge the pictures."""
    known = clips(bench.cache)
    for name, bar in BARS.items():
        if not bench.clips or name in bench.clips:
            clip = known[name]
            yield cpu_line(ROW, name, bar, interleaved(bench, f"{ROW}, {name}", match_of(clip)))
            yield vmaf_line(ROW, name, judged(_job, clip, varies=True), judged(ffmpeg_job, clip))


def match_of(clip: Clip) -> Match:
    """Return how the clip is compared."""
    new = new_pictures(clip)
    return Match(
        partial(_job, clip),
        partial(ffmpeg_job, clip),
        clip.pictures,
        same_settings=False,
        check_ours=lambda film: check_times(times_of(film), new, clip),
    )


def _job(clip: Clip, folder: Path) -> Job:
    return liput_job(clip, folder, "--adaptive")


def new_pictures(clip: Clip) -> list[int]:
    """Return the numbers of the pictures that are not the one before."""
    jpegs = clip.jpegs()
    return [0, *(number for number, (before, after) in enumerate(pairwise(jpegs), 1) if before != after)]


def times_of(film: Path) -> list[float]:
    """Return when each picture is shown, and as the last one when the film ends."""
    entries = ("-select_streams", "v:0", "-show_entries", "packet=pts_time,duration_time", "-of", "json")
    done = subprocess.run(("ffprobe", "-v", "error", *entries, str(film)), check=True, capture_output=True)
    packets = sorted(json.loads(done.stdout)["packets"], key=lambda packet: float(packet["pts_time"]))
    times = [float(packet["pts_time"]) for packet in packets]
    return [*times, times[-1] + float(packets[-1].get("duration_time", 0))]


def check_times(times: Sequence[float], new: Sequence[int], clip: Clip) -> None:
    """Raise JobFailed unless each new picture is there at its time and no picture is missed for long, to the end."""
    *shown, end_s = (at_s - times[0] for at_s in times)
    there = set()
    for at_s in shown:
        number = round(at_s * clip.rate)
        if abs(at_s - number / clip.rate) <= EXACT_S:
            there.add(number)
    if missing := set(new) - there:
        raise JobFailed(
            f"{len(missing)} pictures that are new are not there at their time: {min(missing)} is the first"
        )
    longest_s = float(1 / STILL_RATE) + 0.5 / clip.rate
    if (gap_s := max(after - before for before, after in pairwise(shown))) > longest_s:
        raise JobFailed(f"nothing was encoded for {gap_s:.3f} s")
    # FLV does not say how long the last one is shown: it must be the clip's last.
    if abs(shown[-1] - (clip.pictures - 1) / clip.rate) > EXACT_S or end_s > clip.seconds + EXACT_S:
        raise JobFailed(f"the last picture is shown at {shown[-1]:.3f} s, up to {end_s:.3f} s of {clip.seconds} s")
