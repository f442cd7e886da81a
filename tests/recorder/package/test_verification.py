"""Packages, ours and of other makers: damage is found and named, and nothing outside the package is touched."""

import errno
import hashlib
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import ArchiveError, LiputError, PackageDamaged
from recorder.archive.archive import Archive, packages
from recorder.archive.correction import edit_package
from recorder.archive.exporting import excerpt_files, package_files, write_zip
from recorder.archive.index import ArchiveIndex, search_archive
from recorder.features.copies.package_copy import list_local
from recorder.model.names import one_line
from recorder.package import bag
from recorder.package.bag import check_manifest
from recorder.package.metadata import Package, PackageState, Problem, ProblemKind
from recorder.package.verification import verify_any_bag, verify_package
from tests.support import archives, command
from tests.support.archives import STARTED
from tests.support.damage import DAMAGES, MEDIA, Damage, both, climb, link_folder, removed, rewrite, says, written

pytestmark = pytest.mark.computing

PATHS = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: f"data/{name}")
DIGEST = hashlib.sha256(b"").hexdigest()


@given(st.dictionaries(PATHS, st.binary().map(lambda content: hashlib.sha256(content).hexdigest())))
def test_a_manifest_reads_as_it_was_written(digests: dict[str, str]) -> None:
    assert bag.read_manifest(bag.manifest_text(digests)) == digests


def test_only_line_breaks_and_percent_signs_of_a_path_are_encoded() -> None:
    assert bag.encode_path("data/50% a\r\nb é.pdf") == "data/50%25 a%0D%0Ab é.pdf"
    assert bag.decode_path("data/100%20%0a%2f") == "data/100%20\n%2f", "of other makers"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{DIGEST}  data/a\nnonsense\n".encode(), "line 2"),
        (f"{DIGEST}\n".encode(), "line 1"),
        (f"{DIGEST}  data/%0a\n{DIGEST}  data/%0A\n".encode(), "again"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_malformed_manifest_is_refused_with_its_line(content: bytes, reason: str) -> None:
    with pytest.raises(bag.BagFormatError, match=reason):
        bag.read_manifest(content)


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\r"])
def test_manifests_of_other_makers_are_read(line_break: str) -> None:
    content = f"{DIGEST.upper()} *data/a b{line_break}{DIGEST}\tdata/c{line_break}".encode()
    assert bag.read_manifest(content) == {"data/a b": DIGEST, "data/c": DIGEST}


def test_paths_that_lead_elsewhere_are_unsafe() -> None:
    for path in ("data/../../a", "/etc/passwd", "~root/a", "data//a", "data/./a", "data/..", "\\\\host\\a", "data/\0"):
        assert bag.path_refusal(path), path
    for path in ("data/..a", "data/a..b/c"):
        assert bag.path_refusal(path) is None


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z-]*", fullmatch=True), st.text().map(one_line).filter(bool)))
def test_bag_info_reads_as_it_was_written(fields: dict[str, str]) -> None:
    assert bag.read_info(bag.info_text(fields.items())) == fields


def test_folded_bag_info_of_other_makers_is_read() -> None:
    content = b"External-Description: Rapat\r\n  Senat: 1\r\n\tpagi\r\n\r\nContact-Name:\r\n"
    assert bag.read_info(content) == {"External-Description": "Rapat Senat: 1 pagi", "Contact-Name": ""}


@pytest.mark.parametrize("content", [b"no label\n", b" folded first\n", b": no name\n", b"\xff: a\n"])
def test_malformed_bag_info_is_refused(content: bytes) -> None:
    with pytest.raises(bag.BagFormatError):
        bag.read_info(content)


def test_what_may_not_stand_in_a_manifest_is_not_listed_and_what_is_missing_is() -> None:
    paths = MEDIA, "data/hilang.pdf", "../luar.txt", "bagit.txt", "data/../b.txt"
    listed = bag.manifest_text(dict.fromkeys(paths, DIGEST))
    there = {MEDIA, "bagit.txt"}
    entries, problems = check_manifest(bag.MANIFEST_FILE, listed, there)
    assert set(entries) == {MEDIA, "data/hilang.pdf"}
    assert kinds(problems) == {("data/hilang.pdf", "missing"), (bag.MANIFEST_FILE, "unsafe")}
    assert len(problems) == 4
    entries, problems = check_manifest(bag.TAG_MANIFEST_FILE, listed, there)
    assert set(entries) == {"bagit.txt"}
    assert [problem.kind for problem in problems] == [ProblemKind.UNSAFE] * 4
    assert sum("it is below data/" in problem.problem for problem in problems) == 2
    entries, problems = check_manifest(bag.MANIFEST_FILE, b"\xff", there)
    assert (entries, kinds(problems)) == ({}, {(bag.MANIFEST_FILE, "malformed")})


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Package:
    """Return a package of an archive that has another one."""
    archive = archives.archive_at(tmp_path_factory.mktemp("asal") / "arsip")
    archives.seal_one(archive, program, "Wisuda")
    return archives.seal_one(archive, program)


@pytest.fixture
def root(sealed: Package, tmp_path: Path) -> Path:
    """Return a copy of the archive of both."""
    return Path(shutil.copytree(sealed.folder.parents[2], tmp_path / "arsip"))


@pytest.fixture
def folder(root: Path, sealed: Package) -> Path:
    return root / sealed.folder.relative_to(sealed.folder.parents[2])


def kinds(problems: list[Problem]) -> set[tuple[str, str]]:
    return {(problem.file, problem.kind) for problem in problems}


def test_an_untouched_copy_is_whole(folder: Path) -> None:
    assert verify_package(folder, decode=True) == []


@pytest.mark.parametrize("name", [MEDIA, "bag-info.txt", "metadata/recording.json", "manifest-sha256.txt"])
def test_one_flipped_bit_anywhere_is_found_and_named(folder: Path, name: str) -> None:
    content = (folder / name).read_bytes()
    chance = random.Random(name)
    for _ in range(3):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        (folder / name).write_bytes(flipped)
        assert (name, "changed") in kinds(verify_package(folder))


def everything(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Return what is in a folder: mode, size and time of each file, and of each folder."""
    found = {path: path.lstat() for path in (folder, *folder.rglob("*"))}
    return {path: (stat.st_mode, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("case", DAMAGES)
def test_damage_is_named_and_whoever_comes_by_is_told_and_touches_nothing(
    root: Path, folder: Path, tmp_path: Path, case: str
) -> None:
    damage, found = DAMAGES[case]
    (other,) = {path.name for path in folder.parent.iterdir()} - {folder.name}
    damage(folder)
    before, out = everything(root), tmp_path / "out"
    out.mkdir()
    problems = verify_package(folder)
    assert found is None or found in kinds(problems)
    said = next((problem.file for problem in verify_package(folder, payload=False)), MEDIA) if found else ""
    assert {one.id for one in packages(root)} >= {folder.name, other}
    with ArchiveIndex(root, tmp_path / "index") as index:
        assert [one.id for one in search_archive(index, ["wisuda"])] == [other]
        assert {one.id for one in search_archive(index, [])} >= {folder.name, other}
    for make in (package_files, lambda folder: excerpt_files(folder, STARTED)[1]):
        if problems:
            with pytest.raises(PackageDamaged) as caught:
                write_zip(make(folder), folder.name, out / "paket.zip")
            assert said in caught.value.message
            assert f"liput archive verify {folder.name} " in caught.value.hint
        else:
            write_zip(make(folder), folder.name, out / "paket.zip")
            (out / "paket.zip").unlink()
        assert not list(out.iterdir())
    assert everything(root) == before
    refusal: LiputError | None = None
    try:
        edit_package(folder, {"title": "Terbuka"}, by="Siti", reason="", now=STARTED)
    except LiputError as error:
        refusal = error
    if refusal:
        assert problems
        assert said in refusal.message
        assert refusal.hint
        assert everything(root).keys() == before.keys()
    else:  # what nobody sees who does not read the media stays to be seen
        assert verify_package(folder) == [problem for problem in problems if (problem.file, problem.kind) == found]
    assert {path.name for path in tmp_path.iterdir()} == {"arsip", "index", "out"}


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
    content = bytearray((folder / MEDIA).read_bytes())
    start = content.index(b"mdat") + 2000
    content[start : start + 400] = bytes(400)
    (folder / MEDIA).write_bytes(content)
    rewrite(folder)
    assert verify_package(folder) == []
    assert kinds(verify_package(folder, decode=True)) == {(MEDIA, "undecodable")}


@pytest.mark.parametrize(
    ("field", "wrong", "said"), [("frames", "49", "50 frames"), ("duration_s", "3.0", "decodes to 2.000 s")]
)
def test_a_description_that_is_not_true_is_found_by_decoding(folder: Path, field: str, wrong: str, said: str) -> None:
    says(field, wrong)(folder)
    assert verify_package(folder) == []
    problems = verify_package(folder, decode=True)
    assert {problem.kind for problem in problems} == {ProblemKind.INCONSISTENT}
    assert any(said in problem.problem for problem in problems)


def test_an_unfinished_recording_is_not_verified(archive: Archive, program: Path) -> None:
    with archives.recorded(archive, program):
        (unfinished,) = archive.list()
        with pytest.raises(ArchiveError, match="not sealed yet"):
            archive.verify(unfinished)


def unreadable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the disk give nothing of one folder any more."""

    def failing[Answer](real: Callable[..., Answer]) -> Callable[..., Answer]:
        def act(path: str | Path, *more: object, **named: object) -> Answer:
            if Path(path) == folder:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return real(path, *more, **named)

        return act

    monkeypatch.setattr(os, "scandir", failing(os.scandir))
    monkeypatch.setattr(os, "open", failing(os.open))


@pytest.mark.parametrize("below", ["", "data/media"])
def test_a_folder_that_cannot_be_read_costs_one_package_not_the_archive(
    root: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, below: str
) -> None:
    unreadable(folder / below, monkeypatch)
    states = {one.id: one.state for one in archives.archive_at(root).list()}
    (other,) = set(states) - {folder.name}
    assert states == {folder.name: PackageState.DAMAGED, other: PackageState.SEALED}
    with ArchiveIndex(root, tmp_path / "index") as index:
        assert {one.id: one.state for one in search_archive(index, [])} == states
    assert [problem.kind for problem in verify_package(folder)] == ["unreadable"]


ALGORITHMS = ("md5", "sha512")


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


def twice(*, same: bool) -> Damage:
    def change(folder: Path) -> None:
        line = (folder / "manifest-md5.txt").read_text().splitlines()[0]
        again = line if same else f"{'0' * 32}{line[32:]}"
        edited(folder, "manifest-md5.txt", lambda text: text + f"{again}\n".encode())

    return change


def without(name: str) -> Damage:
    """Take a file out of one manifest of the payload."""
    return lambda folder: edited(
        folder,
        "manifest-md5.txt",
        lambda text: b"".join(line for line in text.splitlines(True) if name.encode() not in line),
    )


def replaced(name: str, was: bytes, now: bytes) -> Damage:
    return lambda folder: edited(folder, name, lambda text: text.replace(was, now))


NEW = both(replaced("bagit.txt", b"0.97", b"1.0"), *(
    replaced(f"manifest-{algorithm}.txt", b"%25", b"%2525") for algorithm in ALGORITHMS
))  # fmt: skip
"""Makes a bag of version 1.0, which the library writes none of."""
MD5 = "manifest-md5.txt"
WHOLE: dict[str, Damage] = {
    "as made": both(),
    "lines end in CRLF": replaced("bagit.txt", b"\n", b"\r\n"),
    "binary marks, dot and slash": replaced(MD5, b"  data", b" *./data"),
    "tag files in no manifest": written("catatan.txt", b"x"),
    "the same line twice": twice(same=True),
}
BROKEN: dict[str, tuple[Damage, ProblemKind]] = {
    "changed": (written("data/a.txt", b"tiga\n"), ProblemKind.CHANGED),
    "missing": (removed("data/a.txt"), ProblemKind.MISSING),
    "extra": (written("data/b.txt", b"x"), ProblemKind.EXTRA),
    "no manifest": (removed("*manifest-*"), ProblemKind.MISSING),
    "no declaration": (removed("bagit.txt"), ProblemKind.MISSING),
    "no encoding": (replaced("bagit.txt", b"Tag-File-Character-Encoding: UTF-8\n", b""), ProblemKind.MALFORMED),
    "twice with two digests": (twice(same=False), ProblemKind.MALFORMED),
    "out of scope": (replaced(MD5, b"data/a", b"../../a"), ProblemKind.UNSAFE),
    "size": (replaced("bag-info.txt", b"Payload-Oxum: 9", b"Payload-Oxum: 8"), ProblemKind.INCONSISTENT),
}
STRICT: dict[str, tuple[Damage, ProblemKind]] = {
    "1.0, the same line twice": (both(NEW, twice(same=True)), ProblemKind.MALFORMED),
    "1.0, not in each manifest": (both(NEW, without("a.txt")), ProblemKind.EXTRA),
    "not fetched": (
        both(removed("data/a.txt"), written("fetch.txt", b"https://a.example/a.txt 5 data/a.txt\n")),
        ProblemKind.MISSING,
    ),
    "fetched out of scope": (written("fetch.txt", b"https://a.example/a.txt - ../../a.txt\n"), ProblemKind.UNSAFE),
    "an unknown algorithm": (written("manifest-crc32.txt", b"00000000  data/a.txt\n"), ProblemKind.MALFORMED),
    "a link": (lambda folder: (folder / "data/link").symlink_to("/etc/hostname"), ProblemKind.UNSAFE),
}
"""What the library does not find, but RFC 8493, or our own caution, does."""


@pytest.mark.parametrize("algorithms", [["sha1"], ["sha3_256", "blake2b"]])
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
    (tmp_path / "arsip").mkdir()
    done = command.liput(tmp_path, "archive", "verify", "--archive", tmp_path / "arsip", made)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"tas: whole \([^)]* hashed\); a bag, but none of Liput's\n", done.stdout)


def test_a_package_of_ours_is_judged_as_one_wherever_it_is_and_may_have_lines_of_any_end(
    folder: Path, tmp_path: Path
) -> None:
    taken = folder.rename(tmp_path / "dibawa")
    declared, tags = taken / "bagit.txt", taken / "tagmanifest-sha256.txt"
    was = hashlib.sha256(declared.read_bytes()).hexdigest()
    declared.write_bytes(declared.read_bytes().replace(b"\n", b"\r\n"))
    tags.write_text(tags.read_text().replace(was, hashlib.sha256(declared.read_bytes()).hexdigest()))
    verdict = verify_any_bag(taken)
    assert (verdict.ok, verdict.ours) == (True, True)
    archives.validate_bag(taken)
    (taken / "metadata/extra.txt").touch()
    assert [problem.kind for problem in verify_any_bag(taken).problems] == [ProblemKind.EXTRA]


def test_a_second_manifest_of_ours_has_to_list_everything_too(folder: Path) -> None:
    payload = sorted(path.relative_to(folder).as_posix() for path in (folder / "data").rglob("*") if path.is_file())
    second = folder / "manifest-md5.txt"

    def listing(paths: list[str]) -> None:
        digests = {path: hashlib.md5((folder / path).read_bytes()).hexdigest() for path in paths}
        second.write_text("".join(f"{digest}  {path}\n" for path, digest in digests.items()))
        tags = folder / "tagmanifest-sha256.txt"
        kept = [line for line in tags.read_text().splitlines(keepends=True) if second.name not in line]
        tags.write_text("".join([*kept, f"{hashlib.sha256(second.read_bytes()).hexdigest()}  {second.name}\n"]))

    listing(payload)
    assert verify_package(folder) == list_local(folder).problems == []
    listing(payload[1:])
    (problem,) = verify_package(folder)
    assert (problem.file, problem.kind) == (payload[0], ProblemKind.EXTRA)
    assert "manifest-md5.txt does not list it" in problem.problem
    assert list_local(folder).problems == [problem], "a copy of it is judged in the same way"
