"""Sentences that stand in the program's picture, and the languages that sentences are said in.

Who watches a session reads them, so they are in the language of the room; what operators and IT read on a terminal
is English first (decision 0013).
"""

import functools
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

WRITTEN = ("id", "en")
"""Indonesian and English: every sentence stands in both, beside what says it."""
FOLDER = Path(__file__).parent / "languages"
LANGUAGES = (*WRITTEN, *sorted(file.stem for file in FOLDER.glob("*.json")))
"""Those, and those that sentences are translated into, a file each."""


class Translation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A language in a file of its own: what it calls itself, and its sentences, each by the English one."""

    name: str
    sentences: Mapping[str, str]


@functools.cache
def translation(language: str) -> Translation:
    """Return what the file of a language beyond WRITTEN holds."""
    return msgspec.json.decode((FOLDER / f"{language}.json").read_bytes(), type=Translation)


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


_REASONS: dict[Reason, tuple[str, str]] = {
    Reason.LOST: ("Terputus - menunggu dipasang kembali", "Unplugged - waiting for it to return"),
    Reason.BUSY: ("Sedang dipakai program lain", "In use by another program"),
    Reason.DENIED: ("Tidak boleh dibuka - hubungi IT", "Not allowed to open it - call IT"),
    Reason.BUS_FULL: ("Bus USB penuh - pindahkan ke port lain", "USB bus is full - move it to another port"),
    Reason.NO_DATA: ("Tidak mengirim gambar", "Sends no picture"),
    Reason.NO_SIGNAL: ("Tidak ada sinyal - periksa kabelnya", "No signal - check its cable"),
    Reason.FROZEN: ("Gambar membeku", "Picture is frozen"),
    Reason.BLACK: ("Gambar hitam", "Picture is black"),
    Reason.DAMAGED: ("Gambar rusak", "Picture is damaged"),
    Reason.ABSENT: ("Belum terpasang - menunggu", "Not plugged in yet - waiting for it"),
    Reason.ENDED: ("Sudah selesai", "Has come to its end"),
    Reason.FAILED: ("Tidak ada gambar", "No picture"),
}

_CARDS: dict[Card, tuple[str, str]] = {
    Card.WAITING: ("Acara segera dimulai", "The event will begin soon"),
    Card.PAUSE: ("Jeda", "Break"),
    Card.END: ("Terima kasih", "Thank you"),
}


def reason_text(reason: Reason, language: str) -> str:
    """Return the sentence for `reason`; English for a language there is none in."""
    return in_language(_REASONS[reason], language)


def card_text(card: Card, language: str) -> str:
    """Return the words of `card`; English for a language there are none in."""
    return in_language(_CARDS[card], language)


def in_language(texts: tuple[str, str], language: str) -> str:
    """Return which of `texts`, one in each of WRITTEN, is in `language`, or its translation; else the English one."""
    if language in WRITTEN:
        return texts[WRITTEN.index(language)]
    english = texts[-1]
    return translation(language).sentences.get(english, english) if language in LANGUAGES else english
