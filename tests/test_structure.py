"""What the house promises of its own form: no import circle, no module that is too long."""

from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

import grimp

PACKAGES = ("agent", "devices", "capture", "recorder", "config")
ROOT = Path(__file__).parents[1]
LONGEST, MEDIAN = 400, 150
"""Lines of a module."""


def test_no_module_needs_another_that_needs_it() -> None:
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    needs = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    order = [*TopologicalSorter(needs).static_order()]  # which raises CycleError, with the circle in it
    assert len(order) > 500


def test_no_module_is_too_long() -> None:
    lines = {
        str(path.relative_to(ROOT)): len(path.read_text().splitlines())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if path.name != "__init__.py"
    }
    assert {path: count for path, count in lines.items() if count > LONGEST} == {}
    assert median(lines.values()) <= MEDIAN
