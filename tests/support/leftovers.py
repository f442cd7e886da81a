"""Work folders as kills leave them, recordings cut short, and their recovery."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import av
import msgspec
import numpy as np

from capture.source import ColorMatrix
from config.events import Event
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4.boxes import read_box
from recorder.package.fixity import walk
from recorder.package.metadata import Package, Recording
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, media
from tests.support.archives import CONTEXT, STARTED
from tests.support.media import OneFile
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

UUID_ = UUID("3f2a91c0-0000-4000-8000-000000000001")
TITLE = "Rapat Senat"


def event(after_s: float, kind: str, subject: str = "", **detail: object) -> Event:
    return Event(STARTED + timedelta(seconds=after_s), kind, subject or kind, detail, f"{kind} happened.")


def live(after_s: float = 0.0, **detail: object) -> Event:
    return event(after_s, "session-live", "paket", **({"picture": "podium", "rate": 30.0} | detail))


def leave(
    archive: Archive,
    media: Mapping[str, Path],
    *,
    part: int = 1,
    offset_s: float = 0.0,
    copy: int = 1,
    events: Sequence[Event] = (),
    written_s: float | None = None,
    uuid: UUID = UUID_,
    title: str = TITLE,
) -> Path:
    """Leave a part of a session: files of media by name, its events, written last `written_s` after the start."""
    work = archive.begin(title, STARTED, CONTEXT, uuid=uuid, part=part, offset_s=offset_s, copy=copy)
    for name, source in media.items():
        shutil.copyfile(source, work.media / name)
        if written_s is not None:
            moment = (STARTED + timedelta(seconds=written_s)).timestamp()
            os.utime(work.media / name, (moment, moment))
    work.events.write_bytes(b"".join(msgspec.json.encode(each) + b"\n" for each in events))
    work.release()
    return work.path


RATE = Fraction(30)
UNWRITTEN = 30
"""Packets that are not written yet when the kill comes."""


@dataclass(frozen=True)
class Left:
    """What is left on the disk, and what an undisturbed end would have made of the same packets."""

    killed: Path
    closed: Path


def leave_killed(archive: Archive, left: Left, *, offset_s: float = 0.0, **more: Any) -> Path:
    """Leave a part whose recorder was killed; without `events` its log says only that it began at `offset_s`."""
    return leave(archive, {"program.mp4": left.killed}, offset_s=offset_s, **({"events": [live(offset_s)]} | more))


class Material:
    """Packets of a picture that grows lighter from frame to frame, with a tone; a keyframe every second."""

    def __init__(self, seconds: float, *, size: tuple[int, int] = (320, 180)) -> None:
        self.encoder = Encoder(
            VideoSettings(*size, RATE, ColorMatrix.BT601, 400_000, 400_000, keyframe_s=1.0), AudioSettings(2, 64_000)
        )
        self.packets: list[EncodedPacket] = []
        for number in range(round(seconds * RATE)):
            self._add(number, size)
        for track in Track:
            self.packets += self.encoder.flush(track)
        self.packets.sort(key=lambda packet: packet.dts_s)

    def _add(self, number: int, size: tuple[int, int]) -> None:
        frame = av.VideoFrame(*size, "yuv420p")
        for plane, value in zip(frame.planes, ((number + 16) % 220 + 16, 128, 128), strict=True):
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


def recover(*archives_: Archive, disk: DurableFiles | None = None) -> list[RecoveryOutcome]:
    recovery = Recovery(archives_, clock=SimulatedClock(), disk=disk or DurableFiles())
    return [recovery.recover(session) for session in find_unfinished(archives_)]


def only(*archives_: Archive) -> tuple[RecoveryOutcome, Package, Recording]:
    """Recover the one session there is; everything about its package must hold."""
    (outcome,) = recover(*archives_)
    assert outcome.state is RecoveryState.SEALED, outcome
    (package,) = [package for archive in archives_ for package in archive.list()]
    assert package.path == outcome.package
    checked(archives_[0], package)
    assert package.recording
    assert recover(*archives_) == [], "a second time changes nothing"
    for archive in archives_:
        incoming = archive.root / ".incoming"
        assert not incoming.exists() or not any(incoming.iterdir())
    return outcome, package, package.recording


def checked(archive: Archive, package: Package) -> None:
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    for file in (package.folder / "data" / "media").iterdir():
        media.decodes_cleanly(file)


def program_of(package: Package) -> Path:
    return package.folder / "data" / "media" / "program.mp4"


def log_of(package: Package) -> list[dict[str, object]]:
    return [json.loads(line) for line in (package.folder / "metadata" / "events.jsonl").read_text().splitlines()]


def contents(root: Path) -> dict[str, bytes]:
    return {path: (root / path).read_bytes() for path in walk(root)[0]}
