"""Recordings as a kill leaves them: written by the real Recording, and copied away while it still writes."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from capture.source import ColorMatrix
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4.boxes import read_box
from tests.support.recorded import OneFile
from tests.support.waiting import wait_for

RATE = Fraction(30)
SIZE = (320, 180)
UNWRITTEN = 30
"""Packets that are not written yet when the kill comes."""


@dataclass(frozen=True)
class Left:
    """What is left on the disk, and what an undisturbed end would have made of the same packets."""

    killed: Path
    closed: Path


class Material:
    """Packets of a picture that grows lighter from frame to frame, with a tone; a keyframe every second."""

    def __init__(self, seconds: float, *, size: tuple[int, int] = SIZE, level: int = 16) -> None:
        self.encoder = Encoder(
            VideoSettings(*size, RATE, ColorMatrix.BT601, 400_000, 400_000, keyframe_s=1.0), AudioSettings(2, 64_000)
        )
        self.packets: list[EncodedPacket] = []
        for number in range(round(seconds * RATE)):
            self._add(number, size, level + number)
        for track in Track:
            self.packets += self.encoder.flush(track)
        self.packets.sort(key=lambda packet: packet.dts_s)

    def _add(self, number: int, size: tuple[int, int], level: int) -> None:
        frame = av.VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, (level % 220 + 16, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        self.packets += self.encoder.encode_video(frame, round(number / RATE / VIDEO_TIME_BASE))
        samples = np.arange(number * 1600, (number + 1) * 1600)
        tone = (np.sin(samples * 2 * np.pi * 440 / 48_000) * 8000).astype(np.int16)
        self.packets += self.encoder.encode_audio(np.repeat(tone[:, None], 2, axis=1), number * 1600)

    def since(self, at_s: float) -> list[EncodedPacket]:
        """Return the packets from the keyframe at `at_s` on, rebased to it: what a second path would be given."""
        moved = []
        for packet in self.packets:
            shift = round(Fraction(at_s) / packet.time_base)
            if packet.pts >= shift:
                moved.append(replace(packet, pts=packet.pts - shift, dts=packet.dts - shift))
        return moved

    def write(self, folder: Path, packets: Sequence[EncodedPacket] | None = None) -> Left:
        """Record `packets`, or all there are, and keep what is on the disk shortly before the end too."""
        folder.mkdir(parents=True, exist_ok=True)
        left = Left(folder / "killed.mp4", folder / "closed.mp4")
        failures: list[Exception] = []
        recording = OneFile(left.closed, self.encoder.templates, on_failure=failures.append)
        kept = list(self.packets if packets is None else packets)
        for packet in kept[:-UNWRITTEN]:
            recording.put(packet)
        reached_s = kept[-UNWRITTEN].dts_s - 0.4
        wait_for(lambda: recording.on_disk.media_time_s >= reached_s)
        shutil.copyfile(left.closed, left.killed)
        for packet in kept[-UNWRITTEN:]:
            recording.put(packet)
        recording.close()
        assert not failures
        return left


def fragments(path: Path) -> list[tuple[int, int]]:
    """Return where each whole fragment of a file begins and ends."""
    found, position, begin = [], 0, 0
    with path.open("rb", buffering=0) as file:
        while (box := read_box(file.fileno(), position)) and box.end <= path.stat().st_size:
            begin = box.start if box.kind == b"moof" else begin
            if box.kind == b"mdat":
                found.append((begin, box.end))
            position = box.end
    return found
