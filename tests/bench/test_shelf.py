"""Thousands of packages are indexed and searched in the CPU time that was promised, with a factor to spare."""

from pathlib import Path

import pytest

from tests.bench.shelf import PACKAGES, cpu_seconds, measure
from tests.support.processes import slowness

REINDEX_S = 5.0
"""CPU seconds for 5,000 packages."""
QUESTION_S = 0.02
READING_S = 0.08
"""CPU seconds for reading all files of 500 packages, on the machine on which these limits were set."""


@pytest.mark.slow
def test_an_archive_is_indexed_and_searched_in_the_time_promised(tmp_path: Path) -> None:
    cost = measure(tmp_path, PACKAGES // 10)
    reading_s = cpu_seconds(lambda: [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()])
    slower = slowness()
    assert cost.reindex_s < REINDEX_S / 10 * max(slower, reading_s / READING_S)
    assert cost.refresh_s < QUESTION_S * slower
    assert cost.worst_question_s < QUESTION_S * slower
