"""A kill -9 before every step of a correction: the package is one of both, whole, and nothing of it is lost."""

from pathlib import Path

import msgspec
import pytest

from recorder.archive.archive import Archive, packages
from recorder.package.metadata import PackageState
from recorder.package.work_folder import RECORDING_FILE
from tests.support import archives
from tests.support.damage import MEDIA
from tests.support.killed_curator import ADDED, DISKS, TITLE, curate
from tests.support.killing import kill_at_every_step

PROJECT = Path(__file__).parents[3]
pytestmark = pytest.mark.usefixtures("no_syncs")


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Archive:
    archive = archives.archive_at(tmp_path_factory.mktemp("untouched") / "arsip")
    archives.seal_one(archive, program)
    return archive


def curated(root: Path, archive: Path, what: str, how: str) -> list[Path]:
    return [place / "arsip" for place in kill_at_every_step("killed_curator", root, archive, what, how)]


def leftovers(root: Path) -> list[str]:
    return [path.name for path in root.glob("*/*/.*")]


@pytest.mark.parametrize(
    ("what", "how"),
    [(what, how) for what in ("edit", "add") for how in DISKS],
)
def test_a_kill_while_a_package_is_corrected_costs_nothing(
    tmp_path: Path, untouched: Archive, what: str, how: str
) -> None:
    (former,) = untouched.list()
    roots = curated(tmp_path, untouched.root, what, how)
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
    assert leftovers(archive.root) == []
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
    roots = curated(tmp_path / "edit", untouched.root, "edit", how)
    stopped = {tuple(sorted(leftovers(root))): root for root in roots if leftovers(root)}
    assert len(stopped) == (1 if how == "exchange" else 3)
    for number, left in enumerate(stopped.values()):
        for root in curated(tmp_path / f"settle-{number}", left, "settle", how):
            is_corrected(root, former.id, "edit")
            prove_whole(archives.archive_at(root), former.folder, "edit")
