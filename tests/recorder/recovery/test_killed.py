"""A kill -9 before every step of sealing, correcting and recovering: nothing is lost, left over or there twice."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from recorder.archive.archive import Archive, packages
from recorder.disk.durable import DurableFiles
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives, leftovers, media
from tests.support.damage import MEDIA
from tests.support.killing import ADDED, TITLE, change_package, correct, kill_at_every_step, recover_all, seal
from tests.support.leftovers import Left, Material, event, live, log_of, program_of, recover
from tests.support.simulated import SimulatedClock

pytestmark = [pytest.mark.computing, pytest.mark.usefixtures("no_syncs")]


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Left:
    return Material(2.0).write(tmp_path_factory.mktemp("short"))


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
    recordings = [program_of(package) for package, _ in finished]
    assert len({recording.read_bytes() for recording in recordings}) == 1
    archives.validate_bag(finished[0][0].folder)
    assert verify_package(finished[0][0].folder, decode=True) == []
    return finished, recordings[0]


def kinds(package: Package) -> list[object]:
    return [line["kind"] for line in log_of(package)]


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_a_recording_is_repaired_and_sealed(tmp_path: Path, short: Left) -> None:
    archive = archives.archive_at(tmp_path / "template" / "arsip")
    mark = event(1, "mark", "Sambutan", media_s=1.0, number=1)
    renamed = event(1, "title-changed", "Rapat Terbuka", media_s=1.0)
    leftovers.leave_killed(archive, short, events=[live(), mark, renamed], written_s=1.9)
    places = kill_at_every_step(recover_all, tmp_path / "killed", tmp_path / "template")
    assert len(places) > 20
    expected = media.decoded(short.killed, "v")
    finished, recording = finish_all(places)
    assert media.decoded(recording, "v") == expected
    for package, _ in finished:
        assert package.recording
        assert package.recording.degraded == ("interrupted",)
        assert len(package.recording.gaps) == len(package.recording.marks) == 1
        assert kinds(package) == ["session-live", "mark", "title-changed", "session-recovered"]
        assert package.recording.title == "Rapat Terbuka"


def leave_two_parts(place: Path, short: Left) -> list[Archive]:
    both = [archives.archive_at(place / name) for name in ("arsip", "cadangan")]
    leftovers.leave_killed(both[0], short, written_s=1.9)
    leftovers.leave_killed(both[1], short, part=2, offset_s=5.0, written_s=6.9)
    return both


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_parts_on_two_disks_are_joined_and_sealed(tmp_path: Path, short: Left) -> None:
    leave_two_parts(tmp_path / "template", short)
    places = kill_at_every_step(recover_all, tmp_path / "killed", tmp_path / "template")
    assert len(places) > 30
    frames, plays_s = 2 * media.decoded(short.killed, "v").frames, media.decoded(short.killed, "v").end_s
    finished, recording = finish_all(places)
    assert media.decoded(recording, "v").frames == frames
    for package, _ in finished:
        assert package.recording
        starts = [gap.start_s for gap in package.recording.gaps]
        assert starts == pytest.approx([plays_s, 5 + plays_s], abs=0.1)
        assert [part.part for part in package.recording.parts] == [1, 2]
        assert kinds(package) == ["session-live"] * 2 + ["session-recovered"]
    states = [sealed for _, sealed in finished]
    assert states == sorted(states), "once sealed, sealed"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_kill_while_the_packages_of_two_parts_are_joined(
    tmp_path: Path, short: Left, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = leave_two_parts(tmp_path / "template", short)
    with monkeypatch.context() as full:
        usage = shutil.disk_usage(tmp_path)
        full.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1))
        assert [outcome.state for outcome in recover(*places)] == [RecoveryState.SEALED]
    assert len([package for archive in places for package in archive.list()]) == 2
    killed = kill_at_every_step(recover_all, tmp_path / "killed", tmp_path / "template")
    assert len(killed) > 30
    finished, recording = finish_all(killed)
    assert media.decoded(recording, "v").frames == 2 * media.decoded(short.killed, "v").frames
    for package, _ in finished:
        assert package.recording
        assert (package.part, package.session) == (1, None)
        assert [part.part for part in package.recording.parts] == [1, 2]


def test_a_kill_while_sealing_costs_nothing(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step(seal, tmp_path, program, "seal")
    states = [seal_again(archives.archive_at(root), program) for root in roots]
    assert len(states) > 15
    assert [state is PackageState.SEALED for state in states] == [False] * (len(states) - 1) + [True]
    archives.validate_bag(archives.archive_at(roots[0]).list()[0].folder)


def seal_again(archive: Archive, program: Path) -> PackageState:
    """Check what a kill has left, finish it as the next start would, and return how far it had come."""
    (left,) = archive.list()
    if left.state is PackageState.SEALED:
        assert not any((archive.root / ".incoming").iterdir())
    else:
        assert (left.folder / "data" / "media" / "program.mp4").read_bytes() == program.read_bytes()
        described = (left.folder / RECORDING_FILE).exists()
        recording = archive.seal(archive.reopen(left.folder)).recording
        assert recording
        assert recording.degraded == (archives.FACTS.degraded if described else ("interrupted",))
        assert (recording.title, recording.uuid) == ("Rapat Senat", left.uuid)
    (package,) = archive.list()
    assert archive.verify(package) == []
    assert not list(archive.root.rglob(".*.part"))
    return left.state


def test_a_kill_while_beginning_leaves_nothing_that_stays(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step(seal, tmp_path, program, "begin")
    assert len(roots) > 2
    for root in roots[:-1]:
        archive = archives.archive_at(root)
        (left,) = archive.list()
        assert left.state is PackageState.UNFINISHED
        archive.discard(archive.reopen(left.folder))
        assert list(root.iterdir()) == []


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Archive:
    archive = archives.archive_at(tmp_path_factory.mktemp("untouched") / "arsip")
    archives.seal_one(archive, program)
    return archive


def hidden(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("*/*/.*"))


@pytest.mark.parametrize(
    ("what", "how"), [("edit", "exchange"), ("edit", "renames"), ("edit", "copies"), ("add", "exchange")]
)
def test_a_kill_while_a_package_is_corrected_costs_nothing_nor_one_while_that_is_put_right(
    tmp_path: Path, untouched: Archive, what: str, how: str
) -> None:
    (former,) = untouched.list()
    killed = kill_at_every_step(correct, tmp_path / "killed", untouched.root, what, how)
    corrected = [is_corrected(place / "arsip", former.id, what) for place in killed]
    assert len(corrected) > 25
    assert corrected == sorted(corrected), "once corrected, corrected"
    assert sum(corrected) > 15, "killed while the former was removed"
    stopped = {tuple(hidden(root)): root for root in (place / "arsip" for place in killed) if hidden(root)}
    again = list[Path]()
    if what == "edit" and how != "copies":  # which is put right like renames
        assert len(stopped) == (1 if how == "exchange" else 3)
        for number, left in enumerate(stopped.values()):
            again += kill_at_every_step(correct, tmp_path / f"settle-{number}", left, "settle", how)
    for place in again:
        is_corrected(place / "arsip", former.id, what)
    for place in [*killed, *again]:
        prove_whole(archives.archive_at(place / "arsip"), former.folder, what)


def is_corrected(root: Path, name: str, what: str) -> bool:
    """Check what a kill has left, as whoever only reads finds it; return whether it is the corrected package."""
    (seen,) = packages(root)
    assert (seen.id, seen.state) == (name, PackageState.SEALED)
    assert archives.archive_at(root).verify(seen) == []
    assert seen.recording
    return seen.title == TITLE if what == "edit" else bool(seen.recording.additions)


def prove_whole(archive: Archive, former: Path, what: str) -> None:
    """Let the next run finish or undo it, and do it once more; what it was before is kept, once."""
    (package,) = archive.list()
    assert hidden(archive.root) == []
    assert (package.folder / MEDIA).read_bytes() == (former / MEDIA).read_bytes()
    change_package(archive.root, what, DurableFiles())
    (package,) = archive.list()
    assert archive.verify(package) == []
    history = package.folder / "metadata" / "history"
    assert [path.name for path in history.iterdir()] == ["0001"]
    assert (history / "0001" / RECORDING_FILE).read_bytes() == (former / RECORDING_FILE).read_bytes()
    events = (package.folder / "metadata" / "premis.jsonl").read_bytes().splitlines()
    assert len(events) == 5
    assert "Siti" in msgspec.json.decode(events[-1])["linkingAgent"][0]["agentName"]
    if what == "add":
        assert (package.folder / "data" / "tambahan" / "img-0012.jpg").read_bytes() == ADDED
