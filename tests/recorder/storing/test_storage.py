"""The files of a session: what fails goes on elsewhere, with nothing missing; two at once; nothing hangs."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from config.errors import LiputError, StorageError, StorageFull, StorageStalled, StorageUnwritable, StorageVanished
from config.events import Event
from config.schema import Recording as RecordingSettings
from config.schema import Storage as StorageSettings
from config.state import state_folder
from devices.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.model import Mark, RecordingFacts
from recorder.encoder import Encoder
from recorder.eventlog import EventLog
from recorder.packet import EncodedPacket, Track
from recorder.recording import Recording
from recorder.storing.bounded import Bounded
from recorder.storing.mounts import MountMemory
from recorder.storing.part import Part
from recorder.storing.sealing import Sealer
from recorder.storing.storage import Storage
from recorder.storing.telling import Teller
from tests.recorder.test_recording import encoder, feed
from tests.support import archives, media
from tests.support.simulated import EventList, SimulatedClock
from tests.support.timeline import is_continuous, offset_of
from tests.support.waiting import wait_for

RATE = 30


class Disks:
    """Stands for the module `os` in recorder.storing.file: what is below `hung` takes nothing any more."""

    def __init__(self) -> None:
        self.hung: Path | None = None
        self.let_go = threading.Event()

    def _ask(self, descriptor: int) -> None:
        if self.hung and Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(self.hung):
            self.let_go.wait(60)
        os.fsync(descriptor)

    fsync = fdatasync = _ask

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@dataclass
class Show:
    """A session's storage, fed with pictures and sound as fast as they are encoded."""

    roots: list[Path]
    storage: Storage
    encoder: Encoder
    log: EventLog
    events: list[Event]
    failures: list[LiputError]
    fed: int = 0
    folders: list[Path] = field(default_factory=list)

    def feed(self, seconds: float) -> None:
        count = round(seconds * RATE)
        feed(self.encoder, self.storage, self.fed, count)
        self.fed += count

    def feed_until(self, happened: Callable[[], object]) -> None:
        """Feed about as fast as time passes until something has happened."""
        deadline = time.monotonic() + 30
        while not happened():
            assert time.monotonic() < deadline
            self.feed(1 / 15)
            time.sleep(1 / 30)

    def close(self, *marks: Mark) -> None:
        for track in Track:
            for packet in self.encoder.flush(track):
                self.storage.put(packet)
        self.storage.close(marks, "Rapat")
        self.log.close()
        self.folders = [part.work.path for part in self.storage._parts()]

    @property
    def kinds(self) -> list[str]:
        return [event.kind for event in self.events]

    def told(self, kind: str) -> Event:
        (event,) = [event for event in self.events if event.kind == kind]
        return event

    def seconds(self) -> float:
        return self.fed / RATE

    def files(self) -> list[tuple[Path, float]]:
        return [(folder / "data/media/program.mp4", offset_of(folder)) for folder in self.folders]


type Shows = Callable[..., Show]


@pytest.fixture
def show(tmp_path: Path) -> Iterator[Shows]:
    made: list[Show] = []

    def begin(count: int = 2, *, waits: bool = False, **settings: object) -> Show:
        clock = SystemClock()
        roots = [tmp_path / name / "arsip" for name in "abc"[:count]]
        for root in roots:
            root.mkdir(parents=True)
        events: list[Event] = []
        failures: list[LiputError] = []
        log = EventLog(clock, events.append)
        storage = Storage(
            [Archive(root, clock, reserve_bytes=1) for root in roots],
            StorageSettings(**settings),  # type: ignore[arg-type] # whatever a test sets
            clock=clock,
            log=log,
            on_failure=failures.append,
            recording=RecordingSettings(sync_s=0.1),
            bytes_per_s=60_000,
            waits=waits,
        )
        show = Show(roots, storage, encoder(), log, events, failures)
        storage.begin("Rapat Senat", archives.STARTED, archives.CONTEXT, show.encoder.templates)
        made.append(show)
        return show

    yield begin
    for each in made:
        with suppress(ValueError):
            each.encoder.close()


@pytest.fixture
def disks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disks]:
    disks = Disks()
    monkeypatch.setattr("recorder.storing.file.os", disks)
    yield disks
    disks.let_go.set()


def told(session: Show, kind: str) -> bool:
    return kind in session.kinds


def facts(show: Show) -> RecordingFacts:
    return RecordingFacts(ended_at=archives.STARTED, degraded=tuple(show.kinds))


def test_a_session_on_one_disk_is_one_package(show: Shows) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    assert session.storage.left_s is None or session.storage.left_s > 60
    session.close(Mark(at=archives.STARTED, media_s=2.0, text="Sambutan"))
    package = session.storage.seal(facts(session))
    assert session.events == []
    program = package.folder / "data/media/program.mp4"
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").frames == session.fed
    assert "Sambutan" in media.run("ffprobe", "-v", "error", "-show_chapters", program)
    assert session.storage.abandoned == 0


def test_a_disk_that_goes_away_is_left_for_the_next_with_nothing_missing(show: Shows) -> None:
    session = show(2)
    session.feed(5)
    backlog = session.storage._tee._backlog
    assert backlog
    wait_for(lambda: backlog.start > 0)
    away = session.roots[0].with_name("away")
    session.roots[0].rename(away)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(3)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    assert session.events[0].subject == str(session.roots[0])
    assert session.events[0].detail["hint"]
    switched = session.told("storage-switched")
    assert (switched.subject, switched.detail["part"]) == (str(session.roots[1]), 2)
    first = away / session.folders[0].relative_to(session.roots[0])
    second = session.folders[1]
    assert offset_of(second) == pytest.approx(switched.detail["offset_s"], abs=0.001)
    assert 0 < offset_of(second) <= session.storage._tee.copies[0].parts[0].found_s
    session.folders[0] = first
    is_continuous(session.files(), RATE, session.seconds())
    media.decodes_cleanly(second / "data/media/program.mp4")
    sound = media.decoded(second / "data/media/program.mp4", "a")
    assert sound.start_s == pytest.approx(0, abs=0.05)
    assert sound.end_s + offset_of(second) == pytest.approx(session.seconds(), abs=0.1)
    assert not session.failures
    lines = (second / "metadata/events.jsonl").read_text().splitlines()
    assert [line.split('"kind":"')[1].split('"')[0] for line in lines] == session.kinds
    package = session.storage.seal(facts(session))
    assert package.recording
    assert "storage-switched" in package.recording.degraded
    assert "part-left" in session.kinds


def test_without_a_second_disk_the_session_ends_in_order(show: Shows) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    away = session.roots[0].with_name("away")
    session.roots[0].rename(away)
    session.feed_until(lambda: session.failures)
    assert [type(error) for error in session.failures] == [StorageVanished]
    session.close()
    assert session.kinds == ["storage-vanished"]
    program = away / session.folders[0].relative_to(session.roots[0]) / "data/media/program.mp4"
    assert media.decoded(program, "v").frames > 60
    with pytest.raises(LiputError):
        session.storage.seal(facts(session))


def test_a_disk_that_fails_a_moment_before_the_end_still_costs_nothing(show: Shows) -> None:
    session = show(2)
    session.feed(6)
    wait_for(lambda: session.storage.on_disk.media_time_s > 5)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed(0.5)
    session.close()
    assert session.kinds[:2] == ["storage-vanished", "storage-switched"]
    session.folders[0] = session.roots[0].with_name("away") / session.folders[0].relative_to(session.roots[0])
    is_continuous(session.files(), RATE, session.seconds())


def test_what_is_forgotten_while_the_next_disk_opens_is_told(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5)
    backlog, opener, opens, go_on = (
        session.storage._tee._backlog,
        session.storage._mover._opener,
        threading.Event(),
        threading.Event(),
    )
    assert backlog
    wait_for(lambda: backlog.start > 0)
    open_part = opener.open

    def slow(*place: Any) -> Part:
        opens.set()
        go_on.wait(30)
        return open_part(*place)

    monkeypatch.setattr(opener, "open", slow)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed_until(opens.is_set)
    safe_s, start_s = session.storage._tee.copies[0].found_s, float(backlog.start)
    monkeypatch.setattr(backlog, "_most_bytes", backlog._bytes)
    session.feed(8)
    assert float(backlog.start) > safe_s
    go_on.set()
    wait_for(lambda: "recording-gap" in session.kinds)
    session.close()
    gap = session.told("recording-gap").detail
    second, offset_s = session.folders[1] / "data/media/program.mp4", offset_of(session.folders[1])
    assert offset_s == pytest.approx(start_s, abs=0.001)
    begins_s = offset_s + media.decoded(second, "v").start_s
    assert gap["start_s"] == pytest.approx(safe_s, abs=0.001)
    assert safe_s + gap["duration_s"] == pytest.approx(begins_s, abs=0.05)  # type: ignore[operator] # it is a number


def test_a_part_whose_log_cannot_be_opened_leaves_nothing_behind(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session, before = show(2), set(threading.enumerate())

    def refuse(path: Path) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(session.log, "open", refuse)
    archive = Archive(session.roots[1], SystemClock(), reserve_bytes=1)
    with pytest.raises(StorageError, match="Input/output error"):
        session.storage._mover._opener.open(archive, 1, 2, Fraction(0))
    assert set(threading.enumerate()) == before
    assert list(session.roots[1].iterdir()) == []
    session.close()


def test_how_far_sealing_is_is_told_ten_times_a_second_at_most() -> None:
    clock, told = SimulatedClock(), list[tuple[int, int]]()
    facts = RecordingFacts(ended_at=archives.STARTED)
    sealer = Sealer(clock, Teller(EventList()), facts, lambda *far: told.append(far))
    for done in range(1, 1001):
        sealer._advance(done, 1000)
        clock.advance_to(clock.now_ns() + 1_000_000)
    assert told[0] == (1, 1000)
    assert told[-1] == (1000, 1000)
    assert len(told) == 11


def test_a_disk_that_takes_nothing_is_told_and_left(show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.storing.part.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.CLOSE_S", 1.0)
    monkeypatch.setattr("recorder.storing.storage.CLOSE_S", 1.0)
    session = show(2, stalled_s=2.0)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    disks.hung = session.roots[0]
    began = time.monotonic()
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    assert time.monotonic() - began < 20
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds[:4] == ["recording-stalled", "storage-stalled", "recording-resumed", "storage-switched"]
    assert session.storage.abandoned == 1
    package = session.storage.seal(facts(session))
    assert package.path.startswith(str(session.roots[1]))
    assert "part-left" in session.kinds
    disks.let_go.set()
    second = package.folder / "data/media/program.mp4"
    offset_s = float(session.storage._tee.copies[0].part.start)
    wait_for(lambda: session.storage._tee.copies[0].parts[0].close().is_over)
    is_continuous([(session.folders[0] / "data/media/program.mp4", 0.0), (second, offset_s)], RATE, session.seconds())


def test_a_disk_that_goes_on_is_told_too(show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.storing.part.STALLED_S", 0.5)
    session = show(1)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    standing = session.storage.on_disk
    session.feed(1)
    assert session.storage.on_disk == standing
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.close()
    assert session.kinds == ["recording-stalled", "recording-resumed"]
    is_continuous(session.files(), RATE, session.seconds())


def test_only_a_disk_that_never_answers_leaves_a_session_that_says_so_and_ends(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.CLOSE_S", 0.5)
    monkeypatch.setattr("recorder.storing.storage.CLOSE_S", 0.5)
    session = show(1)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
    disks.hung = session.roots[0]
    session.feed(1)
    session.close()
    assert [type(error) for error in session.failures] == [StorageStalled]
    with pytest.raises(StorageStalled):
        session.storage.seal(facts(session))
    assert session.storage.abandoned == 1


def test_a_file_that_cannot_be_closed_keeps_all_of_it_and_goes_nowhere_else(show: Shows) -> None:
    session = show(2)
    session.feed(6)
    wait_for(lambda: session.storage.on_disk.media_time_s > 5)
    program = session.storage._tee.copies[0].part.work.program
    content = program.read_bytes()
    with program.open("r+b") as file:  # a bit of it has become another one on the disk
        file.seek(content.index(b"tfhd", len(content) // 2) + 8)
        file.write(b"\x09")
    session.close()
    assert session.kinds == ["storage-failed"]
    assert "damaged" in session.events[0].message
    assert session.folders == [program.parents[2]]
    assert program.stat().st_size > len(content)
    assert not session.failures


def test_a_mirror_is_two_packages_of_one_session(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4)
    session.close()
    session.storage.seal(facts(session))
    packages = [package for root in session.roots for package in Archive(root, SystemClock()).list()]
    assert len(packages) == 2
    assert len({package.uuid for package in packages}) == 1
    programs = [package.folder / "data/media/program.mp4" for package in packages]
    assert [media.decoded(program, "v").frames for program in programs] == [session.fed, session.fed]
    assert session.events == []


def test_half_a_mirror_that_breaks_costs_only_that(show: Shows) -> None:
    session = show(2, mirror=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[0].rename(session.roots[0].with_name("away"))
    session.feed_until(lambda: "storage-vanished" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds == ["storage-vanished"]
    assert not session.failures
    package = session.storage.seal(facts(session))
    assert package.path.startswith(str(session.roots[1]))
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_half_a_mirror_that_is_left_in_order_is_given_nothing_more(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.QUEUE_PACKETS", 50)
    session = show(2, mirror=True, waits=True, low_s=0.0, critical_s=0.0)
    session.feed(3)
    left = session.storage._tee.copies[0].part
    monkeypatch.setattr("recorder.recording.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    taking, take, close = threading.Event(), Recording.take, Part.close

    def take_slowly(recording: Recording, packet: EncodedPacket) -> None:
        if recording is left.recording:
            taking.set()
            time.sleep(0.1)
        take(recording, packet)

    def close_meanwhile(part: Part) -> Bounded[None]:
        taking.clear()
        taking.wait(0.5)
        return close(part)

    with monkeypatch.context() as held:
        held.setattr(Recording, "take", take_slowly)
        held.setattr(Part, "close", close_meanwhile)
        session.feed_until(lambda: left.is_closing)
    wait_for(lambda: left.close().is_over)
    feeder = threading.Thread(target=session.feed, args=(5,), daemon=True)
    feeder.start()
    feeder.join(60)
    assert not feeder.is_alive(), "it waits for a file that nobody writes any more"
    assert left.recording._queue.qsize() == 0
    session.close()
    assert session.kinds == ["storage-full"]
    session.storage.seal(facts(session))
    (package,) = Archive(session.roots[1], SystemClock()).list()
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_a_third_disk_takes_the_place_of_a_half(show: Shows) -> None:
    session = show(3, mirror=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[1].rename(session.roots[1].with_name("away"))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(1)
    session.close()
    whole, gone, third = session.folders
    assert third.is_relative_to(session.roots[2])
    assert media.decoded(whole / "data/media/program.mp4", "v").frames == session.fed
    gone = session.roots[1].with_name("away") / gone.relative_to(session.roots[1])
    session.folders = [gone, third]
    is_continuous(session.files(), RATE, session.seconds())


def test_a_first_disk_that_cannot_be_written_is_told_and_the_second_taken(tmp_path: Path, show: Shows) -> None:
    (tmp_path / "a").write_text("no folder")
    clock, events = SystemClock(), []
    log = EventLog(clock, lambda event: events.append((event.kind, event.subject)))
    roots = [tmp_path / "a" / "arsip", tmp_path / "b"]
    (tmp_path / "b").mkdir()
    storage = Storage(
        [Archive(root, clock, reserve_bytes=1) for root in roots],
        StorageSettings(),
        clock=clock,
        log=log,
        on_failure=print,
        recording=RecordingSettings(),
        bytes_per_s=60_000,
    )
    made = encoder()
    work = storage.begin("Rapat", archives.STARTED, archives.CONTEXT, made.templates)
    assert work.path.is_relative_to(tmp_path / "b")
    assert events == [("storage-refused", str(roots[0]))]
    storage.close()
    log.close()
    storage.discard()
    assert list((tmp_path / "b").iterdir()) == []
    made.close()


def test_with_no_disk_at_all_there_is_one_error(tmp_path: Path) -> None:
    clock, made = SystemClock(), encoder()
    (tmp_path / "a").write_text("no folder")
    storage = Storage(
        [Archive(tmp_path / "a", clock, reserve_bytes=1)],
        StorageSettings(),
        clock=clock,
        log=EventLog(clock),
        on_failure=print,
        recording=RecordingSettings(),
        bytes_per_s=60_000,
    )
    with pytest.raises(StorageUnwritable):
        storage.begin("Rapat", archives.STARTED, archives.CONTEXT, made.templates)
    made.close()


def test_a_folder_whose_disk_is_not_mounted_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, root = MountMemory(), tmp_path / "usb" / "arsip"
    root.mkdir(parents=True)
    mounted = {"/", str(tmp_path / "usb")}
    monkeypatch.setattr("recorder.storing.mounts.os.path.ismount", lambda path: str(path) in mounted)
    memory.refuse_missing(root)
    memory.remember(root)
    memory.refuse_missing(root)
    mounted.remove(str(tmp_path / "usb"))
    with pytest.raises(StorageUnwritable, match="not mounted"):
        memory.refuse_missing(root)
    memory.remember(root)  # as it is done where nothing needs to be mounted
    with pytest.raises(StorageUnwritable, match="not mounted"):
        memory.refuse_missing(root)
    mounted.add(str(root))  # its disk has another place now
    mounted.add(str(tmp_path / "usb"))
    memory.remember(root)
    mounted.remove(str(root))
    with pytest.raises(StorageUnwritable, match=re.escape(f"the disk of {root} ")):
        memory.refuse_missing(root)


def test_a_link_is_remembered_with_the_disk_it_leads_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, link, other = MountMemory(), tmp_path / "arsip", tmp_path / "here"
    (tmp_path / "usb" / "arsip").mkdir(parents=True)
    other.mkdir()
    link.symlink_to(tmp_path / "usb" / "arsip")
    mounted = {"/", str(tmp_path / "usb")}
    monkeypatch.setattr("recorder.storing.mounts.os.path.ismount", lambda path: str(path) in mounted)
    memory.remember(link)
    mounted.remove(str(tmp_path / "usb"))
    with pytest.raises(StorageUnwritable, match="not mounted"):
        memory.refuse_missing(link)
    link.unlink()
    link.symlink_to(other)
    memory.refuse_missing(link)


def test_that_nothing_is_known_of_the_disks_is_told(show: Shows) -> None:
    store = state_folder() / "storage.json"
    store.parent.mkdir(parents=True, exist_ok=True)
    store.write_text("[")
    session = show(1)
    session.feed(1)
    session.close()
    assert session.kinds == ["mounts-unknown"]
    assert str(store) in session.events[0].message


def test_a_session_without_a_clock_waits_until_it_can_go_on(show: Shows) -> None:
    session = show(2, waits=True)
    session.feed(4)
    wait_for(lambda: session.storage.on_disk.media_time_s > 2)
    session.roots[0].rename(session.roots[0].with_name("away"))
    wait_for(lambda: session.kinds[:1] == ["storage-vanished"])
    session.feed(20)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    session.folders[0] = session.roots[0].with_name("away") / session.folders[0].relative_to(session.roots[0])
    is_continuous(session.files(), RATE, session.seconds())


def almost_full(root: Path, free: int) -> Callable[[int], object]:
    """Return an fstatvfs that says of what is below `root` that only `free` bytes are left."""
    ask = os.fstatvfs

    def fstatvfs(descriptor: int) -> object:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_relative_to(root):
            return SimpleNamespace(f_bavail=free, f_frsize=1, f_flag=0)
        return ask(descriptor)

    return fstatvfs


def test_a_disk_that_is_almost_full_is_left_in_order_and_the_parts_become_one_package(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    monkeypatch.setattr("recorder.recording.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(4)
    session.close(Mark(at=archives.STARTED, media_s=session.seconds() - 1, text="Penutup"))
    assert session.kinds == ["storage-full", "storage-switched"]
    is_continuous(session.files(), RATE, session.seconds())
    for program, _ in session.files():
        media.decodes_cleanly(program)
    package = session.storage.seal(facts(session))
    program = package.folder / "data/media/program.mp4"
    is_continuous([(program, 0.0)], RATE, session.seconds())
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").frames == session.fed
    assert media.decoded(program, "a").end_s == pytest.approx(session.seconds(), abs=0.05)
    assert package.recording
    assert package.recording.gaps == ()
    assert [part.part for part in package.recording.parts] == [1, 2]
    assert [path for root in session.roots for path in (root / ".incoming").iterdir()] == []
    assert session.kinds == ["storage-full", "storage-switched"]


def test_an_almost_full_disk_that_is_the_only_one_ends_the_session_while_it_can_be_closed(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    monkeypatch.setattr("recorder.recording.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: session.failures)
    session.close()
    assert [type(error) for error in session.failures] == [StorageFull]
    package = session.storage.seal(facts(session))
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_a_warning_comes_before_an_alarm_before_the_disk_is_left(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    for free, kind in ((70_000_000, "disk-low"), (15_000_000, "disk-critical"), (1_000_000, "storage-switched")):
        monkeypatch.setattr("recorder.recording.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told, session, kind))
    session.close()
    assert session.kinds == ["disk-low", "disk-critical", "storage-full", "storage-switched"]
    left_s = session.events[0].detail["left_s"]
    assert isinstance(left_s, int)
    assert 600 < left_s < 1800
