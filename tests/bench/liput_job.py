"""One side of the comparison: a whole session of Liput over clips, as fast as it goes, into MP4 and FLV.

    python -m tests.bench.liput_job [OPTION...] FOLDER CLIP [CLIP...]

The sealed package is in FOLDER/archive, the FLV beside it. The event log, the fdatasyncs, the poster, the hashes are in
the figure; the report is not, which no peer makes and whose cost does not grow. With --as-peers the encoder has x264's
own settings for `veryfast`, those of the ffmpeg command in tests/bench/peers.py, not the ones that Liput chooses.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av

from capture.source import CodedFormat, Frame, Size, VideoFormat, VideoSource
from config.events import Event
from config.settings.layouts import SINGLE
from config.settings.schema import LEAN_PRESET, Profile, ReportSettings, Settings, VideoDefaults
from devices.host import heap
from devices.host.clock import SystemClock
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.bench.sinks import Delays, MuxedFile
from tests.support.packets import also_to

RECORDED = "recorded"
"""The file in the job's folder that says what it had taken of the processor when its recording ended."""


class Counted(VideoSource):
    """A clip that counts how many of its pictures were decoded. As a camera, its JPEGs can be stored as they are."""

    def __init__(self, source: VideoSource, clip: str, *, as_camera: bool, delays: Delays | None = None) -> None:
        self.name = source.name
        self._delays = delays
        self.decoded = 0
        self._source = source
        self._clip = clip
        self._as_camera = as_camera

    def open(self) -> VideoFormat:
        if self._as_camera:
            with av.open(self._clip) as container:
                stream = container.streams.video[0]
                self.coded = CodedFormat("mjpeg", stream.width, stream.height)
        return self._source.open()

    def read(self, timeout_s: float) -> Frame | None:
        return self._source.read(timeout_s)

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        self.decoded += 1
        picture = self._source.decode(frame, within)
        if self._delays:
            self._delays.decoded(frame)
        return picture

    def close(self) -> None:
        self._source.close()


def tell(event: Event) -> None:
    """Put what happened into the log, for the case that the job fails."""
    print(event, file=sys.stderr)


def _lost(degraded: Sequence[str], *, live: bool) -> bool:
    """Return whether something was lost that the pictures, which are counted afterwards, do not show.

    A busy machine gives late sound as silence in a session that runs as time passes, and its disk takes nothing for
    seconds.
    """
    return not live and any(not one.startswith("recording-stalled") for one in degraded)


def words() -> argparse.Namespace:
    """Return what is to be done."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--size", default="1920x1080")
    parser.add_argument("--rate", type=Fraction, default=Fraction(30))
    parser.add_argument("--bit-rate", type=int, default=4_500_000)
    parser.add_argument("--as-peers", action="store_true", help="x264's own settings for veryfast")
    parser.add_argument("--preset", default=LEAN_PRESET)
    parser.add_argument("--layout", default=SINGLE)
    parser.add_argument("--isolate", action="store_true", help="each clip is also recorded apart, as cameras are")
    parser.add_argument("--live", action="store_true", help="as time passes")
    parser.add_argument("--adaptive", action="store_true", help="fewer pictures while they stand still")
    parser.add_argument("--low-latency", action="store_true", help="as the low-latency profile has it")
    parser.add_argument("--delays", action="store_true", help="write how long each picture took to FOLDER/delays.json")
    return parser.parse_args()


def main() -> int:
    """Run the session and return 0 when it was sealed with nothing lost."""
    told = words()
    heap.share_heap()  # as the recorder's process does before anything else
    width, height = map(int, told.size.split("x"))
    profile = Profile(
        width=width,
        height=height,
        fps=told.rate,
        video_bitrate=told.bit_rate,
        preset=told.preset,
        low_latency=told.low_latency,
        audio_bitrate=128_000,
    )
    video = VideoDefaults(adaptive_rate=told.adaptive)
    settings = Settings(profiles={"1080p30": profile}, video=video, report=ReportSettings(made=False))

    def hear(event: Event) -> None:
        tell(event)
        if event.kind == "session-ended":
            (told.folder / RECORDED).write_text(str(time.process_time()))

    clock = SystemClock()
    asked = SessionRequest(
        title="Bench", videos=tuple(told.clips), audios=(told.clips[0],), live=told.live, layout=told.layout,
        isolate=told.isolate, archive=told.folder / "archive",
    )  # fmt: skip
    planned = plan_session(asked, settings, clock)
    delays = Delays(told.folder / "delays.json") if told.delays else None
    counted = [
        Counted(picture.source, clip, as_camera=told.isolate, delays=delays)
        for picture, clip in zip(planned.plan.pictures, told.clips, strict=True)
    ]
    plan = dataclasses.replace(
        planned.plan,
        x264_params="" if told.as_peers else None,
        pictures=[
            dataclasses.replace(picture, source=source)
            for picture, source in zip(planned.plan.pictures, counted, strict=True)
        ],
    )
    session = Session(plan, clock=clock, listener=hear)
    session.start()
    with also_to(
        lambda templates: MuxedFile(told.folder / "out.flv", "flv", templates), *([lambda _: delays] if delays else [])
    ):
        result = session.run()
    if result.state != "sealed" or _lost(result.degraded, live=told.live):
        print(result, file=sys.stderr)
        return 1
    # Several clips that are shown: each has as many pictures as the program.
    if told.layout != SINGLE and (decoded := [source.decoded for source in counted]) != [result.frames] * len(counted):
        print(f"decoded {decoded} pictures for {result.frames} of the program", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
