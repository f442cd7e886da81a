"""Whether this PC can encode the profile: measured for real, and judged; and which hardware is used."""

import threading
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest

from agent.checks.check import CheckProgress, CheckVerdict
from agent.checks.kinds import encoder, hardware
from config.settings.schema import BUILT_IN_PROFILES, Settings, VideoDefaults
from recorder.encode.hardware_kinds import EncoderFailure, EncoderKind
from recorder.encode.hardware_kinds import EncoderVerdict as Tried
from recorder.encode.session_encoder import remember, remembered
from recorder.encode.x264 import VideoSettings
from recorder.live_encode.headroom import Headroom, HeadroomQuery
from recorder.live_encode.headroom import remember as remember_headroom
from recorder.session.request import SessionRequest
from tests.support.processes import children
from tests.support.shown import situation
from tests.support.situations import situation as any_situation

PROFILE = BUILT_IN_PROFILES["1080p30"]
SYNTHETIC = SessionRequest(title="", videos=("synthetic",), profile="240p15")


@pytest.fixture(autouse=True)
def _beside_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the child that measures as long as it takes beside other tests."""
    monkeypatch.setattr(encoder, "LONGEST_S", 120.0)


def taking(one: float, two: float, *, streams: tuple[str, ...] = (), encode: str = "auto") -> tuple[str, object]:
    """Return what is said of a PC of four cores of which so many are taken, and the profile that would fit."""
    settings = Settings(video=VideoDefaults(stream_encode=encode))
    now = replace(situation(), settings=settings, profile=PROFILE, streams=streams)
    result = encoder.judge(now, Headroom(one_encode=one, two_encodes=two, cores=4))
    assert "{" not in "".join((*result.reason, *result.advice))
    return result.code, result.measured["fitting_profile"]


def test_thirty_per_cent_are_to_spare_or_the_profile_that_fits_is_named() -> None:
    assert taking(2.8, 5.6) == ("ok", None)
    assert taking(2.9, 5.8) == ("tight", "1080p25")
    assert taking(3.5, 7.0) == ("tight", "720p30")
    assert taking(3.7, 7.4) == ("too-slow", "720p30")
    assert taking(9.0, 18.0) == ("too-slow", "480p15")
    assert taking(400.0, 800.0) == ("nothing-fits", None)


def test_a_second_encode_counts_where_the_session_has_one() -> None:
    assert taking(2.0, 3.9, streams=("youtube",), encode="separate")[0] == "too-slow"
    assert taking(2.0, 3.9, encode="separate")[0] == "ok", "nothing is streamed"
    assert taking(2.0, 3.9, streams=("youtube",))[0] == "ok", "auto takes one where two are too many"
    assert taking(2.0, 3.9, streams=("youtube",), encode="shared")[0] == "ok"


def test_it_is_measured_for_real_with_the_sources_of_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "LONGEST_S", 240.0)  # beside other tests it takes longer than on a free PC
    told: list[CheckProgress] = []
    now = situation(asked=SYNTHETIC)
    (result,) = encoder.measure(replace(now, on_progress=told.append))
    assert result.verdict is not CheckVerdict.UNCHECKED
    assert result.measured["real_sources"] == 1
    assert float(str(result.measured["one_encode_cores"])) > 0
    assert told
    assert all(0 <= progress.share < 1 for progress in told)
    assert children("recorder.live_encode.measure_child") == []


def test_stopped_its_process_is_gone() -> None:
    now = situation(asked=SYNTHETIC)
    began = threading.Event()

    def stops(_progress: CheckProgress) -> None:
        if children("recorder.live_encode.measure_child"):
            began.set()
            now.stop.set()

    (result,) = encoder.measure(replace(now, on_progress=stops))
    assert began.is_set()
    assert result.code == "cancelled"
    assert children("recorder.live_encode.measure_child") == []


def test_a_quick_check_goes_by_what_was_measured_before() -> None:
    now = situation(quick=True)
    (unknown,) = encoder.measure(now)
    assert (unknown.code, unknown.verdict) == ("not-known", CheckVerdict.UNCHECKED)
    asked = HeadroomQuery(now.profile, now.settings.video.stream_range(now.profile)[1])
    remember_headroom(asked, Headroom(one_encode=0.1, two_encodes=0.2, cores=2))
    (known,) = encoder.measure(now)
    assert (known.code, known.measured["spare_percent"]) == ("ok", 95.0)


def test_what_cannot_be_measured_says_so() -> None:
    now = situation(asked=SYNTHETIC)
    broken = msgspec.structs.replace(now.profile, preset="no such preset")
    (result,) = encoder.measure(replace(now, profile=broken))
    assert (result.code, result.verdict) == ("not-measured", CheckVerdict.FAILURE)


# Encoders in hardware: which one is used, why, and what was wrong with the others


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
    asked = any_situation(ASKED, Settings(video=VideoDefaults(encoder=wish)), quick=quick)
    (result,) = hardware.look(replace(asked, on_progress=told.append))
    assert "{" not in "".join((*result.reason, *result.advice))
    assert result.name == "hardware"
    assert result.verdict is hardware.CODES[result.code].verdict
    return result.code, told, *result.reason


def test_hardware_that_works_is_named_with_what_it_does_unless_x264_is_wanted(probed: dict[EncoderKind, Tried]) -> None:
    assert look("x264")[0] == "x264"
    assert look("x264", quick=True)[0] == "x264"
    probed[EncoderKind.QSV] = GOOD
    code, told, _, english = look("auto")
    assert (code, [progress.doing.english for progress in told]) == ("ok", ["trying NVENC", "trying Quick Sync"])
    assert english == "Quick Sync: tested with real frames, 7.5 times as fast as needed"


@pytest.mark.parametrize(("wish", "tried"), [("nvenc", NONE), ("auto", DEAD)])
def test_what_should_work_and_does_not_says_why(probed: dict[EncoderKind, Tried], wish: str, tried: Tried) -> None:
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
    settings = hardware.settings_of(any_situation(ASKED))
    assert remembered(EncoderKind.NVENC, settings) == DEAD
    remember(GOOD, settings)
    assert look("qsv", quick=True)[0] == "ok"
    assert look("auto", quick=True)[0] == "ok"
