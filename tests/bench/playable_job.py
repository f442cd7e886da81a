"""Our side of row `playable`: a session whose camera is a pipe (tests/bench/camera_feed.py), recorded and streamed.

python -m tests.bench.playable_job FOLDER URL
"""

import dataclasses
import sys
from fractions import Fraction
from pathlib import Path

import av

from capture.media.jpeg import JpegDecoder
from capture.source import ColorMatrix, Frame, Size, SourceEnded, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource
from config.settings.schema import Profile, ReportSettings, Settings
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import Clock, SystemClock
from recorder.model.packet import Track
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.bench.camera_feed import HEIGHT, RATE, WIDTH
from tests.bench.liput_job import tell

BIT_RATE = 2_500_000


class PipeCamera(VideoSource):
    """A camera over standard input; a picture is captured when it has come."""

    name = "pipe"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._decoder = JpegDecoder((WIDTH, HEIGHT))

    def open(self) -> VideoFormat:
        container = av.open(sys.stdin.buffer, "r", format="matroska", options={"fflags": "nobuffer"}, buffer_size=1024)
        self._packets = container.demux(video=0)
        return VideoFormat(WIDTH, HEIGHT, Fraction(RATE), ColorMatrix.BT601)

    def read(self, timeout_s: float) -> Frame | None:
        packet = next(self._packets, None)
        if packet is None or not packet.size:
            raise SourceEnded
        return Frame(self._clock.now_ns(), bytes(packet))

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        assert isinstance(frame.payload, bytes)
        return self._decoder.decode(frame.payload)

    def close(self) -> None:
        """Nothing to let go of but the pipe, which ends with this process."""


def main() -> int:
    """Run the session until the camera ends; return 0 when it was sealed."""
    folder, url = Path(sys.argv[1]), sys.argv[2]
    profile = Profile(width=WIDTH, height=HEIGHT, fps=Fraction(RATE), video_bitrate=BIT_RATE)
    settings = Settings(profiles={"1080p30": profile}, report=ReportSettings(made=False))
    clock = SystemClock()
    target = StreamTarget("server", secret_url(url))
    asked = SessionRequest(
        title="Bench", videos=("synthetic",), audios=("none",), targets=(target,), archive=folder / "archive"
    )
    planned = plan_session(asked, settings, clock)
    plan = dataclasses.replace(
        planned.plan, pictures=[ChosenSource("pipe", PipeCamera(clock))], ends=frozenset({Track.VIDEO})
    )
    session = Session(plan, clock=clock, listener=tell)
    session.start()
    result = session.run()
    print(result, file=sys.stderr)
    return 0 if result.state == "sealed" else 1


if __name__ == "__main__":
    sys.exit(main())
