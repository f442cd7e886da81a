"""Row `default`: what Liput does unless it is told otherwise, beside ffmpeg's veryfast: CPU, memory, and VMAF.

CPU and memory on the mix; VMAF on it and on two films that are not of our making, on all of which it may be no lower.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.bench.footage import footage
from tests.bench.material import Clip, clips
from tests.bench.pairs import Bench, Line, Match, cpu_line, interleaved
from tests.bench.peers import Job, check_pictures, ffmpeg_job, liput_job, output, usage
from tests.bench.quality import vmaf

ROW = "default"
CPU_BAR, MEMORY_BAR = 0.68, 0.92


def default_profile(bench: Bench) -> Iterator[Line]:
    """Measure CPU and memory by turns, then judge the pictures."""
    ours = clips(bench.cache)
    mix = ours["mix"]
    match = Match(partial(liput_job, mix), partial(ffmpeg_job, mix), mix.pictures, same_settings=False)
    pairs = interleaved(bench, ROW, match)
    yield cpu_line(ROW, "mix", CPU_BAR, pairs)
    peaks = {
        "liput_mb": max(pair.ours.peak_mb for pair in pairs),
        "peer_mb": max(pair.peers.peak_mb for pair in pairs),
    }
    yield Line(ROW, "memory", MEMORY_BAR, tuple(pair.memory for pair in pairs), "of ffmpeg's peak", peaks)
    for name, clip in {**footage(bench.cache), **ours}.items():
        line = vmaf_line(ROW, name, *(judged(make, clip) for make in (liput_job, ffmpeg_job)))
        bench.say(f"{name}: VMAF {line.behind['liput_vmaf']:.2f}, ffmpeg's {line.behind['peer_vmaf']:.2f}")
        yield line


def vmaf_line(row: str, name: str, ours: float, peers: float) -> Line:
    """Return the line of how much lower our VMAF is; below 0 where it is higher."""
    return Line(row, f"VMAF, {name}", 0.0, (peers - ours,), "lower VMAF", {"liput_vmaf": ours, "peer_vmaf": peers})


def judged(make: Callable[[Clip, Path], Job], clip: Clip, *, varies: bool = False) -> float:
    """Return the VMAF of what a job makes of the clip; where its rate `varies`, with each picture up to the next."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name:
        folder = Path(name)
        job = make(clip, folder)
        usage(job, folder)
        if not varies:
            check_pictures(job, folder, clip.pictures)
        return vmaf(output(folder, job.outputs[0]), clip.path, rate=clip.rate if varies else None)
