"""Two packages of one session: neither takes the place of the other's copy, whatever they are called."""

import random
import shutil
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from config.errors import CopyError
from config.settings.serving import CopyTarget
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.features.copies.copy_queue import CopyQueue
from recorder.features.copies.folder import FolderTarget
from recorder.features.copies.package_copy import copy_package
from recorder.features.copies.restoring import PackageRestorer
from recorder.features.copies.target import CopyReason
from recorder.package.metadata import Package, RecordingFacts
from recorder.package.verification import verify_package
from recorder.recovery import unfinished
from recorder.recovery.recover import Recovery, RecoveryState
from tests.support import archives, copies
from tests.support.simulated import SimulatedClock

SESSION = uuid4()


def seal(archive: Archive, program: Path, *, part: int = 1, copy: int = 1, uuid: UUID = SESSION) -> Package:
    """Return the package of a part of a session; its recording is no other's to the byte."""
    offset_s = part - 1.0
    work = archive.begin(
        "Rapat", archives.STARTED, archives.CONTEXT, uuid=uuid, part=part, copy=copy, offset_s=offset_s
    )
    shutil.copyfile(program, work.program)
    (work.media / f"kamera-{archive.root.name}.bin").write_bytes(random.Random(str(archive.root)).randbytes(5000))
    return archive.seal(work, RecordingFacts(ended_at=archives.STARTED), may_be_joined=True)


@pytest.fixture
def second(tmp_path: Path) -> Archive:
    return archives.archive_at(tmp_path / "disk-2")


@pytest.fixture
def nas(tmp_path: Path) -> Path:
    (tmp_path / "nas").mkdir()
    return tmp_path / "nas"


def queue_of(nas: Path, *places: Archive) -> CopyQueue:
    targets = {"nas": CopyTarget(url=f"file://{nas}", must_be_mounted=False)}
    return CopyQueue(
        [place.root for place in places], targets, lambda name: FolderTarget(name, nas), SimulatedClock(),
        is_busy=lambda: False,
    )  # fmt: skip


def copied(queue: CopyQueue) -> dict[str, str | None]:
    """Copy all that waits; return what became of each, None for a copy that is whole."""
    outcomes = list(queue.work("nas", queue.waiting("nas", due_only=False)))
    return {outcome.package: outcome.reason for outcome in outcomes if outcome.state != "copied"} | {
        outcome.package: None for outcome in outcomes if outcome.state == "copied"
    }


@pytest.mark.parametrize(("part", "copy", "end"), [(2, 1, ".2"), (1, 2, ".copy2"), (3, 2, ".copy2.3")])
def test_each_part_and_each_half_of_a_mirror_has_a_copy_of_its_own(
    archive: Archive, second: Archive, nas: Path, program: Path, part: int, copy: int, end: str
) -> None:
    one, other = seal(archive, program), seal(second, program, part=part, copy=copy)
    assert other.id == one.id + end
    assert copied(queue_of(nas, archive, second)) == {one.id: None, other.id: None}
    for package in (one, other):
        there = nas / copies.place_of(package)
        assert verify_package(there) == []
        archives.validate_bag(there)
    assert copied(queue_of(nas, archive, second)) == {}, "a second time nothing waits"


def test_of_two_packages_of_one_name_the_second_is_refused_and_the_first_copy_stays(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    """Such as were sealed before parts had names of their own."""
    one, other = seal(archive, program), seal(second, program)
    assert one.id == other.id
    queue = queue_of(nas, archive, second)
    reasons = [(outcome.state, outcome.reason) for outcome in queue.work("nas", queue.waiting("nas", due_only=False))]
    assert sorted(reasons, key=str) == [("copied", None), ("waiting", CopyReason.NAME_TAKEN)]
    before = {path: path.read_bytes() for path in nas.rglob("*.bin")}
    for places in ((archive, second), (second,), (second, archive)):
        list(queue_of(nas, *places).work("nas", queue_of(nas, *places).waiting("nas", due_only=False)))
        assert {path: path.read_bytes() for path in nas.rglob("*.bin")} == before


def test_what_a_copy_alone_holds_is_not_given_up_for_another_package_of_that_uuid(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program)
    target = FolderTarget("nas", nas)
    first, _ = copy_package(target, one.folder, copies.place_of(one))
    with pytest.raises(CopyError) as refused:
        copy_package(target, other.folder, copies.place_of(other), first.version)
    assert refused.value.reason == CopyReason.NAME_TAKEN
    assert verify_package(nas / copies.place_of(one)) == []


def test_a_copy_of_another_part_does_not_repair_a_package(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program)
    copy_package(FolderTarget("nas", nas), other.folder, copies.place_of(other))
    (one.folder / "data/media/program.mp4").unlink()
    (one.folder / "data/media/kamera-arsip.bin").unlink()
    with pytest.raises(CopyError) as refused:
        PackageRestorer(archive.root, DurableFiles(), lambda: archives.STARTED).restore(
            copies.place_of(one), FolderTarget("nas", nas), verify_package(one.folder)
        )
    assert refused.value.reason == CopyReason.NAME_TAKEN
    assert not list(archive.root.rglob("*disk-2.bin"))


def test_the_copy_of_a_part_becomes_that_of_the_whole_once_the_parts_are_joined(
    archive: Archive, second: Archive, nas: Path, program: Path
) -> None:
    one, other = seal(archive, program), seal(second, program, part=2)
    assert copied(queue_of(nas, archive, second)) == {one.id: None, other.id: None}
    (session,) = unfinished.find_joinable([archive, second])
    assert Recovery([archive, second], clock=SimulatedClock()).recover(session).state is RecoveryState.SEALED
    (whole,) = archive.list()
    assert copied(queue_of(nas, archive, second)) == {whole.id: None}
    assert verify_package(nas / copies.place_of(whole)) == []
    there = (nas / copies.place_of(whole) / "data/media/program.mp4").read_bytes()
    assert there == (whole.folder / "data/media/program.mp4").read_bytes()
    assert copies.place_of(other) in copies.places_in(nas), "a copy is never removed by itself"
