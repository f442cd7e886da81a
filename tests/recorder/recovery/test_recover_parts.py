"""Parts and copies of a session, on one disk or on several: each copy becomes one package, nothing is there twice."""

import json
import shutil
from pathlib import Path

import pytest

from devices.host.clock import boot_id
from recorder.archive.archive import Archive
from recorder.package.work_folder import EVENTS_FILE, METADATA_FILES
from recorder.recovery.recover import RecoveryState
from tests.support import leftovers, media
from tests.support.leftovers import RATE, Left, Material, contents, event, live, log_of, only, program_of, recover

pytestmark = pytest.mark.usefixtures("nothing_half_built")


def test_the_parts_of_a_session_that_was_taken_up_again_become_one(archive: Archive, left: Left) -> None:
    plays_s = media.shown(left.killed, "v")[-1] + float(1 / RATE)  # ffprobe does not know how long the last one lasts
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()], written_s=plays_s + 0.5)
    second = [live(12.5), event(14, "mark", "Lanjut", media_s=1.5, number=1)]
    leftovers.leave(
        archive, {"program.mp4": left.killed}, part=2, offset_s=12.5, events=second, written_s=12.5 + plays_s + 0.5
    )
    _, package, recording = only(archive)
    assert len(recording.media) == 1
    assert recording.duration_s == pytest.approx(12.5 + plays_s, abs=0.1)
    assert [(round(gap.start_s, 1), gap.reason.split(";")[0]) for gap in recording.gaps] == [
        (round(plays_s, 1), "between part 1 and part 2"), (round(12.5 + plays_s, 1), "at least so much of the end"),
    ]  # fmt: skip
    assert recording.gaps[0].duration_s == pytest.approx(12.5 - plays_s, abs=0.1)
    assert [(mark.text, mark.media_s) for mark in recording.marks] == [("Lanjut", 14.0)]
    assert [line["kind"] for line in log_of(package)] == ["session-live", "session-live", "mark", "session-recovered"]
    chapters = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", program_of(package)))
    assert float(chapters["chapters"][1]["start_time"]) == 14.0


def test_what_an_earlier_sealing_of_a_part_left_is_not_carried_along(archive: Archive, left: Left) -> None:
    for part in (1, 2):
        folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=part, events=[live()], written_s=4.0)
        for path in METADATA_FILES - {EVENTS_FILE}:
            (folder / path).write_bytes(b"stale")
        (folder / "metadata" / "catatan.txt").write_bytes(b"%d" % part)
    _, package, _ = only(archive)
    there = {path.name: path.read_bytes() for path in (package.folder / "metadata").iterdir()}
    assert {name for name in there if "part" in name} == {"catatan.part2.txt"}
    assert there["catatan.txt"] == b"1"
    assert b"stale" not in there.values()


def test_the_clock_says_where_a_recorder_took_over(archive: Archive, left: Left) -> None:
    """`begun.json` is written a moment before media time 0 of the part is known."""
    first, second = live(clock_ns=1_000_000_000_000), live(9, clock_ns=1_009_375_000_000)
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[first])
    leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=9.0, events=[second])
    _, package, recording = only(archive)
    assert [part.offset_s for part in recording.parts] == [0.0, 9.375]
    listing = media.run(
        "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
        program_of(package),
    )  # fmt: skip
    assert 9.375 in [round(float(line.strip(",")), 4) for line in listing.split()]


def test_clocks_of_two_boots_are_not_compared(archive: Archive, left: Left) -> None:
    first, second = live(clock_ns=1_000_000_000_000), live(9, clock_ns=1_009_375_000_000)
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[first])
    folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=9.0, events=[second])
    begun = folder / "begun.json"
    begun.write_text(begun.read_text().replace(boot_id(), "another boot"))
    _, _, recording = only(archive)
    assert [part.offset_s for part in recording.parts] == [0.0, 9.0]


def test_a_session_that_moved_to_another_disk_is_whole(
    archive: Archive, second: Archive, material: Material, tmp_path: Path
) -> None:
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 4.2])
    then = material.write(tmp_path / "2", material.since(3.0))
    ended = event(6.3, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    log = [live(), event(4, "storage-full", "arsip"), ended]
    leftovers.leave(archive, {"program.mp4": first.killed}, events=log[:2])
    leftovers.leave(second, {"program.mp4": then.closed}, part=2, offset_s=3.0, events=log)
    _, package, recording = only(archive, second)
    assert package.folder.is_relative_to(archive.root)
    assert (recording.gaps, recording.frames) == ((), 180)
    assert recording.degraded == ("storage-full: arsip",)
    assert [line["kind"] for line in log_of(package)] == [
        "session-live", "storage-full", "session-ended", "session-recovered",
    ]  # fmt: skip


def test_parts_of_another_form_stay_files_of_their_own(archive: Archive, left: Left, tmp_path: Path) -> None:
    larger = Material(3.0, size=(640, 360)).write(tmp_path / "larger")
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    leftovers.leave(archive, {"program.mp4": larger.killed}, part=2, offset_s=20.0, events=[live(20)])
    _, _, recording = only(archive)
    assert [(Path(file.file).name, file.offset_s) for file in recording.media] == [
        ("program.mp4", 0.0), ("program-2.mp4", 20.0),
    ]  # fmt: skip
    assert recording.duration_s == pytest.approx(20 + media.decoded(larger.killed, "v").end_s, abs=0.1)
    assert recording.frames == sum(media.decoded(path, "v").frames for path in (left.killed, larger.killed))


def test_files_beside_the_program_are_repaired_and_joined_too(archive: Archive, left: Left, tmp_path: Path) -> None:
    isolated = tmp_path / "podium.mkv"
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x90:r=10:d=3", "-c:v", "mjpeg", "-f", "matroska",
        "-live", "1", isolated,
    )  # fmt: skip
    for part, offset_s in ((1, 0.0), (2, 10.0)):
        files = {"program.mp4": left.killed, "podium.mkv": isolated}
        leftovers.leave(archive, files, part=part, offset_s=offset_s, events=[live(offset_s)])
    _, package, recording = only(archive)
    assert [Path(file.file).name for file in recording.media] == ["program.mp4", "podium.mkv"]
    assert media.decoded(package.folder / "data" / "media" / "podium.mkv", "v").frames == 60
    assert recording.media[1].duration_s == pytest.approx(13, abs=0.2)


def test_a_part_that_recorded_nothing_costs_the_others_nothing(archive: Archive, left: Left) -> None:
    lost = event(8, "source-lost", "podium")
    leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    leftovers.leave(archive, {}, part=2, offset_s=8.0, events=[live(8), lost])
    _, package, recording = only(archive)
    assert [part.duration_s for part in recording.parts][1] == 0
    assert "source-lost: podium" in recording.degraded
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


def test_a_later_part_without_the_first_is_kept_and_says_so(archive: Archive, second: Archive, left: Left) -> None:
    """The first disk is gone; when it comes back, what is on it becomes a package too, and replaces nothing."""
    first_left = leftovers.leave(archive, {"program.mp4": left.killed}, events=[live()])
    leftovers.leave(second, {"program.mp4": left.killed}, part=2, offset_s=9.0, events=[live(9)])
    gone = archive.root.rename(archive.root.with_name("elsewhere"))
    _, package, recording = only(archive, second)
    assert recording.gaps[0].reason == "the recording before part 2 was not found"
    assert recording.media[0].offset_s == 9.0
    gone.rename(archive.root)
    assert first_left.exists()
    (outcome,) = recover(archive, second)
    assert outcome.state is RecoveryState.SEALED
    assert {entry.path for entry in (*archive.list(), *second.list())} == {package.path, outcome.package}
    assert contents(package.folder) == contents(Path(package.path))


@pytest.mark.parametrize("copy", [1, 2])
def test_a_part_that_was_joined_already_is_removed_when_its_disk_comes_back(
    archive: Archive, second: Archive, left: Left, tmp_path: Path, copy: int
) -> None:
    for place, part, offset_s in ((archive, 1, 0.0), (second, 2, 9.0)):
        events = [live(offset_s)]
        leftovers.leave(place, {"program.mp4": left.killed}, part=part, offset_s=offset_s, copy=copy, events=events)
    shutil.copytree(second.root, tmp_path / "as it was")
    _, package, _ = only(archive, second)
    before = contents(package.folder)
    shutil.copytree(tmp_path / "as it was", second.root, dirs_exist_ok=True)
    (outcome,) = recover(archive, second)
    assert outcome.state is RecoveryState.DISCARDED
    assert "already sealed" in outcome.message
    assert second.list() == []
    assert contents(package.folder) == before


def test_a_damaged_package_is_no_reason_to_remove_what_it_was_made_of(
    archive: Archive, second: Archive, left: Left, tmp_path: Path
) -> None:
    for place, part, offset_s in ((archive, 1, 0.0), (second, 2, 9.0)):
        leftovers.leave(place, {"program.mp4": left.killed}, part=part, offset_s=offset_s, events=[live(offset_s)])
    shutil.copytree(second.root, tmp_path / "as it was")
    _, package, _ = only(archive, second)
    program_of(package).write_bytes(b"damaged")
    shutil.copytree(tmp_path / "as it was", second.root, dirs_exist_ok=True)
    (outcome,) = recover(archive, second)
    assert outcome.state is RecoveryState.SEALED
    assert len(second.list()) == 1


def test_both_copies_of_a_mirrored_session_become_packages(archive: Archive, second: Archive, left: Left) -> None:
    for copy, place in enumerate((archive, second), start=1):
        leftovers.leave(place, {"program.mp4": left.killed}, events=[live()], copy=copy)
    assert [outcome.state for outcome in recover(archive, second)] == [RecoveryState.SEALED, RecoveryState.SEALED]
    (one,), (other,) = archive.list(), second.list()
    assert (other.id, other.session, other.copy) == (f"{one.id}.copy2", one.uuid, 2)
    assert recover(archive, second) == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_in_parts_is_kept_where_the_other_was_recovered_before_it(
    archive: Archive, second: Archive, left: Left, first: int
) -> None:
    """As where the disk of one was away: its parts are called by the same numbers."""
    for part, offset_s in ((1, 0.0), (2, 9.0)):
        for copy, place in enumerate((archive, second), start=1):
            events = [live(offset_s)]
            leftovers.leave(place, {"program.mp4": left.killed}, part=part, offset_s=offset_s, copy=copy, events=events)
    before, after = (archive, second) if first == 0 else (second, archive)
    ((outcome),) = recover(before)
    assert outcome.state is RecoveryState.SEALED
    assert [outcome.state for outcome in recover(archive, second)] == [RecoveryState.SEALED]
    copies = []
    for place in (before, after):
        (package,) = place.list()
        assert package.recording
        copies.append({part.copy for part in package.recording.parts})
        assert [part.part for part in package.recording.parts] == [1, 2]
    assert copies == [{first + 1}, {2 - first}]
