"""Damage, of every kind that a package can take: found, named, and nothing outside the package touched."""

import hashlib
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest

from config.errors import ArchiveError, LiputError, PackageDamaged
from recorder.archive.archive import Archive, packages
from recorder.archive.correction import edit_package
from recorder.archive.exporting import excerpt_files, package_files, write_zip
from recorder.archive.index import ArchiveIndex, search_archive
from recorder.features.copies.package_copy import list_local
from recorder.package import bag
from recorder.package.metadata import Package, PackageState, Problem, ProblemKind
from recorder.package.verification import verify_any_bag, verify_package
from tests.support import archives, command
from tests.support.archives import STARTED
from tests.support.damage import BY_READING, CORPUS, HOSTILE, MEDIA, climb, link_folder, remove, rewrite, unreadable

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


DAMAGE = list(dict.fromkeys(damage for damage, _ in (*CORPUS, *BY_READING)))


def everything(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Return what is in a folder: mode, size and time of each file, and of each folder."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("damage", [*DAMAGE, *HOSTILE])
def test_whoever_looks_at_it_is_told_and_touches_nothing(
    archive: Archive, package: Package, program: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    other = archives.seal_one(archive, program, "Wisuda")
    damage(package.folder)
    before, out = everything(archive.root), tmp_path / "out"
    out.mkdir()

    problems = verify_package(package.folder, decode=True)
    assert problems or damage in HOSTILE
    assert {one.id for one in packages(archive.root)} >= {package.id, other.id}
    with ArchiveIndex(archive.root, tmp_path / "index") as index:
        assert [one.id for one in search_archive(index, ["wisuda"])] == [other.id]
        assert {one.id for one in search_archive(index, [])} >= {package.id, other.id}
    for make in (package_files, lambda folder: excerpt_files(folder, STARTED)[1]):
        if problems:
            with pytest.raises(PackageDamaged):
                write_zip(make(package.folder), package.id, out / "paket.zip")
            assert not list(out.iterdir())
        else:
            write_zip(make(package.folder), package.id, out / "paket.zip")
            (out / "paket.zip").unlink()
    assert everything(archive.root) == before
    assert {path.name for path in tmp_path.iterdir()} == {"arsip", "index", "out"}


@pytest.mark.parametrize("damage", HOSTILE)
def test_it_is_corrected_or_refused(
    archive: Archive, package: Package, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    damage(package.folder)
    was_whole = not verify_package(package.folder)
    try:
        edit_package(package.folder, {"title": "Terbuka"}, by="Siti", reason="", now=STARTED)
    except LiputError:
        assert not was_whole
    else:
        assert verify_package(package.folder) == []
    assert {path.name for path in tmp_path.iterdir()} == {"arsip"}


@pytest.mark.parametrize("below", ["", "data/media"])
def test_a_folder_that_cannot_be_read_costs_one_package_not_the_archive(
    archive: Archive, package: Package, program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    other = archives.seal_one(archive, program, "Wisuda")
    unreadable(package.folder / below, monkeypatch)
    states = {one.id: one.state for one in archive.list()}
    assert states == {package.id: PackageState.DAMAGED, other.id: PackageState.SEALED}
    assert archive.find(other.uuid).id == other.id
    with ArchiveIndex(archive.root, tmp_path / "index") as index:
        assert {one.id: one.state for one in search_archive(index, [])} == states
    assert [problem.kind for problem in verify_package(package.folder)] == ["unreadable"]


ALGORITHMS = ("md5", "sha512")
type Change = Callable[[Path], object]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Make a bag with two manifests, and a file whose name is not ASCII."""
    folder = tmp_path / "tas"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("satu\n")
    (folder / "sub" / "é %25.txt").write_text("dua\n")
    with archives.bagit_warns():
        bagit.make_bag(str(folder), {"Contact-Name": "Siti"}, checksums=list(ALGORITHMS))
    return folder


def is_valid(folder: Path) -> bool:
    """Return what the bagit library thinks of a bag."""
    with archives.bagit_warns():
        try:
            return bool(bagit.Bag(str(folder)).is_valid())
        except bagit.BagError:
            return False


def edited(folder: Path, name: str, change: Callable[[bytes], bytes]) -> None:
    """Change a file of tags, and what the tag manifests say of it."""
    file = folder / name
    file.write_bytes(change(file.read_bytes()))
    for algorithm in ALGORITHMS:
        tags = folder / f"tagmanifest-{algorithm}.txt"
        lines = [line.split(maxsplit=1) for line in tags.read_text().splitlines()]
        digests = {path: digest for digest, path in lines} | {
            name: hashlib.new(algorithm, file.read_bytes()).hexdigest()
        }
        tags.write_text("".join(f"{digest} {path}\n" for path, digest in digests.items()))


def twice(*, same: bool) -> Change:
    def change(folder: Path) -> None:
        line = (folder / "manifest-md5.txt").read_text().splitlines()[0]
        again = line if same else f"{'0' * 32}{line[32:]}"
        edited(folder, "manifest-md5.txt", lambda text: text + f"{again}\n".encode())

    return change


def without(name: str) -> Change:
    """Take a file out of one manifest of the payload."""
    return lambda folder: edited(
        folder,
        "manifest-md5.txt",
        lambda text: b"".join(line for line in text.splitlines(True) if name.encode() not in line),
    )


def recoded(encoding: str) -> Change:
    def change(folder: Path) -> None:
        edited(folder, "bagit.txt", lambda text: text.replace(b"UTF-8", encoding.encode()))
        for name in ("bag-info.txt", *(f"manifest-{algorithm}.txt" for algorithm in ALGORITHMS)):
            edited(folder, name, lambda text: text.decode().encode(encoding))
        for algorithm in ALGORITHMS:
            tags = folder / f"tagmanifest-{algorithm}.txt"
            tags.write_bytes(tags.read_text().encode(encoding))

    return change


def replaced(name: str, was: bytes, now: bytes) -> Change:
    return lambda folder: edited(folder, name, lambda text: text.replace(was, now))


def added(name: str, more: bytes) -> Change:
    return lambda folder: edited(folder, name, lambda text: text + more)


def both(*changes: Change) -> Change:
    def change(folder: Path) -> None:
        for each in changes:
            each(folder)

    return change


def removed(name: str) -> Change:
    def change(folder: Path) -> None:
        for file in folder.glob(name):
            file.unlink()

    return change


def written(name: str, text: str) -> Change:
    return lambda folder: (folder / name).write_text(text)


def without_info(folder: Path) -> None:
    (folder / "bag-info.txt").unlink()
    for tags in folder.glob("tagmanifest-*"):
        tags.write_text("".join(line for line in tags.read_text().splitlines(keepends=True) if "bag-info" not in line))


NEW = both(replaced("bagit.txt", b"0.97", b"1.0"), *(
    replaced(f"manifest-{algorithm}.txt", b"%25", b"%2525") for algorithm in ALGORITHMS
))  # fmt: skip
"""Makes a bag of version 1.0, which the library writes none of."""
MD5 = "manifest-md5.txt"
WHOLE: dict[str, Change] = {
    "as made": both(),
    "lines end in CRLF": replaced("bagit.txt", b"\n", b"\r\n"),
    "manifest in CRLF": replaced(MD5, b"\n", b"\r\n"),
    "no end of line": lambda folder: edited(folder, "bagit.txt", bytes.strip),
    "binary marks": replaced(MD5, b"  data", b" *data"),
    "dot and slash": replaced(MD5, b"  data", b"  ./data"),
    "ISO-8859-1": recoded("ISO-8859-1"),
    "UTF-16": recoded("UTF-16"),
    "no bag-info": without_info,
    "tag files in no manifest": written("catatan.txt", "x"),
    "the same line twice": twice(same=True),
}
BROKEN: dict[str, tuple[Change, ProblemKind]] = {
    "changed": (written("data/a.txt", "tiga\n"), ProblemKind.CHANGED),
    "missing": (removed("data/a.txt"), ProblemKind.MISSING),
    "extra": (written("data/b.txt", "x"), ProblemKind.EXTRA),
    "a tag file changed": (written("bag-info.txt", "A: b\n"), ProblemKind.CHANGED),
    "no manifest": (removed("*manifest-*"), ProblemKind.MISSING),
    "no declaration": (removed("bagit.txt"), ProblemKind.MISSING),
    "a BOM": (replaced("bagit.txt", b"BagIt", b"\xef\xbb\xbfBagIt"), ProblemKind.MALFORMED),
    "no encoding": (replaced("bagit.txt", b"Tag-File-Character-Encoding: UTF-8\n", b""), ProblemKind.MALFORMED),
    "no version": (replaced("bagit.txt", b"0.97", b".97"), ProblemKind.MALFORMED),
    "twice with two digests": (twice(same=False), ProblemKind.MALFORMED),
    "out of scope": (added(MD5, b"0" * 32 + b"  ../../README\n"), ProblemKind.UNSAFE),
    "size": (replaced("bag-info.txt", b"Payload-Oxum: 9", b"Payload-Oxum: 8"), ProblemKind.INCONSISTENT),
}
STRICT: dict[str, tuple[Change, ProblemKind]] = {
    "blanks": (both(NEW, replaced("bagit.txt", b"Version:", b"Version :")), ProblemKind.MALFORMED),
    "1.0, the same line twice": (both(NEW, twice(same=True)), ProblemKind.MALFORMED),
    "1.0, not in each manifest": (both(NEW, without("a.txt")), ProblemKind.EXTRA),
    "not fetched": (
        both(removed("data/a.txt"), written("fetch.txt", "https://a.example/a.txt 5 data/a.txt\n")),
        ProblemKind.MISSING,
    ),
    "fetched out of scope": (written("fetch.txt", "https://a.example/a.txt - ../../a.txt\n"), ProblemKind.UNSAFE),
    "an unknown algorithm": (written("manifest-crc32.txt", "00000000  data/a.txt\n"), ProblemKind.MALFORMED),
    "a link": (lambda folder: (folder / "data/link").symlink_to("/etc/hostname"), ProblemKind.UNSAFE),
}
"""What the library does not find, but RFC 8493, or our own caution, does."""


@pytest.mark.parametrize("algorithms", [["md5"], ["sha1"], ["sha256"], ["sha512"], ["sha3_256", "blake2b"]])
def test_bags_of_every_algorithm_are_read(tmp_path: Path, algorithms: list[str]) -> None:
    (tmp_path / "a.txt").write_text("satu\n")
    with archives.bagit_warns():
        bagit.make_bag(str(tmp_path), checksums=algorithms)
    assert list(verify_any_bag(tmp_path).problems) == []
    (tmp_path / "data/a.txt").write_text("dua\n")
    assert {problem.kind for problem in verify_any_bag(tmp_path).problems} >= {ProblemKind.CHANGED}


def test_of_version_1_percent_signs_are_encoded(made: Path) -> None:
    NEW(made)
    assert list(verify_any_bag(made).problems) == []


@pytest.mark.parametrize("case", WHOLE)
def test_a_whole_bag_is_whole_and_none_of_ours(made: Path, case: str) -> None:
    WHOLE[case](made)
    verdict = verify_any_bag(made)
    assert (list(verdict.problems), verdict.ok, verdict.ours) == ([], True, False)
    assert is_valid(made)


@pytest.mark.parametrize("case", [*BROKEN, *STRICT])
def test_what_is_wrong_with_a_bag_is_found(made: Path, case: str) -> None:
    change, kind = (BROKEN | STRICT)[case]
    change(made)
    verdict = verify_any_bag(made)
    assert kind in {problem.kind for problem in verdict.problems}, verdict.problems
    if case in BROKEN:
        assert not is_valid(made)


def test_before_version_1_manifests_list_the_payload_together(made: Path) -> None:
    without("a.txt")(made)
    assert verify_any_bag(made).ok


def test_the_command_judges_a_folder_that_is_in_no_archive(made: Path, tmp_path: Path) -> None:
    archive = tmp_path / "arsip"
    archive.mkdir()
    verify_it = ("archive", "verify", "--archive", archive)
    done = command.liput(tmp_path, *verify_it, made)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"tas: whole \([^)]* hashed\); a bag, but none of Liput's\n", done.stdout)
    (made / "data/a.txt").unlink()
    verdict = json.loads(command.liput(tmp_path, *verify_it, made, "--json").stdout)
    assert (verdict["id"], verdict["ok"], verdict["ours"]) == ("tas", False, False)
    done = command.liput(tmp_path, *verify_it, tmp_path)
    assert (done.returncode, "bagit.txt is missing" in done.stdout) == (1, True)


def test_a_package_of_ours_is_judged_as_one_wherever_it_is(archive: Archive, program: Path, tmp_path: Path) -> None:
    package = archives.seal_one(archive, program)
    package.folder.rename(tmp_path / "dibawa")
    verdict = verify_any_bag(tmp_path / "dibawa")
    assert (verdict.ok, verdict.ours) == (True, True)
    (tmp_path / "dibawa/metadata/extra.txt").touch()
    assert [problem.kind for problem in verify_any_bag(tmp_path / "dibawa").problems] == [ProblemKind.EXTRA]


def test_our_declaration_may_have_lines_of_any_end(archive: Archive, program: Path) -> None:
    package = archives.seal_one(archive, program)
    declared = package.folder / "bagit.txt"
    declared.write_bytes(declared.read_bytes().replace(b"\n", b"\r\n"))
    tags = package.folder / "tagmanifest-sha256.txt"
    lines = [line.split(maxsplit=1) for line in tags.read_text().splitlines()]
    digest = hashlib.sha256(declared.read_bytes()).hexdigest()
    tags.write_text("".join(f"{digest if path == 'bagit.txt' else was}  {path}\n" for was, path in lines))
    assert verify_package(package.folder) == []
    archives.validate_bag(package.folder)


def test_a_second_manifest_of_ours_has_to_list_everything_too(archive: Archive, program: Path) -> None:
    package: Package = archives.seal_one(archive, program)
    payload = sorted(
        path.relative_to(package.folder).as_posix() for path in (package.folder / "data").rglob("*") if path.is_file()
    )
    second = package.folder / "manifest-md5.txt"

    def listing(paths: list[str]) -> None:
        digests = {path: hashlib.md5((package.folder / path).read_bytes()).hexdigest() for path in paths}
        second.write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
        tags = package.folder / "tagmanifest-sha256.txt"
        kept = [line for line in tags.read_text().splitlines(keepends=True) if second.name not in line]
        tags.write_text("".join([*kept, f"{hashlib.sha256(second.read_bytes()).hexdigest()}  {second.name}\n"]))

    listing(payload)
    assert verify_package(package.folder) == list_local(package.folder).problems == []
    listing(payload[1:])
    (problem,) = verify_package(package.folder)
    assert (problem.file, problem.kind) == (payload[0], ProblemKind.EXTRA)
    assert "manifest-md5.txt does not list it" in problem.problem
    assert list_local(package.folder).problems == [problem], "a copy of it is judged in the same way"
