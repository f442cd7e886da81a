"""Damage, of every kind that a package can take: found, named, and nothing outside the package touched."""

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ArchiveError
from recorder.archive.archive import Archive
from recorder.package import bag
from recorder.package.metadata import Package, PackageState, Problem, ProblemKind
from recorder.package.verification import verify_package
from tests.support import archives
from tests.support.damage import BY_READING, CORPUS, MEDIA, climb, link_folder, remove, rewrite

FILES = [
    MEDIA, "data/poster.jpg", "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt",
    "metadata/recording.json", "metadata/dublincore.xml", "metadata/events.jsonl", "metadata/devices.json",
    "metadata/premis.jsonl", "BACA-SAYA.txt", "README.txt",
]  # fmt: skip


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    return archives.seal_one(archives.archive_at(tmp_path_factory.mktemp("arsip")), program).folder


@pytest.fixture
def folder(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / sealed.name))


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.file, problem.kind) for problem in problems}


def test_an_untouched_copy_is_whole(folder: Path) -> None:
    assert verify_package(folder, decode=True) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_found_and_named(folder: Path, name: str, seed: int) -> None:
    content = bytearray((folder / name).read_bytes())
    chance = random.Random(f"{name} {seed}")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(content)
    problems = verify_package(folder)
    if name == bag.TAG_MANIFEST_FILE:  # nothing vouches for it: the entry that was hit is named, or the manifest itself
        assert problems
    else:
        assert (name, "changed") in kinds(problems)


@pytest.mark.parametrize(("damage", "found"), [*CORPUS, *BY_READING])
def test_damage_is_found_and_named(folder: Path, damage: Callable[[Path], None], found: tuple[str, str]) -> None:
    damage(folder)
    assert found in kinds(verify_package(folder, decode=True))


@pytest.mark.timeout(120)
def test_nothing_outside_the_package_is_opened(folder: Path) -> None:
    """Not the target of a link, not what a manifest or a description points to: pipes hold who opens them."""
    link_folder(folder)
    climb(folder)
    for outside in (folder.parent / "outside" / "program.mp4", folder.parent / "outside.txt"):
        outside.unlink()
        os.mkfifo(outside)
    recording = folder / "metadata" / "recording.json"
    recording.write_text(recording.read_text().replace(MEDIA, "data/../../outside/program.mp4"))
    problems = verify_package(folder, decode=True)
    assert {ProblemKind.UNSAFE, ProblemKind.MISSING} <= {problem.kind for problem in problems}


def test_a_folder_that_is_no_package_says_what_it_lacks(tmp_path: Path) -> None:
    assert {kind for _, kind in kinds(verify_package(tmp_path))} == {"missing"}
    assert kinds(verify_package(tmp_path / "gone")) == {(".", "unreadable")}


def test_media_that_was_broken_before_it_was_hashed_is_found_by_decoding(folder: Path) -> None:
    media = folder / MEDIA
    content = bytearray(media.read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 400] = bytes(400)
    media.write_bytes(content)
    rewrite(folder)
    assert verify_package(folder) == []
    assert kinds(verify_package(folder, decode=True)) == {(MEDIA, "undecodable")}


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [('"frames": 50', '"frames": 49', "50 frames"), ('"duration_s": 2.0', '"duration_s": 3.0', "decodes to 2.000 s")],
)
def test_a_description_that_is_not_true_is_found_by_decoding(folder: Path, field: str, wrong: str, said: str) -> None:
    recording = folder / "metadata" / "recording.json"
    assert field in recording.read_text()
    recording.write_text(recording.read_text().replace(field, wrong))
    rewrite(folder)
    assert verify_package(folder) == []
    problems = verify_package(folder, decode=True)
    assert problems
    assert all(problem.kind is ProblemKind.INCONSISTENT for problem in problems)
    assert any(said in problem.problem for problem in problems)


@pytest.mark.parametrize("decode", [False, True])
def test_progress_reaches_the_total(folder: Path, *, decode: bool) -> None:
    calls: list[tuple[int, int]] = []
    verify_package(folder, decode=decode, progress=lambda done, total: calls.append((done, total)))
    done, total = calls[-1]
    assert calls == sorted(calls)
    assert 0.9 * total <= done <= total


def test_an_unfinished_recording_is_not_verified(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program):
        (unfinished,) = archive.list()
        assert unfinished.state is PackageState.UNFINISHED
        with pytest.raises(ArchiveError, match="not sealed yet"):
            archive.verify(unfinished)


def test_a_package_is_verified_through_the_archive(archive: Archive, package: Package) -> None:
    remove(package.folder)
    assert (MEDIA, "missing") in kinds(list(archive.verify(package)))
