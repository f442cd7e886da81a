"""What the tests of the schedule share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.schedule_bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.gate.set()
    for each in made.spawned:
        each.end()
