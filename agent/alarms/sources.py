"""Which events tell of one trouble: that a source gives nothing. One pulled cable makes three of them, one alarm."""

from collections.abc import Mapping

from config.locale.lookup import Words
from recorder.troubles import AWAY, NOT_OPENED, REPLACED

_OF_ONE_TROUBLE = ("source-lost", *NOT_OPENED, "source-hung", *REPLACED)
"""What says most of why it gives nothing comes first."""

SCREENS: Mapping[str, Words] = {
    AWAY: Words(
        "{subject} tidak memberi gambar: keluar, lalu masuk lagi ke desktopnya. Rekaman tetap berjalan tanpanya.",
        "{subject} gives no picture: log out of its desktop, and in again. The recording goes on without it.",
    ),
    "source-slow": Words(
        "{subject} mengirim terlalu sedikit gambar: PC ini terlalu sibuk, tutup program lain.",
        "{subject} gives too few pictures: this PC is too busy, close other programs.",
    ),
}
"""What is said of a screen, by its trouble: it has neither a cable nor light to look at."""


def trouble_of(kind: str) -> str:
    """Return what events of the same trouble have in common."""
    return AWAY if kind in _OF_ONE_TROUBLE else kind


def rank(kind: str) -> int:
    """Return how little a kind says, beside others of its trouble."""
    return _OF_ONE_TROUBLE.index(kind) if kind in _OF_ONE_TROUBLE else 0


def tells_less(kind: str, before: str) -> bool:
    """Return whether `before` is still what people should know: what is left of the trouble only says that it lasts."""
    return kind in REPLACED and rank(before) < rank(kind)
