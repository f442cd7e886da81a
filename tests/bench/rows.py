"""The rows of the benchmark, by name: what each shows, and who measures it."""

from collections.abc import Iterator, Mapping

from tests.bench import watches
from tests.bench.adaptive import adaptive
from tests.bench.default_profile import default_profile
from tests.bench.destinations import destination
from tests.bench.inset import inset
from tests.bench.isolating import isolated
from tests.bench.low_latency import latency, memory
from tests.bench.pairs import Bench, Line, Row
from tests.bench.playable import playable
from tests.bench.same_settings import against_ffmpeg, against_gstreamer
from tests.bench.scaling import scale
from tests.bench.starting import start


def watched(bench: Bench) -> Iterator[Line]:
    """Measure what watching each kind of source takes; tests/bench/watches.py repeats by itself."""
    for name in watches.NAMES:
        cost = watches.measure(name)
        yield Line("watches", name, watches.BAR_PERCENT, (cost.percent,), "% of a core", cost.summary())


ROWS: Mapping[str, tuple[Row, str]] = {
    "ffmpeg": (against_ffmpeg, "the same job as the ffmpeg command, with the same settings"),
    "gstreamer": (against_gstreamer, "the same job as GStreamer, with the same settings"),
    "default": (default_profile, "the default profile beside ffmpeg's veryfast: CPU, memory, VMAF"),
    "adaptive": (adaptive, "an adaptive frame rate beside the ffmpeg command, which encodes every frame"),
    "latency": (latency, "the low-latency profile: the delay of the encode stage"),
    "low-latency": (memory, "the low-latency profile: the memory of a session"),
    "inset": (inset, "slides with a camera in a corner, beside ffmpeg's overlay: whole job, compositing"),
    "isolated": (isolated, "iso recordings of two cameras by stream copy"),
    "destination": (destination, "the cost of one more RTMP destination"),
    "playable": (playable, "the delay from camera to playable on the RTMP server, beside ffmpeg"),
    "start": (
        start,
        "the delay from `liput record`, or from the start of an armed session, to the first frame on disk",
    ),
    "scale": (scale, "the cost by number of sources and destinations"),
    "watches": (watched, "the cost of a source's detectors"),
}
