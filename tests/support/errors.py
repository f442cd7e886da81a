"""Checks of errors for `pytest.raises`."""

from collections.abc import Callable

from config.errors import ErrorCause, LiputError


def because(why: ErrorCause) -> Callable[[LiputError], bool]:
    """Return a check: the error is about `why`."""
    return lambda error: error.why == why
