"""A replica: an ordinary MP4 after a clean close, a playable one after a kill, and truthful in between."""

import itertools
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import OutputContainer
from av.stream import Stream

from config.errors import LiputError, StorageError
from config.settings.schema import RecordingSettings as RecordingSettings
from config.settings.schema import read_settings
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.archive.archive import Archive
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.package.media import holds_media
from recorder.package.metadata import Begun, SessionContext
from recorder.package.work_folder import WorkFolder
from recorder.recording.failover import WATCH_S
from recorder.recording.mp4_file import AppendOnlyFile, Mp4File
from recorder.recording.replica import Replica, ReplicaPlace, ReplicaStallDetector, ReplicaState, stall_after_s
from recorder.recording.replica_opener import Templates
from tests.bench.rows import fragments
from tests.support import media
from tests.support.copies import full_disk
from tests.support.encoded import SmallEncoder
from tests.support.errors import because
from tests.support.media import OneFile, encoder, feed, onsets, record
from tests.support.storage import Disks
from tests.support.waiting import wait_for


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


def test_it_says_when_it_was_made_and_not_1904(tmp_path: Path) -> None:
    before = datetime.now(UTC)
    recording = record(tmp_path / "a.mp4", 30)
    words = ("-v", "error", "-show_format", "-show_streams", "-of", "json")
    shown = json.loads(media.run("ffprobe", *words, recording.path))
    for part in (shown["format"], *shown["streams"]):
        made = datetime.fromisoformat(part["tags"]["creation_time"])
        assert before.replace(microsecond=0) <= made <= datetime.now(UTC)


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
    pictures: list[EncodedPacket] = []
    recording = Fed(tmp_path / "a.mp4")

    class SoundFirst:
        def put(self, packet: EncodedPacket) -> None:
            if packet.track == Track.VIDEO:
                pictures.append(packet)
            else:
                recording.put(packet)

    feed(recording.made, SoundFirst(), 0, 90)
    for packet in [*pictures, *recording.made.flush(Track.VIDEO), *recording.made.flush(Track.AUDIO)]:
        recording.put(packet)
    recording.close()
    assert not recording.failures
    flashes, beeps = onsets(recording.path)
    assert flashes == pytest.approx([0, 1, 2], abs=0.001)
    assert beeps == pytest.approx([0, 1, 2], abs=0.005)


def has_all(recording: OneFile) -> bool:
    return not recording.waiting


def test_without_a_clock_packets_gather_for_a_while_and_all_of_them_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = {}
    for waits, gather_s in ((True, 3.0), (False, 3600.0)):
        monkeypatch.setattr("recorder.recording.replica.GATHER_S", gather_s)
        path = tmp_path / f"{waits}.mp4"
        recording = Fed(path, waits=waits)
        recording.feed(0, 30)
        wait_for(partial(has_all, recording))
        recording.feed(30, 30)
        if not waits:
            wait_for(partial(has_all, recording))
        waiting[waits] = recording.waiting
        for packet in [*recording.made.flush(Track.VIDEO), *recording.made.flush(Track.AUDIO)]:
            recording.put(packet)
        recording.close()
        assert not recording.failures
        assert media.decoded(path, "v").frames == 60
    assert waiting[True] > 30
    assert waiting[False] == 0, "as time passes, nothing is held back"


@pytest.mark.parametrize(
    ("bit_rate", "waits", "fragment_s", "begun"),
    [(400_000, False, 0.1, True), (40_000_000, False, 0.1, False), (400_000, True, 0.1, False),
     (400_000, False, 1.0, False)],
)  # fmt: skip
def test_of_a_live_session_what_is_more_than_its_bit_rate_is_written_at_once(
    tmp_path: Path, bit_rate: int, waits: bool, fragment_s: float, begun: bool
) -> None:
    path = tmp_path / "a.mp4"
    recording = Fed(
        path, SmallEncoder(noise=True, bit_rate=bit_rate), settings=RecordingSettings(fragment_s=fragment_s),
        waits=waits,
    )  # fmt: skip
    packets = [packet for _ in range(3) for packet in recording.made.next()]
    for packet in packets:
        recording.put(packet)
    wait_for(lambda: not recording.waiting)
    if begun:
        wait_for(lambda: fragments(path))
    else:
        time.sleep(0.2)
        assert not path.stat().st_size
    for packet in [packet for _ in range(87) for packet in recording.made.next()] + recording.made.flush():
        recording.put(packet)
    recording.close()
    assert not recording.failures
    assert media.decoded(path, "v").frames == 90
    media.decodes_cleanly(path)
    moments = media.run("ffprobe", "-v", "error", "-select_streams", "a", "-show_entries", "packet=dts",
                        "-of", "csv=p=0", path).split()  # fmt: skip
    assert {after - before for before, after in itertools.pairwise(int(moment.strip(",")) for moment in moments)} == {
        1024
    }


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
    recording = OneFile(
        tmp_path / "a.mp4", made.templates, on_failure=lambda _: failed.set(), settings=RecordingSettings(sync_s=0.005)
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


LONG = """
import sys
from dataclasses import replace
from pathlib import Path
import psutil
from recorder.model.packet import Track
from tests.support import media as t
made, packets = t.encoder(), []
class List:
    put = staticmethod(packets.append)
t.feed(made, List, 0, 60)
picture = [packet for packet in packets if packet.track == Track.VIDEO][5]
sound = [packet for packet in packets if packet.track == Track.AUDIO][5]
failures = []
recording = t.OneFile(
    Path(sys.argv[1]), made.templates, on_failure=failures.append, waits=True
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
    recording = Fed(tmp_path / "a.mp4")
    recording.close()
    assert not recording.failures
    assert not holds_media(recording.path)


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


def slow_replica(path: Path, **more: Any) -> tuple[Fed, SlowFile]:
    made = encoder()
    file = SlowFile(path, made.templates)
    return Fed(path, made, file=file, **more), file


def test_a_disk_that_fills_up_fails_once_and_loudly_and_what_was_written_stays(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    failed = threading.Event()

    def on_failure(error: LiputError) -> None:
        failures.append(error)
        failed.set()

    recording = OneFile(tmp_path / "a.mp4", made.templates, on_failure=on_failure)
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
    assert [error.why for error in failures] == ["full"]
    assert "no larger file" in failures[0].message
    assert media.decoded(recording.path, "v").frames > 30


class LaterClock(SystemClock):
    """The machine's clock, put on."""

    later_s = 0.0

    def now_ns(self) -> int:
        return super().now_ns() + round(self.later_s * NANOSECONDS)


def test_a_disk_that_falls_a_minute_behind_fails_a_live_session_whatever_was_handed_over_at_once(
    tmp_path: Path,
) -> None:
    clock = LaterClock()
    packets: list[EncodedPacket] = []
    recording, file = slow_replica(tmp_path / "a.mp4", clock=clock)

    class List:
        put = staticmethod(packets.append)

    feed(recording.made, List(), 0, 90)
    sound = [packet for packet in packets if packet.track == Track.AUDIO][5]
    backlog = [*packets, *(replace(sound, pts=n * 1024, dts=n * 1024) for n in range(200, 10_000))]
    for packet in backlog:
        recording.put(packet)
    clock.later_s = 59
    recording.put(replace(sound, pts=10_000 * 1024, dts=10_000 * 1024))
    file.disk.set()
    wait_for(lambda: not recording.waiting)
    file.disk.clear()
    clock.later_s = 1000  # nothing came meanwhile, so nothing waits
    for n in range(10_001, 10_101):
        recording.put(replace(sound, pts=n * 1024, dts=n * 1024))
    assert file.is_asked.wait(60)
    assert not recording.failures
    clock.later_s = 1061
    for n in (10_101, 10_102):
        recording.put(replace(sound, pts=n * 1024, dts=n * 1024))
    assert [type(error) for error in recording.failures] == [StorageError]
    assert "too slow" in recording.failures[0].message
    file.disk.set()
    recording.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(10_101 * 1024 / 48_000, abs=0.1)
    assert recording.on_disk.bytes == recording.path.stat().st_size
    assert len(recording.failures) == 1


def test_what_another_file_has_is_not_written_to_a_disk_that_is_too_slow(tmp_path: Path) -> None:
    clock = LaterClock()
    recording, file = slow_replica(tmp_path / "a.mp4", clock=clock)
    file.disk.set()
    recording.feed(0, 60)
    wait_for(lambda: not recording.waiting)
    file.disk.clear()
    recording.feed(60, 60)
    assert file.is_asked.wait(60)
    clock.later_s = 61
    recording.feed(120, 1)
    assert len(recording.failures) == 1
    recording.drop_queue()
    file.disk.set()
    recording.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(2.0, abs=0.1)
    assert len(recording.failures) == 1


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


def test_a_disk_that_goes_on_after_the_recording_was_closed_gets_what_was_waiting_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.3)
    before = set(threading.enumerate())
    recording, file = slow_replica(tmp_path / "a.mp4")
    recording.feed(0, 90)
    for track in Track:
        for packet in recording.made.flush(track):
            recording.put(packet)
    recording.close()
    assert recording.state is ReplicaState.CLOSING
    assert [error.why for error in recording.failures] == ["stalled"]
    file.disk.set()
    wait_for(lambda: set(threading.enumerate()) <= before)
    assert media.decoded(recording.path, "v").frames == 90


def test_a_file_that_was_taken_away_is_a_disk_that_has_gone(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    recording = Fed(path)
    recording.feed(0, 60)
    path.rename(tmp_path / "b.mp4")
    wait_for(lambda: bool(recording.failures))
    recording.close()
    assert [error.why for error in recording.failures] == ["vanished"]


def test_a_disk_that_is_full_from_the_start_is_refused(tmp_path: Path) -> None:
    made = encoder()
    with full_disk(tmp_path / "disk") as disk, pytest.raises(StorageError, match="full", check=because("full")):
        OneFile(disk / "program.mp4", made.templates, on_failure=print)
    made.close()


def test_what_is_left_of_a_file_that_was_refused_writes_to_no_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    containers, descriptors, open_container = list[OutputContainer](), list[int](), av.open

    def remember(*given: Any, **options: Any) -> OutputContainer:
        containers.append(open_container(*given, **options))
        return containers[0]

    def refuse(file: AppendOnlyFile) -> None:
        descriptors.append(file.descriptor)
        raise OSError(5, "Input/output error")

    made = encoder()
    monkeypatch.setattr("recorder.recording.mp4_file.av.open", remember)
    monkeypatch.setattr(AppendOnlyFile, "begin", refuse)
    with pytest.raises(StorageError):
        OneFile(tmp_path / "a.mp4", made.templates, on_failure=print)
    descriptor = os.open(tmp_path / "b.mp4", os.O_RDWR | os.O_CREAT)
    assert [descriptor] == descriptors
    os.write(descriptor, b"another recording")
    containers[0].close()  # as PyAV does where its build has a finalizer, and somebody's exception held it until now
    os.close(descriptor)
    made.close()
    assert (tmp_path / "b.mp4").read_bytes() == b"another recording"


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    made = encoder()
    with pytest.raises(StorageError, match="No such file", check=because("unwritable")):
        OneFile(tmp_path / "gone" / "a.mp4", made.templates, on_failure=print)
    made.close()


def looked_at(replica: Replica, later_s: float, given_s: float) -> ReplicaState | None:
    return replica.look(SystemClock().now_ns() + round(later_s * NANOSECONDS), given_s)


def test_a_replica_that_stalls_writes_again_and_is_closed(tmp_path: Path, disks: Disks) -> None:
    replica = Fed(tmp_path / "a.mp4")
    states = [replica.state]
    replica.feed(0, 60)
    wait_for(lambda: replica.on_disk.media_time_s > 1)
    disks.hung = tmp_path
    replica.feed(60, 60)
    wait_for(disks.hangs.is_set)
    assert looked_at(replica, 0, 2.0) is None
    looks = [looked_at(replica, 30, 4.0)]
    states.append(replica.state)
    assert replica.takes, "it may still go on"
    disks.let_go.set()
    wait_for(lambda: replica.on_disk.media_time_s > 3)
    looks.append(looked_at(replica, 31, 4.0))
    states.append(replica.state)
    replica.close()
    states.append(replica.state)
    assert looks == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert states == [ReplicaState.WRITING, ReplicaState.STALLED, ReplicaState.WRITING, ReplicaState.CLOSED]
    assert replica.answers
    assert not replica.failures


def test_a_replica_that_failed_takes_nothing_more_and_is_closed(tmp_path: Path) -> None:
    replica = Fed(tmp_path / "a.mp4")
    looks = [looked_at(replica, 30, 4.0)]
    replica.feed(0, 60)
    wait_for(lambda: replica.on_disk.media_time_s > 1)
    for _ in range(2):
        replica.fail(StorageError("it is gone"))
    looks.append(looked_at(replica, 60, 4.0))
    replica.feed(60, 30)
    assert looks == [ReplicaState.STALLED, ReplicaState.WRITING]
    assert (replica.state, replica.takes) == (ReplicaState.FAILED, False)
    replica.close()
    assert replica.state is ReplicaState.CLOSED
    assert len(replica.failures) == 1, "it is told once"


def at(seconds: float) -> int:
    return round(seconds * NANOSECONDS)


def test_what_grows_is_never_told() -> None:
    watch = ReplicaStallDetector(0, 3.75)
    assert [watch.update(at(second), second, second + 1.0) for second in range(100)] == [None] * 100


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


PODIUM = "sound:podium"


class Heard(Mp4File):
    """A file that takes note of what it is given."""

    def __init__(self, path: Path, templates: dict[TrackId, Stream]) -> None:
        super().__init__(path, templates, 0.1, made=SystemClock().now(), is_live=True)
        self.heard: list[EncodedPacket] = []

    def mux(self, encoded: EncodedPacket) -> None:
        self.heard.append(encoded)


def picture(at_s: float, form: int) -> EncodedPacket:
    pts = round(at_s * 90_000)
    return EncodedPacket(Track.VIDEO, b"x", pts, pts, 3000, Fraction(1, 90_000), is_keyframe=True, form=form)


def sound(at_s: float, track: TrackId = Track.AUDIO) -> EncodedPacket:
    pts = round(at_s * 48_000)
    return EncodedPacket(track, b"x", pts, pts, 1024, Fraction(1, 48_000), is_keyframe=True)


def taken(
    folder: Path, form: int, packets: list[EncodedPacket], *, since: int | None, until: int | None
) -> list[float]:
    """Return when the packets are heard or shown that a replica takes of `packets`, seconds."""
    made, faults = encoder(), list[LiputError]()
    clock = SystemClock()
    work = WorkFolder(folder, Begun(uuid="", title="Rapat", started_at=clock.now(), host="", context=SessionContext()))
    file = Heard(folder / "a.mp4", dict(made.templates))
    replica = Replica(
        ReplicaPlace(Archive(folder, clock), work, form=form, since=None if since is None else Fraction(since)),
        file,
        clock=clock,
        settings=RecordingSettings(),
        waits=False,
        on_failure=lambda _, error: faults.append(error),
    )
    replica.begin()
    replica.until = None if until is None else Fraction(until)
    for packet in packets:
        replica.put(packet)
    replica.close()
    replica.wait()
    made.close()
    assert not faults
    return [round(float(packet.begins), 2) for packet in file.heard]


def test_before_a_change_everything_belongs_together(tmp_path: Path) -> None:
    packets = [picture(1, 0), sound(0), sound(9, PODIUM)]
    assert taken(tmp_path, 0, packets, since=None, until=None) == [1, 0, 9]


@pytest.mark.parametrize(
    ("form", "since", "until", "pictures", "sounds"),
    [(0, None, 5, [4.9], [4.0, 4.9, 4.96, 4.99]), (1, 5, None, [5.0], [4.96, 4.99, 5.0, 5.1])],
)
def test_sound_is_cut_where_the_picture_changes_by_its_own_times(
    tmp_path: Path, form: int, since: int | None, until: int | None, pictures: list[float], sounds: list[float]
) -> None:
    shown = taken(tmp_path, form, [picture(5, 1), picture(4.9, 0)], since=since, until=until)
    heard = taken(tmp_path, form, [sound(at_s) for at_s in (4.0, 4.9, 4.96, 4.99, 5.0, 5.1)], since=since, until=until)
    assert shown == pictures
    assert heard == sounds
