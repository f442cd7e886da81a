"""Everything that can go wrong, and every step, has words in the report."""

from config.locale.lookup import words
from devices.health.faults import FAULT_STATES
from devices.model.device import DeviceKind
from recorder.features.report import incidents
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, LASTING_KINDS, SOURCE_AWAY, WARNING_KINDS
from recorder.package.request import StepKind, StepState
from tests.test_docs_json import emitted


def test_everything_that_degrades_a_session_has_words() -> None:
    told = emitted() - HARMLESS_KINDS - {"source-lost", "source-silent", "source-missing"}
    assert told - set(words("report-incidents")) == set()
    known = told | set(ENDED_BY) | LASTING_KINDS | {f"source-{fault}" for fault in FAULT_STATES} - WARNING_KINDS
    extra = set(words("report-incidents")) - known
    assert extra == {SOURCE_AWAY, incidents.GAP, incidents.NEVER_LIVE, incidents.OTHER} | incidents.OF_THE_DESCRIPTION


def test_steps_states_and_kinds_are_those_of_the_models() -> None:
    assert set(words("report-steps")) == set(map(str, StepKind))
    assert set(words("report-states")) == set(map(str, StepState))
    assert set(words("report-devices")) == set(map(str, DeviceKind))
