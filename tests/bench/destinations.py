"""What one more RTMP destination costs, as part of a core: our threads, and the process of its own connection.

python -m tests.bench.destinations
"""

import dataclasses
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil

from capture.source import SAMPLE_RATE, Matrix
from devices.clock import SystemClock
from recorder.encoder import AAC_FRAME, AUDIO_TIME_BASE, AudioSettings, Encoder, VideoSettings
from recorder.live.destination import LiveDestination
from recorder.packet import EncodedPacket, Track
from tests.support.children import children
from tests.support.live import Events
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.waiting import wait_for

RATE, BIT_RATE = 30, 4_500_000
LOOP_S = 4
"""Of media that is encoded beforehand and then repeated: what is measured is not the encoder."""
SETTLE_S, MEASURE_S = 3.0, 30.0
BAR = 0.03
SIZE = 640, 360


def loop() -> tuple[Encoder, list[EncodedPacket]]:
    """Return an encoder, and its packets of LOOP_S seconds in the order of decoding: noise, at BIT_RATE."""
    video = VideoSettings(*SIZE, Fraction(RATE), Matrix.BT709, BIT_RATE, BIT_RATE, preset="ultrafast")
    encoder = Encoder(video, AudioSettings(2, 128_000))
    chance, packets = np.random.default_rng(0), []
    for number in range(LOOP_S * RATE):
        noise = chance.integers(0, 255, (SIZE[1] * 3 // 2, SIZE[0]), np.uint8)
        packets += encoder.encode_video(av.VideoFrame.from_ndarray(noise, "yuv420p"), number * 90_000 // RATE)
    for number in range(LOOP_S * SAMPLE_RATE // AAC_FRAME):
        hiss = chance.integers(-9000, 9000, (AAC_FRAME, 2), np.int16)
        packets += encoder.encode_audio(hiss, number * AAC_FRAME)
    packets += [packet for track in encoder.templates for packet in encoder.flush(track)]
    return encoder, sorted(packets, key=lambda packet: packet.dts_s)


def endless(packets: list[EncodedPacket]) -> Iterator[EncodedPacket]:
    """Repeat `packets` with times that go on."""
    turn = 0
    while True:
        for packet in packets:
            length = LOOP_S * 90_000 if packet.track == Track.VIDEO else round(LOOP_S / AUDIO_TIME_BASE)
            yield dataclasses.replace(packet, pts=packet.pts + turn * length, dts=packet.dts + turn * length)
        turn += 1


def cpu_s(count: int, nginx: NginxRtmp) -> tuple[float, float]:
    """Stream to `count` destinations; return the seconds of CPU that took us and our children, and bits a second."""
    encoder, packets = loop()
    destinations = [
        LiveDestination(
            f"d{number}", nginx.url(f"good{count}{number}"), templates=encoder.templates, emit=Events(),
            clock=SystemClock(),
        )
        for number in range(count)
    ]  # fmt: skip
    for destination in destinations:
        destination.start()
    source, began, sent = endless(packets), time.monotonic(), 0

    def pump(seconds: float) -> None:
        nonlocal sent
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            packet = next(source)
            time.sleep(max(0.0, began + packet.dts_s - time.monotonic()))
            sent += len(packet.data)
            for destination in destinations:
                destination.put(packet)

    pump(SETTLE_S)
    assert all(destination.status().state == "live" for destination in destinations)
    before, sent = _family(), 0
    pump(MEASURE_S)
    took = _family() - before
    assert all(destination.status().dropped == 0 for destination in destinations)
    for destination in destinations:
        destination.stop()
    encoder.close()
    wait_for(lambda: not psutil.Process().children() or len(psutil.Process().children()) == 1)
    return took, sent * 8 / MEASURE_S


def _family() -> float:
    """Return the CPU seconds that this process and the connections' processes have taken."""
    us = psutil.Process()
    connections = children()
    return sum(times.user + times.system for times in (process.cpu_times() for process in (us, *connections)))


def main() -> int:
    """Print the figures; return 0 when they hold."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as folder:
        nginx = NginxRtmp(Path(folder))
        nginx.start()
        (one, bit_rate), (four, _) = cpu_s(1, nginx), cpu_s(4, nginx)
        nginx.stop()
    more = (four - one) / 3 / MEASURE_S
    print(json.dumps({
        "bits_per_s": round(bit_rate), "one": round(one / MEASURE_S, 4), "four": round(four / MEASURE_S, 4),
        "one_more": round(more, 4), "bar": BAR, "holds": more < BAR,
    }, indent=2))  # fmt: skip
    return 0 if more < BAR else 1


if __name__ == "__main__":
    sys.exit(main())
