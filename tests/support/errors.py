"""Checks of errors for `pytest.raises`, and of mistakes in settings."""

from collections.abc import Callable
from pathlib import Path

import pytest

from config.errors import ErrorCause, LiputError, SettingsError
from config.settings.schema import read_settings


def because(why: ErrorCause) -> Callable[[LiputError], bool]:
    """Return a check: the error is about `why`."""
    return lambda error: error.why == why


def problems_of(text: str) -> list[str]:
    """Return the problems for which these settings are refused."""
    with pytest.raises(SettingsError) as caught:
        read_settings(text, Path("/somewhere/liput.toml"))
    assert caught.value.hint == "edit /somewhere/liput.toml"
    return caught.value.message.split("\n")
