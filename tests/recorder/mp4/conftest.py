import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def fragmented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file as a kill leaves it: 2 s of pictures and sound, all fragments whole."""
    from tests.support import muxed  # which loads libav

    made = muxed.Coded(muxed.regular(2))
    path = tmp_path_factory.mktemp("open") / "a.mp4"
    return muxed.mux(path, made.encoder.templates, made.packets, muxed.FRAGMENTED)


@pytest.fixture
def path(fragmented: Path, tmp_path: Path) -> Path:
    """Return a copy of that file."""
    return shutil.copyfile(fragmented, tmp_path / "a.mp4")
