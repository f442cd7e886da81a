"""A short recording as encoded packets, and a sink that shares a program's packets with a test."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import PROGRAM_TRACKS, EncodedPacket, Track
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import Templates, TemplatesOf
from recorder.session import session
from recorder.session.outputs import SessionOutputs

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
    ) -> None:
        """Put each packet when its time has come; do what is to be done `at` some time."""
        began, todo = time.monotonic(), sorted(at.items(), key=lambda item: item[0])
        for packet in self.packets:
            while (now := time.monotonic() - began) < packet.dts_s:
                if stop.wait(min(0.02, packet.dts_s - now)):
                    return
            if stop.is_set():
                return
            while todo and todo[0][0] <= packet.dts_s:
                todo.pop(0)[1]()
            put(packet)


class Sink(Protocol):
    def put(self, packet: EncodedPacket) -> None: ...

    def close(self) -> None: ...


@contextmanager
def also_to(*makes: Callable[[Templates], Sink]) -> Iterator[None]:
    """Let each session that begins to record now give its program's packets to what `makes` return, too."""

    class OutputsAndSinks(SessionOutputs):
        def __init__(
            self,
            recording: Failover,
            form: int,
            templates_of: TemplatesOf,
            *,
            live: Destinations,
        ) -> None:
            super().__init__(recording, form, templates_of, live=live)
            program = {track: stream for track, stream in templates_of(form).items() if track in PROGRAM_TRACKS}
            self._sinks = [make(program) for make in makes]

        def put(self, packet: EncodedPacket) -> None:
            super().put(packet)
            if packet.track in PROGRAM_TRACKS:
                for sink in self._sinks:
                    sink.put(packet)

        def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
            super().close(marks, title)
            for sink in self._sinks:
                sink.close()

    # By hand: unittest.mock loads asyncio, which a bench would count.
    setattr(session, "SessionOutputs", OutputsAndSinks)  # noqa: B010 - it is no export of session
    try:
        yield
    finally:
        setattr(session, "SessionOutputs", SessionOutputs)  # noqa: B010
