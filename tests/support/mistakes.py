"""What is said about mistakes in settings."""

from pathlib import Path

import pytest

from config.errors import SettingsError
from config.settings.schema import read_settings


def problems_of(text: str) -> list[str]:
    """Return the problems for which these settings are refused."""
    with pytest.raises(SettingsError) as caught:
        read_settings(text, Path("/somewhere/liput.toml"))
    assert caught.value.hint == "edit /somewhere/liput.toml"
    return caught.value.message.split("\n")
