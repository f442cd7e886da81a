"""A picture of every source: each thing that can be wrong with it is told as that, and one that is well is well.

What real drivers do is in tests/rig/guest/guest_check_media.py.
"""

import threading
from collections.abc import Iterable
from datetime import datetime

import cv2
import numpy as np
import pytest

from agent.checks.check import CheckContext, CheckResult, CheckVerdict
from agent.checks.kinds import pictures, sources
from capture.source import VideoFormat
from config.errors import DeviceError, DeviceNotFound, LiputError
from devices.health.faults import FAULT_STATES, Fault
from devices.model.device import Device, Health
from recorder.model.status import SessionState, SessionStatus, SourceLine
from recorder.session.request import SessionRequest
from tests.rig import pictures as rig
from tests.support.scenes import HEIGHT, WIDTH, colour_bars, jpeg, live
from tests.support.shown import CAMERA, CARD, Shown, chooses, damaged, grey, repeated, situation
from tests.support.situations import session


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LOOK_S", 0.5)
    monkeypatch.setattr(pictures, "FIRST_PICTURE_S", 0.5)
    monkeypatch.setattr(pictures, "SILENT_S", 0.3)


def looked(
    monkeypatch: pytest.MonkeyPatch, given: Iterable[bytes] | Shown, device: Device | None = CAMERA,
    now: CheckContext | None = None,
) -> list[CheckResult]:  # fmt: skip
    shown = given if isinstance(given, Shown) else Shown(given)
    monkeypatch.setattr(sources, "choose", chooses([(shown, device)]))
    results = list(pictures.look(now or situation()))
    assert not shown.is_open
    assert {result.name for result in results} == {"picture: Podium"}
    return results


def room(contrast: float = 1.0) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    luma = rig.live(WIDTH, HEIGHT, 7, flash=False)
    return np.dstack([(luma * contrast).astype(np.uint8)] * 3)


def noisy(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Iterable[bytes]:
    """Give a picture with the noise of a sensor."""
    random = np.random.default_rng(5)
    shots = [jpeg((image + random.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)) for _ in range(7)]
    while True:
        yield from shots


def test_a_picture_that_lives_is_good(monkeypatch: pytest.MonkeyPatch) -> None:
    (result,) = looked(monkeypatch, noisy(room()))
    assert (result.code, result.verdict) == ("ok", CheckVerdict.OK)
    assert result.measured["width_px"] == WIDTH
    assert float(str(result.measured["blur_percent"])) < 50


@pytest.mark.parametrize(
    ("given", "code", "verdict"),
    [
        (repeated(jpeg(colour_bars())), "no-signal", CheckVerdict.FAILURE),
        (noisy(grey(4)), "black", CheckVerdict.FAILURE),
        (repeated(jpeg(room())), "frozen", CheckVerdict.FAILURE),
        ([], "no-picture", CheckVerdict.FAILURE),
        ([jpeg(room())], "no-picture", CheckVerdict.FAILURE),
        (noisy(room(0.2)), "dark", CheckVerdict.WARNING),
        (noisy(np.where(room() > 60, 255, room()).astype(np.uint8)), "burnt-out", CheckVerdict.WARNING),
        (noisy(np.asarray(cv2.GaussianBlur(room(), (0, 0), 4), np.uint8)), "blurred", CheckVerdict.WARNING),
        (damaged(noisy(room()), every=2), "damaged", CheckVerdict.WARNING),
    ],
    ids=["no-signal", "black", "frozen", "no-picture", "stops", "dark", "burnt-out", "blurred", "damaged"],
)
def test_what_is_wrong_with_a_picture_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, given: Iterable[bytes], code: str, verdict: CheckVerdict
) -> None:
    (result,) = looked(monkeypatch, given)
    assert (result.code, result.verdict) == (code, verdict)
    assert result.advice.indonesian
    assert result.advice.english
    assert "{" not in "".join((*result.reason, *result.advice))


def test_a_slide_may_stand_still_and_be_white(monkeypatch: pytest.MonkeyPatch) -> None:
    slide = grey(255)
    slide[40:80, 40:200] = 0
    (result,) = looked(monkeypatch, repeated(jpeg(slide)), CARD)
    assert result.code == "ok"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (DeviceNotFound("Podium is not plugged in"), "missing"),
        (DeviceError("Podium is used by pid 5 (zoom)", why="busy"), "busy"),
        (DeviceError("no", hint="adduser liput video", why="denied"), "denied"),
        (DeviceError("full", why="bus-full"), "bus-full"),
        (DeviceError("it offers nothing", why="unsupported"), "not-opened"),
    ],
)
def test_one_that_cannot_be_opened_says_why(monkeypatch: pytest.MonkeyPatch, error: LiputError, code: str) -> None:
    (result,) = looked(monkeypatch, Shown([], refuses=error))
    assert (result.code, result.verdict) == (code, CheckVerdict.FAILURE)
    if code in ("busy", "not-opened"):
        assert error.message in result.reason.english


def test_one_that_hangs_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()

    class Hanging(Shown):
        name = "Slides"

        def open(self) -> VideoFormat:
            let_go.wait(60)
            return super().open()

    monkeypatch.setattr(sources, "QUICK_S", 1.5)
    monkeypatch.setattr(sources, "choose", chooses([(Hanging([]), CARD), (Shown(noisy(room())), CAMERA)]))
    try:
        hanging, well = pictures.look(situation(quick=True))
    finally:
        let_go.set()
    assert (hanging.name, hanging.code) == ("picture: Slides", "hangs")
    assert (well.name, well.code) == ("picture: Podium", "ok")


def test_stopped_it_lets_go_of_the_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "LOOK_S", 60.0)
    now = situation()
    shown = Shown(live())

    def stops(picture: bytes) -> bytes:
        now.stop.set()
        return picture

    shown._pictures = map(stops, live())
    (result,) = looked(monkeypatch, shown, CAMERA, now)
    assert (result.code, result.verdict) == ("cancelled", CheckVerdict.UNCHECKED)
    assert not shown.is_open


# What a session has open


def holding(fault: Fault | None = None) -> SessionStatus:
    health = Health()
    if fault is not None:
        health = Health(FAULT_STATES[fault], "as the watch says it", datetime.now().astimezone(), fault)
    return session(SessionState.LIVE, SourceLine(id=CAMERA.id, name="Podium", role=None, health=health))


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (None, "ok-held"),
        (Fault.FROZEN, "frozen"),
        (Fault.NO_SIGNAL, "no-signal"),
        (Fault.NO_DATA, "no-picture"),
        (Fault.BLACK, "black"),
        (Fault.DAMAGED, "damaged"),
        (Fault.LOST, "lost"),
        (Fault.FLAPPING, "ok-held"),
    ],
)
def test_what_a_session_has_open_is_asked_of_it_and_never_opened(
    monkeypatch: pytest.MonkeyPatch, fault: Fault | None, code: str
) -> None:
    class Untouched(Shown):
        def open(self) -> VideoFormat:
            raise AssertionError("it was opened a second time")

    (result,) = looked(monkeypatch, Untouched([]), CAMERA, situation(held={"Wisuda": holding(fault)}))
    assert result.code == code
    assert result.measured["held_by"] == "Wisuda"
    assert "{" not in "".join((*result.reason, *result.advice))


# Through the words of a session


@pytest.mark.parametrize(
    ("words", "code"), [(("synthetic",), "ok"), (("no-such-camera",), "missing"), (("/dev/null/x.mkv",), "missing")]
)
def test_the_words_of_the_session_are_what_is_looked_at(words: tuple[str, ...], code: str) -> None:
    (result,) = pictures.look(situation(asked=SessionRequest(title="", videos=words)))
    assert result.code == code


@pytest.mark.parametrize(
    ("words", "reason", "advice"),
    [
        (("screen:bad",), '"screen:bad" means no screen', "screen::0"),
        (("kuliah.mkv",), "there is no file kuliah.mkv", "check the path"),
        (("synthetic", ""), "the name of a source is empty", "leave the option out"),
    ],
)
def test_words_with_which_no_session_begins_are_refused_as_the_session_refuses_them(
    words: tuple[str, ...], reason: str, advice: str
) -> None:
    (result,) = pictures.look(situation(asked=SessionRequest(title="", videos=words)))
    assert (result.name, result.code, result.verdict) == ("picture", "not-chosen", CheckVerdict.FAILURE)
    assert reason in result.reason.english
    assert advice in result.advice.english
