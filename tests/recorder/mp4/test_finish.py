"""A fragmented MP4 becomes the ordinary one that FFmpeg would have made of the same packets, whatever interrupts it."""

import errno
import os
import resource
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import MediaError
from recorder.archive.model import Mark
from recorder.mending import mend
from recorder.mp4 import finish as finish_module
from recorder.mp4 import head as head_module
from recorder.mp4.finish import MOST_CUT_BYTES, Finished, finish
from recorder.mp4.head import SECTOR
from recorder.packet import EncodedPacket, Track
from tests.support import media
from tests.support.muxed import FRAGMENTED, ORDINARY, TITLE, Coded, decoded, in_90_khz, mux, regular, told

AT = datetime(2026, 11, 24, 9, tzinfo=UTC)
MARKS = (Mark(at=AT, media_s=0.5, text="Sambutan 🎓"), Mark(at=AT, media_s=1.25, text="Tanya jawab " * 30))
DELAY = 9000
"""How long after its decoding the first picture is shown; a coder shows the last one no later."""
NTSC = Fraction(30_000, 1001)


@contextmanager
def opened(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def finished(path: Path, marks: tuple[Mark, ...] = ()) -> Finished:
    with opened(path) as descriptor:
        return finish(descriptor, path, marks=marks, title=TITLE)


def both(folder: Path, coded: Coded, marks: tuple[Mark, ...] = ()) -> tuple[Path, Path]:
    """Return what FFmpeg makes of the packets, and what we do."""
    templates = coded.encoder.templates
    theirs = mux(folder / "theirs.mp4", templates, coded.packets, ORDINARY, marks, coded.end_s)
    ours = mux(folder / "ours.mp4", templates, coded.packets, FRAGMENTED)
    done = finished(ours, marks)
    assert (done.changed, done.cut_bytes) == (True, 0)
    assert done.end_s == pytest.approx(coded.end_s, abs=0.0001)
    assert astuple(finished(ours, marks)) == (False, 0, 0, 0, 0.0)
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
    assert finished(ours).changed
    assert told(ours) == told(theirs)


@pytest.fixture(scope="module")
def fragmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file as a kill leaves it: 2 s of pictures and sound, all fragments whole."""
    made = Coded(regular(2))
    return mux(tmp_path_factory.mktemp("open") / "a.mp4", made.encoder.templates, made.packets, FRAGMENTED)


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
        assert finished(path).cut_bytes == length - moofs[-1]
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
            finish(descriptor, path, most_cut=len(content) - second - 1)
        assert path.read_bytes() == damaged
    finished(path)
    assert len(path.read_bytes()) < len(content)


def test_an_index_that_is_there_already_is_no_torn_end(fragmented: Path, tmp_path: Path) -> None:
    path, content = tmp_path / "a.mp4", fragmented.read_bytes()
    path.write_bytes(content)
    finished(path)
    index = path.read_bytes()[len(content) :]
    path.write_bytes(content + index)  # as who was killed before the head was changed has left it
    assert finished(path).cut_bytes == 0
    path.write_bytes(content + index + b"\0")
    assert finished(path).cut_bytes == len(index) + 1


@pytest.mark.parametrize("does", [finished, mend])
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
    assert finished(small).changed
    for _ in range(2):
        assert finished(path).samples == len(coded.packets)
        assert decoded(path) == decoded(small)
        assert not finished(path).changed
        with opened(path) as descriptor:  # a head that was changed, and the index lost
            size = os.pread(descriptor, 8, boxes[1][1] + 8)
            os.ftruncate(descriptor, boxes[1][1] + struct.unpack(">Q", size)[0] + 40)


def test_a_head_that_was_changed_and_whose_index_is_lost_is_finished_again(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(fragmented.read_bytes())
    finished(path, MARKS)
    whole = path.read_bytes()
    index = whole.rindex(b"moov") - 4
    for length in (index, index + 4, index + 900, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert finished(path, MARKS).changed
        assert path.read_bytes() == whole
    path.write_bytes(whole[: index + 600] + bytes(1024) + whole[index + 1624 :])
    assert finished(path, MARKS).changed
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
        finish(descriptor, path, sync=refuse)
    assert path.read_bytes() == content


def test_it_is_over_once_all_of_it_is_on_the_disk(fragmented: Path, tmp_path: Path) -> None:
    path, synced = tmp_path / "a.mp4", list[bytes]()
    path.write_bytes(fragmented.read_bytes())
    with opened(path) as descriptor:
        finish(descriptor, path, sync=lambda _: synced.append(path.read_bytes()))
    assert synced[0][: len(fragmented.read_bytes())] == fragmented.read_bytes(), "the index before the head"
    assert synced[-1] == path.read_bytes()


def test_what_holds_nothing_or_is_none_of_ours_is_one_clear_error_and_stays(fragmented: Path, tmp_path: Path) -> None:
    content = fragmented.read_bytes()
    first = content.index(b"moof") - 4
    path = tmp_path / "a.mp4"
    for left in (
        b"",
        b"not an MP4",
        bytes(4096),
        content[:30],
        content[: first - 9],
        content[:first],
        content[: first + 200],
    ):
        path.write_bytes(left)
        with pytest.raises(MediaError, match="holds no picture and no sound that is whole"):
            finished(path)
        assert path.read_bytes() == left


def test_an_ordinary_file_of_others_is_left_as_it_is(fragmented: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    for flags in ("faststart", "use_metadata_tags"):
        media.run("ffmpeg", "-v", "error", "-y", "-i", fragmented, "-c", "copy", "-movflags", flags, path)
        content = path.read_bytes()
        assert finished(path) == Finished(changed=False)
        assert path.read_bytes() == content


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
    assert finished(path).changed


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
            patch.setattr(head_module, "os", disk)
            try:
                finish(descriptor, path, marks=MARKS, title=TITLE, sync=disk.sync)
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
