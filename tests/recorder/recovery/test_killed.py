"""A kill -9 before every step of sealing, correcting and recovering: nothing is lost, left over or there twice."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from config.errors import ArchiveError
from recorder.archive.archive import Archive, packages
from recorder.package import fixity
from recorder.package.metadata import Package, PackageState
from recorder.package.verification import verify_package
from recorder.package.work_folder import RECORDING_FILE
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_joinable, find_unfinished
from tests.support import archives, leftovers, media
from tests.support.damage import MEDIA
from tests.support.killed_curator import ADDED, DISKS, TITLE, curate
from tests.support.killing import kill_at_every_step
from tests.support.leftovers import Left, Material, event, live, recover
from tests.support.simulated import SimulatedClock
from tests.support.slides import deck, record, still

PROJECT = Path(__file__).parents[3]
pytestmark = [pytest.mark.computing, pytest.mark.usefixtures("no_syncs")]


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
    leftovers.leave_killed(archive, short, events=[live(), mark], written_s=2.9)
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


def test_a_kill_while_sealing_costs_nothing(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "seal")
    states = [seal_again(archives.archive_at(root), program) for root in roots]
    assert len(states) > 30
    assert states == sorted(states, reverse=True), "once sealed, sealed"
    assert states.count(PackageState.SEALED) == 3, "killed before either sync after the rename, and not at all"


def test_a_kill_while_chapters_pictures_and_the_report_are_made_costs_nothing(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = record(tmp_path_factory.mktemp("talk") / "program.mp4", still(deck(1)[::4, ::4], 5), sound=True)
    monkeypatch.setattr("recorder.features.report.page.print_pdf", archives.no_pdf)
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "derive")
    states = [seal_again(archives.archive_at(root), program) for root in roots]
    assert len(states) > 55
    assert states == sorted(states, reverse=True)
    assert states.count(PackageState.SEALED) == 3
    made = [sorted(fixity.walk(package.folder)[0]) for root in roots for package in archives.archive_at(root).list()]
    assert all(files == made[-1] for files in made), "the same, wherever it was stopped"
    assert set(made[-1]) > {
        "data/slides/001.jpg", "data/thumbnails.jpg", "metadata/derived.json", "metadata/levels.json", "report.html",
        "report.pdf",
    }  # fmt: skip


def seal_again(archive: Archive, program: Path) -> PackageState:
    """Check what a kill has left, finish it as the next start would, and return how far it had come."""
    (left,) = archive.list()
    if left.state is PackageState.SEALED:
        assert not any((archive.root / ".incoming").iterdir())
    else:
        assert (left.folder / "data" / "media" / "program.mp4").read_bytes() == program.read_bytes()
        described = (left.folder / RECORDING_FILE).exists()
        package = archive.seal(archive.reopen(left.folder))
        recording = package.recording
        assert recording
        assert recording.degraded == (archives.FACTS.degraded if described else ("interrupted",))
        assert (recording.title, recording.uuid) == ("Rapat Senat", left.uuid)
    (package,) = archive.list()
    assert archive.verify(package, decode=True) == []
    archives.validate_bag(package.folder)
    assert not list(archive.root.rglob(".*.part"))
    return left.state


def test_a_kill_while_beginning_leaves_nothing_that_stays(tmp_path: Path, program: Path) -> None:
    roots = kill_at_every_step("killed_archivist", tmp_path, program, "begin")
    assert len(roots) > 5
    for root in roots[:-1]:
        archive = archives.archive_at(root)
        (left,) = archive.list()
        assert left.state is PackageState.UNFINISHED
        archive.discard(archive.reopen(left.folder))
        assert list(root.iterdir()) == []


RECORDER = """
import pathlib, sys
from tests.support.archives import STARTED, archive_at
work = archive_at(pathlib.Path(sys.argv[1])).begin("Rapat", STARTED)
print("ready", flush=True)
sys.stdin.read()
"""


def test_a_killed_recorder_lets_go_of_its_folder(tmp_path: Path) -> None:
    """The lock is the process's: while it lives nobody takes the folder over, and nobody has to clear up after it."""
    archive = archives.archive_at(tmp_path)
    command = [sys.executable, "-c", RECORDER, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=PROJECT) as recorder:
        try:
            assert recorder.stdout
            assert recorder.stdout.readline() == b"ready\n"
            (package,) = archive.list()
            with pytest.raises(ArchiveError, match="still being recorded"):
                archive.reopen(package.folder)
        finally:
            recorder.kill()
    archive.discard(archive.reopen(package.folder))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Archive:
    archive = archives.archive_at(tmp_path_factory.mktemp("untouched") / "arsip")
    archives.seal_one(archive, program)
    return archive


def correct_killed(root: Path, archive: Path, what: str, how: str) -> list[Path]:
    """Return the archives that are left where a correction is killed at each step."""
    return [place / "arsip" for place in kill_at_every_step("killed_curator", root, archive, what, how)]


def hidden(root: Path) -> list[str]:
    return [path.name for path in root.glob("*/*/.*")]


@pytest.mark.parametrize(
    ("what", "how"),
    [(what, how) for what in ("edit", "add") for how in DISKS],
)
def test_a_kill_while_a_package_is_corrected_costs_nothing(
    tmp_path: Path, untouched: Archive, what: str, how: str
) -> None:
    (former,) = untouched.list()
    roots = correct_killed(tmp_path, untouched.root, what, how)
    corrected = [is_corrected(root, former.id, what) for root in roots]
    assert len(corrected) > 40
    assert corrected == sorted(corrected), "once corrected, corrected"
    assert sum(corrected) > 15, "killed while the former was removed"
    for root in roots:
        prove_whole(archives.archive_at(root), former.folder, what)


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
    curate(archive.root, what, DISKS["exchange"](lambda _step, _path: None))
    (package,) = archive.list()
    assert archive.verify(package) == []
    archives.validate_bag(package.folder)
    history = package.folder / "metadata" / "history"
    assert [path.name for path in history.iterdir()] == ["0001"]
    assert (history / "0001" / RECORDING_FILE).read_bytes() == (former / RECORDING_FILE).read_bytes()
    events = (package.folder / "metadata" / "premis.jsonl").read_bytes().splitlines()
    assert len(events) == 5
    assert "Siti" in msgspec.json.decode(events[-1])["linkingAgent"][0]["agentName"]
    if what == "add":
        assert (package.folder / "data" / "tambahan" / "img-0012.jpg").read_bytes() == ADDED


@pytest.mark.parametrize("how", DISKS)
def test_a_kill_while_that_is_put_right_costs_nothing(tmp_path: Path, untouched: Archive, how: str) -> None:
    (former,) = untouched.list()
    roots = correct_killed(tmp_path / "edit", untouched.root, "edit", how)
    stopped = {tuple(sorted(hidden(root))): root for root in roots if hidden(root)}
    assert len(stopped) == (1 if how == "exchange" else 3)
    for number, left in enumerate(stopped.values()):
        for root in correct_killed(tmp_path / f"settle-{number}", left, "settle", how):
            is_corrected(root, former.id, "edit")
            prove_whole(archives.archive_at(root), former.folder, "edit")
