"""docs/extending.md: each of its examples, put where it says, is held to the contracts and meets them."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.reference import EXAMPLES, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.server]

COPIED = ("agent", "recorder", "capture", "devices", "config", "docs", "tests", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class HowTo:
    """What one shows: its files, the tests that hold them to their contract, and which of those (-k)."""

    files: tuple[str, ...]
    tests: tuple[str, ...]
    which: str


HOW_TOS = {
    "a source": HowTo(
        ("capture/sources/kinds/bars.py", "tests/capture/sources/kinds/test_bars.py"),
        ("tests/capture/test_source_contract.py", "tests/capture/sources/kinds/test_bars.py"),
        "bars",
    ),
    "a sink": HowTo(
        ("recorder/live/kinds/tcp.py", "config/settings/addresses.py", "tests/support/receivers.py"),
        ("tests/recorder/live/test_kinds.py", "tests/config/settings/test_secrets.py"),
        "tcp or address",
    ),
    "a check": HowTo(
        (
            "agent/checks/kinds/uptime.py",
            "tests/agent/checks/kinds/test_uptime.py",
            "config/locale/check-uptime.json",
            "config/locale/page.json",
        ),
        (
            "tests/agent/checks/test_check.py",
            "tests/agent/checks/kinds/test_uptime.py",
            "tests/agent/web/page/test_texts.py",
            "tests/config/locale/test_languages.py",
        ),
        "uptime or called_something or both_languages or no_sentence_is_missing",
    ),
    "a layout": HowTo(("config/settings/layouts.py",), ("tests/capture/compose/test_layout.py",), "stacked or places"),
    "a quirk": HowTo(("devices/model/quirks.py",), ("tests/devices/model/test_quirks.py",), "046d and 081b"),
    "a language": HowTo(("config/languages/ms.json",), ("tests/config/locale/test_languages.py",), "test_languages"),
}


def extend(copy: Path) -> None:
    """Make a copy of this repository with all examples in their places; what is compiled stays so."""
    for name in COPIED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("extending"))
        else:
            shutil.copy(ROOT / name, copy / name)
    for example in (file for how_to in HOW_TOS.values() for file in how_to.files):
        place(EXAMPLES / example, copy / example)


def place(example: Path, target: Path) -> None:
    """Put an example where it belongs: a file of its own, or what a table of an existing one gets."""
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(example, target)
        return
    text, whole = example.read_text(), target.read_text()
    if target.suffix == ".json":
        known, more = json.loads(whole), json.loads(text)
        target.write_text(json.dumps({"words": known["words"] | more["words"]}))
        return
    *defined, table = ast.parse(text).body
    assert isinstance(table, ast.Assign)
    (name,) = (ast.unparse(one) for one in table.targets)
    found = re.search(rf"^{name}(: .*)? = {{\n", whole, re.MULTILINE)
    assert found, f"{target} has no table {name}"
    entries = (ast.get_source_segment(text, table) or "").partition("{\n")[2].rpartition("}")[0]
    own = [_with_decorators(text, one) for one in defined if isinstance(one, ast.FunctionDef | ast.ClassDef)]
    imports = [
        ast.unparse(one) for one in defined if isinstance(one, ast.Import | ast.ImportFrom) and _is_new(one, target)
    ]
    above = "\n\n\n".join(["\n".join(imports), *own, ""]) if imports or own else ""
    end = whole.index("\n}", found.end()) + 1
    target.write_text(whole[: found.start()] + above + whole[found.start() : end] + entries + whole[end:])


def _with_decorators(text: str, one: ast.FunctionDef | ast.ClassDef) -> str:
    first = min([one.lineno, *(decorator.lineno for decorator in one.decorator_list)])
    return "\n".join(text.splitlines()[first - 1 : one.end_lineno])


def _is_new(line: ast.Import | ast.ImportFrom, target: Path) -> bool:
    """Return whether an import is of anything but the module itself that is extended."""
    module = ".".join(target.with_suffix("").parts[-2:])
    return not (isinstance(line, ast.ImportFrom) and line.module == module)


def test_what_is_added_as_it_says_meets_the_contracts(tmp_path: Path) -> None:
    extend(tmp_path)
    tests = {file for how_to in HOW_TOS.values() for file in how_to.tests}
    which = " or ".join(f"({how_to.which})" for how_to in HOW_TOS.values())
    words = [sys.executable, "-P", "-m", "pytest", "-v", "-p", "no:cacheprovider", *sorted(tests), "-k", which]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    passed = {line.partition("::")[0] for line in done.stdout.splitlines() if " PASSED" in line}
    assert passed == tests


def test_every_example_is_shown_or_linked_and_tried() -> None:
    files = {file.relative_to(EXAMPLES).as_posix() for file in EXAMPLES.rglob("*") if file.is_file()}
    files = {file for file in files if "__pycache__" not in file}
    assert files == {file for how_to in HOW_TOS.values() for file in how_to.files}
    page = (ROOT / "docs/extending.md").read_text()
    unshown = [file for file in sorted(files) if f"<!-- begin: {file} -->" not in page]
    assert [file for file in unshown if f"(../tests/extending/{file})" not in page] == []
