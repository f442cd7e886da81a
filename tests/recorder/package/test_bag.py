"""The text formats of BagIt; what a manifest lists is judged in the same way wherever the package is."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.model.names import one_line
from recorder.package import bag
from recorder.package.bag import check_manifest
from recorder.package.metadata import ProblemKind

PATHS = st.text(st.characters(codec="utf-8"), min_size=1).map(lambda name: f"data/{name}")
DIGEST = hashlib.sha256(b"").hexdigest()


@given(PATHS)
def test_an_encoded_path_is_one_line_and_decodes_to_itself(path: str) -> None:
    encoded = bag.encode_path(path)
    assert "\n" not in encoded
    assert "\r" not in encoded
    assert bag.decode_path(encoded) == path


@given(st.dictionaries(PATHS, st.binary().map(lambda content: hashlib.sha256(content).hexdigest())))
def test_a_manifest_reads_as_it_was_written(digests: dict[str, str]) -> None:
    assert bag.read_manifest(bag.manifest_text(digests)) == digests


def test_only_line_breaks_and_percent_signs_are_encoded() -> None:
    assert bag.encode_path("data/50% a\r\nb é.pdf") == "data/50%25 a%0D%0Ab é.pdf"


def test_other_percent_signs_of_other_makers_are_kept() -> None:
    assert bag.decode_path("data/100%20%0a%2f") == "data/100%20\n%2f"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{DIGEST[:-1]}  data/a\n".encode(), "line 1"),
        (f"{DIGEST}  data/a\nnonsense\n".encode(), "line 2"),
        (f"{DIGEST}\n".encode(), "line 1"),
        (f"{DIGEST}  data/a\n{DIGEST}  data/a\n".encode(), "names 'data/a' again"),
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


@pytest.mark.parametrize(
    "path",
    ["../a", "data/../../a", "/etc/passwd", "~root/a", "data//a", "data/./a", "data/..", "\\\\host\\a", "data/\0"],
)
def test_paths_that_lead_elsewhere_are_unsafe(path: str) -> None:
    assert bag.path_refusal(path)


@pytest.mark.parametrize("path", ["data/a", "data/..a", "data/a..b/c", "metadata/recording.json"])
def test_ordinary_paths_are_safe(path: str) -> None:
    assert bag.path_refusal(path) is None


@given(st.dictionaries(st.from_regex(r"[A-Za-z][A-Za-z-]*", fullmatch=True), st.text().map(one_line).filter(bool)))
def test_bag_info_reads_as_it_was_written(fields: dict[str, str]) -> None:
    assert bag.read_info(bag.info_text(fields.items())) == fields


def test_folded_bag_info_of_other_makers_is_read() -> None:
    content = (
        b"Source-Organization: Biro\r\nExternal-Description: Rapat\r\n  Senat: 1\r\n\tpagi\r\n\r\nContact-Name:\r\n"
    )
    assert bag.read_info(content) == {
        "Source-Organization": "Biro",
        "External-Description": "Rapat Senat: 1 pagi",
        "Contact-Name": "",
    }


@pytest.mark.parametrize("content", [b"no label\n", b" folded first\n", b": no name\n", b"\xff: a\n"])
def test_malformed_bag_info_is_refused(content: bytes) -> None:
    with pytest.raises(bag.BagFormatError):
        bag.read_info(content)


SOME_DIGEST = "a" * 64
LISTED = ("data/media/program.mp4", "data/hilang.pdf", "../luar.txt", "bagit.txt", "data/../bagit.txt")


def manifest(*paths: str) -> bytes:
    return bag.manifest_text(dict.fromkeys(paths, SOME_DIGEST))


@pytest.mark.parametrize(
    ("name", "kept", "wrong"),
    [
        (
            bag.MANIFEST_FILE,
            {"data/media/program.mp4", "data/hilang.pdf"},
            {
                ("data/hilang.pdf", ProblemKind.MISSING),
                (bag.MANIFEST_FILE, ProblemKind.UNSAFE),
            },
        ),
        (bag.TAG_MANIFEST_FILE, {"bagit.txt"}, {(bag.TAG_MANIFEST_FILE, ProblemKind.UNSAFE)}),
    ],
)
def test_what_may_not_stand_in_a_manifest_is_not_listed_and_what_is_missing_is(
    name: str, kept: set[str], wrong: set[tuple[str, ProblemKind]]
) -> None:
    entries, problems = check_manifest(name, manifest(*LISTED), {"data/media/program.mp4", "bagit.txt"})
    assert entries == dict.fromkeys(kept, SOME_DIGEST)
    assert {(problem.file, problem.kind) for problem in problems} == wrong
    refused = [problem.problem for problem in problems if problem.kind is ProblemKind.UNSAFE]
    assert len(refused) == len(LISTED) - len(kept)
    below = "it is not below data/" if name == bag.MANIFEST_FILE else "it is below data/"
    assert sum(below in said for said in refused) == len(refused) - 2, "two are unsafe in any manifest"


def test_what_is_no_manifest_lists_nothing() -> None:
    entries, (problem,) = check_manifest(bag.MANIFEST_FILE, b"\xff", ())
    assert entries == {}
    assert (problem.file, problem.kind) == (bag.MANIFEST_FILE, ProblemKind.MALFORMED)
