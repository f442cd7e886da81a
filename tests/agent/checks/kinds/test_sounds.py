"""The level of every microphone: each thing that can be wrong with it is told as that, and speech is well.

What real drivers do is in tests/rig/guest/guest_check_media.py.
"""

from datetime import datetime

import numpy as np
import pytest

from agent.checks.check import CheckContext, CheckResult, CheckVerdict
from agent.checks.kinds import sounds, sources
from devices.health.faults import FAULT_STATES, Fault
from devices.model.device import Health
from recorder.model.status import SessionState, SessionStatus, SoundLine, SourceLine
from recorder.session.request import SessionRequest
from tests.capture.detectors.sounds import Sound, mains, noise, samples, speech
from tests.support.shown import MICROPHONE, Sounding, chooses, situation
from tests.support.situations import session


def listened(monkeypatch: pytest.MonkeyPatch, given: Sounding, now: CheckContext | None = None) -> list[CheckResult]:
    monkeypatch.setattr(sources, "choose", chooses(sounds=[(given, MICROPHONE)]))
    results = list(sounds.listen(now or situation()))
    assert not given.is_open
    return results


def sound(given: Sound) -> Sounding:
    return Sounding(samples(given))


def one_channel() -> Sound:
    left = speech(3.2)
    left[:, 1] = 0
    return left


def test_somebody_who_speaks_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = listened(monkeypatch, sound(speech(3.2)))
    assert (result.name, result.code, result.verdict) == ("sound: Mimbar", "ok", CheckVerdict.OK)
    assert result.reason.english == f"It is heard, {result.measured['level_dbfs']:.0f} dBFS"


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        (np.zeros((160_000, 2)), ["nothing"]),
        (noise(3.2, -88), ["silent"]),
        (noise(3.2, -65), ["too-low"]),
        (speech(3.2) * 60, ["clipping"]),
        (speech(3.2) + mains(3.2, -35), ["hum"]),
        (mains(3.2, -55) + noise(3.2, -80), ["too-low", "hum"]),
        (one_channel(), ["dead-channel"]),
    ],
    ids=["nothing", "silent", "too-low", "clipping", "hum", "hum-in-silence", "dead-channel"],
)
def test_what_is_wrong_with_it_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, given: Sound, codes: list[str]
) -> None:
    results = listened(monkeypatch, sound(given))
    assert [result.code for result in results] == codes
    for result in results:
        assert result.verdict in (CheckVerdict.FAILURE, CheckVerdict.WARNING)
        assert result.advice.indonesian
        assert "{" not in "".join((*result.reason, *result.advice))


def test_one_that_sends_nothing_at_all_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sounds, "FIRST_BLOCK_S", 0.2)
    monkeypatch.setattr(sounds, "LISTEN_S", 0.2)
    (result,) = listened(monkeypatch, Sounding(None))
    assert (result.code, result.verdict) == ("no-data", CheckVerdict.FAILURE)


def test_a_session_without_a_microphone_would_have_no_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "choose", chooses())
    (result,) = sounds.listen(situation())
    assert (result.name, result.code, result.verdict) == ("sound", "no-sound", CheckVerdict.WARNING)
    assert sounds.listen(situation(asked=SessionRequest(title="", audios=("none",)))) == []


def test_stopped_it_lets_go_of_the_microphone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = situation()

    class Stops(Sounding):
        def open(self) -> None:
            super().open()
            now.stop.set()

    sounding = Stops(None)
    (result,) = listened(monkeypatch, sounding, now)
    assert result.code == "cancelled"
    assert not sounding.is_open


# What a session has open


def holding(
    fault: Fault | None = None, *, peak_dbfs: float = -12.0, muted: bool = False, known: bool = True
) -> SessionStatus:
    health = Health()
    if fault is not None:
        health = Health(FAULT_STATES[fault], "as the watch says it", datetime.now().astimezone(), fault)
    line = SoundLine(name="Mimbar", muted=muted, levels_dbfs=[peak_dbfs, -100.0], ppm=None)
    return session(
        SessionState.ARMED,
        SourceLine(id=MICROPHONE.id, name="Mimbar", role=None, health=health),
        sounds=[line] if known else [],
    )


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (holding(), "ok-held"),
        (holding(peak_dbfs=-70), "too-low"),
        (holding(muted=True), "muted"),
        (holding(known=False), "no-data"),
        (holding(Fault.SILENCE), "silent"),
        (holding(Fault.CLIPPING), "clipping"),
        (holding(Fault.HUM), "hum"),
        (holding(Fault.DEAD_CHANNEL), "dead-channel"),
        (holding(Fault.LOST), "lost"),
    ],
)
def test_what_a_session_has_open_is_asked_of_it_and_never_opened(
    monkeypatch: pytest.MonkeyPatch, status: SessionStatus, code: str
) -> None:
    class Untouched(Sounding):
        def open(self) -> None:
            raise AssertionError("it was opened a second time")

    (result,) = listened(monkeypatch, Untouched(None), situation(held={"Wisuda": status}))
    assert result.code == code
    assert "{" not in "".join((*result.reason, *result.advice))


def test_the_words_of_the_session_are_what_is_listened_to() -> None:
    (result,) = sounds.listen(situation(asked=SessionRequest(title="", videos=("synthetic",))))
    assert (result.name, result.code) == ("sound: synthetic sound", "ok")
