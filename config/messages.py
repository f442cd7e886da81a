"""Sentences that stand in the program's picture, in the language of the room (decision 0013)."""

from enum import StrEnum

from config.locale.lookup import words

_SLATES = words("slates")  # read at once: a slate waits for no disk


class Reason(StrEnum):
    """Why a source's place shows a slate; those that are faults have the fault's name."""

    LOST = "lost"
    BUSY = "busy"
    DENIED = "denied"
    BUS_FULL = "bus-full"
    NO_DATA = "no-data"
    NO_SIGNAL = "no-signal"
    FROZEN = "frozen"
    BLACK = "black"
    DAMAGED = "damaged"
    ABSENT = "absent"
    ENDED = "ended"
    FAILED = "failed"

    @classmethod
    def of(cls, word: str | None) -> "Reason":
        """Return the reason that is called `word` (a fault's name); `FAILED`, which says least, for any other."""
        return cls(word) if word in set(cls) else cls.FAILED


class Card(StrEnum):
    """A picture that stands for the whole program."""

    WAITING = "waiting"
    PAUSE = "pause"
    END = "end"


def reason_text(reason: Reason, language: str) -> str:
    """Return the sentence for `reason`; English for a language there is none in."""
    return _SLATES[reason].of(language)


def card_text(card: Card, language: str) -> str:
    """Return the words of `card`; English for a language there are none in."""
    return _SLATES[card].of(language)
