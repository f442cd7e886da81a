"""A fragmented MP4 becomes FFmpeg's ordinary one; it plays after any interruption, and after a power cut."""

import errno
import itertools
import os
import random
import resource
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import MediaError, StorageError
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4 import boxes as boxes_module
from recorder.mp4 import finalize as finish_module
from recorder.mp4.boxes import SECTOR
from recorder.mp4.finalize import MOST_CUT_BYTES, finalize, repair_end
from recorder.recording import mp4_file as file_module
from tests.support import media
from tests.support.errors import because
from tests.support.media import record
from tests.support.muxed import FRAGMENTED, MARKS, ORDINARY, TITLE, Coded, decoded, finished, mux, opened, regular, told
from tests.support.processes import limited

pytestmark = pytest.mark.computing

DELAY = 9000
"""How long after its decoding the first picture is shown; a coder shows the last one no later."""
NTSC = Fraction(30_000, 1001)


CASES: dict[str, Callable[[], Coded]] = {
    "two more tracks of sound": lambda: Coded(regular(2), own=("Mimbar", "Ruang 🎤")),
    "VFR": lambda: Coded([Fraction(n * 3000 + n * n * 37 % 2400 + (n > 40) * 180_000, 90_000) for n in range(90)]),
    "29.97 fps, mono, sound later": lambda: Coded(regular(2, NTSC), rate=NTSC, channels=1, sound_from_s=0.6),
    "pictures later than sound": lambda: Coded(regular(2, first_s=0.7)),
    "pictures only, 17 of them": lambda: Coded(regular(17 / 30), audio=False),
    "sound only": lambda: Coded(regular(2), video=False),
    "one picture": lambda: Coded(regular(1 / 30)),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_the_file_that_ffmpeg_would_have_made(tmp_path: Path, case: str) -> None:
    coded = CASES[case]()
    templates = coded.encoder.templates
    theirs = mux(tmp_path / "theirs.mp4", templates, coded.packets, ORDINARY, MARKS, coded.end_s)
    ours = mux(tmp_path / "ours.mp4", templates, coded.packets, FRAGMENTED)
    with opened(ours) as descriptor:
        assert finalize(descriptor, ours, marks=MARKS, title=TITLE, most_cut=0)
    assert not finished(ours, MARKS)
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


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_it_is_an_ordinary_file_from_the_head_on(path: Path) -> None:
    before = path.read_bytes()
    finished(path)
    after = path.read_bytes()
    assert [kind for kind, _ in tops(after)] == [b"ftyp", b"mdat", b"moov"]
    changed = [n for n, (one, other) in enumerate(zip(before, after, strict=False)) if one != other]
    assert changed[-1] - changed[0] < 8
    assert changed[-1] < SECTOR


def test_a_last_fragment_that_is_not_whole_or_makes_no_sense_is_cut_off(path: Path) -> None:
    content = path.read_bytes()
    last = [start for kind, start in tops(content) if kind == b"moof"][-1]
    path.write_bytes(content[:last])
    finished(path)
    whole = path.read_bytes()
    for length in (last + 4, (last + len(content)) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert finished(path)
        assert path.read_bytes() == whole
    for at, by in (
        (content.rindex(b"tfhd") + 8, bytes(4)),  # a track that is not there
        (content.rindex(b"tfdt") + 8, bytes(8)),  # a time before that of the last fragment
        (content.rindex(b"tfdt") + 8, b"\x70" + bytes(7)),  # one that is years later
        (content.rindex(b"trun") + 8, b"\0\xff\xff\xff"),  # more samples than there are
        (content.rindex(b"trun") + 12, b"\0\xff\xff\xff"),  # samples behind the end
        (content.rindex(b"trun") - 4, b"\0\xff\xff\xff"),  # a box that is larger than what it is in
    ):
        path.write_bytes(content[:at] + by + content[at + len(by) :])
        finished(path)
        assert path.read_bytes() == whole, at


def test_no_more_is_cut_off_than_a_torn_end(path: Path) -> None:
    content = path.read_bytes()
    second = [start for kind, start in tops(content) if kind == b"moof"][1]
    for at, by in ((content.index(b"tfhd", second) + 8, bytes(4)), (second + 4, b"moov"), (second, bytes(700))):
        damaged = content[:at] + by + content[at + len(by) :]
        path.write_bytes(damaged)
        too_far = pytest.raises(MediaError, match=f"damaged {len(content) - second} bytes before")
        with opened(path) as descriptor, too_far:
            finalize(descriptor, path, most_cut=len(content) - second - 1)
        assert path.read_bytes() == damaged
    finished(path)
    assert len(path.read_bytes()) < len(content)


def test_an_index_that_is_there_already_is_no_torn_end(path: Path) -> None:
    content = path.read_bytes()
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
def test_a_torn_end_is_one_of_megabytes(path: Path, does: Callable[[Path], object]) -> None:
    size = path.stat().st_size
    os.truncate(path, size + MOST_CUT_BYTES + 1)
    with suppress(MediaError):
        does(path)
    assert path.stat().st_size == size + MOST_CUT_BYTES + 1
    os.truncate(path, size + MOST_CUT_BYTES)
    does(path)
    assert path.stat().st_size < size + 100_000


def test_what_holds_nothing_or_is_none_of_ours_is_one_clear_error_and_stays(path: Path) -> None:
    content = path.read_bytes()
    first = content.index(b"moof") - 4
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
        assert not repair_end(path)
        assert path.read_bytes() == content


def test_a_head_that_was_changed_and_whose_index_is_lost_is_finished_again(path: Path) -> None:
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


def test_what_is_finished_again_plays_as_fragments_until_its_index_is_on_the_disk(path: Path) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    content = path.read_bytes()
    finished(path)
    os.truncate(path, len(content))
    with opened(path) as descriptor, pytest.raises(OSError, match=os.strerror(errno.EIO)):
        finalize(descriptor, path, sync=refuse)
    assert path.read_bytes() == content


def test_it_is_over_once_all_of_it_is_on_the_disk(path: Path) -> None:
    content, synced = path.read_bytes(), list[bytes]()
    with opened(path) as descriptor:
        finalize(descriptor, path, sync=lambda _: synced.append(path.read_bytes()))
    assert synced[0].startswith(content), "the index before the head"
    assert synced[-1] == path.read_bytes()


def test_a_disk_without_room_for_the_index_keeps_the_fragments(path: Path) -> None:
    content = path.read_bytes()
    with limited(resource.RLIMIT_FSIZE, len(content) + 1000), pytest.raises(OSError, match="too large"):
        finished(path)
    assert path.read_bytes() == content
    assert finished(path)


SECONDS = 2
TAIL_S = 0.3
"""What of the last fragment and of the other track may be missing beside what was not synced."""


class Disk:
    """Stands for the module `os`: takes down, in order, what is written to the file and when all of it is safe."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, bytes] | None] = []

    def pwrite(self, descriptor: int, data: bytes | memoryview, position: int) -> int:
        self.steps.append((position, bytes(data)))
        return os.pwrite(descriptor, data, position)

    def fsync(self, _descriptor: int) -> None:
        self.steps.append(None)

    fdatasync = fsync

    def __getattr__(self, name: str) -> object:
        return getattr(os, name)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """Return what a recording of SECONDS did to its disk, from the first write to the last sync."""
    disk = Disk()
    with pytest.MonkeyPatch.context() as patch:
        for module in (file_module, finish_module, boxes_module):
            patch.setattr(module, "os", disk)
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


def test_a_power_cut_or_kill_while_it_is_closed_costs_nothing_that_was_synced(disk: Disk, tmp_path: Path) -> None:
    choose, path, played = random.Random(4), tmp_path / "a.mp4", dict[bytes, float]()
    states = list(cuts(disk, choose))
    closing = next(n for n, (name, *_) in enumerate(states) if name.startswith(f"step {len(disk.steps) - 8},"))

    def repaired(left: bytes) -> bytes:
        path.write_bytes(left)
        repair_end(path)
        assert not repair_end(path)
        return path.read_bytes()

    def finished_again(left: bytes) -> bytes:
        path.write_bytes(left)
        finished(path)
        return path.read_bytes()

    def end_of(content: bytes) -> float:
        if content not in played:
            path.write_bytes(content)
            played[content] = plays_to(path)
        return played[content]

    ends = []
    for name, left, synced in [*choose.sample(states[:closing], 2), *states[closing:]]:
        content = repaired(left)
        ends.append(end_of(content))
        assert ends[-1] >= end_of(repaired(synced)) - 0.001, name
        if name.endswith("everything kept"):  # a kill
            assert finished_again(left) == finished_again(content), name
    assert max(ends) == pytest.approx(SECONDS, abs=0.05)
    assert min(ends[-4:]) >= SECONDS - TAIL_S


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return a recording of 2 s that was closed in order."""
    return record(tmp_path_factory.mktemp("closed") / "a.mp4", 60).path.read_bytes()


def test_a_head_that_was_patched_before_its_index_was_there_is_mended(closed: bytes, tmp_path: Path) -> None:
    path, index = tmp_path / "a.mp4", closed.rindex(b"moov") - 4
    for length in (index, index + 4, len(closed) - 1):
        path.write_bytes(closed[:length])
        assert repair_end(path)
        assert path.stat().st_size == index
        assert not repair_end(path)
    assert plays_to(path) == pytest.approx(2, abs=TAIL_S)
    wide = closed[:36] + (1).to_bytes(4) + b"mdat" + (index - 36).to_bytes(8) + closed[52:]  # as with more than 4 GB
    path.write_bytes(wide)
    assert not repair_end(path)
    path.write_bytes(wide[: index + 30])
    assert repair_end(path)
    assert plays_to(path) == pytest.approx(2, abs=TAIL_S)


def test_what_is_whole_or_none_of_ours_is_left_as_it_is(closed: bytes, tmp_path: Path) -> None:
    path, index = tmp_path / "a.mp4", closed.rindex(b"moov") - 4
    path.write_bytes(closed[:index])
    assert repair_end(path)
    begin = (ours := path.read_bytes()).index(b"moof") - 4
    foreign = ours[:begin] + (12).to_bytes(4) + b"sidx" + bytes(4) + ours[begin:-1]
    for content in (closed, b"", b"not an MP4", bytes(4096), foreign):
        path.write_bytes(content)
        assert not repair_end(path)
        assert path.read_bytes() == content
    with pytest.raises(StorageError, match="No such file", check=because("unwritable")):
        repair_end(tmp_path / "gone.mp4")


def test_a_mended_file_is_on_the_disk_and_closed(
    closed: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, synced = tmp_path / "a.mp4", list[int]()
    path.write_bytes(closed[:-1])
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_size))
    before = len([*Path("/proc/self/fd").iterdir()])
    assert repair_end(path)
    assert len([*Path("/proc/self/fd").iterdir()]) == before
    assert synced == [path.stat().st_size]


@pytest.mark.parametrize("place", [SECTOR - 4, SECTOR - 1, SECTOR])
def test_a_fragment_may_begin_anywhere_in_a_sector(closed: bytes, tmp_path: Path, place: int) -> None:
    """Its size, the first thing in it, begins with zeros: at the end of a sector these are no hole."""
    path = tmp_path / "a.mp4"
    path.write_bytes(closed[: closed.rindex(b"moov") - 4])
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
    path.write_bytes(content + moof + (8 + 2 * SECTOR).to_bytes(4) + b"mdat" + bytes(2 * SECTOR))
    assert repair_end(path)
    assert path.read_bytes() == content, "what was never written reads as zeros"
