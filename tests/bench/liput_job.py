"""One side of the comparison: a whole session of Liput over a clip, as fast as it goes, into MP4 and FLV.

    python -m tests.bench.liput_job CLIP FOLDER

The sealed package is in FOLDER/archive, the FLV beside it. Nothing of a session is left out: the event log, the
fdatasyncs, the poster, the hashes are in the figure. The encoder's settings are x264's own for the preset, those of
the ffmpeg command in tests/bench/peers.py, not the ones that a kill's price asks for.
"""

import dataclasses
import sys
import threading
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer

from config.events import Event
from config.schema import Profile, Settings
from devices.clock import SystemClock
from recorder.asked import Asked
from recorder.outputs import Templates
from recorder.packet import EncodedPacket
from recorder.planning import plan_session
from recorder.session import Session

PROFILE = Profile(width=1920, height=1080, fps=Fraction(30), video_bitrate=4_500_000, audio_bitrate=128_000)


class FlvFile:
    """The second output: the packets of the recording again, in a file of the kind that a live server gets."""

    def __init__(self, path: Path, templates: Templates) -> None:
        self._lock = threading.Lock()  # each track comes from a thread of its own
        self._container: OutputContainer = av.open(str(path), "w", format="flv")
        self._streams = {
            track: self._container.add_stream_from_template(template, opaque=True)
            for track, template in templates.items()
        }

    def put(self, packet: EncodedPacket) -> None:
        """Mux a packet here and now, as the ffmpeg command does."""
        copy: av.Packet[av.stream.Stream] = av.Packet(packet.data)
        copy.stream = self._streams[packet.track]
        copy.time_base = packet.time_base
        copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
        copy.is_keyframe = packet.is_keyframe
        with self._lock:
            self._container.mux(copy)

    def close(self) -> None:
        """Finish the file."""
        self._container.close()


def tell(event: Event) -> None:
    """Put what happened into the log, for the case that the job fails."""
    print(event, file=sys.stderr)


def main() -> int:
    """Run the session and return 0 when it was sealed with nothing lost."""
    clip, folder = sys.argv[1], Path(sys.argv[2])
    clock = SystemClock()
    settings = Settings(profiles={"1080p30": PROFILE})
    asked = Asked(title="Bench", videos=(clip,), audios=(clip,), live=False, archive=folder / "archive")
    planned = plan_session(asked, settings, clock)
    plan = dataclasses.replace(
        planned.plan, sinks=[lambda templates: FlvFile(folder / "out.flv", templates)], x264_params=""
    )
    session = Session(plan, planned.archive, clock=clock, stop=planned.stop, listener=tell)
    session.start()
    result = session.run()
    if result.state != "sealed" or result.degraded:
        print(result, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
