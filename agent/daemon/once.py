"""What the daemon's parts say of a trouble that lasts: once, however often they come upon it."""

from collections.abc import Callable

type Tell = Callable[[str], None]
"""Called with a sentence for people; what the daemon's log gives (agent/daemon/log.py) may be from any thread."""


class Once:
    """Says a trouble when it begins or is another one, and again only once it was over; for one thread."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._told: dict[str, str] = {}

    def __call__(self, trouble: str, of: str = "") -> None:
        """Say `trouble` unless that was said last of what it is a trouble `of`; "" where there is none any more."""
        if trouble and trouble != self._told.get(of):
            self._tell(trouble)
        self._told[of] = trouble
