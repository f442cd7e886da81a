"""The pages that are read when something is wrong: all that can be told is there, in the words in which it is told."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from agent.cli.group import liput
from agent.health.alarm import KILLED, SENTENCES, SILENT
from config.locale.lookup import words
from recorder.live.kind import DestinationFault
from recorder.model.session_faults import HARMLESS_KINDS
from tests.support.pages import ROOT, rows
from tests.test_docs_json import emitted

PAGES = {"en": "troubleshooting.md", "id": "troubleshooting.id.md"}
PARTS = {"en": ("You see", "Now", "Later"), "id": ("Yang terlihat", "Sekarang", "Sesudahnya")}
GUIDES = ("guide-it.md", "guide-operator.id.md", "guide-operator.en.md", "after-a-crash.md")
LANGUAGES = sorted(PAGES)


def page(language: str) -> str:
    return (ROOT / "docs" / PAGES[language]).read_text()


def sections(language: str) -> list[str]:
    """Return what is said of each symptom; the last heading is none."""
    return re.split(r"^## ", page(language), flags=re.MULTILINE)[1:-1]


def texts(language: str) -> dict[str, str]:
    return {key: said.of(language) for key, said in words("page").items()}


def printed(word: str, language: str) -> str:
    """Return the message of a word, with … for each name and number. Raises KeyError."""
    if word in set(DestinationFault):
        text = texts(language)[f"reason.{word}"]
    elif word in SENTENCES:
        text = SENTENCES[word].of(language)
    else:
        text = texts(language)[word]
    return re.sub(r"\{[^{}]*\}", "…", text)


def spans(text: str) -> Iterator[str]:
    """Yield what stands as code in running text, with the lines it is on joined."""
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_degrades_a_session_is_looked_up_there(language: str) -> None:
    needed = (emitted() - HARMLESS_KINDS) | {KILLED, SILENT}
    assert needed - set(rows(page(language))) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_of_a_stream_is_looked_up_there(language: str) -> None:
    assert set(DestinationFault) - set(rows(page(language))) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_begins_as_the_message_does_and_as_no_other_row(language: str) -> None:
    begins = {word: row[0] for word, row in rows(page(language)).items()}
    wrong = [
        word for word, text in begins.items() if not re.match(rf"{re.escape(text)}(?!\w)", printed(word, language))
    ]
    assert wrong == []
    assert len(set(begins.values())) == len(begins)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_says_what_becomes_of_the_recording(language: str) -> None:
    of_streams = {word for word in SENTENCES if word.startswith(("destination-", "stream-"))} | set(DestinationFault)
    table = {word: row for word, row in rows(page(language)).items() if word not in of_streams}
    assert [word for word, row in table.items() if len(row) != 2 or not row[1]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_symptom_says_what_is_seen_what_to_do_now_and_what_to_look_at_later(language: str) -> None:
    for text in sections(language):
        found = [text.find(f"\n**{part}:** ") for part in PARTS[language]]
        assert -1 < found[0] < found[1] < found[2], text.partition("\n")[0]
        later = text[found[2] :].partition("\n|")[0]
        assert any(span.startswith("liput ") for span in spans(later)), f"no command: {later}"


def test_both_pages_have_the_same_of_everything() -> None:
    words = [[list(rows(text)) for text in sections(language)] for language in LANGUAGES]
    assert words[0] == words[1]


@pytest.mark.parametrize("name", [*PAGES.values(), *GUIDES])
def test_every_command_that_is_named_is_one(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    commands = {span for span in spans(text) if span.startswith("liput ")}
    assert commands or name.startswith("guide-operator")
    assert [words for words in commands if (wrong := _wrong(words.split()[1:]))] == [], wrong


def _wrong(words: list[str]) -> str:
    """Return the first word of a command line that is no command, or an option that it does not take."""
    command: click.Command = liput
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        if below is None:
            return words[0]
        command, words = below, words[1:]
    taken = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in words if word.startswith("--") and word not in taken), "")


@pytest.mark.parametrize("name", ["README.md", "docs/guide-it.md", "docs/guide-operator.en.md"])
def test_the_guides_lead_there(name: str) -> None:
    assert "troubleshooting.md)" in (ROOT / name).read_text()


@pytest.mark.parametrize("name", ["README.md", "docs/guide-it.md", "docs/guide-operator.id.md"])
def test_the_guides_lead_there_in_indonesian(name: str) -> None:
    assert "troubleshooting.id.md)" in (ROOT / name).read_text()


@pytest.mark.parametrize("name", [*PAGES.values(), *GUIDES])
def test_every_link_leads_somewhere(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        file = (ROOT / "docs" / path) if path else ROOT / "docs" / name
        assert file.exists(), target
        if anchor:
            assert anchor in _anchors(file), target


def _anchors(file: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}
