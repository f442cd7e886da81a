"""What the tests of `liput health` share."""

from pathlib import Path

import pytest

from tests.support.health_log import LINES, write


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def env(state: Path) -> dict[str, str]:
    return {"LIPUT_STATE": str(state)}


@pytest.fixture
def log(state: Path) -> Path:
    write(state, *LINES)
    return state
