"""Which tests belong to a module: the mirrored file, then the nearest that import it, as docs/mutation.md says."""

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

ELSEWHERE = ("bench", "extending", "mutation", "net", "proofs", "release", "rig")
"""Folders in tests/ that no module has as its own."""
STEPS = 2  # from a file of tests to the module, where that finds any


def files_of(root: Path, module: Path) -> list[Path]:
    """Return the files of tests of a module, the nearest first; both in paths from `root`."""
    mirrored = Path("tests", module.parent, f"test_{module.name}")
    found = [mirrored] if (root / mirrored).exists() else []
    own = Path("tests", module.parts[0])
    for steps, files in enumerate(_by_distance(_imported_by(root), _dotted(module)), start=1):
        if steps > STEPS and found:
            break
        near = [file for file in files if steps == 1 or file.is_relative_to(own)]
        found += sorted(set(near) - set(found), key=lambda file: _rank(file, mirrored))
    return found


def _rank(file: Path, mirrored: Path) -> tuple[bool, bool, Path]:
    """Return the place of one of several that are as near: in the mirrored file's folder first, then named alike."""
    named_alike = not set(file.stem.split("_")[1:]).isdisjoint(mirrored.stem.split("_")[1:])
    return not file.is_relative_to(mirrored.parent), not named_alike, file


def _by_distance(imported_by: Mapping[str, set[Path]], module: str) -> Iterator[set[Path]]:
    """Yield the files of tests that are one import away from the module, those that are two, and so on."""
    seen: set[Path] = set()
    names = {module}
    while names:
        files = set[Path]().union(*(imported_by[name] for name in names if name in imported_by)) - seen
        seen |= files
        names = {_dotted(file) for file in files}
        yield {file for file in files if _is_tests(file)}


@cache
def _imported_by(root: Path) -> Mapping[str, set[Path]]:
    users = defaultdict[str, set[Path]](set)
    for top in root.iterdir():
        for path in top.rglob("*.py") if top.is_dir() and not top.name.startswith(".") else ():
            for name in set(_imports(ast.parse(path.read_bytes()))):
                users[name].add(path.relative_to(root))
    return users


def _imports(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _is_tests(file: Path) -> bool:
    return file.parts[0] == "tests" and file.name.startswith("test_") and file.parts[1] not in ELSEWHERE


def _dotted(file: Path) -> str:
    return ".".join(file.with_suffix("").parts)
