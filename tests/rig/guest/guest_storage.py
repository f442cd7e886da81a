"""Disks that fail while a session is recorded, made of the kernel's own parts: what is told, what is missing.

Each fault with a second disk and without. Every part is read back afterwards and all together are one timeline.
"""

import itertools
import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.errors import LiputError, StorageError
from recorder.model.packet import EncodedPacket
from recorder.mp4.finalize import repair_end
from recorder.package.metadata import RecordingFacts
from recorder.recording.replica import Replica
from tests.support import archives, disks, media
from tests.support.disks import MappedDisk, PulledOut, entries
from tests.support.errors import because
from tests.support.media import is_continuous, picture_times
from tests.support.packets import RATE, Reel
from tests.support.storage import Session, record, release
from tests.support.waiting import wait_for

SECONDS = 9
FAULT_S = 4.0
LOSS_S = 1.05
"""The promise is 1.5 s with 0.45 s for pictures in an encoder (one in hardware), which these have left already."""
SIZE = 24_000_000
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def reel() -> Iterator[Reel]:
    reel = Reel(SECONDS)
    yield reel
    reel.encoder.close()


@pytest.fixture
def first(tmp_path: Path) -> Iterator[MappedDisk]:
    disks.load(*disks.MODULES)
    disk = MappedDisk(tmp_path, f"liput-{next(NUMBERS)}", SIZE)
    yield disk
    release()
    disk.close()


def has_all(session: Session, files: list[Path]) -> None:
    """Fail unless the parts together are the whole reel, and each decodes."""
    for file in files:
        repair_end(file)
        media.decodes_cleanly(file)
    is_continuous(list(zip(files, session.offsets(), strict=True)), RATE, SECONDS)


def program(work: Path) -> Path:
    return work / "data/media/program.mp4"


def salvage(disk: MappedDisk, work: Path, copy: Path) -> Path:
    """Return what is on a disk once it is well again and mounted anew."""
    release()
    disk.close()
    disk.node.parent.mkdir(exist_ok=True)
    disks.run("dmsetup", "create", disk.name, "--table", disk._linear)
    disks.run("udevadm", "settle")
    disk.mount()
    copy.write_bytes(program(work).read_bytes())
    return copy


def ends_near(file: Path, seconds: float) -> None:
    """Fail unless a file plays up to LOSS_S before some moment."""
    repair_end(file)
    media.decodes_cleanly(file)
    assert max(picture_times(file)) >= seconds - LOSS_S


# A disk that is full


@pytest.mark.parametrize("leave", [0, 3_000_000])
def test_a_full_disk_is_left_for_the_second_one(reel: Reel, first: MappedDisk, tmp_path: Path, leave: int) -> None:
    second = tmp_path / "second"
    session = record(reel, [first.mount_point / "a", second], {FAULT_S: lambda: first.fill(leave)})
    assert session.kinds == ["storage-full", "storage-switched"]
    has_all(session, [program(work) for work in session.works])
    (first.mount_point / "filler").unlink()
    package = session.storage.seal(RecordingFacts(ended_at=archives.STARTED))[0]
    is_continuous([(program(package.folder), 0.0)], RATE, SECONDS)


def test_the_only_disk_that_is_full_ends_the_session(reel: Reel, first: MappedDisk) -> None:
    session = record(reel, [first.mount_point / "a"], {FAULT_S: lambda: first.fill(0)})
    assert session.kinds == ["storage-full"]
    assert len(session.failures) == 1
    assert session.reached < SECONDS - 2
    ends_near(program(session.works[0]), FAULT_S)


def test_the_only_disk_is_left_while_the_file_can_still_be_closed(reel: Reel, first: MappedDisk) -> None:
    session = record(reel, [first.mount_point / "a"], {FAULT_S: lambda: first.fill(3_000_000)})
    assert session.kinds == ["storage-full"]
    package = session.storage.seal(RecordingFacts(ended_at=archives.STARTED))[0]
    media.decodes_cleanly(program(package.folder))
    assert max(picture_times(program(package.folder))) >= session.reached - 2 / RATE


# A disk that becomes read-only, fails, is taken away


def test_a_disk_that_becomes_read_only_is_left(reel: Reel, first: MappedDisk, tmp_path: Path) -> None:
    session = record(reel, [first.mount_point / "a", tmp_path / "b"], {FAULT_S: first.become_read_only})
    assert session.kinds == ["storage-read-only", "storage-switched"]
    first.become_writable()
    has_all(session, [program(work) for work in session.works])


def test_the_only_disk_that_becomes_read_only_keeps_what_it_has(reel: Reel, first: MappedDisk) -> None:
    session = record(reel, [first.mount_point / "a"], {FAULT_S: first.become_read_only})
    assert session.kinds == ["storage-read-only"]
    first.become_writable()
    ends_near(program(session.works[0]), FAULT_S)


def test_a_disk_with_errors_is_left(reel: Reel, first: MappedDisk, tmp_path: Path) -> None:
    session = record(reel, [first.mount_point / "a", tmp_path / "b"], {FAULT_S: first.fail})
    assert session.kinds == ["storage-failed", "storage-switched"]
    file = salvage(first, session.works[0], tmp_path / "first.mp4")
    has_all(session, [file, program(session.works[1])])


def test_the_only_disk_with_errors_keeps_what_it_has(reel: Reel, first: MappedDisk, tmp_path: Path) -> None:
    session = record(reel, [first.mount_point / "a"], {FAULT_S: first.fail})
    assert session.kinds == ["storage-failed"]
    ends_near(salvage(first, session.works[0], tmp_path / "first.mp4"), FAULT_S)


@pytest.mark.parametrize("has_second", [True, False])
def test_a_disk_that_is_unmounted_is_gone(reel: Reel, first: MappedDisk, tmp_path: Path, has_second: bool) -> None:
    roots = [first.mount_point / "a"] + ([tmp_path / "b"] if has_second else [])
    session = record(reel, roots, {FAULT_S: lambda: first.unmount(lazily=True)})
    assert session.kinds == ["storage-vanished"] + (["storage-switched"] if has_second else [])
    release()
    first.mount()
    file = program(session.works[0])
    if has_second:
        has_all(session, [file, program(session.works[1])])
    else:
        ends_near(file, FAULT_S)


@pytest.fixture
def usb(tmp_path: Path) -> Iterator[PulledOut]:
    disk = PulledOut(tmp_path / "usb")
    yield disk
    disk.close()


@pytest.mark.parametrize("has_second", [True, False])
def test_a_disk_that_is_pulled_out_is_told_from_one_with_errors(
    reel: Reel, usb: PulledOut, tmp_path: Path, has_second: bool
) -> None:
    roots = [usb.mount_point / "a"] + ([tmp_path / "b"] if has_second else [])
    session = record(reel, roots, {FAULT_S: usb.pull_out})
    assert session.kinds == ["storage-vanished"] + (["storage-switched"] if has_second else [])
    release()
    usb.plug_in()
    copy = tmp_path / "usb.mp4"
    copy.write_bytes(program(session.works[0]).read_bytes())
    if has_second:
        has_all(session, [copy, program(session.works[1])])
    else:
        ends_near(copy, FAULT_S)


# A disk that neither takes anything nor says why


def closed() -> bool:
    """Return whether nothing is written any more."""
    return not any(thread.name.startswith("recording-") for thread in threading.enumerate())


def test_a_disk_that_hangs_is_told_within_five_seconds_and_left(
    reel: Reel, first: MappedDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 2.0)
    hung: list[float] = []

    def hang() -> None:
        first.hang()
        hung.append(time.monotonic())

    session = record(reel, [first.mount_point / "a", tmp_path / "b"], {1.0: hang}, stalled_s=5.0)
    assert session.kinds == ["recording-stalled", "storage-stalled", "recording-resumed", "storage-switched"]
    assert session.heard[0] - hung[0] <= 5
    assert disks.left_alone(session.storage) == 1
    package = session.storage.seal(RecordingFacts(ended_at=archives.STARTED))[0]
    assert package.path.startswith(str(tmp_path / "b"))
    first.go_on()
    wait_for(closed)
    is_continuous([(program(session.works[0]), 0.0), (program(package.folder), session.offsets()[1])], RATE, SECONDS)


def test_the_only_disk_that_hangs_is_told_and_the_session_ends_without_it(
    reel: Reel, first: MappedDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.replica.CLOSE_S", 2.0)
    taken, put = [0.0], Replica.put

    def note(self: Replica, packet: EncodedPacket) -> None:
        if self.takes:  # after that nothing is taken, until the session hears that there is no other disk
            taken.append(float(packet.ends))
        put(self, packet)

    monkeypatch.setattr(Replica, "put", note)
    session = record(reel, [first.mount_point / "a"], {FAULT_S: first.hang})
    assert session.kinds == ["recording-stalled", "storage-stalled"]
    with pytest.raises(LiputError):
        session.storage.seal(RecordingFacts(ended_at=archives.STARTED))
    first.go_on()
    wait_for(closed)
    assert max(taken) > FAULT_S + 3
    is_continuous([(program(session.works[0]), 0.0)], RATE, max(taken))


# A power cut


def test_a_power_cut_costs_what_was_not_synced(reel: Reel, tmp_path: Path) -> None:
    """Replay what the disk got up to each flush, mount that, and see what plays of it; to the end of the closing."""
    disks.load(*disks.MODULES, "dm-log-writes")
    disk, log = disks.Loop(tmp_path / "disk.img", SIZE), disks.Loop(tmp_path / "log.img", 8 * SIZE)
    name, mount_point = "liput-log", tmp_path / "disk"
    mount_point.mkdir()
    disks.run("dmsetup", "create", name, "--table", f"0 {disk.sectors} log-writes {disk.node} {log.node}")
    disks.run("udevadm", "settle")
    node = Path("/dev/mapper") / name
    disks.run("mkfs.ext4", "-q", node)
    disks.run("mount", "-t", "ext4", node, mount_point)
    marker, stop, began = disks.Marker(name), threading.Event(), time.monotonic()

    def mark() -> None:
        marker.mark(f"{time.monotonic() - began:.3f}")

    def begin() -> None:
        nonlocal began
        began = time.monotonic()

    marks = disks.every(0.1, mark, stop)
    session = record(reel, [mount_point / "a"], {0.0: begin})
    stop.set()
    marks.join()
    marker.close()
    assert session.kinds == []
    release()
    disks.run("umount", mount_point)
    disks.run("dmsetup", "remove", "--retry", name)
    states = replay(log.node, tmp_path / "replayed.img", SIZE)
    losses = [(now_s, now_s - ends_s) for now_s, ends_s in states]
    Path(os.environ["ARTIFACTS"], "power-cut-s.json").write_text(json.dumps(losses))
    assert len(losses) >= 2 * SECONDS / 2
    assert max(loss_s for _, loss_s in losses) <= LOSS_S, losses
    assert min(loss_s for now_s, loss_s in losses if now_s > SECONDS - 0.5) < 0.5


def replay(log: Path, image: Path, size: int) -> Iterator[tuple[float, float]]:
    """Yield, for every second flush: the latest moment of a power cut that leaves this, and up to where it plays."""
    mounted = image.with_suffix(".mnt")
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    all_entries = list(entries(log))
    marks = [(index, float(entry.mark)) for index, entry in enumerate(all_entries) if entry.mark[:1].isdigit()]
    flushes = [index for index, entry in enumerate(all_entries) if entry.is_safe]
    done = 0
    for number, (index, following) in enumerate(zip(flushes, [*flushes[1:], len(all_entries)], strict=True)):
        until = next((seconds for at, seconds in marks if at >= following), marks[-1][1])
        with image.open("r+b") as file:
            for entry in all_entries[done : index + 1]:
                file.seek(entry.position)
                file.write(entry.data)
        done = index + 1
        if number % 2 or until < 1.5:
            continue
        yield min(until, SECONDS), plays_to(image, mounted)


def plays_to(image: Path, mount_point: Path) -> float:
    """Return up to where the recording on a disk image plays, once its journal was replayed and the file mended."""
    copy = image.with_suffix(".copy")
    copy.write_bytes(image.read_bytes())
    disks.run("mount", "-t", "ext4", "-o", "loop", copy, mount_point)
    try:
        found = next(mount_point.glob("a/.incoming/*/data/media/program.mp4"), None)
        if found is None:
            return 0.0
        repair_end(found)
        times = picture_times(found)
        return max(times, default=0.0) + 1 / RATE
    finally:
        disks.run("umount", mount_point)


# A disk that is not mounted


def test_a_folder_is_refused_while_the_disk_it_was_on_is_not_mounted(first: MappedDisk, tmp_path: Path) -> None:
    short = Reel(1)
    root = first.mount_point / "a"
    record(short, [root], {})
    release()
    first.unmount()
    root.mkdir()  # as it may be there on the system's own disk
    with pytest.raises(StorageError, match="not mounted", check=because("not-mounted")):
        record(short, [root], {})
    refused = record(short, [root, tmp_path / "b"], {})
    assert refused.kinds == ["storage-refused"]
    assert refused.works[0].is_relative_to(tmp_path / "b")
    assert list(root.iterdir()) == []
    first.mount()
    assert record(short, [root], {}).kinds == []
    short.encoder.close()
