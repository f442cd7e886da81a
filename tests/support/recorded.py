"""A recording of flashes and beeps at the same moments, and when each plays."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import numpy as np

from capture.source import ColorMatrix, Samples
from config.errors import LiputError
from config.settings.schema import RecordingSettings as RecordingSettings
from devices.host.clock import Clock, SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track
from recorder.package.metadata import Begun, SessionContext
from recorder.package.work_folder import WorkFolder
from recorder.recording.mp4_file import Mp4File
from recorder.recording.replica import Replica, ReplicaPlace
from recorder.recording.replica_opener import Templates

RATE = Fraction(30)
FAST = RecordingSettings(sync_s=0.02)


class Encodes(Protocol):
    def encode_video(self, picture: av.VideoFrame, pts: int, /) -> list[EncodedPacket]: ...

    def encode_audio(self, samples: Samples, pts: int, /) -> list[EncodedPacket]: ...


class PutsPackets(Protocol):
    def put(self, packet: EncodedPacket) -> None: ...


class OneFile(Replica):
    """A replica without a session, that is given packets as one is."""

    def __init__(
        self,
        path: Path,
        templates: Templates,
        *,
        on_failure: Callable[[LiputError], None],
        clock: Clock | None = None,
        settings: RecordingSettings = FAST,
        waits: bool = False,
        file: Mp4File | None = None,
    ) -> None:
        clock = clock or SystemClock()
        begun = Begun(uuid="uuid", title="Rapat", started_at=clock.now(), host="host", context=SessionContext())
        super().__init__(
            ReplicaPlace(Archive(path.parent, clock), WorkFolder(path.parent, begun)),
            file or Mp4File(path, templates, settings.fragment_s, made=clock.now(), is_live=not waits),
            clock=clock,
            settings=settings,
            waits=waits,
            on_failure=lambda _, error: on_failure(error),
        )
        self.path = path
        self.begin()

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet; does not wait for the disk, unless the session runs as fast as its outputs."""
        self.wait_for_room()
        super().put(packet)

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        """Close the file, and wait for that."""
        super().close(marks, title)
        self.wait()


def encoder() -> Encoder:
    return Encoder(VideoSettings(320, 180, RATE, ColorMatrix.BT601, 400_000, 400_000), AudioSettings(2, 64_000))


def feed(encoder: Encodes, recording: PutsPackets, first: int, count: int) -> None:
    """Feed pictures `first` to `first + count`: white in the first tenth of each second, with a beep beside it."""
    for number in range(first, first + count):
        frame = av.VideoFrame(320, 180, "yuv420p")
        level = 235 if number % 30 < 3 else 40 + number % 50
        for plane, value in zip(frame.planes, (level, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        for packet in encoder.encode_video(frame, round(number / RATE / VIDEO_TIME_BASE)):
            recording.put(packet)
        samples = np.arange(number * 1600, (number + 1) * 1600)
        tone = np.where(samples % 48_000 < 4800, np.sin(samples * 2 * np.pi * 1000 / 48_000) * 12_000, 0)
        sound = np.repeat(tone.astype(np.int16)[:, None], 2, axis=1)
        for packet in encoder.encode_audio(sound, number * 1600):
            recording.put(packet)


def record(path: Path, count: int) -> OneFile:
    made = encoder()
    failures: list[LiputError] = []
    recording = OneFile(path, made.templates, on_failure=failures.append)
    feed(made, recording, 0, count)
    for track in Track:
        for packet in made.flush(track):
            recording.put(packet)
    recording.close()
    made.close()
    assert not failures
    return recording


def onsets(path: Path) -> tuple[list[float], list[float]]:
    """When the flashes and the beeps of a recording begin, in seconds, as it plays."""
    with av.open(str(path)) as container:
        flashes, lit = [], False
        for picture in container.decode(video=0):
            bright = bool(picture.to_ndarray(format="gray").mean() > 200)
            if bright and not lit and picture.time is not None:
                flashes.append(picture.time)
            lit = bright
    with av.open(str(path)) as container:
        beeps, quiet_since = [], -1.0
        for frame in container.decode(audio=0):
            assert frame.time is not None
            for index in np.flatnonzero(np.abs(frame.to_ndarray()[0]) > 0.1):
                at = frame.time + float(index) / 48_000
                if at - quiet_since > 0.5:
                    beeps.append(at)
                quiet_since = at
    return flashes, beeps
