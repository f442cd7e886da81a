"""What `liput check` says of encoders in hardware: which one is used, why, and what was wrong with the others."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from agent.checks.check import CheckProgress, CheckVerdict
from agent.checks.kinds import hardware
from config.settings.schema import Settings, VideoDefaults
from recorder.encode.hardware_kinds import HARDWARE, EncoderFailure, EncoderKind
from recorder.encode.hardware_kinds import EncoderVerdict as Tried
from recorder.encode.session_encoder import remember, remembered
from recorder.encode.x264 import VideoSettings
from recorder.model.status import SessionState
from recorder.session.request import SessionRequest
from tests.support.situations import session
from tests.support.situations import situation as now

ASKED = SessionRequest(title="", profile="240p15")
GOOD = Tried(kind=EncoderKind.QSV, psnr_db=41.2, held=2, speed=7.5, bit_rate=290_000)
DEAD = Tried(kind=EncoderKind.NVENC, reason=EncoderFailure.CRASHED, detail="SIGSEGV")
NONE = Tried(kind=EncoderKind.NVENC, reason=EncoderFailure.NO_DEVICE, detail="/dev/nvidia[0-9]*")


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> dict[EncoderKind, Tried]:
    """Return what trying each encoder gives; those that are not in it are not there."""
    verdicts: dict[EncoderKind, Tried] = {}

    def probe(kind: EncoderKind, _settings: VideoSettings) -> Tried:
        return verdicts.get(kind, Tried(kind=kind, reason=EncoderFailure.NO_DEVICE, detail="/dev/x"))

    monkeypatch.setattr(hardware, "probe", probe)
    return verdicts


def look(wish: str, *, quick: bool = False) -> tuple[str, Sequence[CheckProgress], str, str]:
    """Return the code, what was told meanwhile, and the reason in both languages."""
    told: list[CheckProgress] = []
    situation = now(ASKED, Settings(video=VideoDefaults(encoder=wish)), quick=quick)
    (result,) = hardware.look(replace(situation, on_progress=told.append))
    assert "{" not in "".join((*result.reason, *result.advice))
    assert result.name == "hardware"
    assert result.verdict is hardware.CODES[result.code].verdict
    return result.code, told, *result.reason


def test_x264_is_nothing_to_be_tried(probed: dict[EncoderKind, Tried]) -> None:
    assert look("x264")[0] == "x264"
    assert look("x264", quick=True)[0] == "x264"


def test_one_that_works_is_named_with_what_it_does(probed: dict[EncoderKind, Tried]) -> None:
    probed[EncoderKind.QSV] = GOOD
    code, told, indonesian, english = look("auto")
    assert (code, [progress.doing.english for progress in told]) == ("ok", ["trying NVENC", "trying Quick Sync"])
    assert english == "Quick Sync: tested with real frames, 7.5 times as fast as needed"
    assert indonesian == "Quick Sync: dicoba dengan gambar sungguhan, 7.5 kali secepat yang diperlukan"


def test_auto_is_content_with_x264_where_there_is_no_hardware(probed: dict[EncoderKind, Tried]) -> None:
    code, told, _, english = look("auto")
    assert (code, len(told)) == ("none", len(HARDWARE))
    assert english.startswith("x264: NVENC: there is no such device (/dev/x); Quick Sync: there is")


@pytest.mark.parametrize(("wish", "tried"), [("nvenc", NONE), ("nvenc", DEAD), ("auto", DEAD)])
def test_what_should_work_and_does_not_is_a_warning_with_its_reason(
    probed: dict[EncoderKind, Tried], wish: str, tried: Tried
) -> None:
    probed[EncoderKind.NVENC] = tried
    code, _, indonesian, english = look(wish)
    assert code == "refused"
    assert hardware.CODES[code].verdict is CheckVerdict.WARNING
    assert english.startswith(
        "x264 instead: NVENC: it crashed (SIGSEGV)" if tried is DEAD else "x264 instead: NVENC: there is no such device"
    )
    assert tried.detail in indonesian


def test_what_was_found_counts_for_the_session_and_for_a_quick_check(probed: dict[EncoderKind, Tried]) -> None:
    assert look("nvenc", quick=True)[0] == "not-known"
    probed[EncoderKind.NVENC] = DEAD
    look("nvenc")
    del probed[EncoderKind.NVENC]
    code, told, _, english = look("nvenc", quick=True)
    assert (code, told) == ("refused", [])
    assert "SIGSEGV" in english
    settings = hardware.settings_of(now(ASKED))
    assert remembered(EncoderKind.NVENC, settings) == DEAD
    remember(GOOD, settings)
    assert look("qsv", quick=True)[0] == "ok"
    assert look("auto", quick=True)[0] == "ok"


def test_nothing_is_tried_beside_a_session() -> None:
    held = {"Rapat": session(SessionState.LIVE)}
    nvenc = Settings(video=VideoDefaults(encoder="nvenc"))
    (result,) = hardware.look(now(ASKED, nvenc, held=held, quick=False))
    assert result.code == "in-session"


def test_stopping_it_gives_no_answer(probed: dict[EncoderKind, Tried]) -> None:
    it = now(ASKED, Settings(video=VideoDefaults(encoder="auto")), quick=False)
    it.stop.set()
    (result,) = hardware.look(it)
    assert result.code == "cancelled"
