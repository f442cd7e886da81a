"""What the samples of the proofs share."""

from collections.abc import Mapping
from pprint import pformat

SEED = 20261125  # of what is random in them


def in_full(figures: Mapping[str, object]) -> str:
    """Return all figures as text: of anything else pytest shows the beginning."""
    return pformat(figures, width=120, compact=True)
