"""Parts and media that a kill has left: repaired and joined without a seam, and replaced only by what is whole."""

import errno
import itertools
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
import pytest

from config.errors import MediaError, PackageDamaged
from config.events import Event
from recorder.archive.archive import Archive, read_recording
from recorder.archive.exporting import package_files
from recorder.disk.durable import DurableFiles, temporary_of
from recorder.model.eventlog import read_events
from recorder.model.marks import Mark
from recorder.model.packet import Track
from recorder.mp4.finalize import MOST_CUT_BYTES
from recorder.package.metadata import INTERRUPTED, Chapter, Gap, Package, PartFacts, RecordingFacts
from recorder.recovery import remux
from recorder.recovery.rebuild import PartEvidence, describe_missing, rebuild_facts
from recorder.recovery.recover import RecoveryState
from recorder.recovery.remux import MediaPiece, inspect_media, open_piece, repair_media, write_mp4
from tests.support import archives, leftovers, media
from tests.support.archives import STARTED
from tests.support.damage import MEDIA
from tests.support.leftovers import Left, Material, contents, event, fragments, live, only, recover
from tests.support.media import shown

pytestmark = pytest.mark.computing

join_media = partial(remux.join_media, disk=DurableFiles())


def piece(path: Path, offset_s: float) -> remux.MediaPiece:
    return replace(inspect_media(path), offset_s=offset_s)


def leave_two_parts(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(archive, left, part=2, offset_s=9.0)


@pytest.mark.parametrize("when", ["while it is made", "after its rename"])
def test_parts_are_kept_where_what_was_made_of_them_is_lost(archive: Archive, left: Left, when: str) -> None:
    leave_two_parts(archive, left)
    incoming = archive.root / ".incoming"
    before = recordings(archive)

    def lose(step: str, path: Path) -> None:
        is_renamed = (step, path) == ("sync", incoming)
        if is_renamed if when == "after its rename" else (step, path.name) == ("write", "events.jsonl"):
            for program in incoming.glob("*.join*/data/media/program.mp4"):
                program.unlink()

    (outcome,) = recover(archive, disk=DurableFiles(lose))
    assert outcome.state is RecoveryState.FAILED, outcome
    assert recordings(archive) == before
    only(archive)


def test_what_cannot_be_completed_takes_no_room(archive: Archive, left: Left) -> None:
    leave_two_parts(archive, left)
    before = set(archive.root.rglob("*"))
    disk = archives.fails(errno.ENOSPC, lambda step, path: (step, path.suffix) == ("rename", ".joined"))
    (outcome,) = recover(archive, disk=disk)
    assert outcome.state is RecoveryState.FAILED, outcome
    assert set(archive.root.rglob("*")) == before
    only(archive)


def recordings(archive: Archive) -> dict[str, bytes]:
    return {path: content for path, content in contents(archive.root).items() if path.endswith(".mp4")}


# Parts of a session become one file with one timeline


def tag(path: Path, name: str) -> str:
    words = ("-show_entries", f"format_tags={name}", "-of", "csv=p=0")
    return media.run("ffprobe", "-v", "error", *words, path).strip()


def longest_gap(times: list[float]) -> float:
    return max(after - before for before, after in itertools.pairwise(times))


def test_a_switch_to_another_path_leaves_no_seam(material: Material, left: Left, tmp_path: Path) -> None:
    """The same packets to both paths for a while; the first then ends wherever it does."""
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 4.2])
    second = material.write(tmp_path / "2", material.since(3.0))
    ((joined, _),) = join_media([inspect_media(first.killed), piece(second.closed, 3.0)], tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    for kind in "va":
        assert shown(joined, kind) == pytest.approx(shown(left.closed, kind), abs=0.0005)
    assert media.luma(joined, 1, 1) == media.luma(left.closed, 1, 1), "each picture is the one of that time"


def test_a_part_that_ended_before_its_first_picture_is_kept_beside(material: Material, tmp_path: Path) -> None:
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 2])
    sound = [packet for packet in material.packets if packet.track == Track.AUDIO and packet.dts_s < 1]
    second = material.write(tmp_path / "2", sound)
    made = join_media([inspect_media(first.killed), piece(second.closed, 5.0)], tmp_path / "program.mp4")
    assert [path.name for path, _ in made] == ["program.mp4", "program-2.mp4"]
    assert len(shown(made[1][0], "a")) == pytest.approx(len(sound), abs=1)


def test_what_is_damaged_far_from_its_end_is_not_joined(material: Material, tmp_path: Path) -> None:
    parts = [material.write(tmp_path / name) for name in "12"]
    content = parts[0].killed.read_bytes()
    moof = content.index(b"moof", len(content) // 2) - 4
    parts[0].killed.write_bytes(content[:moof] + bytes(8) + content[moof + 8 :])
    os.truncate(parts[0].killed, len(content) + MOST_CUT_BYTES)
    pieces = [inspect_media(parts[0].killed), piece(parts[1].closed, 6.0)]
    with pytest.raises(MediaError, match="damaged"):
        join_media(pieces, tmp_path / "program.mp4")
    assert not (tmp_path / "program.mp4").exists()


def test_a_restart_leaves_its_gap_and_nothing_moves(left: Left, tmp_path: Path) -> None:
    parts = [piece(shutil.copyfile(left.killed, tmp_path / str(at_s)), at_s) for at_s in (0.0, 12.5, 20.0)]
    ((joined, _),) = join_media(parts, tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    before, times = shown(left.killed, "v"), shown(joined, "v")
    assert [times[len(before)], times[2 * len(before)]] == pytest.approx([12.5, 20.0], abs=0.001)
    assert len(times) == 3 * len(before)
    assert longest_gap(times) == pytest.approx(12.5 - before[-1], abs=0.01)
    assert min(at for at in shown(joined, "a") if at > 10) == pytest.approx(12.5, abs=0.022)


def test_where_clocks_disagree_the_later_part_counts(left: Left, tmp_path: Path) -> None:
    """After a restart of the PC the wall clock may say that a part began before the last one had ended."""
    ((joined, _),) = join_media([inspect_media(left.closed), piece(left.closed, 4.51)], tmp_path / "program.mp4")
    media.decodes_cleanly(joined)
    times = shown(joined, "v")
    assert sum(at >= 4.509 for at in times) == 180, "all of the second part"
    assert longest_gap(times) < 6 / 30


def test_parts_of_another_form_become_another_file(left: Left, tmp_path: Path) -> None:
    first, larger = tmp_path / "1.mp4", Material(2.0, size=(640, 360)).write(tmp_path / "2")
    shutil.copyfile(left.killed, first)
    marks = [Mark(at=STARTED, media_s=at_s, text=text) for at_s, text in ((1.0, "one"), (13.0, "two"))]
    made = join_media(
        [inspect_media(first), piece(larger.killed, 9.0), piece(larger.killed, 12.0)],
        tmp_path / "program.mp4", marks=marks, title="Rapat",
    )  # fmt: skip
    assert [(path.name, offset_s) for path, offset_s in made] == [("program.mp4", 0.0), ("program-2.mp4", 9.0)]
    for path, _ in made:
        media.decodes_cleanly(path)
    assert shown(made[1][0], "v")[0] == 0
    assert [media.chapters(path) for path, _ in made] == [
        [(0.0, "Rapat"), (1.0, "one")], [(0.0, "Rapat"), (4.0, "two")],
    ]  # fmt: skip
    for (path, _), part in zip(made, (left, larger), strict=True):
        assert tag(path, "creation_time") == tag(part.killed, "creation_time") != ""


def test_a_part_that_holds_nothing_is_refused(left: Left, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    with pytest.raises(MediaError, match=r"empty\.mp4"):
        join_media([inspect_media(left.killed), piece(empty, 9.0)], tmp_path / "program.mp4")
    assert not list(tmp_path.glob(".*"))
    assert not (tmp_path / "program.mp4").exists()


def test_what_is_missing_is_said_in_one_sentence() -> None:
    gaps = [Gap(start_s=at_s, duration_s=2.9, reason="it was killed") for at_s in (31.9, 90_061.9)]
    assert describe_missing(gaps, []) == (
        "missing: 2.9 s from 0:00:31 on (it was killed); 2.9 s from 25:01:01 on (it was killed)"
    )
    assert describe_missing([], []) == "nothing is missing"
    assert describe_missing([], [INTERRUPTED, "source-lost: podium"]) == (
        "the last second may be missing; while it was recorded: source-lost: podium"
    )


# A killed recording becomes an ordinary MP4 that plays what it played before


def test_a_fragment_counts_once_it_is_whole(left: Left, tmp_path: Path) -> None:
    content, whole = left.killed.read_bytes(), fragments(left.killed)
    cut = tmp_path / "cut.mp4"
    for left_over, expected in (
        (content, whole[-1][1]),
        (content[: whole[-1][1]] + bytes(5000), whole[-1][1]),  # a power cut leaves zeros
        (content[: whole[-1][1] - 1], whole[-2][1]),
        (content[: whole[-1][0] + 3], whole[-2][1]),
        (content[: whole[0][1]], whole[0][1]),
    ):
        cut.write_bytes(left_over)
        assert (inspect_media(cut).is_open, inspect_media(cut).whole_bytes) == (True, expected)
    cut.write_bytes(content[: whole[0][0]])
    assert not inspect_media(cut).is_open
    closed = inspect_media(left.closed)
    assert (closed.is_open, closed.whole_bytes) == (False, closed.bytes)


def test_only_what_is_whole_is_read(left: Left, tmp_path: Path) -> None:
    """Whatever is in the folder's name: the options of FFmpeg's protocol stand before it."""
    path = tmp_path / "a,end,9,,:b" / "zeros.mp4"
    path.parent.mkdir()
    path.write_bytes(left.killed.read_bytes()[: inspect_media(left.killed).whole_bytes] + b"\1" * 5000)
    with open_piece(inspect_media(path)) as container, open_piece(inspect_media(left.killed)) as whole:
        assert sum(packet.size for packet in container.demux()) == sum(packet.size for packet in whole.demux())


@pytest.mark.parametrize(
    ("name", "content"), [("a.mkv", b""), ("a.mp4", b"#EXTM3U\nfile:///etc/passwd\n"), ("a.mkv", b"words" * 100)]
)
def test_other_files_are_not_open(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert inspect_media(path) == MediaPiece(path, len(content), len(content), is_open=False)


@pytest.fixture
def killed(left: Left, tmp_path: Path) -> Path:
    path = tmp_path / "program.mp4"
    shutil.copyfile(left.killed, path)
    return path


def timed(path: Path, kind: str) -> list[str]:
    """Return when each frame is shown, and a hash of each, as the ffmpeg command decodes it."""
    return media.run(
        "ffmpeg", "-v", "error", "-i", path, "-map", f"0:{kind}:0", "-fps_mode", "passthrough", "-f", "framemd5", "-"
    ).splitlines()[-200:]


def test_what_plays_is_the_same_to_the_frame_and_the_sample(killed: Path, left: Left) -> None:
    os.utime(killed, (1_700_000_000, 1_700_000_123))
    repair_media(killed, DurableFiles())
    assert killed.stat().st_mtime == 1_700_000_123
    assert not inspect_media(killed).is_open
    media.decodes_cleanly(killed)
    for kind in "va":
        assert timed(killed, kind) == timed(left.killed, kind)
    assert media.decoded(killed, "a").start_s == 0, "the encoder's run-in stays before 0"
    assert not temporary_of(killed).exists()
    content = killed.read_bytes()
    repair_media(killed, DurableFiles())
    assert killed.read_bytes() == content, "a second repair changes nothing"


def test_a_kill_between_a_picture_and_those_shown_before_it(killed: Path, tmp_path: Path) -> None:
    """Whatever the last fragment holds: the index, what plays, and what was left agree about the end."""
    for number, (_, end) in enumerate(fragments(killed)[-2:]):
        path = tmp_path / f"{number}.mp4"
        path.write_bytes(killed.read_bytes()[:end])
        before = timed(path, "v")
        repair_media(path, DurableFiles())
        assert timed(path, "v") == before
        last = int(before[-1].split(",")[2])
        assert media.duration_s(path, "v") == pytest.approx((last + 1) / 30, abs=0.001)


def test_a_copy_that_is_not_the_same_does_not_replace_the_original(unclosed: Path) -> None:
    """As on a disk that loses what it was given: a byte of a picture is another one when it is read back."""

    def spoil(step: str, path: Path) -> None:
        if step == "verify":
            spoiled = bytearray(temporary_of(path).read_bytes())
            spoiled[len(spoiled) // 2] ^= 1
            temporary_of(path).write_bytes(spoiled)

    content = unclosed.read_bytes()
    with pytest.raises(MediaError, match="differs from its original"):
        repair_media(unclosed, DurableFiles(spoil))
    assert unclosed.read_bytes() == content
    assert not temporary_of(unclosed).exists()


def test_a_full_disk_costs_nothing(killed: Path, unclosed: Path) -> None:
    full = archives.fails(errno.ENOSPC, lambda step, _: step == "sync")
    for path in (killed, unclosed):
        content, whole_bytes, written = path.read_bytes(), inspect_media(path).whole_bytes, path.stat().st_mtime_ns
        with pytest.raises(OSError, match="No space"):
            repair_media(path, full)
        assert path.read_bytes() == content[:whole_bytes]
        assert path.stat().st_mtime_ns == written
        assert not temporary_of(path).exists()


def test_progress_counts_what_is_written_and_what_is_read_back(killed: Path) -> None:
    counts: list[int] = []
    repair_media(killed, DurableFiles(), advance=counts.append)
    assert sum(counts) == pytest.approx(2 * killed.stat().st_size, rel=0.15)
    assert len(counts) > 5


def test_matroska_that_was_not_closed_gets_its_length(unclosed: Path) -> None:
    assert inspect_media(unclosed).is_open
    repair_media(unclosed, DurableFiles())
    assert not inspect_media(unclosed).is_open
    assert media.decoded(unclosed, "v").frames == 30
    media.decodes_cleanly(unclosed)


def packets(path: Path) -> str:
    """Return track, time and checksum of every packet, as ffprobe finds them."""
    entries = ("-show_data_hash", "SHA256", "-show_entries", "packet=stream_index,pts_time,data_hash")
    return media.run("ffprobe", "-v", "error", *entries, "-of", "csv", path)


def test_it_plays_with_chapters_and_title(package: Package, tmp_path: Path) -> None:
    target, calls = tmp_path / "rapat.mp4", list[tuple[int, int]]()
    marks = [Mark(at=STARTED, media_s=at_s, text=text) for at_s, text in ((0.5, "Pembukaan"), (1.5, "Tanya jawab"))]
    chapters = (
        Chapter(start_s=0.5, title="Pembukaan", source="mark"),
        Chapter(start_s=1.0, title="Anggaran 2027", source="slide"),
    )
    recording = msgspec.structs.replace(read_recording(package.folder), marks=tuple(marks), chapters=chapters)
    write_mp4(package_files(package.folder), recording, target, lambda *told: calls.append(told))
    media.decodes_cleanly(target)
    assert media.decoded(target, "v").frames == archives.FRAMES
    assert packets(target) == packets(package.folder / MEDIA)
    titles = [(0.0, "Rapat Senat"), (0.5, "Pembukaan"), (1.0, "Anggaran 2027"), (1.5, "Tanya jawab")]
    assert media.chapters(target) == titles
    assert tag(target, "title") == "Rapat Senat"
    assert calls == sorted(calls)
    assert {path.name for path in tmp_path.iterdir()} == {"arsip", "rapat.mp4"}


def test_media_that_have_changed_are_not_handed_over(package: Package, tmp_path: Path) -> None:
    whole = [replace(one, digest="0" * 64) for one in package_files(package.folder)]
    with pytest.raises(PackageDamaged, match=rf"{package.id} is damaged: .* is changed") as caught:
        write_mp4(whole, read_recording(package.folder), tmp_path / "rapat.mp4")
    assert f"liput archive verify {package.id} " in caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["arsip"]


# The facts of a session whose recorder did not live to tell them, from its log and its media.


def part(
    events: Sequence[Event],
    number: int = 1,
    offset_s: float = 0.0,
    duration_s: float = 60.0,
    written_s: float | None = None,
) -> PartEvidence:
    written_at = None if written_s is None else STARTED + timedelta(seconds=written_s)
    return PartEvidence(part=number, offset_s=offset_s, duration_s=duration_s, written_at=written_at, events=events)


def test_a_recorder_that_was_killed_lost_what_came_after_the_last_whole_fragment() -> None:
    facts = rebuild_facts([part([live()], written_s=60.62)], STARTED)
    (gap,) = facts.gaps
    assert (gap.start_s, gap.duration_s) == (60.0, 0.62)
    assert gap.reason == "at least so much of the end; the recorder was killed, or its disk failed at 09:01:00"
    assert facts.ended_at == STARTED + timedelta(seconds=60)
    assert facts.degraded == ("interrupted",)
    assert (facts.dropped, facts.repeated, facts.parts) == (0, 0, ())


def test_an_event_is_a_sign_of_life_too_and_a_clock_that_was_set_is_not_believed() -> None:
    facts = rebuild_facts([part([live(), event(61.5, "source-lost", "podium")], written_s=60.2)], STARTED)
    assert facts.gaps[0].duration_s == 1.5
    assert facts.degraded == ("source-lost: podium", "interrupted")
    for written_s in (8e8, -8e8):
        assert rebuild_facts([part([live()], written_s=written_s)], STARTED).gaps == ()


def test_one_that_ended_in_order_lost_nothing_and_one_that_was_killed_while_it_closed_what_it_says_it_had() -> None:
    ended = event(60.9, "session-ended", "Rapat", media_time_s=60.0, frames=1800)
    facts = rebuild_facts([part([live(), ended], written_s=61.2)], STARTED)
    assert (facts.gaps, facts.degraded, facts.ended_at) == ((), (), ended.at)
    closing = event(60.9, "session-ended", "Rapat", media_time_s=60.4, frames=1812)
    facts = rebuild_facts([part([live(), closing])], STARTED)
    assert facts.gaps == (Gap(start_s=60.0, duration_s=0.4, reason="it was recorded, and not written before the end"),)
    assert facts.degraded == ("interrupted",)


def test_frames_that_were_dropped_are_counted_and_those_that_stood_still_by_how_long() -> None:
    events = [
        event(-9, "source-silent", "podium", since_s=3.0), event(-5, "source-returned", "podium", at_s=7.0),
        live(), event(1, "frames-dropped", "podium", count=3), event(2, "source-silent", "podium", since_s=2.0),
        event(4, "source-returned", "podium", at_s=4.5), event(5, "source-silent", "mikrofon", since_s=5.0),
        event(6, "frames-dropped", "podium", count=4), event(50, "source-silent", "podium", since_s=59.0),
    ]  # fmt: skip
    facts = rebuild_facts([part(events)], STARTED)
    assert (facts.dropped, facts.repeated) == (7, round((2.5 + 1.0) * 30))
    assert facts.degraded == (
        "frames-dropped: podium", "source-silent: podium", "source-silent: mikrofon", "interrupted",
    )  # fmt: skip
    assert rebuild_facts([part([events[0], live()])], STARTED).repeated == 60 * 30
    assert rebuild_facts([part([events[0], live(still_rate=5.0)])], STARTED).repeated == 60 * 5
    assert rebuild_facts([part([events[0], live(still_rate=None)])], STARTED).repeated == 60 * 30


def test_what_was_wrong_while_it_was_armed_only_does_not_count() -> None:
    armed = [
        event(-9, "frames-dropped", "podium", count=1), event(-7, "start-failed", "Rapat"),
        event(-5, "source-lost", "layar"),
    ]  # fmt: skip
    assert rebuild_facts([part([*armed, live()])], STARTED).degraded == ("source-lost: layar", "interrupted")


def test_marks_are_in_the_time_of_the_session() -> None:
    first = [live(), event(10, "mark", "Sambutan", media_s=10.0, number=1)]
    second = [live(75), event(80, "mark", "Tanya jawab", media_s=5.25, number=1)]
    facts = rebuild_facts([part(first), part(second, 2, 74.5)], STARTED)
    assert [(mark.media_s, mark.text) for mark in facts.marks] == [(10.0, "Sambutan"), (79.75, "Tanya jawab")]
    assert facts.marks[1].at == STARTED + timedelta(seconds=80)


def test_the_last_title_is_that_of_the_session() -> None:
    first = [live(), event(10, "title-changed", "Rapat A"), event(20, "title-changed", "Rapat B")]
    parts = [part(first), part([live(75)], 2, 74.5)]
    assert rebuild_facts(parts, STARTED).title == "Rapat B"
    assert rebuild_facts(parts[1:], STARTED).title == ""


def test_the_gap_between_two_recorders_says_when_the_first_was_killed() -> None:
    facts = rebuild_facts([part([live()], written_s=60.6), part([live(72.5)], 2, 72.4, written_s=132.4)], STARTED)
    (gap,) = facts.gaps
    assert (gap.start_s, gap.duration_s) == (60.0, 12.4)
    assert (
        gap.reason == "between part 1 and part 2; the recorder was killed at 09:01:00, and another one took its place"
    )
    assert facts.parts == (
        PartFacts(part=1, offset_s=0.0, duration_s=60.0), PartFacts(part=2, offset_s=72.4, duration_s=60.0),
    )  # fmt: skip
    assert facts.ended_at == STARTED + timedelta(seconds=132.4)


def test_a_recorder_that_went_on_with_another_disk_is_one_recorder() -> None:
    """Both logs hold every event; nothing counts twice, and times go on from the first part."""
    ended = event(120, "session-ended", "Rapat", media_time_s=120.0, frames=3600)
    events = [
        live(), event(50, "frames-dropped", "podium", count=2), event(59, "storage-full", "arsip"),
        event(70, "mark", "Istirahat", media_s=70.0, number=1), ended,
    ]  # fmt: skip
    facts = rebuild_facts([part(events[:3], duration_s=60.0), part(events, 2, 58.0, 62.0)], STARTED)
    assert (facts.gaps, facts.dropped) == ((), 2)
    assert [mark.media_s for mark in facts.marks] == [70.0]
    assert facts.degraded == ("frames-dropped: podium", "storage-full: arsip")
    assert facts.ended_at == ended.at


@pytest.mark.parametrize(
    ("numbers", "reason"),
    [
        ((2, 3), "the recording before part 2 was not found"),
        ((1, 3), "between part 1 and part 3; the recording there was not found"),
        ((1, 2), "between part 1 and part 2, when the recording moved to another disk"),
    ],
)
def test_what_lies_between_parts_is_a_gap_that_says_why(numbers: tuple[int, int], reason: str) -> None:
    first, second = numbers
    later = live(300) if second == 3 else live()  # the same recorder, on another disk
    parts = [part([live()], first, 100.0 * (first - 1)), part([later], second, 200.0)]
    assert rebuild_facts(parts, STARTED).gaps[0].reason == reason


def test_a_log_is_read_past_lines_that_are_none() -> None:
    log = (
        b'{"type":"event","kind":"started"}\n\xff\xfe\n'
        b'{"type":"event","at":"2026-11-24T09:00:01","kind":"mark","subject":"no zone","detail":{},"message":"m"}\n'
        b'{"type":"event","at":"2026-11-24T09:00:01+07:00","kind":"mark",'
    )
    whole = b'{"type":"event","at":"2026-11-24T09:00:01+07:00","kind":"mark","subject":"a","detail":{},"message":"m"}\n'
    assert [each.subject for each in read_events(whole + log)] == ["a"]


def test_detail_that_is_no_number_counts_as_none() -> None:
    events = [live(), event(1, "frames-dropped", "podium", count="many"), event(2, "mark", "x", media_s=None)]
    facts = rebuild_facts([part(events)], STARTED)
    assert (facts.dropped, facts.marks[0].media_s) == (0, 0.0)


def test_how_loud_it_was_is_what_the_recorder_said_last() -> None:
    told = [event(at, "sound-measured", "program", loudness_lufs=lufs, loudness_range_lu=5.0) for at, lufs in
            ((60, -30.0), (120, -22.5))]  # fmt: skip
    facts = rebuild_facts([part([live(), *told], duration_s=150.0)], STARTED)
    assert (facts.loudness_lufs, facts.loudness_range_lu) == (-22.5, 5.0)
    ended = event(149, "session-ended", "Rapat", media_time_s=150.0, frames=1, loudness_lufs=-21.0)
    assert rebuild_facts([part([live(), *told, ended], duration_s=150.0)], STARTED).loudness_lufs == -21.0
    assert rebuild_facts([part([live()])], STARTED).loudness_lufs is None


def test_how_loud_several_recorders_were_is_their_mean_by_energy() -> None:
    first = part([live(), event(60, "sound-measured", "program", loudness_lufs=-20.0)], duration_s=100.0)
    second = part([live(110)], number=2, offset_s=110.0, duration_s=300.0)
    said = RecordingFacts(ended_at=STARTED, loudness_lufs=-40.0, loudness_range_lu=3.0)
    facts = rebuild_facts([first, second], STARTED, said)
    assert facts.loudness_lufs == pytest.approx(-25.9, abs=0.1)
    assert facts.loudness_range_lu is None
    silent = RecordingFacts(ended_at=STARTED)
    assert rebuild_facts([first, second], STARTED, silent).loudness_lufs == -20.0


def test_who_was_streamed_to_is_kept_of_every_recorder() -> None:
    first = [
        event(-3, "destination-added", "dicabut"),
        event(-2, "destination-removed", "dicabut"),
        event(0, "session-live", "rapat", destinations=["kampus"]),
        event(5, "destination-added", "youtube"),
        event(6, "destination-removed", "kampus"),
    ]
    second = [event(120, "session-live", "rapat", destinations=["youtube", "aula"])]
    facts = rebuild_facts([part(first, duration_s=100.0), part(second, number=2, offset_s=120.0)], STARTED)
    assert facts.destinations == ("kampus", "youtube", "aula")
