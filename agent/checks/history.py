"""What earlier checks found, for the session that follows and for whoever asks how the room has been."""

from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from agent.checks.result import Result, is_ready
from config.errors import StateError
from config.state import Store, state_folder

KEPT = 500
"""Checks: a year or two of a room that is used daily."""
BEFORE = timedelta(hours=6)
"""A check that is older tells nothing of the session that begins."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One run of the checks: when, for what, and what was found."""

    at: datetime
    title: str = ""
    quick: bool = False
    results: list[Result]

    @property
    def ready(self) -> bool:
        """Whether the room was ready."""
        return is_ready(self.results)


class History:
    """The runs that are kept, the newest last; in a file of this PC's."""

    def __init__(self, path: Path | None = None) -> None:
        self._store: Store[list[Checked]] = Store(path or state_folder() / "checks.json", list[Checked], [])

    def add(self, checked: Checked) -> None:
        """Keep one; the oldest go. Raises StateError."""
        self._store.change(lambda before: [*before, checked][-KEPT:])

    def newest(self, now: datetime) -> Checked | None:
        """Return the one that a session which begins now was begun after; None where there is none, or none is kept."""
        try:
            kept = self.read()
        except StateError:
            return None
        return kept[-1] if kept and timedelta(0) <= now - kept[-1].at <= BEFORE else None

    def read(self) -> list[Checked]:
        """Return what is kept, the oldest first. Raises StateError."""
        return self._store.read()
