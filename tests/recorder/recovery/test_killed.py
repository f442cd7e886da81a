"""A kill -9 before every step of recovery: the next one finishes it, and nothing is lost, left over or there twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from recorder.archive.archive import Archive
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives, leftovers, media
from tests.support.killing import kill_at_every_step
from tests.support.leftovers import Left, Material, event, live, recover
from tests.support.simulated import SimulatedClock

PROJECT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("no_syncs")


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return Material(3.0).write(tmp_path_factory.mktemp("short"))


def finish(place: Path) -> tuple[Package, bool]:
    """Recover what a kill has left; return the one package there is, and whether it had been sealed by then."""
    all_archives = [Archive(root, SimulatedClock(), 1) for root in sorted(place.iterdir())]
    sealed = any(package.state is PackageState.SEALED for archive in all_archives for package in archive.list())
    recovery = Recovery(all_archives, clock=SimulatedClock())
    outcomes = [recovery.recover(session) for session in find_unfinished(all_archives)]
    outcomes += [recovery.recover(session) for session in find_joinable(all_archives)]
    assert all(outcome.state in {RecoveryState.SEALED, RecoveryState.DISCARDED} for outcome in outcomes), (
        place,
        outcomes,
    )
    assert find_unfinished(all_archives) == []
    (package,) = [package for archive in all_archives for package in archive.list()]
    assert all_archives[0].verify(package) == []
    assert not [*place.rglob(".*.part"), *place.rglob("*.joining")]
    assert all(not any(path.iterdir()) for path in place.rglob(".incoming"))
    return package, sealed


def finish_all(places: Sequence[Path]) -> tuple[list[tuple[Package, bool]], Path]:
    """Recover what each kill has left; return also the recording, which is the same to the byte in all, and decodes."""
    finished = [finish(place) for place in places]
    for package, _ in finished:
        archives.validate_bag(package.folder)
    recordings = [package.folder / "data" / "media" / "program.mp4" for package, _ in finished]
    assert len({recording.read_bytes() for recording in recordings}) == 1
    assert verify_package(finished[-1][0].folder, decode=True) == []
    return finished, recordings[-1]


def kinds(package: Package) -> list[str]:
    log = (package.folder / "metadata" / "events.jsonl").read_text().splitlines()
    return [line.split('"kind":"')[1].split('"')[0] for line in log]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_a_recording_is_repaired_and_sealed(tmp_path: Path, short: Left) -> None:
    archive = archives.archive_at(tmp_path / "template" / "arsip")
    mark = event(1, "mark", "Sambutan", media_s=1.0, number=1)
    leftovers.leave(archive, {"program.mp4": short.killed}, events=[live(), mark], written_s=2.9)
    places = kill_at_every_step("killed_recovery", tmp_path / "killed", tmp_path / "template")
    assert len(places) > 35
    expected = media.decoded(short.killed, "v")
    finished, recording = finish_all(places)
    assert media.decoded(recording, "v") == expected
    for package, _ in finished:
        assert package.recording
        assert package.recording.degraded == ("interrupted",)
        assert len(package.recording.gaps) == len(package.recording.marks) == 1
        assert kinds(package) == ["session-live", "mark", "session-recovered"]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_parts_on_two_disks_are_joined_and_sealed(tmp_path: Path, short: Left) -> None:
    for name, part, offset_s in (("arsip", 1, 0.0), ("cadangan", 2, 5.0), ("arsip", 3, 10.0)):
        archive = archives.archive_at(tmp_path / "template" / name)
        files = {"program.mp4": short.killed}
        leftovers.leave(archive, files, part=part, offset_s=offset_s, events=[live(offset_s)], written_s=offset_s + 2.9)
    places = kill_at_every_step("killed_recovery", tmp_path / "killed", tmp_path / "template")
    assert len(places) > 60
    frames, plays_s = 3 * media.decoded(short.killed, "v").frames, media.decoded(short.killed, "v").end_s
    finished, recording = finish_all(places)
    assert media.decoded(recording, "v").frames == frames
    for package, _ in finished:
        assert package.recording
        starts = [gap.start_s for gap in package.recording.gaps]
        assert starts == pytest.approx([plays_s, 5 + plays_s, 10 + plays_s], abs=0.1)
        assert [part.part for part in package.recording.parts] == [1, 2, 3]
        assert kinds(package) == ["session-live"] * 3 + ["session-recovered"]
    states = [sealed for _, sealed in finished]
    assert states == sorted(states), "once sealed, sealed"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_the_packages_of_two_parts_are_joined(
    tmp_path: Path, short: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = [archives.archive_at(tmp_path / "template" / name) for name in ("arsip", "cadangan")]
    for part, (archive, offset_s) in enumerate(zip(places, (0.0, 5.0), strict=True), start=1):
        files = {"program.mp4": short.killed}
        leftovers.leave(archive, files, part=part, offset_s=offset_s, events=[live(offset_s)], written_s=offset_s + 2.9)
    with monkeypatch.context() as full:
        usage = shutil.disk_usage(tmp_path)
        full.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1))
        assert [outcome.state for outcome in recover(*places)] == [RecoveryState.SEALED]
    assert len([package for archive in places for package in archive.list()]) == 2
    killed = kill_at_every_step("killed_recovery", tmp_path / "killed", tmp_path / "template")
    assert len(killed) > 60
    finished, recording = finish_all(killed)
    assert media.decoded(recording, "v").frames == 2 * media.decoded(short.killed, "v").frames
    for package, _ in finished:
        assert package.recording
        assert (package.part, package.session) == (1, None)
        assert [part.part for part in package.recording.parts] == [1, 2]
