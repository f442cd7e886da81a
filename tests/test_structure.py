"""What the house promises of its own form: no import circle, no module and no function that is too long."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

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
