"""Damage, of every kind that a package can take: found, named, and nothing outside the package touched."""

import hashlib
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ArchiveError
from recorder.archive import bag, fixity
from recorder.archive.archive import Archive
from recorder.archive.model import Package, PackageState, Problem, ProblemKind
from recorder.archive.verification import verify
from tests.support import archives

MEDIA = "data/media/program.mp4"
FILES = [
    MEDIA, "data/poster.jpg", "bagit.txt", "bag-info.txt", "manifest-sha256.txt", "tagmanifest-sha256.txt",
    "metadata/recording.json", "metadata/dublincore.xml", "metadata/events.jsonl", "metadata/devices.json",
]  # fmt: skip


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    return archives.seal_one(archives.archive_at(tmp_path_factory.mktemp("arsip")), program).folder


@pytest.fixture
def folder(sealed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sealed, tmp_path / sealed.name))


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.file, problem.kind) for problem in problems}


def rewrite(folder: Path) -> None:
    """Write the manifests anew, so that they vouch for what is there now."""
    for manifest, of_payload in ((bag.MANIFEST_FILE, True), (bag.TAG_MANIFEST_FILE, False)):
        (folder / manifest).unlink(missing_ok=True)
        files = [path for path in fixity.walk(folder)[0] if path.startswith("data/") == of_payload]
        if not of_payload:
            files = [path for path in files if path != bag.TAG_MANIFEST_FILE]
        (folder / manifest).write_bytes(bag.manifest_text(fixity.hash_files(folder, files)))


def test_an_untouched_copy_is_whole(folder: Path) -> None:
    assert verify(folder, decode=True) == []


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_anywhere_is_found_and_named(folder: Path, name: str, seed: int) -> None:
    content = bytearray((folder / name).read_bytes())
    chance = random.Random(f"{name} {seed}")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(content)
    problems = verify(folder)
    if name == bag.TAG_MANIFEST_FILE:  # nothing vouches for it: the entry that was hit is named, or the manifest itself
        assert problems
    else:
        assert (name, "changed") in kinds(problems)


def remove(folder: Path) -> None:
    (folder / MEDIA).unlink()


def add(folder: Path) -> None:
    (folder / "data" / "media" / "new.mp4").write_bytes(b"new")


def add_tag_file(folder: Path) -> None:
    (folder / "metadata" / "note.txt").write_bytes(b"new")


def truncate(folder: Path) -> None:
    os.truncate(folder / MEDIA, 1000)


def empty(folder: Path) -> None:
    os.truncate(folder / MEDIA, 0)


def rename(folder: Path) -> None:
    (folder / MEDIA).rename(folder / "data" / "media" / "renamed.mp4")


def link_file(folder: Path) -> None:
    target = folder.parent / "outside.mp4"
    (folder / MEDIA).rename(target)
    (folder / MEDIA).symlink_to(target)


def link_folder(folder: Path) -> None:
    target = folder.parent / "outside"
    (folder / "data" / "media").rename(target)
    (folder / "data" / "media").symlink_to(target)


def pipe(folder: Path) -> None:
    (folder / MEDIA).unlink()
    os.mkfifo(folder / MEDIA)


def climb(folder: Path) -> None:
    outside = folder.parent / "outside.txt"
    outside.write_bytes(b"secret")
    with (folder / bag.MANIFEST_FILE).open("a") as manifest:
        manifest.write(f"{hashlib.sha256(b'secret').hexdigest()}  data/../../outside.txt\n")


def absolute(folder: Path) -> None:
    with (folder / bag.MANIFEST_FILE).open("a") as manifest:
        manifest.write(f"{'0' * 64}  /etc/hostname\n")


def swap_manifests(folder: Path) -> None:
    content = (folder / bag.TAG_MANIFEST_FILE).read_bytes()
    (folder / bag.MANIFEST_FILE).write_bytes(content)


def garble(folder: Path) -> None:
    (folder / bag.MANIFEST_FILE).write_bytes(b"\xff\x00garbage\n")


def no_manifest(folder: Path) -> None:
    (folder / bag.MANIFEST_FILE).unlink()


def no_tag_manifest(folder: Path) -> None:
    (folder / bag.TAG_MANIFEST_FILE).unlink()


def no_declaration(folder: Path) -> None:
    (folder / bag.DECLARATION_FILE).unlink()


def old_declaration(folder: Path) -> None:
    (folder / bag.DECLARATION_FILE).write_text("BagIt-Version: 0.97\nTag-File-Character-Encoding: UTF-8\n")
    rewrite(folder)


def wrong_oxum(folder: Path) -> None:
    info = folder / bag.INFO_FILE
    info.write_text("".join(line for line in info.read_text().splitlines(True) if not line.startswith("Payload")))
    rewrite(folder)


def other_identity(folder: Path) -> None:
    info = folder / bag.INFO_FILE
    info.write_text(info.read_text().replace("External-Identifier: ", "External-Identifier: x"))
    rewrite(folder)


def bad_description(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"frames"', '"phrames"'))
    rewrite(folder)


def wrong_size(folder: Path) -> None:
    path = folder / "metadata" / "recording.json"
    path.write_text(path.read_text().replace('"bytes": ', '"bytes": 1'))
    rewrite(folder)


def undescribed(folder: Path) -> None:
    """Take the film out, and write the manifests anew."""
    info = folder / bag.INFO_FILE
    size = (folder / "data" / "poster.jpg").stat().st_size
    lines = [line for line in info.read_text().splitlines() if not line.startswith("Payload")]
    info.write_text("\n".join([*lines, f"Payload-Oxum: {size}.1", ""]))
    (folder / MEDIA).unlink()
    rewrite(folder)


def not_utf8(folder: Path) -> None:
    (folder / os.fsdecode(b"data/\xff.bin")).write_bytes(b"")


CORPUS: list[tuple[Callable[[Path], None], tuple[str, str]]] = [
    (remove, (MEDIA, "missing")),
    (add, ("data/media/new.mp4", "extra")),
    (add_tag_file, ("metadata/note.txt", "extra")),
    (truncate, (MEDIA, "changed")),
    (empty, (MEDIA, "changed")),
    (rename, (MEDIA, "missing")),
    (rename, ("data/media/renamed.mp4", "extra")),
    (link_file, (MEDIA, "unsafe")),
    (link_folder, ("data/media", "unsafe")),
    (pipe, (MEDIA, "unsafe")),
    (climb, (bag.MANIFEST_FILE, "unsafe")),
    (absolute, (bag.MANIFEST_FILE, "unsafe")),
    (swap_manifests, (bag.MANIFEST_FILE, "unsafe")),
    (garble, (bag.MANIFEST_FILE, "malformed")),
    (no_manifest, (bag.MANIFEST_FILE, "missing")),
    (no_tag_manifest, (bag.TAG_MANIFEST_FILE, "missing")),
    (no_declaration, (bag.DECLARATION_FILE, "missing")),
    (old_declaration, (bag.DECLARATION_FILE, "malformed")),
    (wrong_oxum, (bag.INFO_FILE, "inconsistent")),
    (other_identity, (bag.INFO_FILE, "inconsistent")),
    (bad_description, ("metadata/recording.json", "malformed")),
    (wrong_size, (MEDIA, "inconsistent")),
    (undescribed, (MEDIA, "missing")),
    (not_utf8, ("data/\ufffd.bin", "extra")),
]


@pytest.mark.parametrize(("damage", "found"), CORPUS)
def test_damage_is_found_and_named(folder: Path, damage: Callable[[Path], None], found: tuple[str, str]) -> None:
    damage(folder)
    assert found in kinds(verify(folder, decode=True))


@pytest.mark.timeout(20)
def test_nothing_outside_the_package_is_opened(folder: Path) -> None:
    """Not the target of a link, not what a manifest or a description points to: pipes hold who opens them."""
    link_folder(folder)
    climb(folder)
    for outside in (folder.parent / "outside" / "program.mp4", folder.parent / "outside.txt"):
        outside.unlink()
        os.mkfifo(outside)
    recording = folder / "metadata" / "recording.json"
    recording.write_text(recording.read_text().replace(MEDIA, "data/../../outside/program.mp4"))
    problems = verify(folder, decode=True)
    assert {ProblemKind.UNSAFE, ProblemKind.MISSING} <= {problem.kind for problem in problems}


def test_a_folder_that_is_no_package_says_what_it_lacks(tmp_path: Path) -> None:
    assert {kind for _, kind in kinds(verify(tmp_path))} == {"missing"}
    assert kinds(verify(tmp_path / "gone")) == {(".", "unreadable")}


def test_media_that_was_broken_before_it_was_hashed_is_found_by_decoding(folder: Path) -> None:
    media = folder / MEDIA
    content = bytearray(media.read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 400] = bytes(400)
    media.write_bytes(content)
    rewrite(folder)
    assert verify(folder) == []
    assert kinds(verify(folder, decode=True)) == {(MEDIA, "undecodable")}


@pytest.mark.parametrize(
    ("field", "wrong", "said"),
    [('"frames": 50', '"frames": 49', "50 pictures"), ('"duration_s": 2.0', '"duration_s": 3.0', "decodes to 2.000 s")],
)
def test_a_description_that_is_not_true_is_found_by_decoding(folder: Path, field: str, wrong: str, said: str) -> None:
    recording = folder / "metadata" / "recording.json"
    assert field in recording.read_text()
    recording.write_text(recording.read_text().replace(field, wrong))
    rewrite(folder)
    assert verify(folder) == []
    problems = verify(folder, decode=True)
    assert problems
    assert all(problem.kind is ProblemKind.INCONSISTENT for problem in problems)
    assert any(said in problem.problem for problem in problems)


@pytest.mark.parametrize("decode", [False, True])
def test_progress_reaches_the_total(folder: Path, *, decode: bool) -> None:
    calls: list[tuple[int, int]] = []
    verify(folder, decode=decode, progress=lambda done, total: calls.append((done, total)))
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
