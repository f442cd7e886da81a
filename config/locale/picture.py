"""Sentences that stand in the program's picture, in the language of the room (decision 0013)."""

from enum import StrEnum

from config.locale.lookup import words

_SLATES = words("slates")  # read at once: a slate waits for no disk


class Card(StrEnum):
    """A picture that stands for the whole program."""

    WAITING = "waiting"
    PAUSE = "pause"
    END = "end"


def picture_text(word: str, language: str) -> str:
    """Return the words of a card, or of the slate for an OutageKind (capture.sources.outage), else in English."""
    return _SLATES[word].of(language)
