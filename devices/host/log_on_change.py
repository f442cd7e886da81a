"""A trouble that lasts is logged once."""

from collections.abc import Callable

type Tell = Callable[[str], None]
"""Called with a sentence for people; from any thread."""


class LogOnChange:
    """Logs a trouble when it begins or is another one, and again only after it was over; for one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def __call__(self, trouble: str, of: str = "") -> None:
        """Log `trouble` unless it is the last one of the subject `of`; "" where there is none any more."""
        if self.is_new(trouble, of) and trouble:
            self._tell(trouble)

    def is_new(self, trouble: str, of: str = "") -> bool:
        """Return whether `trouble` is another one than the last of the subject `of`, and remember it."""
        before, self._told[of] = self._told.get(of, ""), trouble
        return before != trouble
