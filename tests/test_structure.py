"""Rules of the tree: which folders know which, and how it is written."""

import ast
import subprocess
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests import prose

pytestmark = pytest.mark.computing

PACKAGES = ("agent", "devices", "capture", "recorder", "config")
ROOT = Path(__file__).parents[1]
LONGEST, LONGEST_OF_TESTS = 600, 900
"""Lines of a module: tests of one module stay together."""
A_SCREEN = 60
"""Lines of a function, from its name to its end."""


def test_no_module_needs_another_that_needs_it() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = [*TopologicalSorter(needs).static_order()]  # which raises CycleError, with the circle in it
    assert len(order) > 400


def test_no_module_is_too_long() -> None:
    for limit, packages in ((LONGEST, PACKAGES), (LONGEST_OF_TESTS, ("tests",))):
        lines = {str(path): len(path.read_text().splitlines()) for path in _modules(*packages)}
        assert {path: count for path, count in lines.items() if count > limit} == {}


def test_every_function_fits_a_screen() -> None:
    functions = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for path in _modules(*PACKAGES, "tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(functions) > 4000
    assert {name: count for name, count in functions.items() if count > A_SCREEN} == {}


def _modules(*packages: str) -> list[Path]:
    return [path for package in packages for path in (ROOT / package).rglob("*.py") if path.name != "__init__.py"]


LONG = "Liput " + "very " * 29 + "slowly"
"""A sentence of 31 words."""


# Subjects of commits


@pytest.mark.parametrize(
    "subject",
    [
        "recorder.live: reopen at a keyframe",
        "recorder.archive, copies: fewer modules",
        "run: check prose, too",
        ".ci: run as before",
        "agent: " + "x" * 65,
    ],
)
def test_a_short_subject_with_a_path_is_right(subject: str) -> None:
    assert prose.wrong_subjects([subject]) == []


@pytest.mark.parametrize(
    "subject", ["agent: " + "x" * 66, "Fix it", "fix the page: at last", "agent:", "agent:no space"]
)
def test_another_subject_is_wrong(subject: str) -> None:
    assert prose.wrong_subjects([subject]) == [subject]


def test_subjects_are_those_after_the_commit(tmp_path: Path) -> None:
    first, *_ = _commits(tmp_path, "before all this", "agent: begin", "and on")
    assert prose.subjects_since(first, tmp_path) == ["and on", "agent: begin"]


def test_subjects_of_a_shallow_clone_and_of_no_clone_are_not_looked_at(tmp_path: Path) -> None:
    first, *_ = _commits(tmp_path / "whole", "one", "two")
    _git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{tmp_path}/whole", "shallow")
    assert prose.subjects_since(first, tmp_path / "shallow") is None
    assert prose.subjects_since(first, tmp_path) is None
    assert prose.subjects_since("0", tmp_path / "whole") is None


# Docstrings


@pytest.mark.parametrize(
    "docstring",
    [
        "Return what is known.",
        "Ends whoever asks.",
        "A source whose device is gone: it is opened anew.",
        "Read\n    that which is left.",
    ],
)
def test_a_first_sentence_that_defines_by_what_or_who_is_found(docstring: str) -> None:
    (found,) = prose.oblique_docstrings(f'import re\n\n\ndef f() -> None:\n    """{docstring}"""\n', "agent/new.py")
    assert (found.path, found.line) == ("agent/new.py", 5)


@pytest.mark.parametrize(
    "docstring", ["Return the frame rate.", "Read a frame. Whoever waits is woken.", "Whatsoever."]
)
def test_other_docstrings_are_not(docstring: str) -> None:
    assert [*prose.oblique_docstrings(f'"""{docstring}"""\n')] == []


def test_docstrings_are_found_where_python_finds_them() -> None:
    for path in (prose.ROOT / "config").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert [docstring["text"].strip() for docstring in prose._DOCSTRING.finditer(text)] == [*_docstrings(text)], (
            path
        )


# Sentences of pages


@pytest.mark.parametrize(
    "page",
    [
        f"{LONG}.",
        f"# Title\n\nShort. {LONG}, at last. Short.",
        f"- an item\n- {LONG.replace(' ', chr(10) + '  ', 3)}",
        f"{LONG} ([a page](page.md)).",
        f"| a |\n|---|\n| table |\n\n{LONG}",
    ],
)
def test_a_sentence_over_30_words_is_found(page: str) -> None:
    (found,) = prose.long_sentences(page, "docs/new.md")
    assert found.text.startswith("Liput very")
    assert page.splitlines()[found.line - 1].strip("#- ").startswith(("Liput", "Short"))


@pytest.mark.parametrize(
    "page",
    [
        f"{LONG.replace('very ', '', 1)}.",
        LONG.replace("very very", "very. Very", 1),
        f"# {LONG}",
        f"| {LONG} |",
        f"Type:\n\n    {LONG}\n",
        f"```\n{LONG}\n```",
        f"Type `{LONG}`.",
        "- very\n" * 40,
    ],
)
def test_short_sentences_code_tables_and_headings_are_not(page: str) -> None:
    assert [*prose.long_sentences(page)] == []


# All of it


def test_every_docstring_and_sentence_that_is_wrong_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _settings(tmp_path)
    (tmp_path / "agent").mkdir()
    (tmp_path / "agent/new.py").write_text('"""Says what is new."""\n')
    (tmp_path / "docs/reference").mkdir(parents=True)
    for page in ("README.md", "docs/new.md", "docs/reference/cli.md"):
        (tmp_path / page).write_text(LONG)
    assert prose.main(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "subjects are not checked" in lines[0]
    assert [line.split(" ")[1] for line in lines[1:]] == ["agent/new.py:1:", "README.md:1:", "docs/new.md:1:"]
    assert "Says what is new." in lines[1]


def test_a_tree_without_a_fault_passes(tmp_path: Path) -> None:
    _settings(tmp_path)
    (tmp_path / "README.md").write_text("Short.")
    assert prose.main(tmp_path) == 0


def test_the_check_fails_by_a_subject(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, *_ = _commits(tmp_path, "before", "and on")
    _settings(tmp_path, first)
    assert prose.main(tmp_path) == 1
    assert "and on" in capsys.readouterr().out


def _settings(folder: Path, since: str = "0") -> None:
    settings = folder / prose.SETTINGS
    settings.parent.mkdir()
    settings.write_text(f'commits_since = "{since}"\n')


def _docstrings(text: str) -> Iterator[str]:
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, _WITH_DOCSTRING))
    for node in sorted(nodes, key=lambda node: getattr(node, "lineno", 0)):
        if node.body and ast.get_docstring(node) is not None:
            constant = node.body[0]
            assert isinstance(constant, ast.Expr)
            assert isinstance(constant.value, ast.Constant)
            yield str(constant.value.value).strip()


_WITH_DOCSTRING = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def _commits(folder: Path, *subjects: str) -> list[str]:
    """Make a repository with a commit of each subject, and return their names."""
    folder.mkdir(exist_ok=True)
    _git(folder, "init", "--quiet")
    for subject in subjects:
        who = ("-c", "user.name=Tester", "-c", "user.email=tester@example.org", "-c", "commit.gpgsign=false")
        _git(folder, *who, "commit", "--quiet", "--allow-empty", "-m", subject)
    return _git(folder, "log", "--reverse", "--format=%H").split()


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", folder, *words], check=True, capture_output=True, text=True).stdout
