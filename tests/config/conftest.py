"""What the tests of the settings share."""

from pathlib import Path

import pytest

from config.settings import schema as settings_module


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the test a home folder of its own, in which nobody has settings."""
    for variable in ("LIPUT_CONFIG", "XDG_CONFIG_HOME", "XDG_VIDEOS_DIR", "CREDENTIALS_DIRECTORY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(settings_module, "SYSTEM_FILE", tmp_path / "etc" / "liput.toml")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"
