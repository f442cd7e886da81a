"""The sentences that people read, in Indonesian and English: one file of JSON for each area, beside this module.

    {"words": {"smaller": {"id": "...", "en": "..."}},
     "codes": {"tight": {"verdict": "warning", "reason": {"id": "...", "en": "..."}, "advice": "smaller"}}}

A word in place of a sentence names one of `words`. Fields in braces are facts. A further language is a file of
`config/languages`, by the English sentence.
"""

import functools
import string
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

import msgspec

WRITTEN = ("id", "en")  # Indonesian and English: each sentence exists in both
LANGUAGE_FOLDER = Path(__file__).parents[1] / "languages"
LANGUAGES = (*WRITTEN, *sorted(file.stem for file in LANGUAGE_FOLDER.glob("*.json")))
SENTENCE_FOLDER = Path(__file__).parent


class LocalizedText(NamedTuple):
    """A sentence in each language of WRITTEN."""

    indonesian: str
    english: str

    def of(self, language: str) -> str:
        """Return the sentence in a language, else in English."""
        return in_language(self, language)

    def filled(self, facts: Mapping[str, object]) -> "LocalizedText":
        """Return it with the fields in braces replaced by facts, each in the sentence's language."""
        return LocalizedText(*(_filled(text, facts, language) for text, language in zip(self, WRITTEN, strict=True)))


class _DecimalComma(string.Formatter):
    def format_field(self, value: object, form: str) -> str:
        said = format(value, form)
        return said.replace(".", ",") if isinstance(value, float) else said


_FORMATTERS = {"id": _DecimalComma()}


def _filled(text: str, facts: Mapping[str, object], language: str) -> str:
    said = {name: fact.of(language) if isinstance(fact, LocalizedText) else fact for name, fact in facts.items()}
    return _FORMATTERS.get(language, string.Formatter()).vformat(text, (), said)


NO_TEXT = LocalizedText("", "")


class BilingualText(msgspec.Struct, frozen=True):
    """A sentence in Indonesian and English, in JSON."""

    id: str
    en: str

    def of(self, language: str) -> str:
        """Return the sentence in `language`, or in English if it has none."""
        return in_language((self.id, self.en), language)


class CodeSentences(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A code in a file: its verdict, reason and advice; `for_it` adds commands, which operators need not read."""

    verdict: str
    reason: BilingualText | str
    advice: BilingualText | str | None = None
    for_it: BilingualText | str | None = None


class SentenceFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    words: dict[str, BilingualText | str] = {}
    codes: dict[str, CodeSentences] = {}

    def said(self, sentence: BilingualText | str | None) -> LocalizedText:
        """Return a sentence, or the entry of `words` with that name. Raises KeyError."""
        if isinstance(sentence, str):
            return self.said(self.words[sentence])
        return NO_TEXT if sentence is None else LocalizedText(sentence.id, sentence.en)


@functools.cache
def sentence_file(name: str) -> SentenceFile:
    return msgspec.json.decode((SENTENCE_FOLDER / f"{name}.json").read_bytes(), type=SentenceFile)


@functools.cache
def words(name: str) -> dict[str, LocalizedText]:
    """Return the sentences of an area, each by its key."""
    return {key: sentence_file(name).said(sentence) for key, sentence in sentence_file(name).words.items()}


def error_sentence(why: str, about: str) -> LocalizedText:
    """Return the sentence for the cause of an error (config/errors.py) and the thing that it is about, or ""."""
    known = words("errors")
    return LocalizedText(*(" ".join(said.format(about=about).split()) for said in known.get(why, known["failed"])))


def text(name: str, key: str, language: str, /, **facts: object) -> str:
    """Return a sentence of an area in a language, with facts in place of the braces. Raises KeyError."""
    said = words(name)[key].of(language)
    return _filled(said, facts, language) if facts else said


class Translation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of another language: its own name, and each sentence by the English one."""

    name: str
    sentences: Mapping[str, str]


@functools.cache
def translation(language: str) -> Translation:
    return msgspec.json.decode((LANGUAGE_FOLDER / f"{language}.json").read_bytes(), type=Translation)


def in_language(texts: tuple[str, str], language: str) -> str:
    """Return the sentence in `language`: one of `texts` (in the order of WRITTEN), a translation, else English."""
    if language in WRITTEN:
        return texts[WRITTEN.index(language)]
    english = texts[-1]
    return translation(language).sentences.get(english, english) if language in LANGUAGES else english


_SLATES = words("slates")  # read at once: a slate waits for no disk


class ProgramCard(StrEnum):
    """A picture in place of the whole program."""

    WAITING = "waiting"
    PAUSE = "pause"
    END = "end"


def picture_text(word: str, language: str) -> str:
    """Return the text of a card, or of the slate for an OutageKind (capture.sources.worker) or a camera."""
    return _SLATES[word].of(language)
