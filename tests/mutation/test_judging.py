"""A small tree of modules, whose tests are known to be good or not."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.mutation import judging
from tests.mutation.__main__ import main
from tests.mutation.copied import CopiedTree
from tests.mutation.judging import Asked, Fate, Score, TestsFailError, judge

PYPROJECT = """
[tool.pytest.ini_options]
addopts = ["--import-mode=importlib"]
pythonpath = ["."]
"""
FARE = """
def fare(age):
    if age < 12:
        return 50
    return 100
"""
FILES = {
    "pyproject.toml": PYPROJECT,
    "shop/__init__.py": "",
    "shop/well.py": FARE,
    "tests/shop/test_well.py": """
        from shop.well import fare

        def test_children_pay_half():
            assert [fare(11), fare(12)] == [50, 100]
        """,
    "shop/badly.py": FARE,
    "tests/shop/test_badly.py": """
        from shop.badly import fare

        def test_children_pay_half():
            assert fare(5) == 50
            assert fare(30)
        """,
    "shop/count.py": """
        def down(left):
            while left > 0:
                left -= 1
            return left
        """,
    "tests/shop/test_count.py": """
        from shop.count import down

        def test_it_ends():
            assert down(3) == 0
        """,
    "shop/wrong.py": "ANSWER = 41",
    "tests/shop/test_wrong.py": """
        from shop.wrong import ANSWER

        def test_answer():
            assert ANSWER == 42
        """,
    "shop/lonely.py": "ANSWER = 42",
    "shop/litter.py": "ANSWER = 42",
    "tests/shop/test_litter.py": """
        import subprocess
        from pathlib import Path
        from shop.litter import ANSWER

        def test_leaves_a_process():
            process = subprocess.Popen(["sleep", "600"], start_new_session=True)
            Path({left!r}).write_text(str(process.pid))
            assert ANSWER
        """,
    "shop/terminal.py": "ANSWER = 42",
    "tests/shop/test_terminal.py": """
        import os
        from shop.terminal import ANSWER

        def test_opens_a_terminal_and_pulls_it_out():
            master, slave = os.openpty()
            again = os.open(os.ttyname(slave), os.O_RDWR)
            for descriptor in (again, slave, master):
                os.close(descriptor)
            assert ANSWER == 42
        """,
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).replace("{left!r}", repr(str(root / "left"))))
    return root


@pytest.fixture(scope="module")
def tree(root: Path) -> Iterator[CopiedTree]:
    with CopiedTree.of(root) as tree:
        yield tree


def score_of(tree: CopiedTree, root: Path, name: str, asked: Asked | None = None) -> Score:
    return judge(tree, root, Path("shop", name), asked or Asked(), lambda *_: None)


def survivors(score: Score) -> list[str]:
    return [mutant.name for mutant, fate in score.fates if fate is Fate.SURVIVED]


def test_of_a_module_with_good_tests_none_survives(tree: CopiedTree, root: Path) -> None:
    score = score_of(tree, root, "well.py")
    assert (survivors(score), score.percent, score.tests) == ([], 100, 1)
    assert len(score.fates) == 7


def test_what_the_tests_do_not_look_at_survives_and_is_named(tree: CopiedTree, root: Path) -> None:
    score = score_of(tree, root, "badly.py")
    assert survivors(score) == ["fare: age < 12 -> age <= 12", "fare: 12 -> 13", "fare: 100 -> 101"]
    assert round(score.percent) == 57


def test_a_mutant_that_never_ends_is_ended(tree: CopiedTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "LEAST_S", 0.5)
    score = score_of(tree, root, "count.py", Asked(match="left -= 1"))
    assert [fate for _, fate in score.fates] == [Fate.TIMED_OUT]


@pytest.mark.parametrize(("name", "says"), [("wrong.py", "test_answer fails"), ("lonely.py", "no tests")])
def test_tests_that_fail_without_a_change_judge_nothing(tree: CopiedTree, root: Path, name: str, says: str) -> None:
    with pytest.raises(TestsFailError, match=says):
        score_of(tree, root, name)


def test_what_a_test_leaves_running_is_ended(tree: CopiedTree, root: Path) -> None:
    score_of(tree, root, "litter.py")
    assert not psutil.pid_exists(int((root / "left").read_text()))


def test_a_terminal_that_a_test_opens_and_closes_does_not_end_the_tests(tree: CopiedTree, root: Path) -> None:
    score = score_of(tree, root, "terminal.py")
    assert (score.tests, survivors(score), len(score.fates)) == (1, [], 1)


def test_a_sample_is_the_same_each_time_and_says_how_many_it_left_out(tree: CopiedTree, root: Path) -> None:
    one, same, other = (score_of(tree, root, "well.py", Asked(most=3, seed=seed)) for seed in (1, 1, 2))
    assert one.fates == same.fates != other.fates
    assert (len(one.fates), one.left_out) == (3, 4)


def test_what_is_excused_is_not_tried(tree: CopiedTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"shop/badly.py": {"fare: 12 -> 13": "nobody is twelve", "fare: age < 12 -> age <= 12": "nobody is"}}
    monkeypatch.setattr(judging, "excused", lambda: known)
    score = score_of(tree, root, "badly.py")
    assert (survivors(score), score.excused) == (["fare: 100 -> 101"], 2)


def test_only_as_many_tests_as_are_asked_for_judge(tree: CopiedTree, root: Path) -> None:
    assert score_of(tree, root, "well.py", Asked(budget_s=0)).tests == 1


def test_the_tree_itself_is_left_as_it_is_and_the_command_names_survivors(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    before = content()
    assert main(["shop/well.py", "shop/badly.py"], root) == 1
    told = capsys.readouterr().out.splitlines()
    assert "survived  shop/badly.py:3 fare: age < 12 -> age <= 12" in told
    assert told[0].startswith("shop/well.py: 100 % of 7: 7 killed, 0 survived, 0 timed out (1 tests,")
    assert content() == before
    assert main(["shop/well.py"], root) == 0
    assert main(["shop/wrong.py"], root) == 2
