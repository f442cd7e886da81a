"""What is released: built the same each time, of known licences, locked to the public index."""

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import Distribution
from pathlib import Path
from typing import NamedTuple

import pytest

from config.version import VERSION
from tests.release import licences
from tests.release.build import build, try_program
from tests.release.licences import CARRIED, FFMPEG, READ, ROOT, is_compatible, runtime, uv

pytestmark = [
    pytest.mark.computing,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what is built is what is committed"),
]

PACKAGES = ("agent", "capture", "config", "devices", "recorder")


class Built(NamedTuple):
    """A clone, and what was built of it."""

    clone: Path
    files: Sequence[Path]

    def one(self, ending: str) -> Path:
        """Return the file with this ending."""
        (found,) = (path for path in self.files if path.name.endswith(ending))
        return found

    def committed(self) -> set[str]:
        """Return all that is committed, as paths in the clone."""
        listed = subprocess.run(["git", "-C", self.clone, "ls-files", "-z"], capture_output=True, text=True, check=True)
        return set(listed.stdout.rstrip("\0").split("\0"))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build_clone(tmp_path_factory.mktemp("one"))


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Be another user, in another country."""
    monkeypatch.setenv("TZ", "Asia/Jakarta")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    former = os.umask(0o077)
    yield
    os.umask(former)


def build_clone(folder: Path) -> Built:
    """Clone what is committed into a folder, and build it there."""
    clone = folder / "liput"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", f"file://{ROOT}", clone], check=True)
    (clone / "agent/not_committed.py").write_text("")
    return Built(clone, build(clone, folder / "out"))


@pytest.mark.slow
def test_two_builds_in_two_folders_are_the_same_bytes(built: Built, tmp_path: Path, elsewhere: None) -> None:
    (tmp_path / "deeper").mkdir()
    again = build_clone(tmp_path / "deeper")
    assert [path.name for path in again.files] == [path.name for path in built.files]
    assert [path.read_bytes() for path in again.files] == [path.read_bytes() for path in built.files]


def test_the_sums_are_those_of_the_files(built: Built) -> None:
    folder = built.files[0].parent
    subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == len(built.files) == 3


def test_the_source_archive_has_all_that_is_committed(built: Built) -> None:
    with tarfile.open(built.one(".tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive if member.isfile()}
        assert names - {"PKG-INFO"} == built.committed()
        assert archive.getmember("liput-1.0.0/run").mode & 0o111


def test_the_wheel_has_all_of_the_packages_and_nothing_else(built: Built) -> None:
    with zipfile.ZipFile(built.one(".whl")) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name and ".data/" not in name}
        assert names == {name for name in built.committed() if name.startswith(tuple(f"{name}/" for name in PACKAGES))}
        assert all(wheel.read(name) == (built.clone / name).read_bytes() for name in names)


def named_pages() -> set[str]:
    """Return the pages that messages, help, texts and the commented settings name."""
    said = [
        node.value
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for node in without_docstrings(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    said += [
        path.read_text()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in {".html", ".js", ".json", ".toml"}
    ]
    return set(re.findall(r"docs/[\w./-]+\.md", "\n".join(said)))


def without_docstrings(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield all nodes but the strings that are statements."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return (node for node in ast.walk(tree) if id(node) not in docstrings)


def test_the_wheel_has_the_manual_and_every_page_that_a_message_names(built: Built) -> None:
    with zipfile.ZipFile(built.one(".whl")) as wheel:
        shared = {
            name.partition(".data/data/share/")[2]: wheel.read(name)
            for name in wheel.namelist()
            if ".data/data/share/" in name
        }
    assert shared.pop("man/man1/liput.1") == (built.clone / "docs/man/liput.1").read_bytes()
    pages = {name.removeprefix("doc/liput/"): content for name, content in shared.items()}
    named = named_pages()
    assert len(named) > 5
    assert named - pages.keys() == set()
    assert all(content == (built.clone / name).read_bytes() for name, content in pages.items())


@pytest.mark.slow
@pytest.mark.server
def test_the_wheel_records_in_an_environment_of_its_own(built: Built, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    uv("venv", "--quiet", "--python", sys.executable, venv)
    uv("pip", "install", "--quiet", "--offline", "--no-deps", "--python", venv / "bin/python", built.one(".whl"))
    (site,) = venv.glob("lib/python*/site-packages")
    # What Liput needs comes from here without a network. The checkout does not: no `.pth` of a `.pth` counts.
    (site / "needed.pth").write_text(sysconfig.get_path("purelib"))
    try_program(venv / "bin/liput", tmp_path / "home")


def test_the_sbom_names_each_locked_package_of_the_runtime(built: Built) -> None:
    text = built.one(".cdx.json").read_text()
    bill = json.loads(text)
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.5")
    assert sorted((one["name"], one["version"]) for one in bill["components"]) == runtime()
    assert {one["name"] for one in bill["components"] if "licenses" not in one} <= {"brotlicffi"}
    (av,) = (one for one in bill["components"] if one["name"] == "av")
    carried = {one["name"]: one["licenses"] for one in av["components"]}
    assert carried["libx264"] == [{"expression": "GPL-2.0-or-later"}]


# Every licence of what is installed with Liput is known, and stands on its page


@cache
def installed() -> Mapping[str, Distribution]:
    return {package.name: found for package in runtime() if (found := licences.distribution_of(package))}


@cache
def libraries() -> Mapping[str, Mapping[str, str]]:
    return {name: dict(licences.carried_by(name, found)) for name, found in installed().items()}


def test_the_page_is_what_is_installed() -> None:
    assert licences.PAGE.read_text() == licences.page(), "python -m tests.release.licences writes it anew"


def test_all_but_openssl_goes_with_the_gpl() -> None:
    assert {name for name, found in installed().items() if not is_compatible(licences.licence_of(found))} == set()
    foreign = {
        (name, library)
        for name, carried in libraries().items()
        for library, licence in carried.items()
        if not is_compatible(licence)
    }
    assert foreign == {("opencv-python", "libcrypto"), ("opencv-python", "libssl")}


def test_nothing_is_in_the_tables_that_is_not_installed() -> None:
    assert set(READ) <= set(installed())
    assert set(FFMPEG) == {name for name, carried in libraries().items() if "libavcodec" in carried}
    assert set(CARRIED) <= {library for carried in libraries().values() for library in carried}


@pytest.mark.parametrize(
    ("expression", "compatible"),
    [
        ("MIT", True),
        ("GPL-2.0-only", False),
        ("GPL-2.0-only OR BSD-3-Clause", True),
        ("MIT AND GPL-2.0-only", False),
        ("GPL-3.0-or-later WITH GCC-exception-3.1", True),
        ("EPL-2.0 OR MIT AND X11", True),
        ("Apache 2.0", False),
    ],
)
def test_an_expression_is_compatible_where_one_alternative_is(expression: str, compatible: bool) -> None:
    assert is_compatible(expression) is compatible


# The lock names the public index only, every dependency has its reason


def test_the_lock_names_the_public_index_and_no_other() -> None:
    named = re.findall(r'"(https?://[^"]*)"', (ROOT / "uv.lock").read_text())
    public = {"https://pypi.org/simple", "https://files.pythonhosted.org/"}
    assert {re.sub(r"(//files\.pythonhosted\.org/).*", r"\1", address) for address in named} == public


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
    _, _, table = (ROOT / "docs/decisions/0002-dependencies.md").read_text().partition(f"| {heading} |")
    rows = [line.split("|")[1] for line in table.partition("\n\n")[0].splitlines()[2:]]
    return {name.strip() for row in rows for name in re.sub(r"\(.*\)", "", row).split(",")}


def _name(requirement: str) -> str:
    found = re.match(r"[\w-]+", requirement)
    assert found
    return found[0]
