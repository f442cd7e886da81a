"""A replica: an ordinary MP4 after a clean close, a playable one after a kill, and truthful in between."""

import itertools
import json
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from config.errors import LiputError
from config.settings.schema import RecordingSettings as RecordingSettings
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track
from recorder.package.media import holds_media
from tests.bench.starting import fragments
from tests.support import media
from tests.support.encoded import SmallEncoder
from tests.support.media import OneFile, encoder, feed, onsets, record
from tests.support.waiting import wait_for


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
    made = encoder()
    failures: list[LiputError] = []
    pictures: list[EncodedPacket] = []
    recording = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)

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


def has_all(recording: OneFile) -> bool:
    return not recording.waiting


def test_without_a_clock_packets_gather_for_a_while_and_all_of_them_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = {}
    for waits, gather_s in ((True, 3.0), (False, 3600.0)):
        monkeypatch.setattr("recorder.recording.replica.GATHER_S", gather_s)
        made = encoder()
        failures: list[LiputError] = []
        path = tmp_path / f"{waits}.mp4"
        recording = OneFile(path, made.templates, on_failure=failures.append, waits=waits)
        feed(made, recording, 0, 30)
        wait_for(partial(has_all, recording))
        feed(made, recording, 30, 30)
        if not waits:
            wait_for(partial(has_all, recording))
        waiting[waits] = recording.waiting
        for packet in [*made.flush(Track.VIDEO), *made.flush(Track.AUDIO)]:
            recording.put(packet)
        recording.close()
        made.close()
        assert not failures
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
    made = SmallEncoder(noise=True, bit_rate=bit_rate)
    failures: list[LiputError] = []
    path = tmp_path / "a.mp4"
    recording = OneFile(
        path, made.templates, on_failure=failures.append, settings=RecordingSettings(fragment_s=fragment_s), waits=waits
    )
    packets = [packet for _ in range(3) for packet in made.next()]
    for packet in packets:
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
    made.close()
    assert not failures
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


def test_marks_are_chapters_for_every_player(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
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
    made = encoder()
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    recording.close()
    made.close()
    assert not failures
    assert not holds_media(recording.path)
