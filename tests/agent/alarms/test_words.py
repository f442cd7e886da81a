"""Every trouble of a session is said in both languages, with what to do."""

import re

import pytest

from agent.alarms.words import DAMAGED, KILLED, SENTENCES, SILENT, UNKNOWN, sentence
from recorder.live.reason import Reason
from recorder.troubles import HARMLESS
from tests.test_docs import emitted

DEGRADING = sorted(emitted() - HARMLESS)


@pytest.mark.parametrize("kind", [*DEGRADING, KILLED, SILENT, DAMAGED])
def test_every_kind_that_degrades_a_session_has_a_sentence_in_both_languages(kind: str) -> None:
    words = sentence(kind, "podium")
    assert words != UNKNOWN.filled({"subject": "podium"}), f"{kind} has no sentence in agent/alarms/words.py"
    assert words.indonesian != words.english


def test_nothing_is_said_that_nobody_tells() -> None:
    assert {key.partition(":")[0] for key in SENTENCES} - {KILLED, SILENT, DAMAGED} == set(DEGRADING)
    reasons = {key.partition(":")[2] for key in SENTENCES if key.startswith("destination-lost:")}
    assert reasons <= set(Reason)


@pytest.mark.parametrize("key", SENTENCES)
def test_a_sentence_is_whole_and_says_what_to_do(key: str) -> None:
    for text in SENTENCES[key]:
        assert re.fullmatch(r"[^{}]*(\{subject\}[^{}]*)*[.]", text), text
        assert ":" in text, "what happened, a colon, what to do"
        assert len(text) <= 140


def test_what_it_happened_to_is_named_whatever_it_is_called() -> None:
    assert sentence("source-lost", "{podium}").indonesian.startswith("{podium} terlepas: colokkan kembali.")
    assert "kunci siarannya salah" in sentence("destination-lost", "youtube", "rejected").indonesian
    assert "internet" in sentence("destination-lost", "youtube", "unheard-of").english
    assert "Liput" in sentence("of-a-newer-recorder", "podium").english
