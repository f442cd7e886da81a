"""What the tests of the control socket share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.scripted_session import Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    yield served
    served.close()
