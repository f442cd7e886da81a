"""A fragmented MP4 becomes the ordinary one that FFmpeg would have made of the same packets; a torn end is cut off."""

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.errors import MediaError
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track
from recorder.mp4.boxes import SECTOR
from recorder.mp4.finalize import MOST_CUT_BYTES, finalize, repair_end
from tests.recorder.mp4.finishing import MARKS, finished, opened
from tests.support import media
from tests.support.muxed import FRAGMENTED, ORDINARY, TITLE, Coded, decoded, in_90_khz, mux, regular, told

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
