"""Row `playable`: how old a picture is when it can be played from the RTMP server, beside ffmpeg over the same path.

One camera for both (tests/bench/camera_feed.py). Each side records, and streams to nginx-rtmp on loopback; the numbers
in the pictures that the server wrote tell which came when. Without sound. ffmpeg with its defaults for the preset,
Liput with its own for a session that is streamed.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median, quantiles

from devices.host.clock import NANOSECONDS
from tests.bench import camera_feed
from tests.bench.camera_feed import HEIGHT, RATE, WIDTH
from tests.bench.material import Clip
from tests.bench.pairs import Bench, Line
from tests.bench.peers import FFMPEG, JobFailed, x264_words
from tests.bench.playable_job import BIT_RATE
from tests.net.session import Seen, Viewer
from tests.support.rtmp_server import NginxRtmp

ROW = "playable"
BAR = 1.0
SECONDS, SETTLE_S = 16.0, 4.0
LEAST = 0.9
"""Of the pictures after SETTLE_S so many must have come."""
ENDS_WITHIN_S = 60.0

type Words = Callable[[Path, str], tuple[str, ...]]


def playable(bench: Bench) -> Iterator[Line]:
    """Stream by turns."""
    film = bench.cache / "numbered-v2.mkv"
    if not film.exists():
        film.parent.mkdir(parents=True, exist_ok=True)
        camera_feed.film(film, SECONDS)
    found: dict[str, list[float]] = {"liput": [], "ffmpeg": []}
    for turn in range(bench.pairs):
        sides: list[tuple[str, Words]] = [("liput", liput_words), ("ffmpeg", ffmpeg_words)]
        for side, words in sides if turn % 2 == 0 else reversed(sides):
            old = streamed(film, words)
            found[side].append(median(old))
            bench.say(f"{ROW}: {side} {median(old):.3f} s, p99 {quantiles(old, n=100)[98]:.3f} s")
    ratios = tuple(ours / peers for ours, peers in zip(found["liput"], found["ffmpeg"], strict=True))
    behind = {"liput_s": median(found["liput"]), "peer_s": median(found["ffmpeg"])}
    yield Line(ROW, "RTMP", BAR, ratios, "of ffmpeg's delay", behind)


def liput_words(folder: Path, url: str) -> tuple[str, ...]:
    """Return our side's command."""
    return sys.executable, "-m", "tests.bench.playable_job", str(folder), url


def ffmpeg_words(folder: Path, url: str) -> tuple[str, ...]:
    """Return ffmpeg's: the same encode into a file and to the server."""
    form = Clip(folder, WIDTH, HEIGHT, RATE, round(SECONDS * RATE), BIT_RATE)
    source = ("-fflags", "nobuffer", "-f", "matroska", "-i", "pipe:0", "-map", "0:v")
    sinks = ("-flags", "+global_header", "-f", "tee", f"[f=mp4]{folder}/out.mp4|[f=flv]{url}")
    return *FFMPEG, *source, *x264_words(form), *sinks


def streamed(film: Path, words: Words) -> list[float]:
    """Stream the film in real time; return how old each picture was when the server had it, in seconds."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as name, NginxRtmp(Path(name) / "nginx") as nginx:
        folder, zero = Path(name), Path(name) / "zero"
        with Viewer(nginx.recorded) as viewer, (folder / "log").open("wb") as log:
            feed = (sys.executable, "-m", "tests.bench.camera_feed", str(film), str(zero))
            with subprocess.Popen(feed, stdout=subprocess.PIPE) as camera:
                command = words(folder, nginx.url("good"))
                job = subprocess.Popen(command, stdin=camera.stdout, stdout=log, stderr=log)
                assert camera.stdout
                camera.stdout.close()  # the job's alone now
                code = _wait(job)
        if code != 0:
            raise JobFailed(f"{words.__name__} ended with {code}: {(folder / 'log').read_text()[-2000:]}")
        return ages(viewer.seen(), int(zero.read_text()) / NANOSECONDS)


def _wait(job: "subprocess.Popen[bytes]") -> int:
    try:
        return job.wait(SECONDS + ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        job.kill()
        return job.wait()


def ages(seen: Sequence[Seen], zero_s: float) -> list[float]:
    """Return how old each picture from SETTLE_S on was; raises JobFailed where many did not come."""
    old = [one.at - zero_s - one.number / RATE for one in seen if one.number >= SETTLE_S * RATE]
    expected = (SECONDS - SETTLE_S) * RATE
    if len(old) < LEAST * expected:
        raise JobFailed(f"{len(old)} of {expected:.0f} pictures came to the server")
    return old
