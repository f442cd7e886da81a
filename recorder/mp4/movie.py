"""Makes the index (`moov`) of an ordinary MP4 from the fragmented file's `moov` and samples.

Codecs, titles and languages of tracks are copied. Durations, edit lists and sample tables are new. ISO/IEC 14496-12,
8.2 to 8.6.

Chapters are Nero's `chpl` (read by mpv), and a text track that other tracks refer to (`tref`, `chap`). A sample of it
is a title: 16 bits of length, its bytes, and a box that declares UTF-8. QuickTime File Format, "Text Media" and
"Chapter Lists". FFmpeg writes the same boxes.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np

from recorder.mp4.boxes import HEAD, LARGEST_32, BoxParts, child_boxes, find_box, make_box
from recorder.mp4.fragments import header_number, read_edits
from recorder.mp4.samples import VERSION_0, VERSION_1, TrackSamples, sample_tables

SCALE = 1000
MOST_TITLE_BYTES = 4096
_UTF_8 = bytes.fromhex("0000000c 656e6364 00000100")
_IN_MOVIE = bytes.fromhex("00000002")
"""The flags of a track that is in the movie but not enabled: players do not show it as text."""
_UNDETERMINED = b"\x55\xc4\0\0"
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
_HANDLER = VERSION_0 + bytes(4) + b"text" + bytes(12) + b"SubtitleHandler\0"
_HEADER = make_box(
    b"gmhd",
    make_box(b"gmin", bytes.fromhex("00000000 0040 8000 8000 8000 0000 0000")),
    make_box(b"text", struct.pack(">9H", 1, 0, 0, 0, 0, 0, 0, 0, 1), bytes(14), struct.pack(">HH", 0x4000, 0)),
)
_HERE = make_box(b"dinf", make_box(b"dref", VERSION_0, struct.pack(">I", 1), make_box(b"url ", b"\0\0\0\1")))
_DESCRIPTION = bytes.fromhex("00000001 0000 00000000 0000000000000000 00000000 0001 0000 00000000")
_FONTS = bytes.fromhex("0000000d 66746162 0001 0001 00")

type ChapterStarts = Sequence[tuple[int, str]]  # chapters: start in milliseconds, and title


def title_samples(chapters: ChapterStarts) -> BoxParts:
    """Return an `mdat` with the chapter titles, nothing without chapters."""
    return make_box(b"mdat", [_sample(title) for _, title in chapters]) if chapters else []


def truncate_utf8(text: str, most: int) -> bytes:
    """Return at most `most` bytes of `text`, cut between two letters."""
    return text.encode()[:most].decode(errors="ignore").encode()


def chapter_track(
    chapters: ChapterStarts, number: int, end_s: float, shown: int, dates: tuple[int, int], at: int
) -> BoxParts:
    """Return the `trak` numbered `number`, with chapters up to `end_s` and their `titles` at `at` in the file.

    `shown` is `end_s` in the movie's time scale; `dates` are creation and modification.
    """
    edges = [start for start, _ in chapters] + [max(int(end_s * SCALE), chapters[-1][0] + 1)]
    samples = TrackSamples()
    samples.begin_run(0)
    sizes = np.array([len(_sample(title)) for _, title in chapters], np.uint32)
    samples.add_run(at + HEAD.size, len(chapters), sizes, np.diff(np.array(edges, np.int64)).astype(np.uint32), 0, 0)
    entry = make_box(b"text", bytes(6), struct.pack(">H", 1), _DESCRIPTION, _FONTS)
    description = VERSION_0 + struct.pack(">I", 1) + b"".join(entry)
    tables = make_box(b"stbl", sample_tables(samples, description))
    head = struct.pack(">5I", *dates, number, 0, shown) + bytes(16) + _MATRIX + bytes(8)
    edit = struct.pack(">IIiI", 1, shown, 0, 0x10000)
    return make_box(
        b"trak",
        make_box(b"tkhd", _IN_MOVIE, head),
        make_box(b"edts", make_box(b"elst", VERSION_0, edit)),
        make_box(
            b"mdia",
            make_box(b"mdhd", VERSION_0, struct.pack(">4I", *dates, SCALE, samples.end), _UNDETERMINED),
            make_box(b"hdlr", _HANDLER),
            make_box(b"minf", _HEADER, _HERE, tables),
        ),
    )


def _sample(title: str) -> bytes:
    text = truncate_utf8(title, MOST_TITLE_BYTES)
    return struct.pack(">H", len(text)) + text + _UTF_8


LARGEST_31 = (1 << 31) - 1  # the largest value for players that read signed numbers
MOST_CHAPTERS, MOST_NERO_BYTES = 255, 255
CHAPTER_TICKS = 10_000  # chapter starts count 100 ns: ticks of a millisecond
REMADE = {b"stts", b"stss", b"ctts", b"stsc", b"stsz", b"stco", b"co64", b"sgpd", b"sbgp"}


@dataclass(frozen=True)
class _Track:
    """A track's old boxes, its samples, and its presentation in the movie's time scale."""

    trak: bytes
    samples: TrackSamples
    empty: int  # the time before its first sample is shown
    media_start: int  # the media time shown first, in the track's scale, behind the encoder's delay
    shown: int

    @property
    def end(self) -> int:
        return self.empty + self.shown


class MovieIndex:
    """The index of a file up to `end_s`. Raises ValueError if the old `moov` is incomplete."""

    def __init__(self, moov: bytes, samples: Mapping[int, TrackSamples]) -> None:
        """Take the content of the old `moov`, and samples by track; a track without samples stays empty."""
        self._old = list(child_boxes(moov))
        self._scale = _scale(find_box(moov, b"mvhd"))
        self._dates = _dates(find_box(moov, b"mvhd"))
        self._tracks: dict[int, _Track] = {}
        self._numbers = [track_of(content) for kind, content in self._old if kind == b"trak"]
        for kind, content in self._old:
            track = track_of(content) if kind == b"trak" else 0
            if track in samples and samples[track].count:
                self._tracks[track] = self._track(content, samples[track])
        self._end = max((track.end for track in self._tracks.values()), default=0)
        self.end_s = self._end / self._scale

    def index(self, chapters: ChapterStarts, titles_at: int) -> BoxParts:
        """Return the `moov`; the `titles` of `chapters` lie at `titles_at` in the file."""
        parts: BoxParts = []
        user: BoxParts = []
        number = max(self._numbers, default=0) + 1 if chapters else None
        for kind, content in self._old:
            if kind == b"mvhd":
                parts += _with_duration(kind, content, 12, self._end, next_track=number and number + 1)
            elif kind == b"trak":
                track = self._tracks.get(track_of(content))
                parts += (
                    self._trak(track, number) if track else make_box(kind, _with_changes(content, {b"edts": _dropped}))
                )
            elif kind == b"udta":
                user.append(content)
            elif kind != b"mvex":
                parts += make_box(kind, content)
        if number is not None:
            user += _chapters(chapters)
            parts += chapter_track(chapters, number, self.end_s, self._end, self._dates, titles_at)
        return make_box(b"moov", parts, make_box(b"udta", user) if user else [])

    def _track(self, trak: bytes, samples: TrackSamples) -> _Track:
        scale = _scale(find_box(trak, b"mdia", b"mdhd"))
        empty, media_start = read_edits(find_box(trak, b"edts", b"elst"))
        media_start -= samples.begin
        if media_start < 0:  # the first sample is later than the head says
            empty += ceil(Fraction(-media_start * self._scale, scale))
            media_start = 0
        shown = max(0, samples.shown_end - media_start)
        # Players end at the sum of durations. It is too early where frames are missing.
        samples.lengthen(shown - (samples.end - samples.begin))
        return _Track(trak, samples, empty, media_start, ceil(Fraction(shown * self._scale, scale)))

    def _trak(self, track: _Track, chapters: int | None) -> BoxParts:
        samples = track.samples

        def header(content: bytes) -> BoxParts:
            parts = _with_duration(b"tkhd", content, 16, track.end) + make_box(b"edts", _edit_list(track))
            return parts + (make_box(b"tref", make_box(b"chap", struct.pack(">I", chapters))) if chapters else [])

        def table(content: bytes) -> BoxParts:
            others = _with_changes(content, dict.fromkeys([*REMADE, b"stsd"], _dropped))
            return make_box(b"stbl", sample_tables(samples, find_box(content, b"stsd")), others)

        def media(content: bytes) -> BoxParts:
            length = samples.end - samples.begin
            return make_box(b"mdia", _with_changes(content, {
                b"mdhd": lambda mdhd: _with_duration(b"mdhd", mdhd, 12, length),
                b"minf": lambda minf: make_box(b"minf", _with_changes(minf, {b"stbl": table})),
            }))  # fmt: skip

        return make_box(b"trak", _with_changes(track.trak, {b"tkhd": header, b"mdia": media, b"edts": _dropped}))


def _with_changes(content: bytes, changes: Mapping[bytes, Callable[[bytes], BoxParts]]) -> BoxParts:
    """Return the boxes in `content`; `changes` replaces boxes by type."""
    parts: BoxParts = []
    for kind, inner in child_boxes(content):
        parts += changes[kind](inner) if kind in changes else make_box(kind, inner)
    return parts


def _dropped(_content: bytes) -> BoxParts:
    return []


def track_of(trak: bytes) -> int:
    return header_number(find_box(trak, b"tkhd"))


def _scale(header: bytes) -> int:
    scale = header_number(header)
    if not scale:
        raise ValueError("its head has no time scale")
    return scale


def _dates(mvhd: bytes) -> tuple[int, int]:
    """Return a movie's creation and modification dates, 0 for dates beyond 32 bits (2040)."""
    dates = struct.unpack_from(">QQ" if mvhd[0] else ">II", mvhd, 4)
    made, changed = (date if date <= LARGEST_32 else 0 for date in dates)
    return made, changed


def _with_duration(kind: bytes, content: bytes, fixed: int, duration: int, next_track: int | None = None) -> BoxParts:
    """Return a header with another duration, which follows two dates and `fixed` - 8 bytes in version 0.

    Dates and duration take 64 bits where needed. A movie's header ends with the number of the `next_track`.
    """
    old = content[0] == 1
    dates = struct.unpack_from(">QQ" if old else ">II", content, 4)
    wide = duration > LARGEST_31 or max(dates) > LARGEST_32
    between = content[20 : 12 + fixed] if old else content[12 : 4 + fixed]
    rest = content[20 + fixed :] if old else content[8 + fixed :]
    if next_track is not None:
        rest = rest[:-4] + struct.pack(">I", next_track)
    layout = (">QQ", ">Q") if wide else (">II", ">I")
    flags = bytes([wide]) + content[1:4]
    return make_box(kind, flags, struct.pack(layout[0], *dates), between, struct.pack(layout[1], duration), rest)


def _edit_list(track: _Track) -> BoxParts:
    entries = [(track.empty, -1)] if track.empty else []
    entries.append((track.shown, track.media_start))
    wide = max(*(value for entry in entries for value in entry)) > LARGEST_31
    layout = ">Qqi" if wide else ">Iii"
    edits = b"".join(struct.pack(layout, *entry, 0x10000) for entry in entries)
    return make_box(b"elst", bytes([wide, 0, 0, 0]), struct.pack(">I", len(entries)), edits)


def _chapters(chapters: ChapterStarts) -> BoxParts:
    entries = b"".join(
        struct.pack(">QB", start * CHAPTER_TICKS, len(title)) + title
        for start, title in ((start, truncate_utf8(text, MOST_NERO_BYTES)) for start, text in chapters[:MOST_CHAPTERS])
    )
    return make_box(b"chpl", VERSION_1, bytes(4), bytes([min(len(chapters), MOST_CHAPTERS)]), entries)
