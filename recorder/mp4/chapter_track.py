"""Chapters as players other than mpv show them: a track of texts that the others refer to (`tref`, `chap`).

A sample is a title: its length in 16 bits, its bytes, and a box that says that they are UTF-8. QuickTime File Format,
"Text Media" and "Chapter Lists". The boxes are those that FFmpeg writes.
"""

import struct
from collections.abc import Sequence

import numpy as np

from recorder.mp4.boxes import HEAD, Parts, box
from recorder.mp4.samples import Samples
from recorder.mp4.tables import VERSION_0, sample_tables

SCALE = 1000
MOST_TITLE_BYTES = 4096
_UTF_8 = bytes.fromhex("0000000c 656e6364 00000100")
_IN_MOVIE = bytes.fromhex("00000002")
"""Of the movie and not enabled: players do not show it as text."""
_UNDETERMINED = b"\x55\xc4\0\0"
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_HANDLER = VERSION_0 + bytes(4) + b"text" + bytes(12) + b"SubtitleHandler\0"
_HEADER = box(
    b"gmhd",
    box(b"gmin", bytes.fromhex("00000000 0040 8000 8000 8000 0000 0000")),
    box(b"text", struct.pack(">9H", 1, 0, 0, 0, 0, 0, 0, 0, 1), bytes(14), struct.pack(">HH", 0x4000, 0)),
)
_HERE = box(b"dinf", box(b"dref", VERSION_0, struct.pack(">I", 1), box(b"url ", b"\0\0\0\1")))
_DESCRIPTION = bytes.fromhex("00000001 0000 00000000 0000000000000000 00000000 0001 0000 00000000")
_FONTS = bytes.fromhex("0000000d 66746162 0001 0001 00")

type Starts = Sequence[tuple[int, str]]
"""Chapters: where each begins, in milliseconds, and its title."""


def titles(chapters: Starts) -> Parts:
    """Return the `mdat` with the samples; nothing where there are no chapters."""
    return box(b"mdat", [_sample(title) for _, title in chapters]) if chapters else []


def short(text: str, most: int) -> bytes:
    """Return `text` as `most` bytes at most, cut between two letters."""
    return text.encode()[:most].decode(errors="ignore").encode()


def chapter_track(chapters: Starts, number: int, end_s: float, shown: int, dates: tuple[int, int], at: int) -> Parts:
    """Return the `trak` called `number` of chapters up to `end_s`, whose `titles` are at `at` in the file.

    `shown` is `end_s` in the movie's time scale, `dates` are when it was made and changed.
    """
    edges = [start for start, _ in chapters] + [max(int(end_s * SCALE), chapters[-1][0] + 1)]
    samples = Samples()
    samples.begin_run(0)
    sizes = np.array([len(_sample(title)) for _, title in chapters], np.uint32)
    samples.add_run(at + HEAD.size, len(chapters), sizes, np.diff(np.array(edges, np.int64)).astype(np.uint32), 0, 0)
    entry = box(b"text", bytes(6), struct.pack(">H", 1), _DESCRIPTION, _FONTS)
    description = VERSION_0 + struct.pack(">I", 1) + b"".join(entry)
    tables = box(b"stbl", sample_tables(samples, description))
    head = struct.pack(">5I", *dates, number, 0, shown) + bytes(16) + _MATRIX + bytes(8)
    edit = struct.pack(">IIiI", 1, shown, 0, 0x10000)
    media_head = struct.pack(">4I", *dates, SCALE, samples.end)
    return box(
        b"trak",
        box(b"tkhd", _IN_MOVIE, head),
        box(b"edts", box(b"elst", VERSION_0, edit)),
        box(
            b"mdia",
            box(b"mdhd", VERSION_0, media_head, _UNDETERMINED),
            box(b"hdlr", _HANDLER),
            box(b"minf", _HEADER, _HERE, tables),
        ),
    )


def _sample(title: str) -> bytes:
    text = short(title, MOST_TITLE_BYTES)
    return struct.pack(">H", len(text)) + text + _UTF_8
