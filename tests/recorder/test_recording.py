"""The recording: an ordinary MP4 after a clean close, a playable one after a kill, and truthful in between."""

import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import pytest

from capture.source import Matrix
from config.errors import (
    LiputError,
    StorageError,
    StorageFull,
    StorageStalled,
    StorageUnwritable,
    StorageVanished,
)
from devices.clock import NANOSECONDS, SystemClock
from recorder.archive.media import holds_media
from recorder.archive.model import Mark
from recorder.encoder import AudioSettings, Encoder
from recorder.packet import EncodedPacket, Track
from recorder.recording import Recording
from recorder.storage import storage_error
from recorder.x264 import VIDEO_TIME_BASE, VideoSettings
from tests.support import media
from tests.support.waiting import wait_for

RATE = Fraction(30)


type Packet = "av.Packet[av.stream.Stream]"


class SlowContainer:
    """A container whose disk takes nothing until it is let."""

    def __init__(self, mux: Callable[[Packet], None], close: Callable[[], None], disk: threading.Event) -> None:
        self._mux = mux
        self.close = close
        self._disk = disk

    def mux(self, packet: Packet) -> None:
        self._disk.wait(30)
        self._mux(packet)


class PutsPackets(Protocol):
    def put(self, packet: EncodedPacket) -> None: ...


def encoder() -> Encoder:
    return Encoder(VideoSettings(320, 180, RATE, Matrix.BT601, 400_000, 400_000), AudioSettings(2, 64_000))


def feed(encoder: Encoder, recording: PutsPackets, first: int, count: int) -> None:
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


def record(path: Path, count: int) -> Recording:
    made = encoder()
    failures: list[LiputError] = []
    recording = Recording(path, made.templates, clock=SystemClock(), on_failure=failures.append, sync_s=0.02)
    feed(made, recording, 0, count)
    for track in Track:
        for packet in made.flush(track):
            recording.put(packet)
    recording.close()
    made.close()
    assert not failures
    return recording


def is_full(recording: Recording) -> bool:
    return recording._queue.qsize() >= 20


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


def test_a_closed_recording_is_an_ordinary_mp4_with_every_picture(tmp_path: Path) -> None:
    recording = record(tmp_path / "a.mp4", 150)
    media.decodes_cleanly(recording.path)
    pictures = media.decoded(recording.path, "v")
    assert (pictures.frames, pictures.start_s) == (150, 0)
    assert pictures.end_s == pytest.approx(5.0, abs=0.001)
    assert media.decoded(recording.path, "a").end_s == pytest.approx(5.0, abs=0.03)
    assert recording.on_disk.bytes == recording.path.stat().st_size
    assert recording.on_disk.media_time_s == pytest.approx(5.0, abs=0.03)
    content = recording.path.read_bytes()
    size, kind = struct.unpack_from(">I4s", content, 36)
    assert (content[4:8], kind, content[36 + size + 4 :][:4]) == (b"ftyp", b"mdat", b"moov")


@pytest.mark.parametrize("count", [1, 2, 3, 12, 60, *range(110, 122)])
def test_the_last_picture_is_there_whatever_the_length(tmp_path: Path, count: int) -> None:
    # x264 decides which of the last pictures are B-frames; 117 is a length at which the last one shown is not
    # the last one in the file.
    recording = record(tmp_path / "a.mp4", count)
    pictures = media.decoded(recording.path, "v")
    assert pictures.frames == count
    assert pictures.end_s == pytest.approx(count / 30, abs=0.001) or count == 1


def test_flash_and_beep_play_together(tmp_path: Path) -> None:
    recording = record(tmp_path / "a.mp4", 150)
    flashes, beeps = onsets(recording.path)
    assert len(flashes) == len(beeps) == 5
    assert flashes == pytest.approx(beeps, abs=0.005)


def test_pictures_that_come_long_after_their_sound_play_with_it(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    pictures: list[EncodedPacket] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append)

    class SoundFirst:
        def put(self, packet: EncodedPacket) -> None:
            if packet.track == Track.VIDEO:
                pictures.append(packet)
            else:
                recording.put(packet)

    feed(made, SoundFirst(), 0, 90)
    for packet in [*pictures, *made.flush(Track.VIDEO), *made.flush(Track.AUDIO)]:
        recording.put(packet)
    recording.close()
    made.close()
    assert not failures
    flashes, beeps = onsets(recording.path)
    assert flashes == pytest.approx([0, 1, 2], abs=0.001)
    assert beeps == pytest.approx([0, 1, 2], abs=0.005)


CHILD = """
import sys, threading
from pathlib import Path
from devices.clock import SystemClock
from recorder.recording import Recording
from tests.recorder import test_recording as t
encoder = t.encoder()
recording = Recording(Path(sys.argv[1]), encoder.templates, clock=SystemClock(), on_failure=print, sync_s=0.02)
for start in range(0, 3000, 5):
    t.feed(encoder, recording, start, 5)
    # The writer must have taken what was fed, or the figure would be that of the queue.
    while recording._queue.qsize():
        threading.Event().wait(0.001)
    fed = (start + 5) / 30
    if fed > float(sys.argv[2]):
        # Only the encoder's delay and one fragment may be missing.
        for _ in range(2000):
            if recording.on_disk.media_time_s >= fed - 0.8:
                break
            threading.Event().wait(0.005)
        print(recording.on_disk.media_time_s, fed, flush=True)
        sys.stdin.read()
"""


def test_a_killed_recording_plays_what_it_said_was_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "killed.mp4"
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), "7.0"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd())},
    )
    assert child.stdout
    assert child.stdin
    on_disk, fed = map(float, child.stdout.readline().split())
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    child.stdin.close()
    plays_to = min(media.decoded(path, kind).end_s for kind in "va")
    assert on_disk >= fed - 0.8
    assert plays_to >= on_disk - 0.001
    assert fed - plays_to <= 0.8
    flashes, beeps = onsets(path)
    assert len(flashes) >= 6
    assert flashes == pytest.approx(beeps[: len(flashes)], abs=0.005)


def test_what_is_reported_grows_with_the_file_and_never_beyond_it(tmp_path: Path) -> None:
    made = encoder()
    failed = threading.Event()
    recording = Recording(
        tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=lambda _: failed.set(), sync_s=0.005
    )
    seen = []
    for start in range(0, 300, 10):
        feed(made, recording, start, 10)
        seen.append((recording.on_disk.media_time_s, (start + 10) / 30, recording.on_disk.bytes))
    wait_for(lambda: recording.on_disk.media_time_s > 9)
    recording.close()
    made.close()
    assert not failed.is_set()
    assert [reading[0] for reading in seen] == sorted(reading[0] for reading in seen)
    assert all(on_disk <= fed for on_disk, fed, _ in seen)
    assert all(size <= recording.path.stat().st_size for _, _, size in seen)


def test_a_disk_that_fills_up_fails_once_and_loudly_and_what_was_written_stays(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    failed = threading.Event()

    def on_failure(error: LiputError) -> None:
        failures.append(error)
        failed.set()

    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=on_failure)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (15_000, no_limit[1]))
    try:
        feed(made, recording, 0, 300)
        assert failed.wait(60)
        feed(made, recording, 300, 30)
        recording.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    made.close()
    assert [type(error) for error in failures] == [StorageFull]
    assert "no larger file" in failures[0].message
    assert media.decoded(recording.path, "v").frames > 30


class LaterClock(SystemClock):
    """The machine's clock, put on."""

    later_s = 0.0

    def now_ns(self) -> int:
        return super().now_ns() + round(self.later_s * NANOSECONDS)


def test_a_disk_that_falls_a_minute_behind_fails_a_live_session_whatever_was_handed_over_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock, disk = encoder(), LaterClock(), threading.Event()
    failures: list[LiputError] = []
    packets: list[EncodedPacket] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=clock, on_failure=failures.append)
    container = recording._container
    monkeypatch.setattr(recording, "_container", SlowContainer(container.mux, container.close, disk))

    class List:
        put = staticmethod(packets.append)

    feed(made, List(), 0, 90)
    sound = [packet for packet in packets if packet.track == Track.AUDIO][5]
    backlog = [*packets, *(replace(sound, pts=n * 1024, dts=n * 1024) for n in range(200, 10_000))]
    for packet in backlog:
        recording.put(packet)
    clock.later_s = 59
    recording.put(replace(sound, pts=10_000 * 1024, dts=10_000 * 1024))
    disk.set()
    wait_for(lambda: recording._writing_since_ns is None and recording._queue.qsize() == 0)
    disk.clear()
    clock.later_s = 1000  # nothing came meanwhile, so nothing waits
    for n in (10_001, 10_002):
        recording.put(replace(sound, pts=n * 1024, dts=n * 1024))
    wait_for(lambda: recording._writing_since_ns is not None)
    assert not failures
    clock.later_s = 1061
    recording.put(replace(sound, pts=10_003 * 1024, dts=10_003 * 1024))
    assert [type(error) for error in failures] == [StorageError]
    assert "too slowly" in failures[0].message
    disk.set()
    recording.close()
    made.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(10_002 * 1024 / 48_000, abs=0.1)


def test_a_slow_disk_holds_up_a_session_without_a_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.recording.QUEUE_PACKETS", 20)
    made, disk = encoder(), threading.Event()
    failures: list[LiputError] = []
    recording = Recording(
        tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append, waits=True
    )
    container = recording._container
    monkeypatch.setattr(recording, "_container", SlowContainer(container.mux, container.close, disk))
    feeder = threading.Thread(target=feed, args=(made, recording, 0, 90))
    feeder.start()
    wait_for(partial(is_full, recording))
    assert feeder.is_alive()
    disk.set()
    feeder.join(60)
    recording.close()
    assert not failures
    assert media.decoded(recording.path, "v").frames > 70
    late = threading.Thread(target=feed, args=(made, recording, 90, 30), daemon=True)
    late.start()
    late.join(60)
    assert not late.is_alive(), "nobody waits for a writer that has ended"
    made.close()


def test_a_fault_of_our_own_ends_the_recording_in_order(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append)
    feed(made, recording, 0, 60)
    packet = made.encode_video(av.VideoFrame(320, 180, "yuv420p"), 180_000)[0]
    recording.put(replace(packet, data=b""))
    recording.put(replace(packet, time_base=None))  # type: ignore[arg-type] # the fault
    recording.put(packet)
    recording.close()
    made.close()
    assert len(failures) == 1
    assert media.decoded(recording.path, "v").frames > 30


def test_marks_are_chapters_for_every_player(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append)
    feed(made, recording, 0, 120)
    at = datetime(2026, 11, 24, 9, tzinfo=UTC)
    recording.close(
        [Mark(at=at, media_s=1.5, text="Sambutan 🎓"), Mark(at=at, media_s=3.0, text="Tanya jawab")], "Rapat"
    )
    made.close()
    assert not failures
    media.decodes_cleanly(recording.path)
    listing = media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", recording.path)
    found = [(float(chapter["start_time"]), chapter["tags"]["title"]) for chapter in json.loads(listing)["chapters"]]
    assert found == [(0.0, "Rapat"), (1.5, "Sambutan 🎓"), (3.0, "Tanya jawab")]


LONG = """
import sys
from dataclasses import replace
from pathlib import Path
import psutil
from devices.clock import SystemClock
from recorder.packet import Track
from recorder.recording import Recording
from tests.recorder import test_recording as t
made, packets = t.encoder(), []
class List:
    put = staticmethod(packets.append)
t.feed(made, List, 0, 60)
picture = [packet for packet in packets if packet.track == Track.VIDEO][5]
sound = [packet for packet in packets if packet.track == Track.AUDIO][5]
failures = []
recording = Recording(
    Path(sys.argv[1]), made.templates, clock=SystemClock(), on_failure=failures.append, waits=True, sync_s=0.1
)
grown, sounds = [], 0
for number in range(70 * 60 * 25):
    at = number * 3600
    recording.put(replace(picture, pts=at, dts=at, duration=3600, is_keyframe=number % 50 == 0))
    while sounds * 1024 * 90_000 < at * 48_000:
        recording.put(replace(sound, pts=sounds * 1024, dts=sounds * 1024))
        sounds += 1
    if number in {10 * 60 * 25, 69 * 60 * 25}:
        grown.append(psutil.Process().memory_info().rss)
recording.close()
print(*grown, len(failures))
"""


def test_an_hour_of_recording_takes_no_more_memory_than_ten_minutes(tmp_path: Path) -> None:
    path = tmp_path / "long.mp4"
    env = os.environ | {"PYTHONPATH": str(Path.cwd())}
    told = subprocess.run([sys.executable, "-c", LONG, path], capture_output=True, text=True, env=env, check=True)
    before, after, failures = map(int, told.stdout.split())
    assert not failures
    assert after - before < 1_000_000
    shown = media.run("ffprobe", "-v", "error", "-show_entries", "stream=nb_frames,duration", "-of", "csv=p=0", path)
    assert shown.split() == ["4200.000000,105000", "4199.978667,196874"]


def test_a_recording_that_nothing_came_for_is_closed_without_a_word(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    recording = Recording(tmp_path / "a.mp4", made.templates, clock=SystemClock(), on_failure=failures.append)
    recording.close()
    made.close()
    assert not failures
    assert not holds_media(recording.path)


class Hung:
    """Stands for the module `os` where a recording is synced: a disk that takes nothing from some moment on."""

    def __init__(self) -> None:
        self.hangs, self.lets_go, self.asked = threading.Event(), threading.Event(), threading.Event()

    def _ask(self, descriptor: int) -> None:
        if self.hangs.is_set():
            self.asked.set()
            self.lets_go.wait(60)
        os.fsync(descriptor)

    fsync = fdatasync = _ask

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


def test_a_disk_that_never_answers_is_left_to_itself_when_the_recording_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Hung()
    monkeypatch.setattr("recorder.storing.file.os", disk)
    monkeypatch.setattr("recorder.recording.CLOSE_S", 0.3)
    made = encoder()
    failures: list[LiputError] = []
    path = tmp_path / "a.mp4"
    recording = Recording(path, made.templates, clock=SystemClock(), on_failure=failures.append, sync_s=0.02)
    feed(made, recording, 0, 60)
    wait_for(lambda: recording.on_disk.media_time_s > 0.5)
    disk.hangs.set()
    assert disk.asked.wait(60)
    safe = recording.on_disk
    feed(made, recording, 60, 60)
    wait_for(lambda: path.stat().st_size > safe.bytes)
    assert recording.on_disk == safe, "what is not safe is not reported"
    recording.close()
    assert recording.abandoned
    assert [type(error) for error in failures] == [StorageStalled]
    disk.lets_go.set()
    for thread in (recording._writer, recording._syncer):
        thread.join(60)
    made.close()
    assert media.decoded(path, "v").frames > 90


def test_a_file_that_was_taken_away_is_a_disk_that_has_gone(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    path = tmp_path / "a.mp4"
    recording = Recording(path, made.templates, clock=SystemClock(), on_failure=failures.append, sync_s=0.02)
    feed(made, recording, 0, 60)
    path.rename(tmp_path / "b.mp4")
    wait_for(lambda: bool(failures))
    recording.close()
    made.close()
    assert [type(error) for error in failures] == [StorageVanished]


def test_a_disk_that_is_full_from_the_start_is_refused() -> None:
    made = encoder()
    with pytest.raises(StorageFull, match="full"):
        Recording(Path("/dev/full"), made.templates, clock=SystemClock(), on_failure=print)
    made.close()


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    made = encoder()
    with pytest.raises(StorageUnwritable, match="No such file"):
        Recording(tmp_path / "gone" / "a.mp4", made.templates, clock=SystemClock(), on_failure=print)
    made.close()


def test_what_the_file_system_says_is_told_apart(tmp_path: Path) -> None:
    assert "full" in storage_error(OSError(28, "No space left"), tmp_path / "a").message
    assert "read-only" in storage_error(OSError(30, "Read-only"), tmp_path / "a").message
    assert "failed" in storage_error(OSError(5, "Input/output error"), tmp_path / "a").message
