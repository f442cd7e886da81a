"""Sessions that run: each counts, whatever it is called; one that does not answer is disturbed least of all."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.checks.check import Look, Situation
from agent.checks.kinds import encoder, keys, pictures, storage, uplink
from agent.checks.kinds.equipment import state_of
from agent.checks.situation import situation_of
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from devices.usb.topology import Topology
from recorder.model.status import SessionState, SessionStatus, SourceLine
from recorder.running.directory import Claim, Claims
from recorder.session.request import Asked
from tests.support.shown import CAMERA, CARD
from tests.support.situations import runs, session, situation, unheard


def has(device: str) -> SessionStatus:
    return session(SessionState.LIVE, SourceLine(id=device, name="it", role=None, health=CAMERA.health))


def test_two_of_one_title_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [runs("Rapat", has(CAMERA.id)), runs("Rapat", has(CARD.id))]
    monkeypatch.setattr("agent.checks.situation.running", lambda: both)
    now = situation_of(Asked(title=""), None, Settings(), SystemClock())
    assert now.held == both
    assert [now.holder(device) for device in (CAMERA, CARD)] == both


def test_one_that_is_being_sealed_has_nothing_open_and_one_that_does_not_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = [runs(str(state), session(state)) for state in SessionState]
    monkeypatch.setattr("agent.checks.situation.running", lambda: [*every, runs("silent", None)])
    now = situation_of(Asked(title=""), None, Settings(), SystemClock())
    assert [one.info.title for one in now.held] == ["idle", "armed", "live", "degraded", "silent"]


@pytest.fixture
def silent() -> Situation:
    """Return a situation in which a session that does not answer has claimed a camera."""
    running = runs("Wisuda", None)
    claims = Claims(Claim(id=running.info.id, title="Wisuda", pid=1))
    claims.take([(CAMERA.id, CAMERA.name)])
    asked = Asked(title="Rapat", videos=(CAMERA.id,), audios=("none",))
    return replace(situation(asked, devices=[CAMERA]), held=[running])


def test_one_that_does_not_answer_has_what_it_has_claimed(silent: Situation) -> None:
    assert (silent.holder(CAMERA), silent.holder(CARD)) == (silent.held[0], None)
    assert replace(silent, held=[runs("Rapat", None)]).holder(CAMERA) is None


def test_its_camera_is_left_alone(silent: Situation) -> None:
    assert [result.code for result in state_of(CAMERA, "podium", silent, Topology({}))] == ["held-silent"]
    assert [result.code for result in pictures.look(silent, unheard)] == ["held-silent"]


@pytest.mark.parametrize(
    ("look", "code"),
    [(encoder.measure, "in-session"), (storage.look, "recording"), (uplink.look, "in-use"), (keys.look, "held-silent")],
)
def test_nothing_is_measured_that_would_disturb_it(silent: Situation, tmp_path: Path, look: Look, code: str) -> None:
    asked = Asked(title="Rapat", archive=tmp_path)
    results = list(look(replace(silent, asked=asked, settings=Settings(), quick=False), unheard))
    assert code in [result.code for result in results]
