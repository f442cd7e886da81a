"""The contract of a language that sentences are translated into, held to every file of config/languages."""

import ast
import difflib
import functools
import json
import re
import string
from collections.abc import Iterable
from pathlib import Path

import pytest

from agent.web.page import texts
from capture.compose.text import letters
from capture.sources.worker import OutageKind
from config.locale import lookup
from config.locale.lookup import LANGUAGES, WRITTEN, ProgramCard, in_language, picture_text, translation
from config.settings.layouts import LAYOUT_KINDS

ROOT = Path(__file__).parents[3]
PACKAGES = ("agent", "recorder", "capture", "devices", "config")
TRANSLATED = [language for language in LANGUAGES if language not in WRITTEN]


@functools.cache
def said() -> frozenset[str]:
    """Return every text that stands in the code, and every English sentence of config/locale."""
    found = set[str]()
    for file in lookup.SENTENCE_FOLDER.glob("*.json"):
        known = lookup.sentence_file(file.stem)
        found |= {words.english for words in lookup.words(file.stem).values()}
        found |= {known.said(part).english for code in known.codes.values() for part in (code.reason, code.advice)}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    found.add(node.value)
    return frozenset(found)


def places(sentence: str) -> list[str]:
    """Return what is in braces, in order; raises ValueError where braces do not go together."""
    return sorted(f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(sentence) if name is not None)


def drawn() -> frozenset[str]:
    """Return the English sentences that are drawn into the picture."""
    return frozenset(picture_text(word, "en") for word in (*OutageKind, *ProgramCard))


def once(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return them as an object of JSON; raises ValueError for a key that stands there twice."""
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"{key!r} stands there twice")
        found[key] = value
    return found


def test_what_a_file_translates_is_said_with_the_same_facts() -> None:
    for language in TRANSLATED:
        found = translation(language)
        json.loads((lookup.LANGUAGE_FOLDER / f"{language}.json").read_bytes(), object_pairs_hook=once)
        assert found.name.strip()
        assert re.fullmatch(r"[a-z]{2,3}", language), "a code of ISO 639"
        for english, sentence in found.sentences.items():
            near = difflib.get_close_matches(english, said(), 1) if english not in said() else ()
            assert english in said(), f"{language}.json: nobody says {english!r}; meant may be {near}"
            assert sentence.strip(), f"{language}.json: {english!r} is translated to nothing"
            assert places(sentence) == places(english), f"{language}.json: {english!r} has other braces"
            if english in drawn():
                unknown = [base for base, _ in letters(sentence)].count("?") - sentence.count("?")
                assert not unknown, f"{language}.json: {sentence!r} has {unknown} letters that cannot be drawn"


@pytest.mark.parametrize("language", LANGUAGES)
def test_everything_is_said_in_it_or_in_english(language: str) -> None:
    assert texts.all_texts(language).keys() == texts.all_texts("en").keys()
    assert texts.NAMES[language]
    assert json.loads(texts.script_texts(language))
    assert all(picture_text(word, language) for word in (*OutageKind, *ProgramCard))
    assert all(in_language(kind.title, language) for kind in LAYOUT_KINDS.values())


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
