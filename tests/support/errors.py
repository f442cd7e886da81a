"""Checks of errors for `pytest.raises`."""

from collections.abc import Callable

from config.errors import LiputError, Why


def because(why: Why) -> Callable[[LiputError], bool]:
    """Return a check: the error is about `why`."""
    return lambda error: error.why == why
