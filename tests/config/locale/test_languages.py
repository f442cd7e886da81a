"""The files of sentences and of languages: the same facts in each, and no sentence that nobody says."""

import ast
import difflib
import functools
import json
import re
import string
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from agent.web.page import texts
from capture.compose.text import letters
from capture.sources.worker import OutageKind
from config.locale import lookup
from config.locale.lookup import (
    LANGUAGES,
    WRITTEN,
    LocalizedText,
    ProgramCard,
    SentenceFile,
    in_language,
    picture_text,
    sentence_file,
    translation,
    words,
)
from config.settings.layouts import LAYOUT_KINDS

ROOT = Path(__file__).parents[3]
PACKAGES = ("agent", "recorder", "capture", "devices", "config")
AREAS = sorted(file.stem for file in lookup.SENTENCE_FOLDER.glob("*.json"))
TRANSLATED = [language for language in LANGUAGES if language not in WRITTEN]


def sentences(found: SentenceFile) -> list[LocalizedText]:
    parts = [part for code in found.codes.values() for part in (code.reason, code.advice) if part is not None]
    return [found.said(part) for part in (*found.words.values(), *parts)]


@functools.cache
def trees() -> Mapping[Path, ast.Module]:
    """Return the parsed code of the product."""
    files = (file for package in PACKAGES for file in (ROOT / package).rglob("*.py"))
    return {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}


@functools.cache
def strings() -> frozenset[str]:
    """Return all strings of the product's code and templates."""
    nodes = (node for tree in trees().values() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    found = {node.value for node in nodes if isinstance(node.value, str)}
    for template in (ROOT / "recorder").rglob("*.j2"):
        found |= set(re.findall(r'"([a-z-]+)"', template.read_text(encoding="utf-8")))
    return frozenset(found)


@functools.cache
def said() -> frozenset[str]:
    """Return every text that stands in the code, and every English sentence of config/locale."""
    areas = map(sentence_file, AREAS)
    return strings() | {sentence.english for found in areas for sentence in sentences(found)}


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


# The files of sentences: both languages


def facts(text: str) -> set[str]:
    """Return the fields in braces; one for each language counts as one."""
    names = {f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None}
    return {re.sub(r"(\.indonesian|\.english|_id|_en)(?=:)", "", name) for name in names}


def is_said(key: str) -> bool:
    """Return whether the code names a key, as a whole or as strings that it puts together, some with a colon."""
    return all(
        part in strings() or any({part[:end], part[end:]} <= strings() for end in range(1, len(part)))
        for part in key.split(":")
    )


@pytest.mark.parametrize("name", AREAS)
def test_each_sentence_is_there_in_both_languages_with_the_same_facts(name: str) -> None:
    raw = json.loads((lookup.SENTENCE_FOLDER / f"{name}.json").read_bytes())
    assert all(isinstance(text, str) or text.keys() == {"id", "en"} for text in raw.get("words", {}).values())
    for sentence in sentences(sentence_file(name)):
        assert all(sentence)
        assert facts(sentence.indonesian) == facts(sentence.english), sentence


@pytest.mark.parametrize("name", sorted(set(AREAS) - {"page"}))  # tests/agent/web/page/test_texts.py looks at that
def test_no_sentence_is_there_that_nobody_says(name: str) -> None:
    found = sentence_file(name)
    named = {part for code in found.codes.values() for part in (code.reason, code.advice) if isinstance(part, str)}
    named |= {part for part in found.words.values() if isinstance(part, str)}
    keys = (found.words.keys() - named) | found.codes.keys()
    assert {key for key in keys if not is_said(key)} == set()
    assert name in strings() or name.partition("-")[0] in strings(), "an area that nobody reads"


def test_no_sentence_stands_in_the_code() -> None:
    found = [
        f"{file}:{node.lineno}"
        for file, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        if node.func.id in {"LocalizedText", "BilingualText"}
        if any(isinstance(text, ast.Constant) and text.value for text in node.args)
    ]
    assert found == []


def test_a_word_in_place_of_a_sentence_names_another_one() -> None:
    found = SentenceFile(words={"a": lookup.BilingualText("satu", "one"), "b": "a"})
    assert found.said("b") == LocalizedText("satu", "one")
    with pytest.raises(KeyError):
        found.said("c")


def test_what_an_area_says_is_read_once() -> None:
    assert words("slates") is words("slates")
    assert words("slates")["pause"].of("id") == "Jeda"
