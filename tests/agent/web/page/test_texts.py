"""Every sentence of the page is there, in both languages, and is needed."""

import gzip
import json
import re
from pathlib import Path

import pytest

from agent.checks.check import all_checks
from agent.health.alarm import END_SENTENCES, SENTENCES
from agent.web.page import texts
from agent.web.page.pages import Page, all_pages, page_folders
from config.locale.lookup import LANGUAGES
from config.settings.layouts import BUILT_IN_LAYOUTS
from devices.health.computer import PC_FAULTS
from devices.health.faults import Fault
from devices.health.log_line import LogKind
from tests.support.pages import CLI, rows, section

PAGE = Path(texts.__file__).parent
STATIC = [file for folder in page_folders("static") for file in folder.rglob("*") if file.is_file()]
TEMPLATES = [file for folder in page_folders("templates") for file in folder.glob("*.j2")]
CODE = [*PAGE.glob("*.py"), *(page.folder.parent / "api.py" for page in all_pages() if page.folder != PAGE)]
SOURCES = [*(file for file in STATIC if file.suffix == ".js"), *TEMPLATES, *CODE]
KEY = r"[a-z]+(?:\.[a-z0-9-]+)+"
MOST_BYTES = 60_000  # of a page that a browser has never seen


SAID = {source: source.read_text() for source in SOURCES}
CODE_OF_ALL = "\n".join(SAID.values())
KEYS = set(texts.all_texts(LANGUAGES[0]))
FAMILIES = tuple(set(re.findall(r"[`\"]([a-z]+(?:\.[a-z-]+)*\.)(?:\$?\{|\" ~)", CODE_OF_ALL)))
"""The beginnings of keys whose last word is known only when the page is used, as `light.`."""


def test_no_sentence_is_missing_or_left_over() -> None:
    calls = " ".join(re.findall(r"\b(?:t|fact)\(([^()]*)", CODE_OF_ALL))
    assert set(re.findall(rf"[\"']({KEY})[\"']", calls)) <= KEYS
    assert [family for family in FAMILIES if not any(key.startswith(family) for key in KEYS)] == []
    assert "light." in FAMILIES, "or this test finds nothing"
    named = set(re.findall(rf"[\"']({KEY})[\"']", CODE_OF_ALL))
    assert {key for key in KEYS - named if not key.startswith(FAMILIES)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_gets_what_its_scripts_may_say_and_not_what_stands_in_templates(language: str) -> None:
    got, every = json.loads(texts.script_texts(language)), texts.all_texts(language)
    code = "\n".join(said for source, said in SAID.items() if source.suffix == ".js")
    for key in every:
        parts = key.split(".")
        begun = any(f"`{'.'.join(parts[:most])}.${{" in code for most in range(1, len(parts)))
        assert (got.get(key) == every[key]) == (begun or f'"{key}"' in code), key
    assert "nav.skip" not in got


def test_no_sentence_of_the_page_tells_what_alarms_tell() -> None:
    told = {text for words in (*SENTENCES.values(), *END_SENTENCES.values()) for text in words}
    for language in LANGUAGES:
        assert set(texts.all_texts(language).values()) & told == set()
    assert not [key for key in KEYS if key.startswith("event.")]


def test_reasons_of_destinations_checks_layouts_and_the_health_log_have_a_sentence() -> None:
    codes = set(rows(section(CLI, "### Why a destination is not live")))
    assert {key.removeprefix("reason.") for key in KEYS if key.startswith("reason.")} == codes
    assert {f"check.name.{check.name}" for check in all_checks()} <= KEYS
    assert {f"layout.{name}" for name in BUILT_IN_LAYOUTS} <= KEYS
    happened = {f"log.kind.{kind}" for kind in LogKind} | {f"log.fault.{fault}" for fault in (*Fault, *PC_FAULTS)}
    assert {key for key in KEYS if key.startswith(("log.kind.", "log.fault."))} == happened


def loaded(template: str) -> set[Path]:
    """Return the files that a browser loads for a page: what its template names, and what scripts import."""
    files = {file.name: file for file in (*STATIC, *TEMPLATES)}
    found, names = set[Path](), [template, "frame.html.j2"]
    while names:
        file = files[names.pop()]
        if file not in found:
            found.add(file)
            names += re.findall(r"(?:/static/|(?:from|import) \"\./)([\w-]+\.(?:js|css|svg))", SAID.get(file, ""))
    return found


@pytest.mark.parametrize("page", all_pages(), ids=lambda page: page.template)
def test_what_a_browser_loads_for_a_page_is_small(page: Page) -> None:
    files = loaded(page.template)
    assert {"frame.js", "liput.css", "texts.js", "dom.js"} <= {file.name for file in files}
    words = max(len(gzip.compress(texts.script_texts(language))) for language in LANGUAGES)  # a page has one
    assert sum(len(gzip.compress(file.read_bytes())) for file in files) + words < MOST_BYTES


def test_nothing_comes_from_elsewhere_and_nothing_stands_inline() -> None:
    for source, said in SAID.items():
        code = said.replace("http://www.w3.org/2000/svg", "")
        assert not re.findall(r"https?://|innerHTML|insertAdjacentHTML|\beval\(", code), source.name
        assert not re.findall(r"<script>|<style|\sstyle=|\son[a-z]+=\"|\|\s*safe", code), source.name
