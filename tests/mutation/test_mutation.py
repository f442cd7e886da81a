"""Which changes of a module are tried, by which tests they are judged, and what is told."""

import ast
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.mutation import judging
from tests.mutation.__main__ import main
from tests.mutation.belongs import files_of
from tests.mutation.copied import CopiedTree
from tests.mutation.judging import Asked, Fate, Score, TestsFailError, excused, judge
from tests.mutation.mutants import mutants
from tests.mutation.promises import promises

ROOT = Path(__file__).parents[2]


def names(source: str) -> list[str]:
    return [mutant.name for mutant in mutants(textwrap.dedent(source))]


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < b", ["a < b -> a <= b", "a < b -> a >= b"]),
        ("a == b is c", ["a == b is c -> a != b is c", "a == b is c -> a == b is not c"]),
        ("a and b or c", ["a and b or c -> (a and b) and c", "a and b -> a or b"]),
        ("not a", ["not a -> a"]),
        ("a + b * c", ["a + b * c -> a - b * c", "b * c -> b / c"]),
        ("a += b", ["a += b -> pass"]),
        ("a(b)", ["a(b) -> pass"]),
        ("x = 7", ["7 -> 8"]),
        ("x = 0.5, 0.0", ["0.5 -> 1.0", "0.0 -> 1.0"]),
        ("x = True", ["True -> False"]),
        ("x = a if b else c", ["b -> not b"]),
        ("x = [a for a in b if a]", ["a -> not a"]),
    ],
)
def test_one_thing_is_changed_at_a_time(source: str, changes: list[str]) -> None:
    assert names(source) == [f"module: {change}" for change in changes]


def test_the_rest_of_the_module_stays() -> None:
    (mutant,) = mutants("import os\n\ndef f(a):\n    return a\n")
    assert (mutant.line, mutant.source) == (4, "import os\n\ndef f(a):\n    return")


def test_changes_that_are_said_alike_have_numbers() -> None:
    assert names("x = 1, 1, 2, 1") == [f"module: {said}" for said in ("1 -> 2", "1 -> 2 #2", "2 -> 3", "1 -> 2 #3")]


def test_a_change_says_where_it_is() -> None:
    source = """
        class Till:
            def total(self):
                def each(item):
                    return item
                return each
        """
    assert names(source) == ["Till.total.each: return item -> return", "Till.total: return each -> return"]


@pytest.mark.parametrize(
    "source",
    [
        '"""What it is for, in 2 words."""',
        "def f(a: Literal[1] = b) -> Literal[2]: pass",
        "class A(frozen=True, kw_only=True): pass",
        "@dataclass(frozen=True)\nclass A: pass",
        "type A = B[1]",
        "if TYPE_CHECKING:\n    a(b)",
        "def f():\n    return None",
        "def f():\n    return",
        "x = None, 'a', b'c'",
    ],
)
def test_what_no_test_could_notice_is_left_alone(source: str) -> None:
    assert names(source) == []


def test_each_mutant_of_real_code_is_python_and_another_program() -> None:
    source = Path(__file__).with_name("mutants.py").read_text()
    original = ast.unparse(ast.parse(source))
    every = list(mutants(source))
    assert len(every) > 30
    for mutant in every:
        ast.parse(mutant.source)
        assert mutant.source != original


def test_each_promise_can_still_be_broken_and_names_a_test() -> None:
    for each in promises():
        assert each.source(ROOT) != (ROOT / each.module).read_text(), each.promise
        file, _, name = each.test.partition("::")
        assert not name or f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(), each.test


def test_what_is_excused_can_still_be_made() -> None:
    for module, known in excused().items():
        assert known.keys() <= {mutant.name for mutant in mutants((ROOT / module).read_text())}, module


FARE = """
def fare(age):
    if age < 12:
        return 50
    return 100
"""
FILES = {
    "pyproject.toml": """
        [tool.pytest.ini_options]
        addopts = ["--import-mode=importlib"]
        pythonpath = ["."]
        """,
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


def test_a_mutant_that_never_ends_is_ended(tree: CopiedTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "LEAST_S", 0.5)
    score = score_of(tree, root, "count.py", Asked(match="left -= 1"))
    assert [fate for _, fate in score.fates] == [Fate.TIMED_OUT]


def test_a_module_without_tests_is_not_judged(tree: CopiedTree, root: Path) -> None:
    with pytest.raises(TestsFailError, match="no tests"):
        score_of(tree, root, "lonely.py")


def test_what_a_test_leaves_running_is_ended(tree: CopiedTree, root: Path) -> None:
    score_of(tree, root, "litter.py")
    assert not psutil.pid_exists(int((root / "left").read_text()))


def test_a_sample_is_the_same_each_time_and_says_how_many_it_left_out(tree: CopiedTree, root: Path) -> None:
    one, same, other = (score_of(tree, root, "well.py", Asked(most=3, seed=seed)) for seed in (1, 1, 2))
    assert one.fates == same.fates != other.fates
    assert (len(one.fates), one.left_out) == (3, 4)


def test_what_is_excused_is_not_tried(tree: CopiedTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"shop/badly.py": {"fare: 12 -> 13": "nobody is twelve", "fare: age < 12 -> age <= 12": "nobody is"}}
    monkeypatch.setattr(judging, "excused", lambda: known)
    score = score_of(tree, root, "badly.py")
    survivors = [mutant.name for mutant, fate in score.fates if fate is Fate.SURVIVED]
    assert (survivors, score.excused) == (["fare: 100 -> 101"], 2)


def test_the_tree_itself_is_left_as_it_is_and_the_command_names_survivors(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def content() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    before = content()
    assert main(["shop/well.py", "shop/badly.py"], root) == 1
    well, *survivors, badly = capsys.readouterr().out.splitlines()
    assert well.startswith("shop/well.py: 100 % of 7: 7 killed, 0 survived, 0 timed out (1 tests,")
    changes = ("3 fare: age < 12 -> age <= 12", "3 fare: 12 -> 13", "5 fare: 100 -> 101")
    assert survivors == [f"survived  shop/badly.py:{change}" for change in changes]
    assert badly.startswith("shop/badly.py: 57 % of 7: 4 killed, 3 survived,")
    assert content() == before
    assert main(["shop/well.py"], root) == 0
    assert main(["shop/wrong.py"], root) == 2
    assert "test_answer fails as it is" in capsys.readouterr().err


def grown_tree(root: Path, **imports: str) -> Path:
    """Make a tree of files that import something each; `shop__till` is shop/till.py."""
    for name, imported in imports.items():
        path = root / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"from {imported} import *\n" if imported else "")
    return root


def found(root: Path) -> list[str]:
    return [str(path) for path in files_of(root, Path("shop/till.py"))]


def test_the_mirrored_file_is_first_then_what_is_named_alike_and_neither_proofs_nor_the_rig(tmp_path: Path) -> None:
    root = grown_tree(
        tmp_path,
        shop__till="",
        tests__shop__test_till="os",
        tests__shop__test_basket="shop.till",
        tests__shop__test_full_till="shop.till",
        tests__bank__test_card="shop.till",
        tests__shop__test_door="os",
        tests__rig__test_till="shop.till",
        tests__proofs__test_till="shop.till",
    )
    files = ["shop/test_till.py", "shop/test_full_till.py", "shop/test_basket.py", "bank/test_card.py"]
    assert found(root) == [f"tests/{file}" for file in files]


def test_a_module_that_is_named_as_part_of_its_folder_is_found(tmp_path: Path) -> None:
    root = grown_tree(tmp_path, shop__till="")
    (root / "tests").mkdir()
    (root / "tests" / "test_names.py").write_text("from shop import till\n")
    assert found(root) == ["tests/test_names.py"]


def test_what_is_one_step_away_counts_in_the_own_part_only(tmp_path: Path) -> None:
    root = grown_tree(
        tmp_path,
        shop__till="",
        shop__queue="shop.till",
        tests__support__shops="shop.till",
        tests__shop__test_queue="shop.queue",
        tests__shop__test_day="tests.support.shops",
        tests__bank__test_queue="shop.queue",
    )
    assert found(root) == ["tests/shop/test_day.py", "tests/shop/test_queue.py"]


def test_farther_ones_count_only_where_there_are_no_nearer_ones(tmp_path: Path) -> None:
    far = {"shop__queue": "shop.till", "shop__street": "shop.queue", "tests__shop__test_street": "shop.street"}
    assert found(grown_tree(tmp_path / "a", shop__till="", **far)) == ["tests/shop/test_street.py"]
    near = {"tests__shop__test_till": "shop.till"}
    assert found(grown_tree(tmp_path / "b", shop__till="", **far, **near)) == ["tests/shop/test_till.py"]
