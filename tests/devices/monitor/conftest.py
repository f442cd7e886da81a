"""What the tests of the monitor share."""

import pytest

from tests.support.ports import PortRoom


@pytest.fixture
def room() -> PortRoom:
    return PortRoom()
