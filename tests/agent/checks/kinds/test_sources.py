"""A picture and the level of every source; tests/rig/guest/guest_check.py has real drivers."""

import itertools
import threading
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import cv2
import numpy as np
import pytest

from agent.checks.check import CheckContext, CheckResult, CheckVerdict
from agent.checks.kinds import pictures, sounds, sources
from capture.source import VideoFormat
from config.errors import DeviceError, DeviceNotFound, LiputError
from config.locale import lookup
from devices.health.faults import FAULT_STATES, Fault
from devices.model.device import Device, Health
from recorder.model.status import SessionState, SessionStatus, SoundLine, SourceLine
from recorder.session.request import SessionRequest
from tests.capture.detectors.sounds import Sound, mains, noise, samples, speech
from tests.rig import pictures as rig
from tests.support.scenes import HEIGHT, WIDTH, colour_bars, jpeg, live
from tests.support.shown import CAMERA, CARD, MICROPHONE, Shown, Sounding, chooses, situation
from tests.support.situations import session


def looked_at(
    monkeypatch: pytest.MonkeyPatch, given: Iterable[bytes] | Shown, device: Device | None = CAMERA,
    now: CheckContext | None = None,
) -> list[CheckResult]:  # fmt: skip
    shown = given if isinstance(given, Shown) else Shown(given)
    monkeypatch.setattr(sources, "choose", chooses([(shown, device)]))
    results = list(pictures.look(replace(now or situation(), clock=shown.clock)))
    assert not shown.is_open
    assert {result.name for result in results} == {"picture: Podium"}
    return results


type Image = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def grey(level: int) -> Image:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def room(contrast: float = 1.0) -> Image:
    luma = rig.live(WIDTH, HEIGHT, 7, flash=False)
    return np.dstack([(luma * contrast).astype(np.uint8)] * 3)


def noisy(image: Image) -> Iterable[bytes]:
    random = np.random.default_rng(5)
    shots = [jpeg((image + random.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)) for _ in range(7)]
    while True:
        yield from shots


def damaged(pictures: Iterable[bytes]) -> Iterable[bytes]:
    for whole in pictures:
        yield from (whole[: len(whole) // 2], whole)


def test_a_picture_that_lives_is_good_and_a_slide_may_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = looked_at(monkeypatch, noisy(room()))
    assert (result.code, result.verdict) == ("ok", CheckVerdict.OK)
    assert result.measured["width_px"] == WIDTH
    assert float(str(result.measured["blur_percent"])) < 50
    slide = grey(255)
    slide[40:80, 40:200] = 0
    (result,) = looked_at(monkeypatch, itertools.repeat(jpeg(slide)), CARD)
    assert result.code == "ok"


@pytest.mark.parametrize(
    ("given", "code", "verdict"),
    [
        (itertools.repeat(jpeg(colour_bars())), "no-signal", CheckVerdict.FAILURE),
        (noisy(grey(4)), "black", CheckVerdict.FAILURE),
        (itertools.repeat(jpeg(room())), "frozen", CheckVerdict.FAILURE),
        ([], "no-picture", CheckVerdict.FAILURE),
        (noisy(room(0.2)), "dark", CheckVerdict.WARNING),
        (noisy(np.where(room() > 60, 255, room()).astype(np.uint8)), "burnt-out", CheckVerdict.WARNING),
        (noisy(np.asarray(cv2.GaussianBlur(room(), (0, 0), 4), np.uint8)), "blurred", CheckVerdict.WARNING),
        (damaged(noisy(room())), "damaged", CheckVerdict.WARNING),
    ],
)
def test_what_is_wrong_with_a_picture_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, given: Iterable[bytes], code: str, verdict: CheckVerdict
) -> None:
    (result,) = looked_at(monkeypatch, given)
    assert (result.code, result.verdict) == (code, verdict)
    assert result.advice.indonesian
    assert result.advice.english
    assert "{" not in "".join((*result.reason, *result.advice))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceNotFound("Podium is not plugged in"), "missing"),
        (DeviceError("Podium is used by pid 5 (zoom)", why="busy"), "busy"),
        (DeviceError("it offers nothing", why="unsupported"), "not-opened"),
    ],
)
def test_one_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch, error: LiputError, code: str) -> None:
    (result,) = looked_at(monkeypatch, Shown([], refuses=error))
    assert (result.code, result.verdict) == (code, CheckVerdict.FAILURE)
    assert code == "missing" or error.message in result.for_it.english


def test_one_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    class Hanging(Shown):
        name = "Slides"

        def open(self) -> VideoFormat:
            let_go.wait(60)
            return super().open()

    monkeypatch.setattr(sources, "QUICK_S", 3.0)
    shown = Shown(noisy(room()))
    monkeypatch.setattr(sources, "choose", chooses([(Hanging([]), CARD), (shown, CAMERA)]))
    now = replace(situation(quick=True), clock=shown.clock)
    try:
        hanging, well = pictures.look(now)
    finally:
        now.stop.set()  # nobody moves the clock for what is let go
        let_go.set()
    assert (hanging.name, hanging.code) == ("picture: Slides", "hangs")
    assert (well.name, well.code) == ("picture: Podium", "ok")


def test_stopped_it_lets_go_of_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    now, read = situation(), list[bytes]()

    def stops(picture: bytes) -> bytes:
        read.append(picture)
        now.stop.set()
        return picture

    shown = Shown(map(stops, live()))
    (result,) = looked_at(monkeypatch, shown, CAMERA, now)
    assert (result.code, result.verdict) == ("cancelled", CheckVerdict.UNCHECKED)
    assert len(read) == 1


# What a session has open


def held(device: Device, fault: Fault | None) -> SourceLine:
    health = Health()
    if fault is not None:
        health = Health(FAULT_STATES[fault], "as the watch says it", datetime.now().astimezone(), fault)
    return SourceLine(id=device.id, name=device.name, role=None, health=health)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, "ok-held"),
        (Fault.FROZEN, "frozen"),
        (Fault.NO_DATA, "no-picture"),
        (Fault.LOST, "lost"),
        (Fault.FLAPPING, "ok-held"),
    ],
)
def test_a_camera_in_a_session_is_never_opened(monkeypatch: pytest.MonkeyPatch, fault: Fault | None, code: str) -> None:
    class Untouched(Shown):
        def open(self) -> VideoFormat:
            raise AssertionError("it was opened a second time")

    status = session(SessionState.LIVE, held(CAMERA, fault))
    (result,) = looked_at(monkeypatch, Untouched([]), CAMERA, situation(held={"Wisuda": status}))
    assert result.code == code
    assert result.measured["held_by"] == "Wisuda"
    assert "{" not in "".join((*result.reason, *result.advice))


def test_the_words_of_the_session_are_looked_at_or_refused_as_the_session_refuses_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pictures, "LOOK_S", 0.5)

    def looked(word: str) -> CheckResult:
        (result,) = pictures.look(situation(asked=SessionRequest(title="", videos=(word,))))
        return result

    assert (looked("synthetic").code, looked("no-such-camera").code) == ("ok", "missing")
    result = looked("kuliah.mkv")
    assert (result.name, result.code, result.verdict) == ("picture", "not-chosen", CheckVerdict.FAILURE)
    assert result.advice == lookup.words("errors")["media"]
    assert "there is no file kuliah.mkv. check the path" in result.for_it.english


# The level of every microphone


def listened(monkeypatch: pytest.MonkeyPatch, given: Sounding, now: CheckContext | None = None) -> list[CheckResult]:
    monkeypatch.setattr(sources, "choose", chooses(sounds=[(given, MICROPHONE)]))
    results = list(sounds.listen(replace(now or situation(), clock=given.clock)))
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
        (noise(3.2, -65), ["too-low"]),
        (speech(3.2) * 60, ["clipping"]),
        (speech(3.2) + mains(3.2, -35), ["hum"]),
        (mains(3.2, -55) + noise(3.2, -80), ["too-low", "hum"]),
        (one_channel(), ["dead-channel"]),
    ],
)
def test_what_is_wrong_with_sound_is_told(monkeypatch: pytest.MonkeyPatch, given: Sound, codes: list[str]) -> None:
    results = listened(monkeypatch, sound(given))
    assert [result.code for result in results] == codes
    for result in results:
        assert result.verdict in (CheckVerdict.FAILURE, CheckVerdict.WARNING)
        assert result.advice.indonesian
        assert "{" not in "".join((*result.reason, *result.advice))


def test_no_sound_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = listened(monkeypatch, Sounding(None))
    assert (result.code, result.verdict) == ("no-data", CheckVerdict.FAILURE)
    monkeypatch.setattr(sources, "choose", chooses())
    (result,) = sounds.listen(situation())
    assert (result.name, result.code, result.verdict) == ("sound", "no-sound", CheckVerdict.WARNING)
    assert sounds.listen(situation(asked=SessionRequest(title="", audios=("none",)))) == []


# What a session has open


def holding_sound(
    fault: Fault | None = None, *, peak_dbfs: float = -12.0, muted: bool = False, known: bool = True
) -> SessionStatus:
    line = SoundLine(name="Mimbar", muted=muted, levels_dbfs=[peak_dbfs, -100.0], ppm=None)
    return session(SessionState.ARMED, held(MICROPHONE, fault), sounds=[line] if known else [])


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (holding_sound(), "ok-held"),
        (holding_sound(peak_dbfs=-70), "too-low"),
        (holding_sound(muted=True), "muted"),
        (holding_sound(known=False), "no-data"),
        (holding_sound(Fault.LOST), "lost"),
    ],
)
def test_a_microphone_in_a_session_is_never_opened(
    monkeypatch: pytest.MonkeyPatch, status: SessionStatus, code: str
) -> None:
    class Untouched(Sounding):
        def open(self) -> None:
            raise AssertionError("it was opened a second time")

    (result,) = listened(monkeypatch, Untouched(None), situation(held={"Wisuda": status}))
    assert result.code == code
    assert "{" not in "".join((*result.reason, *result.advice))
