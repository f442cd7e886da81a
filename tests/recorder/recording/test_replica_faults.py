"""A replica whose disk is slow, full, hung or gone: told once, in order, and what was written stays."""

import os
import resource
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest
from av.container import OutputContainer

from config.errors import LiputError, StorageError
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.disk.errors import storage_error
from recorder.model.packet import EncodedPacket, Track
from recorder.recording.mp4_file import AppendOnlyFile, Mp4File
from recorder.recording.replica import ReplicaState
from recorder.recording.replica_opener import Templates
from tests.support import media
from tests.support.copies import full_disk
from tests.support.errors import because
from tests.support.media import OneFile, encoder, feed
from tests.support.waiting import wait_for


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
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock = encoder(), LaterClock()
    failures: list[LiputError] = []
    packets: list[EncodedPacket] = []
    file = SlowFile(tmp_path / "a.mp4", made.templates)
    recording = OneFile(file.path, made.templates, clock=clock, on_failure=failures.append, file=file)

    class List:
        put = staticmethod(packets.append)

    feed(made, List(), 0, 90)
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
    assert not failures
    clock.later_s = 1061
    for n in (10_101, 10_102):
        recording.put(replace(sound, pts=n * 1024, dts=n * 1024))
    assert [type(error) for error in failures] == [StorageError]
    assert "too slow" in failures[0].message
    file.disk.set()
    recording.close()
    made.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(10_101 * 1024 / 48_000, abs=0.1)
    assert recording.on_disk.bytes == recording.path.stat().st_size
    assert len(failures) == 1


def test_what_another_file_has_is_not_written_to_a_disk_that_is_too_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, clock = encoder(), LaterClock()
    failures: list[LiputError] = []
    file = SlowFile(tmp_path / "a.mp4", made.templates)
    recording = OneFile(file.path, made.templates, clock=clock, on_failure=failures.append, file=file)
    file.disk.set()
    feed(made, recording, 0, 60)
    wait_for(lambda: not recording.waiting)
    file.disk.clear()
    feed(made, recording, 60, 60)
    assert file.is_asked.wait(60)
    clock.later_s = 61
    feed(made, recording, 120, 1)
    assert len(failures) == 1
    recording.drop_queue()
    file.disk.set()
    recording.close()
    made.close()
    assert media.decoded(recording.path, "a").end_s == pytest.approx(2.0, abs=0.1)
    assert len(failures) == 1


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
    made = encoder()
    failures: list[LiputError] = []
    recording = OneFile(tmp_path / "a.mp4", made.templates, on_failure=failures.append)
    feed(made, recording, 0, 60)
    packet = made.encode_video(av.VideoFrame(320, 180, "yuv420p"), 180_000)[0]
    recording.put(replace(packet, data=b""))
    recording.put(replace(packet, time_base=None))  # type: ignore[arg-type] # the fault
    recording.put(packet)
    recording.close()
    made.close()
    assert len(failures) == 1
    assert media.decoded(recording.path, "v").frames > 30


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
    disk, before = Hung(), set(threading.enumerate())
    monkeypatch.setattr("recorder.recording.mp4_file.os", disk)
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.3)
    made = encoder()
    failures: list[LiputError] = []
    path = tmp_path / "a.mp4"
    recording = OneFile(path, made.templates, on_failure=failures.append)
    feed(made, recording, 0, 60)
    wait_for(lambda: recording.on_disk.media_time_s > 0.5)
    disk.hangs.set()
    assert disk.asked.wait(60)
    safe = recording.on_disk
    feed(made, recording, 60, 60)
    wait_for(lambda: path.stat().st_size > safe.bytes)
    assert recording.on_disk == safe, "what is not safe is not reported"
    recording.close()
    assert recording.state is ReplicaState.CLOSING
    assert [error.why for error in failures] == ["stalled"]
    disk.lets_go.set()
    wait_for(lambda: set(threading.enumerate()) <= before)
    made.close()
    assert media.decoded(path, "v").frames > 90


def test_a_disk_that_goes_on_after_the_recording_was_closed_gets_what_was_waiting_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 0.3)
    made, failures, before = encoder(), list[LiputError](), set(threading.enumerate())
    file = SlowFile(tmp_path / "a.mp4", made.templates)
    recording = OneFile(file.path, made.templates, on_failure=failures.append, file=file)
    feed(made, recording, 0, 90)
    for track in Track:
        for packet in made.flush(track):
            recording.put(packet)
    recording.close()
    assert recording.state is ReplicaState.CLOSING
    assert [error.why for error in failures] == ["stalled"]
    file.disk.set()
    wait_for(lambda: set(threading.enumerate()) <= before)
    made.close()
    assert media.decoded(recording.path, "v").frames == 90


def test_a_file_that_was_taken_away_is_a_disk_that_has_gone(tmp_path: Path) -> None:
    made = encoder()
    failures: list[LiputError] = []
    path = tmp_path / "a.mp4"
    recording = OneFile(path, made.templates, on_failure=failures.append)
    feed(made, recording, 0, 60)
    path.rename(tmp_path / "b.mp4")
    wait_for(lambda: bool(failures))
    recording.close()
    made.close()
    assert [error.why for error in failures] == ["vanished"]


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


def test_what_the_file_system_says_is_told_apart(tmp_path: Path) -> None:
    assert "full" in storage_error(OSError(28, "No space left"), tmp_path / "a").message
    assert "read-only" in storage_error(OSError(30, "Read-only"), tmp_path / "a").message
    assert "failed" in storage_error(OSError(5, "Input/output error"), tmp_path / "a").message
