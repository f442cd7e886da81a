"""What a manifest lists is judged in the same way wherever the package is."""

import pytest

from recorder.archive import bag
from recorder.archive.bag import listed_in
from recorder.archive.model import ProblemKind

DIGEST = "a" * 64
LISTED = ("data/media/program.mp4", "data/hilang.pdf", "../luar.txt", "bagit.txt", "data/../bagit.txt")


def manifest(*paths: str) -> bytes:
    return bag.manifest_text(dict.fromkeys(paths, DIGEST))


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
    entries, problems = listed_in(name, manifest(*LISTED), {"data/media/program.mp4", "bagit.txt"})
    assert entries == dict.fromkeys(kept, DIGEST)
    assert {(problem.file, problem.kind) for problem in problems} == wrong
    refused = [problem.problem for problem in problems if problem.kind is ProblemKind.UNSAFE]
    assert len(refused) == len(LISTED) - len(kept)
    below = "it is not below data/" if name == bag.MANIFEST_FILE else "it is below data/"
    assert sum(below in said for said in refused) == len(refused) - 2, "two are unsafe in any manifest"


def test_what_is_no_manifest_lists_nothing() -> None:
    entries, (problem,) = listed_in(bag.MANIFEST_FILE, b"\xff", ())
    assert entries == {}
    assert (problem.file, problem.kind) == (bag.MANIFEST_FILE, ProblemKind.MALFORMED)
