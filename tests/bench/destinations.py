"""Row `destination`: one more RTMP destination, as part of a core: our threads, and the process of its connection."""

import dataclasses
import tempfile
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median

import av
import numpy as np
import psutil

from capture.source import SAMPLE_RATE, ColorMatrix
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.encode.encoder import AAC_FRAME, AUDIO_TIME_BASE, AudioSettings, Encoder
from recorder.encode.x264 import VideoSettings
from recorder.live.destination import LiveDestination
from recorder.model.packet import EncodedPacket, Track
from tests.bench.pairs import Bench, Line
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.streams import Events
from tests.support.waiting import wait_for

RATE, BIT_RATE = 30, 4_500_000
LOOP_S = 4
"""Of media that is encoded beforehand and then repeated: what is measured is not the encoder."""
SETTLE_S, MEASURE_S = 3.0, 30.0
ROW = "destination"
BAR = 0.03
SIZE = 640, 360


def loop() -> tuple[Encoder, list[EncodedPacket]]:
    """Return an encoder, and its packets of LOOP_S seconds in the order of decoding: noise, at BIT_RATE."""
    video = VideoSettings(*SIZE, Fraction(RATE), ColorMatrix.BT709, BIT_RATE, BIT_RATE, preset="ultrafast")
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


def cpu_s(count: int, nginx: NginxRtmp) -> float:
    """Stream to `count` destinations; return the seconds of CPU that took us and our children."""
    encoder, packets = loop()
    targets = [StreamTarget(f"d{number}", secret_url(nginx.url(f"good{count}{number}"))) for number in range(count)]
    destinations = [
        LiveDestination(target, encoder.templates, emit=Events(), clock=SystemClock()) for target in targets
    ]
    for destination in destinations:
        destination.start()
    source, began = endless(packets), time.monotonic()

    def pump(seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            packet = next(source)
            time.sleep(max(0.0, began + packet.dts_s - time.monotonic()))
            for destination in destinations:
                destination.put(packet)

    pump(SETTLE_S)
    assert all(destination.status().state == "live" for destination in destinations)
    before = _family()
    pump(MEASURE_S)
    took = _family() - before
    assert all(destination.status().dropped == 0 for destination in destinations)
    for destination in destinations:
        destination.stop()
    encoder.close()
    wait_for(lambda: not children(), what="the end of the connections")
    return took


def _family() -> float:
    """Return the CPU seconds that this process and the connections' processes have taken."""
    us = psutil.Process()
    connections = children()
    return sum(times.user + times.system for times in (process.cpu_times() for process in (us, *connections)))


def destination(bench: Bench) -> Iterator[Line]:
    """Compare one destination with four; `bench.pairs` times."""
    more, ones, fours = [], [], []
    for _ in range(bench.pairs):
        one, four = measured((1, 4))
        ones.append(one)
        fours.append(four)
        more.append((four - one) / 3)
        bench.say(f"{ROW}: one {one:.4f}, four {four:.4f} of a core")
    yield Line(ROW, "one more", BAR, tuple(more), "of a core", {"one": median(ones), "four": median(fours)})


def measured(counts: Sequence[int]) -> list[float]:
    """Return what so many destinations take of a core, each of `counts`; of a server of our own."""
    with tempfile.TemporaryDirectory(prefix="liput-bench-") as folder, NginxRtmp(Path(folder)) as nginx:
        return [cpu_s(count, nginx) / MEASURE_S for count in counts]
