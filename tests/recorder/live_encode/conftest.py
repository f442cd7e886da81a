"""What the tests of sessions that stream share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.rtmp_server import NginxRtmp


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server
