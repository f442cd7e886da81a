"""Both languages say everything, and everything that can go wrong has words."""

import string

import pytest

from devices.health.faults import FAULTS
from devices.model import DeviceKind
from recorder.dossier.model import StepKind, StepState
from recorder.event_kinds import WARNINGS
from recorder.report import incidents, words
from recorder.report.words import Texts, text
from recorder.troubles import AWAY, ENDED_BY, HARMLESS, LASTING
from tests.test_docs_json import emitted


@pytest.mark.parametrize("name", ["PAGE", "INCIDENTS", "STEPS", "STATES", "KINDS"])
def test_both_languages_have_every_sentence_with_the_same_facts(name: str) -> None:
    table: Texts = getattr(words, name)
    for key, texts in table.items():
        assert len(texts) == 2
        assert all(one.strip() for one in texts), key
        indonesian, english = ({field for _, field, _, _ in string.Formatter().parse(one) if field} for one in texts)
        assert indonesian == english, key
        facts = dict.fromkeys(english, "1")
        assert text(table, key, "id", **facts) == texts[0].format(**facts)
        assert text(table, key, "en", **facts) == texts[1].format(**facts)


def test_everything_that_degrades_a_session_has_words() -> None:
    told = emitted() - HARMLESS - {"source-lost", "source-silent", "source-missing"}
    assert told - set(words.INCIDENTS) == set()
    known = told | set(ENDED_BY) | LASTING | {f"source-{fault}" for fault in FAULTS} - WARNINGS
    extra = set(words.INCIDENTS) - known
    assert extra == {AWAY, incidents.GAP, incidents.NEVER_LIVE, incidents.OTHER} | incidents.OF_THE_DESCRIPTION


def test_steps_states_and_kinds_are_those_of_the_models() -> None:
    assert set(words.STEPS) == set(map(str, StepKind))
    assert set(words.STATES) == set(map(str, StepState))
    assert set(words.KINDS) == set(map(str, DeviceKind))
