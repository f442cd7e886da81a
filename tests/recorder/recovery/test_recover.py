"""From what a crash has left to a package that others find valid, whatever it was, and once only."""

import errno
import json
import os
import shutil
from pathlib import Path

import jsonschema
import msgspec
import pytest

from config.errors import StorageError
from devices.host.clock import boot_id
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.disk.durable import DurableFiles
from recorder.package.metadata import Package, Recording
from recorder.package.work_folder import EVENTS_FILE, METADATA_FILES
from recorder.recovery import unfinished
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from tests.support import archives, leftovers, media
from tests.support.archives import RECORDING_SCHEMA
from tests.support.errors import because
from tests.support.leftovers import (
    RATE,
    Left,
    Material,
    checked,
    contents,
    event,
    live,
    log_of,
    only,
    program_of,
    recover,
)
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
    assert '"title": "Sambutan"' in media.run(
        "ffprobe", "-v", "error", "-show_chapters", "-of", "json", program_of(package)
    )
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


def test_a_power_cut_while_closing_costs_nothing(archive: Archive, left: Left, tmp_path: Path) -> None:
    """The head is patched, the index that was appended before is not there."""
    torn = tmp_path / "torn.mp4"
    content = left.closed.read_bytes()
    torn.write_bytes(content[: content.rindex(b"moov") - 4])
    ended = event(6.1, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    leftovers.leave(archive, {"program.mp4": torn}, events=[live(), ended], written_s=6.2)
    _, package, recording = only(archive)
    assert media.decoded(program_of(package), "v").frames == 180
    assert (recording.gaps, recording.degraded) == ((), ())


def test_what_was_sealing_is_sealed_with_what_its_recorder_said(archive: Archive, program: Path) -> None:
    def fail(step: str, path: Path) -> None:
        if (step, path.name) == ("write", "manifest-sha256.txt"):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

    failing = archives.archive_at(archive.root, DurableFiles(fail))
    with archives.recorded(failing, program) as work, pytest.raises(StorageError):
        failing.seal(work, archives.FACTS)
    _, _, recording = only(archive)
    assert (recording.dropped, recording.repeated) == (archives.FACTS.dropped, archives.FACTS.repeated)
    assert recording.degraded == archives.FACTS.degraded
    assert recording.ended_at == archives.FACTS.ended_at


@pytest.mark.parametrize("content", [b"", (16).to_bytes(4) + b"ftypisom" + bytes(4), bytes(100)])
def test_a_session_that_recorded_nothing_is_discarded_with_a_word(
    archive: Archive, tmp_path: Path, content: bytes
) -> None:
    nothing = tmp_path / "nothing.mp4"
    nothing.write_bytes(content)
    leftovers.leave(archive, {"program.mp4": nothing})
    (outcome,) = recover(archive)
    assert (outcome.state, outcome.message) == (RecoveryState.DISCARDED, "nothing had been recorded; it is removed")
    assert list(archive.root.rglob("*")) == []


def test_what_is_being_recorded_is_left_alone(archive: Archive, left: Left) -> None:
    """Also the part that was killed, while another recorder goes on with the session."""
    leftovers.leave_killed(archive, left)
    folder = leftovers.leave(archive, {"program.mp4": left.killed}, part=2, offset_s=9.0)
    work = archive.reopen(folder)
    before = contents(archive.root)
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.RECORDING
    assert "still being recorded" in outcome.message
    assert contents(archive.root) == before
    work.release()
    only(archive)


def test_a_share_that_gives_no_locks_fails_with_a_word(
    archive: Archive, left: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    leftovers.leave_killed(archive, left)

    def refused(_self: Archive, _path: Path) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(Archive, "reopen", refused)
    (session,) = find_unfinished([archive])
    recovery = Recovery([archive], clock=SimulatedClock())
    for outcome in (recovery.look(session), recovery.recover(session)):
        assert (outcome.state, outcome.message) == (RecoveryState.FAILED, f"{session.name}: No locks available")
        assert "is kept" in outcome.hint


def test_a_look_changes_nothing(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left)
    before = contents(archive.root)
    (session,) = find_unfinished([archive])
    outcome = Recovery([archive], clock=SimulatedClock()).look(session)
    assert (outcome.state, outcome.id, outcome.bytes) == (
        RecoveryState.UNFINISHED,
        session.name,
        sum(map(len, before.values())),
    )
    assert contents(archive.root) == before


def test_without_room_for_a_repair_the_recording_is_sealed_as_it_is(archive: Archive, left: Left) -> None:
    def fail(step: str, path: Path) -> None:
        if step == "finish":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    leftovers.leave_killed(archive, left)
    (outcome,) = recover(archive, disk=DurableFiles(fail))
    assert outcome.state is RecoveryState.SEALED
    assert "media-not-repaired: program.mp4" in outcome.degraded
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


def test_media_that_nothing_reads_is_kept(archive: Archive, tmp_path: Path) -> None:
    odd = tmp_path / "odd.mp4"
    odd.write_bytes(b"not media" * 1000)
    leftovers.leave(archive, {"program.mp4": odd}, events=[live()])
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED
    assert "media-unreadable" in outcome.degraded
    (package,) = archive.list()
    assert program_of(package).read_bytes() == odd.read_bytes()


def test_a_folder_without_begun_json_tells_by_its_name(archive: Archive, left: Left) -> None:
    for part, offset_s in ((1, 0.0), (2, 9.0)):
        folder = leftovers.leave_killed(archive, left, part=part, offset_s=offset_s)
        (folder / "begun.json").write_bytes(b"")
    (session,) = find_unfinished([archive])
    assert [part.begun.part for part in session.parts] == [1, 2]
    (outcome,) = recover(archive)
    assert outcome.state is RecoveryState.SEALED


def test_an_archive_that_cannot_be_read_is_an_error(archive: Archive) -> None:
    archive.root.mkdir()
    (archive.root / ".incoming").write_text("a file")
    with pytest.raises(StorageError, check=because("unwritable")):
        find_unfinished([archive])


def test_progress_grows_to_all_of_it(archive: Archive, left: Left) -> None:
    leftovers.leave_killed(archive, left)
    calls: list[tuple[str, int, int]] = []
    recovery = Recovery([archive], clock=SimulatedClock(), progress=lambda *call: calls.append(call))
    (session,) = find_unfinished([archive])
    recovery.recover(session)
    done = [count for _, count, _ in calls]
    assert done == sorted(done)
    assert calls[-1] == (session.name, calls[-1][2], calls[-1][2])
    assert len(set(done)) > 10


def test_keys_mean_one_session(archive: Archive, left: Left) -> None:
    folder = leftovers.leave(archive, {"program.mp4": left.killed})
    (session,) = find_unfinished([archive])
    assert session.answers_to(session.name)
    assert session.answers_to(str(folder))
    assert session.answers_to("3f2a91c0")
    assert session.answers_to("2026-11-24")
    assert not session.answers_to("")
    assert not session.answers_to("2026-11-25")


def test_the_parts_of_a_session_that_was_taken_up_again_become_one(archive: Archive, left: Left) -> None:
    plays_s = media.shown(left.killed, "v")[-1] + float(1 / RATE)  # ffprobe does not know how long the last one lasts
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
    chapters = json.loads(media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "json", program_of(package)))
    assert float(chapters["chapters"][1]["start_time"]) == 14.0
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


def test_a_session_that_moved_to_another_disk_is_whole(
    archive: Archive, second: Archive, material: Material, tmp_path: Path
) -> None:
    first = material.write(tmp_path / "1", [packet for packet in material.packets if packet.dts_s < 4.2])
    then = material.write(tmp_path / "2", material.since(3.0))
    ended = event(6.3, "session-ended", "Rapat", media_time_s=6.0, frames=180)
    log = [live(), event(4, "storage-full", "arsip"), ended]
    leftovers.leave_killed(archive, first, events=log[:2])
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
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(archive, larger, part=2, offset_s=20.0)
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
    leftovers.leave_killed(archive, left)
    leftovers.leave(archive, {}, part=2, offset_s=8.0, events=[live(8), lost])
    _, package, recording = only(archive)
    assert [part.duration_s for part in recording.parts][1] == 0
    assert "source-lost: podium" in recording.degraded
    assert media.decoded(program_of(package), "v") == media.decoded(left.killed, "v")


def test_a_later_part_without_the_first_is_kept_and_says_so(archive: Archive, second: Archive, left: Left) -> None:
    """The first disk is gone; when it comes back, what is on it becomes a package too, and replaces nothing."""
    first_left = leftovers.leave_killed(archive, left)
    leftovers.leave_killed(second, left, part=2, offset_s=9.0)
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
    leftovers.leave_killed(archive, left, copy=copy)
    leftovers.leave_killed(second, left, part=2, offset_s=9.0, copy=copy)
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
    leftovers.leave_killed(archive, left)
    leftovers.leave_killed(second, left, part=2, offset_s=9.0)
    shutil.copytree(second.root, tmp_path / "as it was")
    _, package, _ = only(archive, second)
    program_of(package).write_bytes(b"damaged")
    shutil.copytree(tmp_path / "as it was", second.root, dirs_exist_ok=True)
    (outcome,) = recover(archive, second)
    assert outcome.state is RecoveryState.SEALED
    assert len(second.list()) == 1


def test_both_copies_of_a_mirrored_session_become_packages(archive: Archive, second: Archive, left: Left) -> None:
    for copy, place in enumerate((archive, second), start=1):
        leftovers.leave_killed(place, left, copy=copy)
    assert [outcome.state for outcome in recover(archive, second)] == [RecoveryState.SEALED, RecoveryState.SEALED]
    (one,), (other,) = archive.list(), second.list()
    assert (other.id, other.session, other.copy) == (f"{one.id}.copy2", one.uuid, 2)
    assert recover(archive, second) == []


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_in_parts_is_kept_where_the_other_was_recovered_before_it(
    archive: Archive, second: Archive, left: Left, first: int
) -> None:
    """As where the disk of one was away: its parts are called by the same numbers."""
    for copy, place in enumerate((archive, second), start=1):
        leftovers.leave_killed(place, left, copy=copy)
        leftovers.leave_killed(place, left, part=2, offset_s=9.0, copy=copy)
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


def the_one(*places: Archive) -> Package:
    (package,) = [package for place in places for package in place.list()]
    checked(places[0], package)
    for place in places:
        assert not list(place.root.glob(".incoming/*"))
    return package


@pytest.mark.usefixtures("halves", "no_room")
def test_without_room_each_part_is_a_package_that_says_which_it_is(archive: Archive, second: Archive) -> None:
    (outcome,) = recover(archive, second)
    (first,), (then,) = archive.list(), second.list()
    assert (outcome.state, sorted(outcome.packages)) == (RecoveryState.SEALED, sorted([first.path, then.path]))
    assert then.id == f"{first.id}.2"
    assert [(each.uuid == first.uuid, each.session, each.copy, each.part) for each in (first, then)] == [
        (True, None, 1, 1), (False, first.uuid, 1, 2),
    ]  # fmt: skip
    for place, package in ((archive, first), (second, then)):
        checked(place, package)


@pytest.mark.usefixtures("halves", "no_room")
def test_a_part_says_what_is_in_the_other_and_nothing_of_it_is_called_missing(
    archive: Archive, second: Archive
) -> None:
    (outcome,) = recover(archive, second)
    first, then = described(archive, second)
    (behind,), (before,) = first.gaps, then.gaps
    assert (behind.part, before.part, before.start_s) == (2, 1, 0.0)
    assert behind.start_s == pytest.approx(first.duration_s, abs=0.1)
    assert behind.start_s + behind.duration_s == pytest.approx(END_S, abs=0.1)
    assert before.duration_s == pytest.approx(SWITCH_S, abs=0.1)
    for recording in (first, then):
        assert "interrupted" not in recording.degraded, "the recorder ended in order"
        assert f"storage-read-only: {archive.root}" in recording.degraded
    assert "missing:" not in outcome.message
    assert "killed" not in outcome.message + behind.reason


@pytest.mark.usefixtures("halves")
def test_parts_become_one_package_as_soon_as_there_is_room(
    archive: Archive, second: Archive, material: Material, no_room: pytest.MonkeyPatch
) -> None:
    recover(archive, second)
    name = archive.list()[0].id
    (refused,) = join(archive, second)
    assert refused.state is RecoveryState.APART
    assert "Free space" in refused.hint
    assert [package.id for place in (archive, second) for package in place.list()] == [name, f"{name}.2"]
    no_room.undo()
    (outcome,) = join(archive, second)
    package = the_one(archive, second)
    assert (outcome.state, outcome.package, package.id) == (RecoveryState.SEALED, package.path, name)
    assert package.recording
    assert (package.uuid, package.session, package.recording.gaps) == (str(leftovers.UUID_), None, ())
    assert [part.part for part in package.recording.parts] == [1, 2]
    assert package.recording.records == archives.CONTEXT.records
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
    assert (then.part, [gap.part for gap in then.gaps]) == (2, [None])
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
