"""Which events tell of one trouble: that a source gives nothing. One pulled cable makes three of them, one alarm."""

from recorder.troubles import AWAY, NOT_OPENED, REPLACED

_OF_ONE_TROUBLE = ("source-lost", *NOT_OPENED, "source-hung", *REPLACED)
"""What says most of why it gives nothing comes first."""


def trouble_of(kind: str) -> str:
    """Return what events of the same trouble have in common."""
    return AWAY if kind in _OF_ONE_TROUBLE else kind


def rank(kind: str) -> int:
    """Return how little a kind says, beside others of its trouble."""
    return _OF_ONE_TROUBLE.index(kind) if kind in _OF_ONE_TROUBLE else 0


def tells_less(kind: str, before: str) -> bool:
    """Return whether `before` is still what people should know: what is left of the trouble only says that it lasts."""
    return kind in REPLACED and rank(before) < rank(kind)
