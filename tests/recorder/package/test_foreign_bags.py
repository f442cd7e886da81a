"""Bags that Liput has not made are judged by RFC 8493, as the bagit library does, and said to be none of ours."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import bagit
import pytest

from recorder.archive.archive import Archive
from recorder.features.copies.package_copy import list_local
from recorder.package.metadata import Package, ProblemKind
from recorder.package.verification import verify_any_bag, verify_package
from tests.support import archives, command

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
