"""A replica: an ordinary MP4 after a clean close, a playable one after a kill, and truthful in between."""

import json
import resource
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from config.errors import LiputError, StorageError
from config.settings.schema import RecordingSettings as RecordingSettings
from config.settings.schema import read_settings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.encode.encoder import AAC_FRAME
from recorder.model.packet import EncodedPacket
from recorder.recording.failover import WATCH_S
from recorder.recording.mp4_file import Mp4File
from recorder.recording.replica import ReplicaStallDetector, ReplicaState, stall_after_s
from recorder.recording.replica_opener import Templates
from tests.bench.rows import fragments
from tests.support import media
from tests.support.command import ROOT
from tests.support.copies import full_disk
from tests.support.encoded import SmallEncoder
from tests.support.errors import because
from tests.support.media import OneFile, encoder, feed, onsets, record
from tests.support.processes import limited
from tests.support.storage import Disks
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("sessions in real time", lane="sessions")


class Fed(OneFile):
    """A replica fed by an encoder of its own, which ends with it; notes its faults."""

    def __init__(self, path: Path, made: Any = None, **more: Any) -> None:
        self.made: Any = made or encoder()
        self.failures: list[LiputError] = []
        super().__init__(path, self.made.templates, on_failure=self.failures.append, **more)

    def feed(self, first: int, count: int) -> None:
        feed(self.made, self, first, count)

    def close(self, marks: Any = (), title: str = "") -> None:
        super().close(marks, title)
        self.made.close()


def test_a_closed_recording_is_an_ordinary_mp4_with_every_picture(tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
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
    flashes, beeps = onsets(recording.path)
    assert len(flashes) == len(beeps) == 5
    assert flashes == pytest.approx(beeps, abs=0.005)
    words = ("-v", "error", "-show_format", "-show_streams", "-of", "json")
    shown = json.loads(media.run("ffprobe", *words, recording.path))
    for part in (shown["format"], *shown["streams"]):  # without it players say 1904
        assert before <= datetime.fromisoformat(part["tags"]["creation_time"]) <= datetime.now(UTC)


def test_sound_from_a_change_of_format_on_belongs_to_the_next_file(tmp_path: Path) -> None:
    recording = Fed(tmp_path / "a.mp4")
    recording.until = Fraction(2)
    recording.feed(0, 90)
    recording.close()
    assert media.decoded(recording.path, "v").end_s > 2.5, "pictures know their format"
    assert 0 <= media.decoded(recording.path, "a").end_s - 2 < AAC_FRAME / 48_000


@pytest.mark.parametrize("count", [1, 117])
def test_the_last_picture_is_there_whatever_the_length(tmp_path: Path, count: int) -> None:
    # x264 decides which of the last pictures are B-frames: of 117 the last one shown is not the last one in the file.
    pictures = media.decoded(record(tmp_path / "a.mp4", count).path, "v")
    assert pictures.frames == count
    assert pictures.end_s == pytest.approx(count / 30, abs=0.001) or count == 1


@pytest.mark.parametrize(
    ("bit_rate", "waits", "begun"), [(400_000, False, True), (40_000_000, False, False), (400_000, True, False)]
)
def test_of_a_live_session_what_is_more_than_its_bit_rate_is_written_at_once(
    tmp_path: Path, bit_rate: int, waits: bool, begun: bool
) -> None:
    path, made = tmp_path / "a.mp4", SmallEncoder(noise=True, bit_rate=bit_rate)
    recording = Fed(path, made, settings=RecordingSettings(), waits=waits)
    for packet in [packet for _ in range(3) for packet in made.next()]:
        recording.put(packet)
    wait_for(lambda: not recording.waiting)
    if begun:
        wait_for(lambda: fragments(path))
    else:
        time.sleep(0.2)
        assert not path.stat().st_size
    for packet in [packet for _ in range(87) for packet in made.next()] + made.flush():
        recording.put(packet)
    recording.close()
    assert not recording.failures
    assert media.decoded(path, "v").frames == 90
    media.decodes_cleanly(path)


CHILD = """
import sys, threading
from pathlib import Path
from tests.support import media as t
encoder = t.encoder()
recording = t.OneFile(Path(sys.argv[1]), encoder.templates, on_failure=print)
for start in range(0, 3000, 5):
    t.feed(encoder, recording, start, 5)
    # The writer must have taken what was fed, or the figure would be that of the queue.
    while recording.waiting:
        threading.Event().wait(0.001)
    fed = (start + 5) / 30
    if fed > float(sys.argv[2]):
        # Only the encoder's delay and one fragment may be missing.
        for _ in range(12000):
            if recording.on_disk.media_time_s >= fed - 0.8:
                break
            threading.Event().wait(0.005)
        print(recording.on_disk.media_time_s, fed, flush=True)
        sys.stdin.read()
"""


def test_a_killed_recording_plays_what_it_said_was_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "killed.mp4"
    command = [sys.executable, "-c", CHILD, str(path), "7.0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout
        on_disk, fed = map(float, child.stdout.readline().split())
        child.kill()
    plays_to = min(media.decoded(path, kind).end_s for kind in "va")
    assert on_disk >= fed - 0.8
    assert plays_to >= on_disk - 0.001
    assert fed - plays_to <= 0.8
    flashes, beeps = onsets(path)
    assert len(flashes) >= 6
    assert flashes == pytest.approx(beeps[: len(flashes)], abs=0.005)


class SlowFile(Mp4File):
    """A file whose disk takes nothing until it is let."""

    def __init__(self, path: Path, templates: Templates) -> None:
        super().__init__(path, templates, 0.1, made=SystemClock().now(), is_live=True)
        self.disk, self.is_asked = threading.Event(), threading.Event()

    def mux(self, encoded: EncodedPacket) -> None:
        self.is_asked.set()
        self.disk.wait(30)
        super().mux(encoded)
        self.is_asked.clear()


def test_a_disk_that_fills_up_fails_once_and_loudly_and_what_was_written_stays(tmp_path: Path) -> None:
    recording = Fed(tmp_path / "a.mp4")
    with limited(resource.RLIMIT_FSIZE, 15_000):
        recording.feed(0, 300)
        wait_for(lambda: recording.failures)
        recording.feed(300, 30)
        recording.close()
    assert [error.why for error in recording.failures] == ["full"]
    assert "no larger file" in recording.failures[0].message
    assert media.decoded(recording.path, "v").frames > 30


class LaterClock(SystemClock):
    """The machine's clock, put on."""

    later_s = 0.0

    def now_ns(self) -> int:
        return super().now_ns() + round(self.later_s * NANOSECONDS)


def test_a_disk_that_falls_a_minute_behind_fails_a_live_session_however_much_waits(tmp_path: Path) -> None:
    clock, made = LaterClock(), encoder()
    file = SlowFile(tmp_path / "a.mp4", made.templates)
    recording = Fed(file.path, made, file=file, clock=clock)
    recording.feed(0, 60)
    assert file.is_asked.wait(60)
    clock.later_s = 30
    recording.feed(60, 1)
    assert not recording.failures
    file.disk.set()
    wait_for(lambda: not recording.waiting)
    file.disk.clear()
    clock.later_s = 1000  # nothing came meanwhile, so nothing waits
    recording.feed(61, 60)
    assert file.is_asked.wait(60)
    assert not recording.failures
    clock.later_s = 1061
    recording.feed(121, 2)
    assert ["too slow" in error.message for error in recording.failures] == [True]
    file.disk.set()
    recording.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(121 / 30, abs=0.1)
    assert recording.on_disk.bytes == recording.path.stat().st_size


def test_a_slow_disk_holds_up_a_session_without_a_clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.recording.replica.QUEUE_PACKETS", 20)
    made = encoder()
    failures: list[LiputError] = []
    file = SlowFile(tmp_path / "a.mp4", made.templates)
    recording = OneFile(file.path, made.templates, on_failure=failures.append, waits=True, file=file)
    feeder = threading.Thread(target=feed, args=(made, recording, 0, 90))
    feeder.start()
    wait_for(lambda: recording.is_full)
    assert feeder.is_alive()
    file.disk.set()
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
    recording = Fed(tmp_path / "a.mp4")
    recording.feed(0, 60)
    packet = recording.made.encode_video(av.VideoFrame(320, 180, "yuv420p"), 180_000)[0]
    recording.put(replace(packet, data=b""))
    recording.put(replace(packet, time_base=None))  # the fault
    recording.put(packet)
    recording.close()
    assert len(recording.failures) == 1
    assert media.decoded(recording.path, "v").frames > 30


def test_a_disk_that_never_answers_is_left_to_itself_when_the_recording_is_closed(
    tmp_path: Path, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = set(threading.enumerate())
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.3)
    path = tmp_path / "a.mp4"
    recording = Fed(path)
    recording.feed(0, 60)
    wait_for(lambda: recording.on_disk.media_time_s > 0.5)
    disks.hung = tmp_path
    assert disks.hangs.wait(60)
    safe = recording.on_disk
    recording.feed(60, 60)
    wait_for(lambda: path.stat().st_size > safe.bytes)
    assert recording.on_disk == safe, "what is not safe is not reported"
    recording.close()
    assert (recording.state, recording.answers) == (ReplicaState.CLOSING, False)
    assert [error.why for error in recording.failures] == ["stalled"]
    disks.let_go.set()
    wait_for(lambda: set(threading.enumerate()) <= before)
    assert recording.state is ReplicaState.CLOSING, "nobody waits for it any more"
    assert media.decoded(path, "v").frames > 90


def test_a_disk_that_is_full_from_the_start_or_not_there_is_refused(tmp_path: Path) -> None:
    made = encoder()
    with full_disk(tmp_path / "disk") as disk, pytest.raises(StorageError, match="full", check=because("full")):
        OneFile(disk / "program.mp4", made.templates, on_failure=print)
    with pytest.raises(StorageError, match="No such file", check=because("unwritable")):
        OneFile(tmp_path / "gone" / "a.mp4", made.templates, on_failure=print)
    made.close()


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def test_a_stop_is_told_once_within_five_seconds_and_its_end_too() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    told = {}
    for quarter in range(80):
        now = quarter / 4
        found = min(now, 5.0) if now < 15 else now
        change = watch.update(at(now), found, now + 0.5)
        if change:
            told[change] = now
    assert list(told) == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert 8 < told[ReplicaState.STALLED] <= 10
    assert told[ReplicaState.WRITING] == 15
    assert not watch.is_stalled


@pytest.mark.parametrize("extreme", [0.1, 1.0])
def test_it_is_told_within_five_seconds_whatever_is_set(extreme: float) -> None:
    text = f"[recording]\nfragment_s = {extreme}\nsync_s = {extreme}\n"
    settings = read_settings(text, Path("liput.toml")).recording
    assert settings.fragment_s + settings.sync_s + 2 <= stall_after_s(settings) <= 5 - 2 * WATCH_S


def test_a_time_in_which_the_whole_process_stood_still_does_not_count() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert watch.update(at(1), 1.0, 2.0) is None
    watch.excuse(at(101), at(100))
    assert watch.update(at(101), 1.0, 2.0) is None
    assert watch.stalled_for_s(at(104)) == 3
    assert watch.update(at(105), 1.0, 2.0) is ReplicaState.STALLED
    watch.excuse(at(106), at(100))
    assert watch.stalled_for_s(at(106)) == 0


def test_where_nothing_waits_for_the_disk_nothing_is_stalled() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert watch.update(at(0), 2.0, 2.0) is None
    assert [watch.update(at(second), 2.0, 2.0) for second in range(60)] == [None] * 60
    assert watch.stalled_for_s(at(60)) <= 1
