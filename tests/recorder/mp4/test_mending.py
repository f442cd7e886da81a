"""A power cut at any moment, also while the recording is closed: what was synced plays, as it is or once mended."""

import itertools
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import pytest

from config.errors import StorageError
from recorder.mp4 import boxes as boxes_module
from recorder.mp4 import finalize as finish_module
from recorder.mp4.boxes import SECTOR
from recorder.mp4.finalize import repair_end
from recorder.recording import mp4_file as file_module
from tests.support import media
from tests.support.errors import because
from tests.support.media import record

SECONDS = 4
TAIL_S = 0.3
"""What of the last fragment and of the other track may be missing beside what was not synced."""


@dataclass
class Disk:
    """Takes down, in order, what is written to the file and when all of it is safe."""

    steps: list[tuple[int, bytes] | None] = field(default_factory=list)

    def pwrite(self, descriptor: int, data: bytes | memoryview, position: int) -> int:
        self.steps.append((position, bytes(data)))
        return os.pwrite(descriptor, data, position)

    def sync(self, descriptor: int) -> None:
        os.fsync(descriptor)
        self.steps.append(None)


class Recorded:
    """Stands for the module `os` where a recording writes."""

    def __init__(self, disk: Disk) -> None:
        self.pwrite, self.fsync, self.fdatasync = disk.pwrite, disk.sync, disk.sync

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """Return what a recording of SECONDS did to its disk, from the first write to the last sync."""
    disk = Disk()
    with pytest.MonkeyPatch.context() as patch:
        for module in (file_module, finish_module, boxes_module):
            patch.setattr(module, "os", Recorded(disk))
        record(tmp_path_factory.mktemp("disk") / "a.mp4", SECONDS * 30)
    return disk


def sectors(write: tuple[int, bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield what a write changes, sector by sector: a disk keeps or loses each."""
    position, data = write
    edges = [0, *range(SECTOR - position % SECTOR, len(data), SECTOR), len(data)]
    for start, end in itertools.pairwise(edges):
        yield position + start, data[start:end]


def surface(safe: Sequence[tuple[int, bytes]], kept: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the file as it is after a power cut: what was never written, in front of what was, reads as zeros."""
    content = bytearray()
    for position, data in (*safe, *kept):
        content.extend(bytes(max(0, position + len(data) - len(content))))
        content[position : position + len(data)] = data
    return bytes(content)


def some(loose: Sequence[tuple[int, bytes]], choose: Callable[[int], int]) -> list[tuple[int, bytes]]:
    """Return what a disk kept that took each sector as it was after some of the writes to it, `choose(count)`."""
    versions: dict[int, list[tuple[int, bytes]]] = {}
    for write in loose:
        for position, data in sectors(write):
            versions.setdefault(position // SECTOR, []).append((position, data))
    return [piece for pieces in versions.values() for piece in pieces[: choose(len(pieces))]]


def cuts(disk: Disk, choose: random.Random) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield, for a power cut after each step: its name, the file that is left, and what of it had been synced."""
    safe: list[tuple[int, bytes]] = []
    loose: list[tuple[int, bytes]] = []
    for number, step in enumerate(disk.steps):
        if step is None:
            safe, loose = safe + loose, []
            continue
        loose.append(step)
        synced = surface(safe, [])
        anything = some(loose, lambda count: choose.randint(0, count))
        end = list(sectors(loose[-1]))[1:]
        for what, kept in (("nothing", []), ("everything", loose), ("some", anything), ("its end", end)):
            yield f"step {number}, {what} kept", surface(safe, kept), synced


def plays_to(path: Path) -> float:
    """Return up to where every track decodes without a complaint, 0 where nothing does."""
    try:
        with av.open(str(path)) as container:
            streams = len(container.streams)
    except (av.FFmpegError, OSError):
        return 0.0
    if streams < 2 or b"moof" not in path.read_bytes():
        return 0.0
    media.decodes_cleanly(path)
    return min(media.decoded(path, kind).end_s for kind in "va")


def test_a_recording_is_closed_with_its_head_last(disk: Disk) -> None:
    index = next(n for n, step in reversed(list(enumerate(disk.steps))) if step and step[1][4:8] == b"moov")
    (head,) = [n for n, step in enumerate(disk.steps) if step and step[0] < 44 and len(step[1]) < 44 and n > 5]
    assert index < head
    assert None in disk.steps[index:head]
    assert None in disk.steps[head:]
    assert len(list(sectors(disk.steps[head] or (0, b"")))) == 1


def test_a_power_cut_while_it_is_closed_costs_nothing_that_was_synced(disk: Disk, tmp_path: Path) -> None:
    choose, path = random.Random(4), tmp_path / "a.mp4"
    states = list(cuts(disk, choose))
    closing = next(n for n, (name, *_) in enumerate(states) if name.startswith(f"step {len(disk.steps) - 6},"))
    sample = [*choose.sample(states[:closing], 8), *states[closing:]]
    ends, safe = [], {b"": 0.0}
    for name, left, synced in sample:
        if synced not in safe:
            path.write_bytes(synced)
            repair_end(path)
            safe[synced] = plays_to(path)
        path.write_bytes(left)
        repair_end(path)
        assert not repair_end(path), name
        ends.append(plays_to(path))
        assert ends[-1] >= safe[synced] - 0.001, name
    assert max(ends) == pytest.approx(SECONDS, abs=0.05)
    assert min(ends[-4:]) >= SECONDS - TAIL_S


def test_a_head_that_was_patched_before_its_index_was_there_is_mended(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", 150).path
    content = path.read_bytes()
    index = content.rindex(b"moov") - 4
    for length in (index, index + 4, index + 200, len(content) - 1):
        path.write_bytes(content[:length])
        if length < index + 100:
            with pytest.raises(av.FFmpegError):
                av.open(str(path))
        assert repair_end(path)
        assert plays_to(path) == pytest.approx(5, abs=TAIL_S)
        assert path.stat().st_size == index
        assert not repair_end(path)


def test_a_head_of_a_file_of_more_than_4_gb_is_mended(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", 60).path
    content = bytearray(path.read_bytes())
    index = content.rindex(b"moov") - 4
    content[36:52] = (1).to_bytes(4) + b"mdat" + (index - 36).to_bytes(8)  # as it is there
    path.write_bytes(content)
    assert not repair_end(path)
    path.write_bytes(content[: index + 30])
    assert repair_end(path)
    assert plays_to(path) == pytest.approx(2, abs=TAIL_S)


def test_what_is_whole_or_none_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    path = record(tmp_path / "a.mp4", 60).path
    other = tmp_path / "b.mp4"
    with av.open(str(path)) as source, av.open(str(other), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)
    for content in (path.read_bytes(), other.read_bytes(), b"", b"not an MP4", bytes(4096)):
        path.write_bytes(content)
        assert not repair_end(path)
        assert path.read_bytes() == content


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file", check=because("unwritable")):
        repair_end(tmp_path / "gone.mp4")


@pytest.mark.parametrize("place", range(SECTOR - 5, SECTOR + 1))
def test_a_fragment_may_begin_anywhere_in_a_sector(tmp_path: Path, place: int) -> None:
    """Its size, the first thing in it, begins with zeros: at the end of a sector these are no hole."""
    path = record(tmp_path / "a.mp4", 60).path
    content = path.read_bytes()
    path.write_bytes(content[: content.rindex(b"moov") - 4])
    assert repair_end(path)
    content = path.read_bytes()
    moof = content[content.rindex(b"moof") - 4 :]
    moof = moof[: int.from_bytes(moof[:4])]
    filling = (place - len(content) - len(moof) - 8) % SECTOR
    content += moof + (filling + 8).to_bytes(4) + b"mdat" + b"\xaa" * filling
    assert len(content) % SECTOR == place % SECTOR
    content += moof + (16).to_bytes(4) + b"mdat" + b"\xaa" * 8
    path.write_bytes(content)
    assert not repair_end(path)
    assert path.read_bytes() == content
