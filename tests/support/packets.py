"""A short recording as packets, encoded once, so that many tests can record it again as time passes."""

import threading
import time
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np

from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track

RATE = 15
SAMPLES = 48_000 // RATE


class Reel:
    """`seconds` of noise and a tone at 160x90 and RATE pictures a second, a keyframe each second."""

    def __init__(self, seconds: int) -> None:
        self.seconds = seconds
        settings = VideoSettings(
            160, 90, Fraction(RATE), ColorMatrix.BT601, 200_000, 200_000, preset="ultrafast", keyframe_s=1.0
        )
        self.encoder = Encoder(settings, AudioSettings(1, 64_000))
        noise = np.random.default_rng(4)
        packets: list[EncodedPacket] = []
        for number in range(seconds * RATE):
            frame = av.VideoFrame(160, 90, "yuv420p")
            for plane in frame.planes:
                plane.update(noise.integers(16, 235, plane.buffer_size, np.uint8).tobytes())
            packets += self.encoder.encode_video(frame, round(number / RATE / VIDEO_TIME_BASE))
            times = np.arange(number * SAMPLES, (number + 1) * SAMPLES) / 48_000
            tone = (np.sin(times * 2 * np.pi * 440) * 8000).astype(np.int16)[:, None]
            packets += self.encoder.encode_audio(tone, number * SAMPLES)
        for track in Track:
            packets += self.encoder.flush(track)
        self.packets = sorted(packets, key=lambda packet: packet.dts_s)

    def play(
        self, put: Callable[[EncodedPacket], None], *, stop: threading.Event, at: dict[float, Callable[[], object]]
    ) -> float:
        """Put each packet when its time has come; do what is to be done `at` some time. Return how far it came."""
        began, todo = time.monotonic(), sorted(at.items(), key=lambda item: item[0])
        reached = 0.0
        for packet in self.packets:
            while (now := time.monotonic() - began) < packet.dts_s:
                if stop.wait(min(0.02, packet.dts_s - now)):
                    return reached
            if stop.is_set():
                return reached
            while todo and todo[0][0] <= packet.dts_s:
                todo.pop(0)[1]()
            put(packet)
            reached = max(reached, float((packet.pts + packet.duration) * packet.time_base))
        return reached
