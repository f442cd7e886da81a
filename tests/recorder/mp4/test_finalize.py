"""A fragmented MP4 becomes FFmpeg's ordinary one; it plays after any interruption, and after a power cut."""

import errno
import itertools
import os
import random
import resource
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import MediaError, StorageError
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4 import boxes as boxes_module
from recorder.mp4 import finalize as finish_module
from recorder.mp4.boxes import SECTOR
from recorder.mp4.finalize import MOST_CUT_BYTES, finalize, repair_end
from recorder.recording import mp4_file as file_module
from tests.support import media
from tests.support.errors import because
from tests.support.media import record
from tests.support.muxed import (
    FRAGMENTED,
    MARKS,
    ORDINARY,
    TITLE,
    Coded,
    decoded,
    finished,
    in_90_khz,
    mux,
    opened,
    regular,
    told,
)

pytestmark = pytest.mark.computing

DELAY = 9000
"""How long after its decoding the first picture is shown; a coder shows the last one no later."""
NTSC = Fraction(30_000, 1001)


def both(folder: Path, coded: Coded, marks: tuple[Mark, ...] = ()) -> tuple[Path, Path]:
    """Return what FFmpeg makes of the packets, and what we do."""
    templates = coded.encoder.templates
    theirs = mux(folder / "theirs.mp4", templates, coded.packets, ORDINARY, marks, coded.end_s)
    ours = mux(folder / "ours.mp4", templates, coded.packets, FRAGMENTED)
    with opened(ours) as descriptor:
        assert finalize(descriptor, ours, marks=marks, title=TITLE, most_cut=0)
    assert not finished(ours, marks)
    return theirs, ours


CASES: dict[str, Callable[[], Coded]] = {
    "30 fps, B-frames": lambda: Coded(regular(4)),
    "29.97 fps, mono": lambda: Coded(regular(3, NTSC), rate=NTSC, channels=1),
    "VFR": lambda: Coded(in_90_khz(n * 3000 + n * n * 37 % 2400 + (n > 40) * 180_000 for n in range(90))),
    "two more tracks of sound": lambda: Coded(regular(2), own=("Mimbar", "Ruang 🎤")),
    "pictures later than sound": lambda: Coded(regular(2, first_s=0.7)),
    "sound later than pictures": lambda: Coded(regular(2), sound_from_s=0.6),
    "pictures only": lambda: Coded(regular(2), audio=False),
    "sound only": lambda: Coded(regular(2), video=False),
    "one fragment": lambda: Coded(regular(0.2)),
    "one picture": lambda: Coded(regular(1 / 30)),
    **{f"{count} pictures": lambda count=count: Coded(regular(count / 30)) for count in (2, 3, 13, 17)},  # type: ignore[misc] # mypy does not infer the argument
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_file_that_ffmpeg_would_have_made(tmp_path: Path, case: str) -> None:
    theirs, ours = both(tmp_path, CASES[case](), MARKS)
    assert told(ours) == told(theirs)
    assert decoded(ours) == decoded(theirs)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[tuple[int, int, int, bool]], list[tuple[int, int]]]:
    """Return pictures (gap to the one before, delay until shown, filling bytes, keyframe) and sounds (gap, bytes)."""
    gap = st.sampled_from([3000, 3000, 3000, 3003, 1, 1500, 45_000, 200_000])
    picture = st.tuples(gap, st.sampled_from([0, 3000, 6000, 9000, 9000, 18_000]), st.integers(0, 300), st.booleans())
    pictures = draw(st.lists(picture, min_size=1, max_size=120))
    sounds = draw(st.lists(st.tuples(st.sampled_from([1024, 1024, 1023, 9000]), st.integers(1, 300)), max_size=150))
    return pictures, sounds


@pytest.fixture(scope="module")
def coded() -> Coded:
    """Return some real packets."""
    return Coded(regular(0.5))


def packets_of(
    coded: Coded, pictures: list[tuple[int, int, int, bool]], sounds: list[tuple[int, int]]
) -> list[EncodedPacket]:
    key = next(packet for packet in coded.packets if packet.track == Track.VIDEO and packet.is_keyframe)
    sound = next(packet for packet in coded.packets if packet.track == Track.AUDIO)
    made, dts = [], -DELAY
    for number, (gap, shift, filling, is_key) in enumerate(pictures):
        delay = DELAY if number == 0 else min(shift, DELAY) if number == len(pictures) - 1 else shift
        data = key.data + b"\0\0\0\1\x0c" + b"\xff" * filling + b"\x80"
        duration = 200_000 if number == len(pictures) - 1 else 3000  # the last reaches to the end
        made.append(
            replace(key, data=data, dts=dts, pts=dts + delay, duration=duration, is_keyframe=is_key or number == 0)
        )
        dts += gap
    dts = -1024
    for gap, length in sounds:
        made.append(replace(sound, data=b"\x21" * length, dts=dts, pts=dts))
        dts += gap
    return sorted(made, key=lambda packet: packet.dts_s)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(streams())
def test_any_packets_become_what_ffmpeg_makes_of_them(
    tmp_path: Path, coded: Coded, made: tuple[list[tuple[int, int, int, bool]], list[tuple[int, int]]]
) -> None:
    packets = packets_of(coded, *made)
    theirs = mux(tmp_path / "theirs.mp4", coded.encoder.templates, packets, ORDINARY)
    ours = mux(tmp_path / "ours.mp4", coded.encoder.templates, packets, FRAGMENTED)
    assert finished(ours)
    assert told(ours) == told(theirs)


def tops(content: bytes) -> list[tuple[bytes, int]]:
    """Return the type and the beginning of the boxes at the top."""
    found, position = [], 0
    while position < len(content):
        size, kind = struct.unpack_from(">I4s", content, position)
        found.append((kind, position))
        position += struct.unpack_from(">Q", content, position + 8)[0] if size == 1 else size
    return found


def test_it_is_an_ordinary_file_from_the_head_on(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    finished(path)
    assert [kind for kind, _ in tops(path.read_bytes())] == [b"ftyp", b"mdat", b"moov"]
    changed = [n for n, (a, b) in enumerate(zip(fragmented.read_bytes(), path.read_bytes(), strict=False)) if a != b]
    assert changed[-1] - changed[0] < 8
    assert changed[-1] < SECTOR


def test_an_incomplete_last_fragment_is_cut_off(fragmented: Path, tmp_path: Path) -> None:
    content = fragmented.read_bytes()
    moofs = [start for kind, start in tops(content) if kind == b"moof"]
    whole = tmp_path / "whole.mp4"
    whole.write_bytes(content[: moofs[-1]])
    finished(whole)
    for length in (moofs[-1] + 4, moofs[-1] + 100, (moofs[-1] + len(content)) // 2, len(content) - 1):
        path = tmp_path / "cut.mp4"
        path.write_bytes(content[:length])
        assert finished(path)
        assert path.read_bytes() == whole.read_bytes()


def test_a_last_fragment_that_makes_no_sense_is_cut_off(fragmented: Path, tmp_path: Path) -> None:
    content = fragmented.read_bytes()
    last = [start for kind, start in tops(content) if kind == b"moof"][-1]
    whole, path = tmp_path / "whole.mp4", tmp_path / "bad.mp4"
    whole.write_bytes(content[:last])
    finished(whole)
    for at, by in (
        (content.index(b"tfhd", last) + 8, bytes(4)),  # a track that is not there
        (content.rindex(b"tfhd") + 8, bytes(4)),
        (content.rindex(b"tfdt") + 8, bytes(8)),  # a time before that of the last fragment
        (content.rindex(b"tfdt") + 8, b"\x70" + bytes(7)),  # one that is years later
        (content.rindex(b"trun") + 8, b"\0\xff\xff\xff"),  # more samples than there are
        (content.rindex(b"trun") + 12, b"\0\xff\xff\xff"),  # samples behind the end
        (content.rindex(b"trun") - 4, b"\0\xff\xff\xff"),  # a box that is larger than what it is in
    ):
        path.write_bytes(content[:at] + by + content[at + len(by) :])
        finished(path)
        assert path.read_bytes() == whole.read_bytes(), at


def test_no_more_is_cut_off_than_a_torn_end(fragmented: Path, tmp_path: Path) -> None:
    path, content = tmp_path / "a.mp4", fragmented.read_bytes()
    second = [start for kind, start in tops(content) if kind == b"moof"][1]
    for at, by in ((content.index(b"tfhd", second) + 8, bytes(4)), (second + 4, b"moov"), (second, bytes(700))):
        damaged = content[:at] + by + content[at + len(by) :]
        path.write_bytes(damaged)
        with (
            opened(path) as descriptor,
            pytest.raises(MediaError, match=f"damaged {len(content) - second} bytes before"),
        ):
            finalize(descriptor, path, most_cut=len(content) - second - 1)
        assert path.read_bytes() == damaged
    finished(path)
    assert len(path.read_bytes()) < len(content)


def test_an_index_that_is_there_already_is_no_torn_end(fragmented: Path, tmp_path: Path) -> None:
    path, content = tmp_path / "a.mp4", fragmented.read_bytes()
    path.write_bytes(content)
    finished(path)
    done = path.read_bytes()
    index = done[len(content) :]
    path.write_bytes(content + index)  # as who was killed before the head was changed has left it
    with opened(path) as descriptor:
        assert finalize(descriptor, path, title=TITLE, most_cut=0)
    assert path.read_bytes() == done
    path.write_bytes(content + index + b"\0")
    with opened(path) as descriptor, pytest.raises(MediaError, match="is damaged"):
        finalize(descriptor, path, most_cut=len(index))


@pytest.mark.parametrize("does", [finished, repair_end])
def test_a_torn_end_is_one_of_megabytes(fragmented: Path, tmp_path: Path, does: Callable[[Path], object]) -> None:
    path, size = tmp_path / "a.mp4", fragmented.stat().st_size
    path.write_bytes(fragmented.read_bytes())
    os.truncate(path, size + MOST_CUT_BYTES + 1)
    with suppress(MediaError):
        does(path)
    assert path.stat().st_size == size + MOST_CUT_BYTES + 1
    os.truncate(path, size + MOST_CUT_BYTES)
    does(path)
    assert path.stat().st_size < size + 100_000


def test_a_file_of_more_than_4_gb_has_wide_offsets(tmp_path: Path) -> None:
    coded = Coded(regular(2))
    flags = f"{FRAGMENTED}+default_base_moof"  # no offset counts from the beginning of the file
    path = mux(tmp_path / "a.mp4", coded.encoder.templates, coded.packets, flags)
    content = path.read_bytes()
    small = tmp_path / "small.mp4"
    small.write_bytes(content)
    boxes = tops(content)
    start, rest = next((start, boxes[n + 1][1]) for n, (kind, start) in enumerate(boxes) if kind == b"mdat" and n > 5)
    length = (1 << 32) - 16
    with path.open("r+b") as file:
        file.seek(start)
        file.write(struct.pack(">I", length))
        file.seek(start + length)
        file.write(content[rest:])
    assert finished(small)
    for _ in range(2):
        assert finished(path)
        assert decoded(path) == decoded(small)
        assert not finished(path)
        with opened(path) as descriptor:  # a head that was changed, and the index lost
            size = os.pread(descriptor, 8, boxes[1][1] + 8)
            os.ftruncate(descriptor, boxes[1][1] + struct.unpack(">Q", size)[0] + 40)


def test_what_holds_nothing_or_is_none_of_ours_is_one_clear_error_and_stays(fragmented: Path, tmp_path: Path) -> None:
    content = fragmented.read_bytes()
    first = content.index(b"moof") - 4
    path = tmp_path / "a.mp4"
    ends = (0, 30, first - 9, first, first + 200)
    for left in (b"not an MP4", bytes(4096), *(content[:end] for end in ends)):
        path.write_bytes(left)
        with pytest.raises(MediaError, match="holds no whole picture or sound"):
            finished(path)
        assert path.read_bytes() == left


def test_an_ordinary_file_of_others_is_left_as_it_is(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    for flags in ("faststart", "use_metadata_tags"):
        media.run("ffmpeg", "-v", "error", "-y", "-i", fragmented, "-c", "copy", "-movflags", flags, path)
        content = path.read_bytes()
        assert not finished(path)
        assert path.read_bytes() == content


def test_a_head_that_was_changed_and_whose_index_is_lost_is_finished_again(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    finished(path, MARKS)
    whole = path.read_bytes()
    index = whole.rindex(b"moov") - 4
    for length in (index, index + 4, index + 900, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert finished(path, MARKS)
        assert path.read_bytes() == whole
    path.write_bytes(whole[: index + 600] + bytes(1024) + whole[index + 1624 :])
    assert finished(path, MARKS)
    assert path.read_bytes() == whole


def test_what_is_finished_again_plays_as_fragments_until_its_index_is_on_the_disk(
    fragmented: Path, tmp_path: Path
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    path, content = tmp_path / "a.mp4", fragmented.read_bytes()
    path.write_bytes(content)
    finished(path)
    os.truncate(path, len(content))
    with opened(path) as descriptor, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        finalize(descriptor, path, sync=refuse)
    assert path.read_bytes() == content


def test_it_is_over_once_all_of_it_is_on_the_disk(fragmented: Path, tmp_path: Path) -> None:
    path, synced = tmp_path / "a.mp4", list[bytes]()
    path.write_bytes(fragmented.read_bytes())
    with opened(path) as descriptor:
        finalize(descriptor, path, sync=lambda _: synced.append(path.read_bytes()))
    assert synced[0][: len(fragmented.read_bytes())] == fragmented.read_bytes(), "the index before the head"
    assert synced[-1] == path.read_bytes()


def test_a_disk_without_room_for_the_index_keeps_the_fragments(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    content = fragmented.read_bytes()
    path.write_bytes(content)
    no_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(content) + 1000, no_limit[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            finished(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, no_limit)
    assert path.read_bytes() == content
    assert finished(path)


class Interrupted:
    """Stands for the module `os`: a disk that loses what was not synced when the power is cut at step `at`.

    Of each write since then `keep` says, sector by sector, what had come onto the disk all the same.
    """

    def __init__(self, path: Path, at: int, keep: Callable[[int], bool]) -> None:
        self._path, self._left, self._keep = path, at, keep
        self._safe, self._loose = path.read_bytes(), list[tuple[int, bytes]]()
        self._length = len(self._safe)

    def _step(self) -> None:
        if self._left == 0:
            content = bytearray(self._safe[: self._length])
            content.extend(bytes(max(0, self._length - len(content))))
            for position, data in self._loose:
                for at in range(position // SECTOR, (position + len(data) - 1) // SECTOR + 1):
                    start, end = max(position, at * SECTOR), min(position + len(data), at * SECTOR + SECTOR)
                    if self._keep(at):
                        content.extend(bytes(max(0, end - len(content))))
                        content[start:end] = data[start - position : end - position]
            self._path.write_bytes(content)
            raise KeyboardInterrupt
        self._left -= 1

    def pwrite(self, descriptor: int, data: bytes | memoryview, position: int) -> int:
        self._loose.append((position, bytes(data)))
        self._step()
        return os.pwrite(descriptor, data, position)

    def ftruncate(self, descriptor: int, length: int) -> None:
        if self._keep(-1):
            self._length = length
        self._step()
        os.ftruncate(descriptor, length)

    def sync(self, descriptor: int) -> None:
        self._step()
        os.fsync(descriptor)
        self._safe, self._loose = self._path.read_bytes(), []
        self._length = len(self._safe)

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@pytest.mark.parametrize("kept", ["nothing", "everything", "odd sectors", "even sectors"])
def test_a_power_cut_or_kill_at_any_step_leaves_what_plays_and_can_be_finished(
    fragmented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: str
) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes() + b"\0\0\1\0moof and a fragment that is not whole")
    before = path.read_bytes()
    finished(path, MARKS)
    whole, pictures = path.read_bytes(), decoded(path)
    keeps = {"nothing": lambda _: False, "everything": lambda _: True, "odd sectors": lambda n: n % 2 == 1}
    seen = set()
    for at in range(1000):
        path.write_bytes(before)
        disk = Interrupted(path, at, keeps.get(kept, lambda n: n % 2 == 0))
        with monkeypatch.context() as patch, opened(path) as descriptor:
            patch.setattr(finish_module, "os", disk)
            patch.setattr(boxes_module, "os", disk)
            try:
                finalize(descriptor, path, marks=MARKS, title=TITLE, sync=disk.sync)
            except KeyboardInterrupt:
                pass
            else:
                break
        left = path.read_bytes()
        if left not in seen and (at < 2 or at % 8 == 0 or left[:SECTOR] != before[:SECTOR]):
            assert decoded(path, whole=False) == pictures
        seen.add(left)
        finished(path, MARKS)
        assert path.read_bytes() == whole, at
    assert at > 20


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
