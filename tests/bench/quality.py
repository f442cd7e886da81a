"""What came out, compared with what went in: PSNR by the ffmpeg command, VMAF by the libvmaf that PyAV brings along.

Debian's ffmpeg has no libvmaf; nothing is compared across the two.
"""

import gc
import json
import re
import subprocess
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.reformatter import ColorRange

from tests.bench.peers import JobFailed

MODEL = "vmaf_v0.6.1"
EVERY = 3
"""Of so many pictures one is judged by VMAF: x264's pattern of frame types has another length."""
_LIMITED = "settb=1/1000,setpts=N,scale=in_range=auto:out_range=tv,format=yuv420p"
_POOLED = "pooled_metrics"


def check_plays(path: Path) -> None:
    """Raise JobFailed unless ffmpeg decodes all of a file without a word of complaint."""
    done = subprocess.run(
        ("ffmpeg", "-nostdin", "-v", "warning", "-xerror", "-i", str(path), "-map", "0", "-f", "null", "-"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode or done.stderr:
        raise JobFailed(f"{path.name} does not play: {done.stderr[-2000:]}")


def psnr(path: Path, reference: Path) -> float:
    """Return the PSNR of all pictures, in dB, infinite for equal ones; of luma: chroma of 4:2:2 is halved in many ways.

    They are paired by their order.
    """
    graph = f"[0:v]{_LIMITED}[a];[1:v]{_LIMITED}[b];[a][b]psnr"
    done = subprocess.run(
        ("ffmpeg", "-nostdin", "-v", "info", "-i", str(path), "-i", str(reference), "-lavfi", graph, "-f", "null", "-"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    found = re.search(r"PSNR y:(\S+)", done.stderr)
    if done.returncode or not found:
        raise JobFailed(f"{path.name} was not compared with {reference.name}: {done.stderr[-2000:]}")
    return float(found[1])


def vmaf(path: Path, reference: Path, every: int = EVERY, rate: int | None = None) -> float:
    """Return the mean VMAF of one in `every` pictures of a file, beside those of `reference` in the same order.

    Where `path` has them at a varying rate, as it is shown at so many a second (`rate`).
    """
    with tempfile.TemporaryDirectory(prefix="liput-vmaf-") as name:
        log = Path(name) / "log.json"
        try:
            _judge(_pictures(path, every, rate), _pictures(reference, every), log)
        finally:
            gc.collect()  # libvmaf writes its log when its graph is let go of, which is part of a cycle
        return float(json.loads(log.read_text())[_POOLED]["vmaf"]["mean"])


def _judge(pictures: Iterator[av.VideoFrame], reference: Iterator[av.VideoFrame], log: Path) -> None:
    graph: Graph | None = None
    for number, pair in enumerate(zip(pictures, reference, strict=True)):
        if graph is None:
            graph, inputs, sink = _graph(pair[0].width, pair[0].height, log)
        for place, picture in zip(inputs, pair, strict=True):
            picture.pts, picture.time_base = number, Fraction(1, 30)
            place.push(picture)
        sink.pull()
    if graph is None:
        raise JobFailed("there are no pictures to judge")
    for place in inputs:
        place.push(None)


def _graph(width: int, height: int, log: Path) -> tuple[Graph, list[FilterContext], FilterContext]:
    graph = Graph()
    inputs = [
        graph.add_buffer(width=width, height=height, format="yuv420p10le", time_base=Fraction(1, 30), name=name)
        for name in ("encoded", "reference")
    ]
    judge = graph.add("libvmaf", f"model=version={MODEL}:log_fmt=json:log_path={log}:n_threads=2")
    sink = graph.add("buffersink")
    for number, place in enumerate(inputs):
        place.link_to(judge, 0, number)
    judge.link_to(sink)
    graph.configure()
    return graph, inputs, sink


def _pictures(path: Path, every: int, rate: int | None = None) -> Iterator[av.VideoFrame]:
    """Yield one in `every` pictures, limited-range yuv420p, without what it was tagged with.

    Of ten bits: sides of another range are brought to the same one, and nobody is judged by how that is rounded.
    """
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        decoded = container.decode(video=0)
        for number, frame in enumerate(_shown(decoded, rate) if rate else decoded):
            if number % every == 0:
                limited = frame.reformat(format="yuv420p10le", dst_color_range=ColorRange.MPEG)
                yield av.VideoFrame.from_ndarray(limited.to_ndarray(), format="yuv420p10le")


def _shown(frames: Iterator[av.VideoFrame], rate: int) -> Iterator[av.VideoFrame]:
    """Yield what is shown at each moment of a constant rate, from the first picture to the last."""
    first = last = next(frames)
    shown = 0
    for frame in frames:
        begins = round(((frame.time or 0.0) - (first.time or 0.0)) * rate)
        for _ in range(shown, begins):
            yield last
        shown, last = begins, frame
    yield last
