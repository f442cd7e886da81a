"""The files of sentences and of languages: the same facts in each."""

import json
import re
import string
from pathlib import Path
from typing import get_args

import pytest

from capture.compose.text import letters
from capture.sources.worker import OutageKind
from config.errors import ErrorCause
from config.locale import lookup
from config.locale.lookup import (
    LANGUAGES,
    WRITTEN,
    LocalizedText,
    ProgramCard,
    SentenceFile,
    error_sentence,
    in_language,
    picture_text,
    sentence_file,
    translation,
    words,
)
from config.settings.layouts import LAYOUT_KINDS

FOR_IT = re.compile(r"`|liput [a-z]|sudo |(^| )--?[a-z]|/dev/|TOML|/api/|\bdocs/|chmod")
AREAS = sorted(file.stem for file in lookup.SENTENCE_FOLDER.glob("*.json"))


def facts(text: str) -> list[str]:
    """Return the fields in braces, in order; one for each language counts as one."""
    fields = (f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None)
    return sorted({re.sub(r"(\.indonesian|\.english|_id|_en)(?=:)", "", field) for field in fields})


def sentences(found: SentenceFile) -> list[LocalizedText]:
    codes = found.codes.values()
    parts = [part for code in codes for part in (code.reason, code.advice, code.for_it) if part is not None]
    return [found.said(part) for part in (*found.words.values(), *parts)]


def test_what_the_files_translate_is_said_with_the_same_facts() -> None:
    said = {sentence.english for area in AREAS for sentence in sentences(sentence_file(area))}
    said |= {kind.title[-1] for kind in LAYOUT_KINDS.values()}
    drawn = {picture_text(word, "en") for word in (*OutageKind, *ProgramCard)}
    for language in LANGUAGES[len(WRITTEN) :]:
        assert translation(language).name.strip()
        for english, sentence in translation(language).sentences.items():
            assert english in said, f"{language}.json: nobody says {english!r}"
            assert sentence.strip(), f"{language}.json: {english!r} is translated to nothing"
            assert facts(sentence) == facts(english), f"{language}.json: {english!r} has other braces"
            if english in drawn:
                bases = [base for base, _ in letters(sentence)]
                assert "?" not in bases, f"{language}.json: {sentence!r} cannot be drawn"


def test_each_cause_of_an_error_has_a_sentence() -> None:
    assert set(words("errors")) == set(get_args(ErrorCause.__value__))
    assert error_sentence("busy", "C920").english.startswith("Another program or session uses the device C920.")
    assert error_sentence("busy", "").indonesian.startswith("Perangkat sedang dipakai"), "without a name"
    assert error_sentence("of a newer recorder", "x") == words("errors")["failed"]


@pytest.mark.parametrize("area", AREAS)
def test_operators_read_no_commands_and_no_forms_of_files(area: str) -> None:
    """Those are for IT; what only the terminal says may name them."""
    found = sentence_file(area)
    codes = [found.said(part) for code in found.codes.values() for part in (code.reason, code.advice) if part]
    shown = codes + (list(words(area).values()) if area in {"alarms", "errors", "page", "schedule"} else [])
    for sentence in {text for said in shown for text in said}:
        assert not FOR_IT.search(sentence), sentence


def test_a_file_is_a_language(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = {"Break": "Rehat", "Picture in picture": "Gambar dalam gambar"}
    (tmp_path / "ms.json").write_text(json.dumps({"name": "Bahasa Melayu", "sentences": sentences}))
    monkeypatch.setattr(lookup, "LANGUAGE_FOLDER", tmp_path)
    monkeypatch.setattr(lookup, "LANGUAGES", (*WRITTEN, "ms"))
    translation.cache_clear()
    assert picture_text(ProgramCard.PAUSE, "ms") == "Rehat"
    assert (
        picture_text(ProgramCard.END, "ms")
        == picture_text(ProgramCard.END, "en")
        == picture_text(ProgramCard.END, "xx")
    )
    assert in_language(LAYOUT_KINDS["pip"].title, "ms") == "Gambar dalam gambar"
    translation.cache_clear()


@pytest.mark.parametrize("name", AREAS)
def test_each_sentence_is_there_in_both_languages_with_the_same_facts(name: str) -> None:
    for sentence in sentences(sentence_file(name)):
        assert all(sentence)
        assert facts(sentence.indonesian) == facts(sentence.english), sentence
