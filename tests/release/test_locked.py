"""The lock names the public index only, every dependency has its reason, and the version is said once for all."""

import re
import tomllib

from config.version import VERSION
from tests.release.locked import ROOT, runtime

PUBLIC = {"https://pypi.org/simple", "https://files.pythonhosted.org/"}
DECISION = (ROOT / "docs/decisions/0002-dependencies.md").read_text()


def test_the_lock_names_the_public_index_and_no_other() -> None:
    named = re.findall(r'"(https?://[^"]*)"', (ROOT / "uv.lock").read_text())
    assert {re.sub(r"(//files\.pythonhosted\.org/).*", r"\1", address) for address in named} == PUBLIC


def test_the_runtime_is_what_is_needed_and_not_what_tests_need() -> None:
    names = {package.name for package in runtime()}
    assert {"av", "markupsafe", "obstore", "cryptography"} <= names
    assert not {"liput", "pytest", "hatchling", "mypy"} & names


def test_the_program_says_the_version_that_it_is_packed_as() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == VERSION


def test_every_dependency_has_its_reason_and_every_reason_its_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"].values()
    asked = [*project["project"]["dependencies"], *(each for extra in extras for each in extra)]
    assert explained("runtime") == {_name(each) for each in asked}
    assert explained("for development") == {_name(each) for each in project["dependency-groups"]["dev"]} - {"liput"}


def explained(heading: str) -> set[str]:
    """Return the names in the first column of a table of the decision."""
    _, _, table = DECISION.partition(f"| {heading} |")
    rows = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    return {name.strip() for row in rows for name in re.sub(r"\(.*\)", "", row).split(",")}


def _name(requirement: str) -> str:
    found = re.match(r"[\w-]+", requirement)
    assert found
    return found[0]
