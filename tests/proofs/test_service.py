"""A sample of `./run prove service`, and how a step that does not hold is told."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.proofs import service
from tests.proofs.service_scenario import NEEDED, SYSTEM, USER, Scenario, carry_out
from tests.support.figures import in_full


class Trying(Scenario):
    """Whose steps do nothing, but for those that fail."""

    def __init__(self, *failing: str) -> None:
        super().__init__()
        for name in ORDER:
            setattr(self, name, self._failing(name) if name in failing else dict)

    def _failing(self, name: str) -> object:
        def step() -> Mapping[str, object]:
            """Fail."""
            raise AssertionError(f"{name} is not so")

        return step


ORDER = (*SYSTEM, *USER)
SAMPLE = ("install", "session", "confined", "commanded", "killed", "upgraded", "uninstalled", "sealed")


def found(scenario: Scenario, folder: Path) -> tuple[bool, dict[str, object]]:
    """Return whether all steps held, and what is read of it on the host."""
    written = folder / "service.json"
    all_held = carry_out(scenario, ORDER, written)
    return all_held, service.judged(json.loads(written.read_text()) | {"first_process": "systemd"}, ORDER)


def test_every_step_is_there_and_says_what_it_does() -> None:
    assert len(set(ORDER)) == len(ORDER)
    assert set(ORDER) >= NEEDED
    assert [name for name in ORDER if not (getattr(Scenario, name).__doc__ or "").strip()] == []


def test_all_that_held_is_told(tmp_path: Path) -> None:
    all_held, figures = found(Trying(), tmp_path)
    assert (all_held, figures["holds"], figures["not_tried"]) == (True, True, [])


def test_one_step_that_does_not_hold_is_named_and_the_others_are_tried(tmp_path: Path) -> None:
    all_held, figures = found(Trying("killed"), tmp_path)
    assert (all_held, figures["holds"], figures["not_tried"]) == (False, False, [])
    steps = {line["step"]: line for line in figures["steps"]}  # type: ignore[attr-defined] # JSON
    assert [name for name, line in steps.items() if not line["held"]] == ["killed"]
    assert steps["killed"]["shown"] == {"why": "killed is not so"}


def test_without_a_session_nothing_more_is_tried(tmp_path: Path) -> None:
    _, figures = found(Trying("session"), tmp_path)
    assert figures["holds"] is False
    assert figures["not_tried"] == list(ORDER[ORDER.index("session") + 1 :])


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"first_process": "systemd", "steps": []},
        {"first_process": "bash", "steps": [{"step": "install", "held": True}]},
        {"first_process": "systemd", "steps": [{"step": "install", "held": "yes"}]},
    ],
)
def test_what_was_not_shown_does_not_hold(what: Mapping[str, object]) -> None:
    assert service.judged(what, ["install"])["holds"] is False


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="boots systemd in namespaces")
def test_a_session_outlives_its_daemon_under_a_real_systemd() -> None:
    figures = service.run(SAMPLE)
    assert figures["holds"], in_full(figures)
