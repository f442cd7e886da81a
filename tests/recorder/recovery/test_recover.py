"""From what a crash has left to a package that others find valid, whatever it was, and once only."""

import errno
import json
import os
import resource
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from fractions import Fraction
from pathlib import Path

import jsonschema
import msgspec
import pytest

from capture.source import ColorMatrix, VideoFormat
from config.errors import ArchiveError, PackageBusy, PackageNotFound, StorageError
from config.events import Event
from devices.host.clock import SystemClock, boot_id
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.package.metadata import Package, Recording
from recorder.package.work_folder import EVENTS_FILE, METADATA_FILES
from recorder.recovery import resume, unfinished
from recorder.recovery.packaging import SessionPackager
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.resume import Resumption, lock_for_resume, session_had_ended
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, leftovers, media
from tests.support.archives import RECORDING_SCHEMA, STARTED
from tests.support.copies import small_disk
from tests.support.errors import because
from tests.support.leftovers import Left, Material, checked, contents, event, live, log_of, only, program_of, recover
from tests.support.processes import limited
from tests.support.simulated import SimulatedClock

pytestmark = pytest.mark.usefixtures("nothing_half_built")


def test_a_killed_recording_is_repaired_described_and_sealed(archive: Archive, left: Left) -> None:
    events = [live(), event(2.5, "mark", "Sambutan", media_s=2.5, number=1), event(3, "source-lost", "podium")]
    plays_s = media.decoded(left.killed, "v").end_s
    leftovers.leave_killed(archive, left, events=events, written_s=plays_s + 0.6)
    outcome, package, recording = only(archive)
    assert package.id == "2026-11-24_0900_rapat-senat_3f2a91c0"
    assert (recording.title, recording.room, recording.destinations) == ("Rapat Senat", "Aula", ("youtube",))
    assert recording.degraded == ("source-lost: podium", "interrupted")
    (gap,) = recording.gaps
    assert gap.start_s == pytest.approx(plays_s, abs=0.1)
    assert gap.duration_s == pytest.approx(0.6, abs=0.1)
    assert outcome.gaps == [gap]
    assert "missing: 0.6 s from 0:00:0" in outcome.message
    assert [(mark.text, mark.media_s) for mark in recording.marks] == [("Sambutan", 2.5)]
    assert (2.5, "Sambutan") in media.chapters(program_of(package))
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")
    told = log_of(package)
    assert [line["kind"] for line in told] == ["session-live", "mark", "source-lost", "session-recovered"]
    assert told[-1]["detail"] == {"parts": [1], "gaps": [msgspec.to_builtins(gap)]}


def test_what_a_newer_liput_began_keeps_its_title_and_all_else_that_is_understood(archive: Archive, left: Left) -> None:
    work = leftovers.leave_killed(archive, left)
    begun = json.loads((work / "begun.json").read_bytes())
    begun |= {"version": 2, "host": {"name": "pc"}, "rooms": ["Aula"]}  # one field retyped, one that is new
    (work / "begun.json").write_text(json.dumps(begun))
    (unfinished,) = archive.list()
    assert unfinished.title == "Rapat Senat"
    _, package, recording = only(archive)
    assert (package.title, recording.uuid, recording.room) == ("Rapat Senat", begun["uuid"], "Aula")
    assert recording.started_at.isoformat() == begun["started_at"]


def test_what_was_sealing_is_sealed_with_what_its_recorder_said(archive: Archive, program: Path) -> None:
    disk = archives.fails(errno.EIO, lambda step, path: (step, path.name) == ("write", "manifest-sha256.txt"))
    failing = archives.archive_at(archive.root, disk)
    with archives.recorded(failing, program) as work, pytest.raises(StorageError):
        failing.seal(work, archives.FACTS)
    _, _, recording = only(archive)
    assert (recording.dropped, recording.repeated) == (archives.FACTS.dropped, archives.FACTS.repeated)
    assert recording.degraded == archives.FACTS.degraded
    assert recording.ended_at == archives.FACTS.ended_at


def test_a_session_that_recorded_nothing_is_discarded_with_a_word(archive: Archive, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes((16).to_bytes(4) + b"ftypisom" + bytes(4))
    leftovers.leave(archive, {"program.mp4": nothing})
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.DISCARDED, "nothing had been recorded; it is removed")
    assert list(archive.root.rglob("*")) == []


def test_a_look_changes_nothing_and_a_session_answers_to_its_names(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left)
    before = contents(archive.root)
    (session,) = find_unfinished([archive])
    outcome = Recovery([archive], clock=SimulatedClock()).look(session)
    size = sum(map(len, before.values()))
    assert (outcome.state, outcome.id, outcome.bytes) == (RecoveryState.UNFINISHED, session.name, size)
    assert contents(archive.root) == before
    assert all(map(session.answers_to, (session.name, str(folder), "3f2a91c0", "2026-11-24")))
    assert not any(map(session.answers_to, ("", "2026-11-25")))
    shutil.rmtree(archive.root / ".incoming")
    (archive.root / ".incoming").write_text("a file")
    with pytest.raises(StorageError, check=because("unwritable")):
        find_unfinished([archive])


def test_without_room_for_a_repair_the_recording_is_sealed_as_it_is(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left)
    (outcome,) = recover(archive, disk=archives.fails(errno.ENOSPC, lambda step, _: step == "finish"))
    assert outcome.state is RecoveryState.SEALED
    assert "media-not-repaired: program.mp4" in outcome.degraded
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


def test_the_parts_of_a_session_that_was_taken_up_again_become_one(archive: Archive, left: Left) -> None:
    plays_s = media.shown(left.killed, "v")[-1] + 1 / 30  # ffprobe does not know how long the last one lasts
    leftovers.leave_killed(archive, left, written_s=plays_s + 0.5)
    second = [live(12.5), event(14, "mark", "Lanjut", media_s=1.5, number=1)]
    leftovers.leave_killed(archive, left, part=2, offset_s=12.5, events=second, written_s=12.5 + plays_s + 0.5)
    _, package, recording = only(archive)
    assert len(recording.media) == 1
    assert recording.duration_s == pytest.approx(12.5 + plays_s, abs=0.1)
    assert [(round(gap.start_s, 1), gap.reason.split(";")[0]) for gap in recording.gaps] == [
        (round(plays_s, 1), "between part 1 and part 2"), (round(12.5 + plays_s, 1), "at least so much of the end"),
    ]  # fmt: skip
    assert recording.gaps[0].duration_s == pytest.approx(12.5 - plays_s, abs=0.1)
    assert [(mark.text, mark.media_s) for mark in recording.marks] == [("Lanjut", 14.0)]
    assert [line["kind"] for line in log_of(package)] == ["session-live", "session-live", "mark", "session-recovered"]
    assert media.chapters(program_of(package))[1][0] == 14.0
    document = json.loads((package.folder / "metadata" / "recording.json").read_bytes())
    jsonschema.validate(document, json.loads(RECORDING_SCHEMA.read_bytes()))
    assert [part["part"] for part in document["parts"]] == [1, 2]


def test_what_an_earlier_sealing_of_a_part_left_is_not_carried_along(archive: Archive, left: Left) -> None:
    for part in (1, 2):
        folder = leftovers.leave_killed(archive, left, part=part, written_s=4.0)
        for path in METADATA_FILES - {EVENTS_FILE}:
            (folder / path).write_bytes(b"stale")
        (folder / "metadata" / "catatan.txt").write_bytes(b"%d" % part)
    _, package, _ = only(archive)
    there = {path.name: path.read_bytes() for path in (package.folder / "metadata").iterdir()}
    assert {name for name in there if "part" in name} == {"catatan.part2.txt"}
    assert there["catatan.txt"] == b"1"
    assert b"stale" not in there.values()


@pytest.mark.parametrize(("boot", "offset_s"), [(boot_id(), 9.375), ("another boot", 9.0)])
def test_the_clock_of_one_boot_says_where_a_recorder_took_over(
    archive: Archive, left: Left, boot: str, offset_s: float
) -> None:
    """`begun.json` is written a moment before media time 0 of the part is known."""
    first, second = live(clock_ns=1_000_000_000_000), live(9, clock_ns=1_009_375_000_000)
    leftovers.leave_killed(archive, left, events=[first])
    folder = leftovers.leave_killed(archive, left, part=2, offset_s=9.0, events=[second])
    begun = folder / "begun.json"
    begun.write_text(begun.read_text().replace(boot_id(), boot))
    _, package, recording = only(archive)
    assert [part.offset_s for part in recording.parts] == [0.0, offset_s]
    assert offset_s in [round(at_s, 4) for at_s in media.shown(program_of(package), "v")]


def test_files_beside_the_program_are_repaired_and_joined_too(archive: Archive, left: Left, unclosed: Path) -> None:
    for part, offset_s in ((1, 0.0), (2, 10.0)):
        files = {"program.mp4": left.killed, "podium.mkv": unclosed}
        leftovers.leave(archive, files, part=part, offset_s=offset_s, events=[live(offset_s)])
    _, package, recording = only(archive)
    assert [Path(file.file).name for file in recording.media] == ["program.mp4", "podium.mkv"]
    assert media.decoded(package.folder / "data" / "media" / "podium.mkv", "v").frames == 60
    assert recording.media[1].duration_s == pytest.approx(13, abs=0.2)


def test_a_part_that_recorded_nothing_costs_the_others_nothing(archive: Archive, left: Left) -> None:
    lost = event(8, "source-lost", "podium")
    leftovers.leave_killed(archive, left)
    leftovers.leave(archive, {}, part=2, offset_s=8.0, events=[live(8), lost])
    _, package, recording = only(archive)
    assert [part.duration_s for part in recording.parts][1] == 0
    assert "source-lost: podium" in recording.degraded
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


@pytest.mark.parametrize("is_damaged", [False, True])
def test_a_part_that_was_joined_already_is_removed_when_its_disk_comes_back_but_not_for_a_damaged_package(
    archive: Archive, second: Archive, left: Left, tmp_path: Path, is_damaged: bool
) -> None:
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(second, left, part=2, offset_s=9.0)
    shutil.copytree(second.root, tmp_path / "as it was")
    _, package, _ = only(archive, second)
    if is_damaged:
        program_of(package).write_bytes(b"damaged")
    before = contents(package.folder)
    shutil.copytree(tmp_path / "as it was", second.root, dirs_exist_ok=True)
    (outcome,) = recover(archive, second)
    assert outcome.state is (RecoveryState.SEALED if is_damaged else RecoveryState.DISCARDED)
    assert ("already sealed" in outcome.message) is not is_damaged
    assert len(second.list()) == is_damaged
    assert contents(package.folder) == before


def test_a_copy_in_parts_is_kept_where_the_other_was_recovered_before_it(
    archive: Archive, second: Archive, left: Left
) -> None:
    """As where the disk of one was away: its parts are called by the same numbers."""
    for copy, place in enumerate((archive, second), start=1):
        leftovers.leave_killed(place, left, copy=copy)
        leftovers.leave_killed(place, left, part=2, offset_s=9.0, copy=copy)
    for places in ([archive], [archive, second]):
        assert [outcome.state for outcome in recover(*places)] == [RecoveryState.SEALED]
    (one,), (other,) = archive.list(), second.list()
    assert (other.id, other.session, other.copy) == (f"{one.id}.copy2", one.uuid, 2)
    for package, copy in ((one, 1), (other, 2)):
        assert package.recording
        assert [(part.copy, part.part) for part in package.recording.parts] == [(copy, 1), (copy, 2)]


SWITCH_S, END_S = 3.0, 6.0


@pytest.fixture
def no_room(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let no disk have room for both parts; `undo` makes some."""
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1_000_000))
    return monkeypatch


@pytest.fixture
def halves(archive: Archive, second: Archive, material: Material, tmp_path: Path) -> list[Path]:
    """Leave a session that went on on a second disk; the log on the first ends where that took nothing more."""
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < SWITCH_S + 1.2])
    then = material.write(tmp_path / "2", material.since(SWITCH_S))
    log = [
        live(),
        event(4, "storage-read-only", str(archive.root)),
        event(4, "storage-switched", str(second.root), part=2, offset_s=SWITCH_S, left=str(archive.root)),
        event(END_S + 0.3, "session-ended", "Rapat", media_time_s=END_S, frames=180),
    ]
    return [
        leftovers.leave(archive, {"program.mp4": first.closed}, events=log[:1], written_s=4.5),
        leftovers.leave(second, {"program.mp4": then.closed}, part=2, offset_s=SWITCH_S, events=log, written_s=6.2),
    ]


def described(*places: Archive) -> list[Recording]:
    found = [package.recording for place in places for package in place.list()]
    return [recording for recording in found if recording]


def join(*places: Archive) -> list[RecoveryOutcome]:
    recovery = Recovery(places, clock=SimulatedClock())
    return [recovery.recover(session) for session in unfinished.find_joinable(places)]


@pytest.mark.usefixtures("no_room")
def test_without_room_each_part_is_a_package_that_says_what_is_in_the_other(
    archive: Archive, second: Archive, halves: list[Path]
) -> None:
    (halves[0].with_name(f".{halves[0].name}.joining") / "data").mkdir(parents=True)  # by a kill, and it takes the room
    (outcome,) = recover(archive, second)
    assert not list(archive.root.glob(".incoming/*"))
    (first,), (then,) = archive.list(), second.list()
    assert (outcome.state, sorted(outcome.packages)) == (RecoveryState.SEALED, sorted([first.path, then.path]))
    assert then.id == f"{first.id}.2"
    assert [(each.uuid == first.uuid, each.session, each.copy, each.part) for each in (first, then)] == [
        (True, None, 1, 1), (False, first.uuid, 1, 2),
    ]  # fmt: skip
    for place, package in ((archive, first), (second, then)):
        checked(place, package)
    one, other = described(archive, second)
    (behind,), (before,) = one.gaps, other.gaps
    assert (behind.part, before.part, before.start_s) == (2, 1, 0.0)
    assert behind.start_s == pytest.approx(one.duration_s, abs=0.1)
    assert behind.start_s + behind.duration_s == pytest.approx(END_S, abs=0.1)
    assert before.duration_s == pytest.approx(SWITCH_S, abs=0.1)
    for recording in (one, other):
        assert "interrupted" not in recording.degraded, "the recorder ended in order"
        assert f"storage-read-only: {archive.root}" in recording.degraded
    assert "missing:" not in outcome.message
    assert "killed" not in outcome.message + behind.reason


def the_one(*places: Archive) -> Package:
    (package,) = [package for place in places for package in place.list()]
    checked(places[0], package)
    assert not any(list(place.root.glob(".incoming/*")) for place in places)
    return package


@pytest.mark.usefixtures("halves")
def test_parts_become_one_package_as_soon_as_there_is_room(
    archive: Archive, second: Archive, no_room: pytest.MonkeyPatch
) -> None:
    recover(archive, second)
    name = archive.list()[0].id
    (refused,) = join(archive, second)
    assert (refused.state, "Free space" in refused.hint) == (RecoveryState.APART, True)
    assert [package.id for place in (archive, second) for package in place.list()] == [name, f"{name}.2"]
    no_room.undo()
    (outcome,) = join(archive, second)
    package = the_one(archive, second)
    assert (outcome.state, outcome.package, package.id) == (RecoveryState.SEALED, package.path, name)
    assert package.recording
    assert (package.uuid, package.session, package.recording.gaps) == (str(leftovers.UUID_), None, ())
    assert [part.part for part in package.recording.parts] == [1, 2]
    assert package.recording.room == archives.CONTEXT.room
    assert media.decoded(program_of(package), "v").frames == round(END_S * 30)
    assert "session-ended" in {line["kind"] for line in log_of(package)}
    assert join(archive, second) == []


@pytest.mark.usefixtures("halves")
def test_a_part_whose_disk_comes_back_later_is_joined_to_the_package_of_the_rest(
    archive: Archive, second: Archive
) -> None:
    assert [outcome.state for outcome in recover(second)] == [RecoveryState.SEALED]
    (then,) = described(second)
    assert (then.part, [gap.part for gap in then.gaps], then.media[0].offset_s) == (2, [None], SWITCH_S)
    assert then.gaps[0].reason == "the recording before part 2 was not found"
    assert [outcome.state for outcome in recover(archive, second)] == [RecoveryState.SEALED]
    first, _ = described(archive, second)
    assert (first.part, [gap.part for gap in first.gaps], "interrupted" in first.degraded) == (1, [2], False)
    assert [outcome.state for outcome in join(archive, second)] == [RecoveryState.SEALED]
    assert media.decoded(program_of(the_one(archive, second)), "v").frames == round(END_S * 30)


@pytest.mark.usefixtures("halves")
def test_what_somebody_corrected_stays_apart(archive: Archive, second: Archive, no_room: pytest.MonkeyPatch) -> None:
    recover(archive, second)
    no_room.undo()
    (then,) = second.list()
    edit_package(then.folder, {"title": "Rapat, babak kedua"}, by="Sari", reason="salah", now=SimulatedClock().now())
    assert join(archive, second) == []
    assert second.list()[0].title == "Rapat, babak kedua"


@pytest.mark.usefixtures("halves")
def test_a_damaged_part_is_not_joined_and_both_stay_as_they_are(
    archive: Archive, second: Archive, no_room: pytest.MonkeyPatch
) -> None:
    recover(archive, second)
    no_room.undo()
    (then,) = second.list()
    with program_of(then).open("r+b") as file:
        file.seek(2000)
        file.write(b"rot")
    (outcome,) = join(archive, second)
    assert outcome.state is RecoveryState.FAILED
    assert "damaged" in outcome.message
    (first,), (then,) = archive.list(), second.list()
    assert (first.state, then.state) == ("sealed", "sealed")
    checked(archive, first)
    assert not list(archive.root.glob(".incoming/*"))


# A work folder that somebody has tampered with: nothing hangs, fills the memory or is written elsewhere.


@pytest.fixture
def bounded() -> Iterator[None]:
    """Let what reads without a bound fail, and take nothing from others."""
    with limited(resource.RLIMIT_AS, 6 << 30):
        yield


def link(path: Path) -> None:
    elsewhere = path.parents[3] / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    path.symlink_to(elsewhere)


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize("plant", [os.mkfifo, link, huge])
def test_a_begun_file_that_is_none_counts_as_lost(archive: Archive, left: Left, plant: Callable[[Path], None]) -> None:
    folder = leftovers.leave_killed(archive, left)
    (folder / "begun.json").unlink()
    plant(folder / "begun.json")
    assert [package.title for package in archive.list()] == [folder.name]
    (session,) = find_unfinished([archive])
    assert Recovery([archive], clock=SimulatedClock()).look(session).state is RecoveryState.UNFINISHED
    taken = lock_for_resume([archive], folder, SimulatedClock())
    assert taken.end_s > 1
    taken.release()
    only(archive)


@pytest.mark.usefixtures("bounded")
@pytest.mark.parametrize(
    ("name", "plant"),
    [("metadata/events.jsonl", os.mkfifo), ("metadata/recording.json", link), ("manifest-sha256.txt", os.mkfifo)],
)
def test_a_file_of_the_description_that_is_none_is_told_and_nothing_is_written_there(
    archive: Archive, left: Left, name: str, plant: Callable[[Path], None]
) -> None:
    folder = leftovers.leave(archive, {"program.mp4": left.killed})
    (folder / name).unlink(missing_ok=True)
    plant(folder / name)
    assert not session_had_ended(folder)
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.FAILED
    assert (outcome.message, bool(outcome.hint)) == (f"{folder / name} is neither a file nor a folder", True)
    assert [path.read_bytes() for path in archive.root.rglob("elsewhere")] == [b"somebody's"] * (plant is link)
    (folder / name).unlink()
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED


@pytest.mark.parametrize(
    ("name", "parts"), [("data", 1), ("data/media/program.mp4", 1), ("metadata", 1), ("data/media", 2)]
)
def test_what_a_link_leads_to_is_not_changed(
    archive: Archive, left: Left, tmp_path: Path, name: str, parts: int
) -> None:
    for part in range(1, parts + 1):
        folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=part, offset_s=6.0 * (part - 1))
    outside = tmp_path / "outside"
    shutil.move(folder / name, outside)
    (folder / name).symlink_to(outside)
    before = archives.snapshot(tmp_path)
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{folder / name} is neither a file nor a folder")
    assert archives.snapshot(tmp_path) == before


@pytest.mark.usefixtures("bounded")
def test_an_event_log_without_an_end_takes_no_memory(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left)
    with (folder / "metadata" / "events.jsonl").open("r+b") as file:
        file.truncate(1 << 33)
    only(archive)


@pytest.mark.parametrize(("parts", "written_s"), [(1, None), (2, 9.0)])
def test_a_work_folder_without_metadata_is_recovered(
    archive: Archive, left: Left, parts: int, written_s: float | None
) -> None:
    for part in range(1, parts + 1):
        files = {"program.mp4": left.killed}
        folder = leftovers.leave(archive, files, part=part, offset_s=6.0 * (part - 1), written_s=written_s)
        shutil.rmtree(folder / "metadata")
    only(archive)


@pytest.mark.parametrize("name", [".incoming", "2026/11"])
def test_no_session_goes_where_a_link_leads(archive: Archive, left: Left, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    place = archive.root / name
    place.parent.mkdir(parents=True)
    if name == ".incoming":
        place.symlink_to(outside)
        with pytest.raises(StorageError, match="Not a directory", check=because("unwritable")):
            leftovers.leave(archive, {})
    else:
        folder = leftovers.leave(archive, {"program.mp4": left.killed})
        place.symlink_to(outside)
        (outcome,) = recover(archive)
        assert (outcome.state, folder.is_dir()) == (RecoveryState.FAILED, True)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("moved_to", ["metadata/program.mp4", "video/program.mp4"])
def test_a_recording_that_somebody_has_moved_within_its_folder_is_not_removed(
    archive: Archive, left: Left, moved_to: str
) -> None:
    folder = leftovers.leave_killed(archive, left, events=[leftovers.live()])
    (folder / moved_to).parent.mkdir(exist_ok=True)
    (folder / "data/media/program.mp4").rename(folder / moved_to)
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{folder} holds a recording and is kept")
    assert str(folder / moved_to) in outcome.hint
    (folder / moved_to).rename(folder / "data/media/program.mp4")
    only(archive)


# What the next recorder of a killed session is told, and that nobody else touches the session meanwhile.

S = 1_000_000_000


@contextmanager
def resumed(*archives: Archive, at: Path) -> Iterator[Resumption]:
    taken = lock_for_resume(archives, at, SystemClock())
    yield taken
    taken.release()


def test_the_next_part_lies_where_the_clock_says(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)])
    with resumed(archive, at=folder) as taken:
        assert (taken.title, taken.started_at, taken.part) == ("Rapat Senat", STARTED, 2)
        assert (taken.uuid, taken.context) == (leftovers.UUID_, archives.CONTEXT)
        assert taken.offset_s(5012 * S + S // 2, STARTED + timedelta(days=9)) == 12.5
        assert taken.end_s == pytest.approx(media.decoded(left.killed, "v").end_s, abs=0.15)
        assert taken.offset_s(5001 * S, STARTED) == taken.end_s, "never over what is there"


def test_the_program_keeps_its_form(archive: Archive, left: Left) -> None:
    begun = live(width=320, height=200, rate=30000 / 1001, matrix="BT601")
    leftovers.leave_killed(archive, left, events=[begun])
    folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=12.0)
    with resumed(archive, at=folder) as taken:
        assert taken.form == VideoFormat(320, 200, Fraction(30000, 1001), ColorMatrix.BT601)


@pytest.mark.parametrize("events", [[], [live(clock_ns=5000 * S)]])
def test_after_a_restart_or_without_a_beginning_in_the_log_the_wall_clock_has_to_do(
    archive: Archive, left: Left, events: list[Event]
) -> None:
    folder = leftovers.leave_killed(archive, left, events=events)
    begun = folder / "begun.json"
    begun.write_text(begun.read_text().replace('"boot": "', '"boot": "another ' if events else '"boot": "'))
    with resumed(archive, at=folder) as taken:
        assert taken.zero_ns is None
        assert taken.offset_s(3 * S, STARTED + timedelta(seconds=99.5)) == 99.5


def test_a_third_part_counts_from_the_first(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)])
    folder = leftovers.leave_killed(archive, left, part=2, offset_s=12.0, events=[live(12, clock_ns=5012 * S)])
    with resumed(archive, at=folder) as taken:
        assert (taken.part, len(taken.works), taken.offset_s(5030 * S, STARTED)) == (3, 2, 30.0)


def test_one_that_had_moved_to_another_disk_and_whose_first_is_gone(archive: Archive, left: Left) -> None:
    switched = event(58, "storage-switched", "cadangan", part=2, offset_s=58.0, left="arsip")
    events = [live(clock_ns=5000 * S), switched]
    folder = leftovers.leave_killed(archive, left, part=2, offset_s=58.0, events=events)
    with resumed(archive, at=folder) as taken:
        assert taken.offset_s(5080 * S, STARTED) == 80.0


def test_a_disk_that_does_not_answer_is_gone_on_without(
    archive: Archive, left: Left, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resume, "DISK_ANSWER_S", 1.0)
    hangs, over = archives.archive_at(tmp_path / "macet"), threading.Event()
    monkeypatch.setattr(
        resume, "find_unfinished", lambda each: over.wait(30) and [] if each == [hangs] else find_unfinished(each)
    )
    folder = leftovers.leave_killed(archive, left)
    taken = lock_for_resume([hangs, archive], folder.with_name(f"{folder.name}.2"), SystemClock())
    assert [work.path for work in taken.works] == [folder]
    assert taken.part == 3, "the second is there, on the disk that hangs"
    taken.release()
    over.set()


def test_nobody_recovers_it_meanwhile(archive: Archive, left: Left) -> None:
    folder = leftovers.leave_killed(archive, left)
    taken = lock_for_resume([archive], folder, SystemClock())
    (session,) = find_unfinished([archive])
    recovery = Recovery([archive], clock=SimulatedClock())
    assert recovery.recover(session).state is RecoveryState.RECORDING
    with pytest.raises(PackageBusy):
        lock_for_resume([archive], folder, SystemClock())
    taken.release()
    assert recovery.recover(session).state is RecoveryState.SEALED
    with pytest.raises(PackageNotFound):
        lock_for_resume([archive], folder, SystemClock())


def test_a_share_without_locks_takes_and_gives_back_a_session(
    archive: Archive, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody is kept away there, and nothing fails for it."""

    def flock(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("recorder.disk.package_locks.fcntl.flock", flock)
    folder = leftovers.leave_killed(archive, left)
    lock_for_resume([archive], folder, SystemClock()).release()
    only(archive)


def test_a_part_on_a_disk_that_takes_nothing_any_more_keeps_nobody_from_going_on(
    archive: Archive, left: Left, tmp_path: Path
) -> None:
    """The recorder had left that disk, and was killed on the next."""
    (tmp_path / "disk").mkdir()
    with small_disk(tmp_path / "disk") as disk:
        leftovers.leave_killed(archives.archive_at(disk / "arsip"), left)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=6.0)
        both = [archives.archive_at(disk / "arsip"), archive]
        taken = lock_for_resume(both, folder, SystemClock())
        assert (taken.part, len(taken.works)) == (3, 2)
        with pytest.raises(PackageBusy):
            lock_for_resume(both, folder, SystemClock())
        taken.release()
        lock_for_resume(both, folder, SystemClock()).release()


@pytest.mark.parametrize("kind", ["session-stopping", "session-ended"])
def test_one_that_had_ended_is_for_recovery_though_only_one_of_two_copies_tells(
    archive: Archive, second: Archive, left: Left, kind: str
) -> None:
    ended = event(6, kind, "Rapat", media_time_s=6.0, frames=180)
    folder = leftovers.leave_killed(archive, left, events=[live(), ended])
    leftovers.leave_killed(second, left, copy=2)
    with pytest.raises(ArchiveError, match="had ended"):
        lock_for_resume([archive, second], folder, SystemClock())
    (session,) = find_unfinished([archive])
    assert Recovery([archive], clock=SimulatedClock()).recover(session).state is RecoveryState.SEALED, "no lock is left"


def test_the_next_part_and_the_end_make_one_package(archive: Archive, left: Left) -> None:
    """As a session does that was taken up again and ends in order: its recorder finishes all parts."""
    folder = leftovers.leave_killed(archive, left, events=[live(clock_ns=5000 * S)], written_s=6)
    taken = lock_for_resume([archive], folder, SystemClock())
    offset_s = taken.offset_s(5010 * S, STARTED)
    ended = event(17, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    second = leftovers.leave(
        archive, {"program.mp4": left.closed}, part=taken.part, offset_s=offset_s, uuid=taken.uuid,
        events=[live(10, clock_ns=5010 * S), ended],
    )  # fmt: skip
    work = archive.reopen(second)
    facts = archives.FACTS
    package = SessionPackager([archive], clock=SimulatedClock()).finish([*taken.works, work], facts)
    assert [entry.path for entry in archive.list()] == [package.path]
    assert archive.verify(package, decode=True) == []
    recording = package.recording
    assert recording
    assert (recording.ended_at, recording.dropped) == (facts.ended_at, facts.dropped)
    assert recording.degraded == (*facts.degraded, "interrupted")
    assert [gap.reason.split(";")[0] for gap in recording.gaps] == ["between part 1 and part 2"]
    assert recording.duration_s == pytest.approx(16.0, abs=0.05)
    assert "session-recovered" not in (package.folder / "metadata" / "events.jsonl").read_text()
