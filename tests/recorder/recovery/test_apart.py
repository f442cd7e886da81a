"""Parts of a session that could not be joined: packages of their own, which are joined once there is room."""

import shutil
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.package.metadata import Package, Recording
from recorder.recovery import unfinished
from recorder.recovery.recover import Recovery, RecoveryOutcome, RecoveryState
from tests.support import archives, leftovers, media
from tests.support.leftovers import Material, checked, event, live, log_of, program_of, recover
from tests.support.simulated import SimulatedClock

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
