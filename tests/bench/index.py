"""What the index of a long recording costs: memory while it is recorded, CPU and memory when it is closed.

python -m tests.bench.index [hours]: pictures and sound as fast as they go through the muxer, then the index.
"""

import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import av
import psutil

from config.settings.schema import Settings
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4.finalize import finalize
from recorder.recording.mp4_file import muxer_options
from tests.support.muxed import Coded, regular

STEP = 2500
"""Between two pictures, of 90,000 a second: 36 a second, which makes a million in eight hours."""


def resident_mb() -> float:
    """Return what this process takes."""
    return float(psutil.Process().memory_info().rss) / 1e6


def write(path: Path, hours: float) -> None:
    """Write a file of so many hours, saying every half hour what it takes."""
    coded = Coded(regular(1))
    picture = [packet for packet in coded.packets if packet.track == Track.VIDEO][5]
    sound = [packet for packet in coded.packets if packet.track == Track.AUDIO][5]
    with av.open(str(path), "w", format="mp4", options=muxer_options(Settings().recording.fragment_s)) as container:
        streams = {
            track: container.add_stream_from_template(template, opaque=True)
            for track, template in coded.encoder.templates.items()
        }

        def mux(encoded: EncodedPacket) -> None:
            packet = av.Packet(encoded.data)
            packet.stream, packet.time_base = streams[encoded.track], encoded.time_base
            packet.pts, packet.dts, packet.duration = encoded.pts, encoded.dts, encoded.duration
            packet.is_keyframe = encoded.is_keyframe
            container.mux(packet)

        sounds = 0
        for number in range(round(hours * 3600 * 90_000 / STEP)):
            at = number * STEP
            mux(replace(picture, pts=at, dts=at, duration=STEP, is_keyframe=number % 72 == 0))
            while sounds * 1024 * 90_000 < at * 48_000:
                mux(replace(sound, pts=sounds * 1024, dts=sounds * 1024))
                sounds += 1
            if at and at % (1800 * 90_000) == 0:
                print(f"{at / 90_000 / 3600:.1f} h: {resident_mb():.1f} MB")


def main() -> None:
    """Write, finish, and print the figures."""
    hours = float(sys.argv[1]) if len(sys.argv) > 1 else 8.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "long.mp4"
        write(path, hours)
        descriptor, size = os.open(path, os.O_RDWR), path.stat().st_size
        before_kb, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        finalize(descriptor, path)
        took_s = time.process_time() - began
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024
        os.close(descriptor)
        print(
            f"{hours:g} h: {took_s:.1f} s of CPU, {grown_mb:.0f} MB more, "
            f"an index of {(path.stat().st_size - size) / 1e6:.1f} MB"
        )


if __name__ == "__main__":
    main()
