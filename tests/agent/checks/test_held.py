"""Sessions that run: each counts, whatever it is called; one that does not answer is disturbed least of all."""

from dataclasses import replace
from pathlib import Path

import pytest

from agent.checks import encoder, held, keys, pictures, storage, uplink
from agent.checks.check import Look, Situation
from agent.checks.device_state import state_of
from agent.checks.held import Held, held_sessions
from config.schema import Settings
from devices.host.clock import SystemClock
from devices.usb.topology import Topology
from recorder.asked import Asked
from recorder.control import directory
from recorder.control.claims import Claim, Claims
from recorder.control.directory import RecorderFolder
from recorder.control.find import Running
from recorder.model.status import SessionState, SessionStatus, SourceLine
from tests.support.shown import CAMERA, CARD
from tests.support.situations import session, situation, unheard


def runs(title: str, status: SessionStatus | None) -> Running:
    info = directory.new_info(title, Path("/arsip"), SystemClock().now())
    return Running(RecorderFolder(Path("/nowhere") / info.id), info, status)


def has(device: str) -> SessionStatus:
    return session(SessionState.LIVE, SourceLine(id=device, name="it", role=None, health=CAMERA.health))


def test_two_of_one_title_are_two(monkeypatch: pytest.MonkeyPatch) -> None:
    both = [runs("Rapat", has(CAMERA.id)), runs("Rapat", has(CARD.id))]
    monkeypatch.setattr(held, "running", lambda: both)
    sessions = held_sessions()
    assert [one.recorder for one in sessions] == both
    assert [[one.has(device.id) for one in sessions] for device in (CAMERA, CARD)] == [[True, False], [False, True]]


def test_one_that_is_being_sealed_has_nothing_open_and_one_that_does_not_answer_counts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    every = [runs(str(state), session(state)) for state in SessionState]
    monkeypatch.setattr(held, "running", lambda: [*every, runs("silent", None)])
    assert [one.title for one in held_sessions()] == ["idle", "armed", "live", "degraded", "silent"]


@pytest.fixture
def silent() -> Situation:
    """Return a situation in which a session that does not answer has claimed a camera."""
    running = runs("Wisuda", None)
    claims = Claims(Claim(id=running.info.id, title="Wisuda", pid=1))
    claims.take([(CAMERA.id, CAMERA.name)])
    asked = Asked(title="Rapat", videos=(CAMERA.id,), audios=("none",))
    return replace(situation(asked, devices=[CAMERA]), held=[Held("Wisuda", None, running)])


def test_one_that_does_not_answer_has_what_it_has_claimed(silent: Situation) -> None:
    (one,) = silent.held
    assert (one.has(CAMERA.id), one.has(CARD.id)) == (True, False)
    other = replace(one, recorder=runs("Rapat", None))
    assert not other.has(CAMERA.id)


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
