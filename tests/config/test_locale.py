"""The files of sentences: both languages, the same facts in both, and no sentence that nobody says."""

import ast
import functools
import json
import re
import string
from pathlib import Path

import pytest

from config.locale import lookup
from config.locale.lookup import LocalizedText, SentenceFile, sentence_file, words

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "recorder", "capture", "devices", "config")
AREAS = sorted(file.stem for file in lookup.SENTENCE_FOLDER.glob("*.json"))


def sentences(found: SentenceFile) -> list[LocalizedText]:
    parts = [part for code in found.codes.values() for part in (code.reason, code.advice) if part is not None]
    return [found.said(part) for part in (*found.words.values(), *parts)]


def facts(text: str) -> set[str]:
    """Return the fields in braces; one for each language counts as one."""
    names = {f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None}
    return {re.sub(r"(\.indonesian|\.english|_id|_en)(?=:)", "", name) for name in names}


@functools.cache
def said() -> frozenset[str]:
    """Return all strings of the product's code and templates."""
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    found = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for template in (ROOT / "recorder").rglob("*.j2"):
        found |= set(re.findall(r'"([a-z-]+)"', template.read_text(encoding="utf-8")))
    return frozenset(found)


def is_said(key: str) -> bool:
    """Return whether the code names a key, as a whole or as strings that it puts together, some with a colon."""
    return all(
        part in said() or any({part[:end], part[end:]} <= said() for end in range(1, len(part)))
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
    assert name in said() or name.partition("-")[0] in said(), "an area that nobody reads"


def test_no_sentence_stands_in_the_code() -> None:
    found = [
        f"{file}:{node.lineno}"
        for package in PACKAGES
        for file in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Words"
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
