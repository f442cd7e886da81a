"""What composing takes: slides at 1080p with a camera in a corner, by Liput and by ffmpeg's overlay filter.

    python -m tests.bench.compose [--pairs 3] [--cache FOLDER] [--json]

Both sides decode two MJPEG clips of 720 pictures and put the second, 480x270, over the first; nothing is encoded. The
figure is Liput's CPU time by ffmpeg's, in interleaved pairs: a process each, less what Python takes to start, since a
session starts once. `slides`: as a capture card gives
them, most JPEGs byte for byte the one before, which Liput does not decode again. `every`: the same slides with a byte
of padding behind each JPEG, so that each is decoded. `cameras`: a camera over a camera, nothing ever the same.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import platformdirs

from capture.camera_pictures import decoder_for
from capture.compose.compositor import Compositor, Piece
from capture.compose.geometry import Rect
from capture.compose.layout import Layout
from capture.source import Frame, Matrix
from config.program import BUILT_IN_LAYOUTS, PIP
from tests.bench.clips import FRAMES, HEIGHT, WIDTH, clips
from tests.bench.peers import Job, JobFailed, cpu_seconds

BARS = {"slides": 0.55, "every": 0.55}
"""The bar is that of slides with a camera in a corner; a camera over a camera is there to know."""
KINDS = {"slides": ("slides", "camera"), "every": ("slides", "camera"), "cameras": ("camera", "camera")}
"""Each comparison with its clips: the large one, the small one."""


def inset() -> Rect:
    """Return the place of the small picture."""
    _, small = Layout("pip", BUILT_IN_LAYOUTS[PIP]).places(WIDTH, HEIGHT, ["slides", "camera"])
    return small.rect


def ffmpeg_job(large: Path, small: Path, target: tuple[str, ...] = ("-f", "null", "-")) -> Job:
    """Return the ffmpeg command: decode both, scale the small one, lay it over the large one."""
    place = inset()
    limited = "out_range=limited,format=yuv420p"
    graph = (
        f"[0:v]scale={limited}[large];[1:v]scale={place.width}:{place.height}:{limited}[small];"
        f"[large][small]overlay={place.x}:{place.y}:format=yuv420[out]"
    )
    sources = ("ffmpeg", "-nostdin", "-v", "error", "-y", "-i", str(large), "-i", str(small))
    return Job("ffmpeg", (*sources, "-filter_complex", graph, "-map", "[out]", "-an", *target), ("", ""))


def liput_job(large: Path, small: Path, *, padded: bool) -> Job:
    """Return Liput's side."""
    module = (sys.executable, "-m", "tests.bench.compose", "--compose", str(large), str(small))
    return Job("liput", (*module, *(("--padded",) if padded else ())), ("", ""))


def composed(large: Path, small: Path, *, padded: bool = False) -> Iterator[av.VideoFrame]:
    """Yield what Liput makes of the two clips."""
    size, place = (WIDTH, HEIGHT), inset()
    decoders = [decoder_for("MJPG", size, size, matrix=Matrix.BT601, full_range=True) for _ in range(2)]
    compositor = Compositor(WIDTH, HEIGHT, Matrix.BT601)
    for number, (slide, camera) in enumerate(zip(_jpegs(large), _jpegs(small), strict=True)):
        padding = bytes([number % 251]) if padded else b""
        below = decoders[0].decode(Frame(number, slide + padding))
        above = decoders[1].decode(Frame(number, camera), place.size)
        yield compositor.compose([Piece(Rect(0, 0, WIDTH, HEIGHT), below), Piece(place, above)])


def _jpegs(clip: Path) -> Iterator[bytes]:
    with av.open(str(clip)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                yield bytes(packet)


def measure(paths: dict[str, Path], kind: str, pairs: int) -> dict[str, float]:
    """Return CPU milliseconds a picture of both sides, and the median of the ratios."""
    large, small = (paths[name] for name in KINDS[kind])
    jobs = liput_job(large, small, padded=kind == "every"), ffmpeg_job(large, small)
    seconds: list[list[float]] = [[], []]
    for turn in range(pairs):
        for side in (0, 1) if turn % 2 else (1, 0):
            with tempfile.TemporaryDirectory(prefix="liput-bench-") as folder:
                took = cpu_seconds(jobs[side], Path(folder))
                start = 0.0 if side else float((Path(folder) / "log").read_text())
                seconds[side].append(took - start)
    ratios = [liput / ffmpeg for liput, ffmpeg in zip(*seconds, strict=True)]
    mine, its = (statistics.median(side) * 1000 / FRAMES for side in seconds)
    return {
        "liput_ms": round(mine, 2),
        "ffmpeg_ms": round(its, 2),
        "median": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
    }


def main() -> int:
    """Measure and print; return 0 when every bar holds."""
    parser = argparse.ArgumentParser(description="CPU of composing two pictures against ffmpeg's overlay filter.")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--cache", type=Path, default=platformdirs.user_cache_path("liput") / "bench")
    parser.add_argument("--compose", nargs=2, type=Path, metavar="CLIP", help=argparse.SUPPRESS)
    parser.add_argument("--padded", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compose:
        print(time.process_time())  # what it took until here is told to whoever measures
        count = sum(1 for _ in composed(*arguments.compose, padded=arguments.padded))
        if count != FRAMES:
            raise JobFailed(f"{count} pictures instead of {FRAMES}")
        return 0
    paths = clips(arguments.cache)
    results = {kind: measure(paths, kind, arguments.pairs) for kind in KINDS}
    if arguments.json:
        print(json.dumps({"compose": results, "bars": BARS}, indent=2))
    else:
        for kind, row in results.items():
            print(
                f"{kind:8} Liput {row['liput_ms']:6.2f} ms a picture, ffmpeg {row['ffmpeg_ms']:6.2f} ms: "
                f"{row['median']:.3f} ({row['min']:.3f}-{row['max']:.3f}), bar {BARS.get(kind, 'none')}"
            )
    return 0 if all(results[kind]["median"] <= bar for kind, bar in BARS.items()) else 1


if __name__ == "__main__":
    sys.exit(main())
