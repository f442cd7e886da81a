"""The figures of a proof, in what a test says when they do not hold."""

from collections.abc import Mapping
from pprint import pformat


def in_full(figures: Mapping[str, object]) -> str:
    """Return all figures as text: of anything else pytest shows the beginning."""
    return pformat(figures, width=120, compact=True)
