"""Trying an encoder in hardware: x264 in its place passes, and each way in which drivers go wrong is told apart."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from capture.source import Matrix
from recorder.encode import hardware_probe as probing
from recorder.encode.hardware_kinds import HARDWARE, MODELS, SENTENCES, WORKER, Kind, Reason, missing_node, reason_of
from recorder.encode.hardware_probe import probe, tried
from recorder.encode.x264 import VideoSettings
from tests.support.fake_hardware import command

SETTINGS = VideoSettings(320, 180, Fraction(30), Matrix.BT601, 600_000, 600_000)
LIMITS = {"open_s": 60.0, "patience_s": 60.0, "altogether_s": 90.0, "realtime": 60.0}
"""A shared computer may be slow at any moment."""
SHORT = LIMITS | {"open_s": 3.0, "patience_s": 1.0}


@pytest.mark.parametrize(
    ("size", "rate", "bit_rate"),
    [((320, 180), 30, 600_000), ((854, 480), 15, 800_000), ((640, 360), 5, 500_000), ((320, 180), 1, 100_000)],
)
def test_x264_in_its_place_is_good(size: tuple[int, int], rate: int, bit_rate: int) -> None:
    settings = VideoSettings(*size, Fraction(rate), Matrix.BT601, bit_rate, bit_rate)
    verdict = tried(Kind.X264, settings, command=WORKER, **LIMITS)
    assert (verdict.reason, verdict.detail) == (None, "")
    assert verdict.psnr_db is not None
    assert verdict.psnr_db > 35
    assert verdict.bit_rate is not None
    assert verdict.bit_rate < 2 * bit_rate


@pytest.mark.parametrize(
    ("way", "at", "reason", "detail"),
    [
        ("refuse", 0, Reason.CANNOT_OPEN, "out of memory"),
        ("crash-open", 0, Reason.CRASHED, "SIGSEGV"),
        ("hang-open", 0, Reason.SILENT, "not open after"),
        ("raise", 20, Reason.FAILED, "fallen off the bus"),
        ("crash", 20, Reason.CRASHED, "SIGSEGV"),
        ("exit", 20, Reason.CRASHED, "exit status 3"),
        ("hang", 20, Reason.SILENT, "nothing for"),
        ("swallow", 20, Reason.SILENT, "nothing for"),
        ("swallow", 0, Reason.HOLDS_BACK, "more than"),
        ("lose", 20, Reason.WRONG_STREAM, "missing"),
        ("noise", 20, Reason.WRONG_STREAM, "picture"),
        ("empty", 20, Reason.WRONG_STREAM, "0 bytes"),
        ("huge", 2, Reason.WRONG_STREAM, "more bits"),
        ("backwards", 20, Reason.WRONG_STREAM, "times"),
        ("deaf", 1, Reason.WRONG_STREAM, "no keyframe"),
        ("other", 20, Reason.WRONG_STREAM, "parameter sets"),
        ("green", 5, Reason.WRONG_PICTURES, "dB"),
        ("swap", 0, Reason.WRONG_PICTURES, "dB"),
        ("damage", 5, Reason.WRONG_PICTURES, "dB"),
    ],
)
def test_each_way_of_going_wrong_is_told(way: str, at: int, reason: Reason, detail: str) -> None:
    limits = SHORT if reason in {Reason.SILENT, Reason.HOLDS_BACK} else LIMITS
    verdict = tried(Kind.NVENC, SETTINGS, command=command(way, at), **limits)
    assert (verdict.kind, verdict.reason) == (Kind.NVENC, reason)
    assert detail in verdict.detail


def test_one_that_is_slower_than_pictures_come_is_refused() -> None:
    verdict = tried(Kind.X264, SETTINGS, command=WORKER, **LIMITS | {"realtime": 0.0})
    assert verdict.reason is Reason.TOO_SLOW


def test_it_is_over_in_time_whatever_the_encoder_does() -> None:
    limits = LIMITS | {"altogether_s": 2.0}
    verdict = tried(Kind.NVENC, SETTINGS, command=command("hang", 20), **limits)
    assert (verdict.reason, verdict.detail) == (Reason.SILENT, "not done after 2 s")


def test_without_a_device_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "missing_node", lambda kind: "/dev/nvidia0" if kind is Kind.NVENC else None)
    verdict = probe(Kind.NVENC, SETTINGS, command=["/nowhere"])
    assert (verdict.reason, verdict.detail) == (Reason.NO_DEVICE, "/dev/nvidia0")
    verdict = probe(Kind.X264, SETTINGS, command=["/nowhere"])
    assert verdict.reason is Reason.CANNOT_OPEN


@pytest.mark.parametrize("kind", HARDWARE)
def test_the_builds_own_encoders_say_why_they_cannot_be_opened_here(kind: Kind) -> None:
    """Where there is no such hardware; where there is, they are good or have another reason."""
    verdict = tried(kind, SETTINGS, command=WORKER, **LIMITS)
    if missing_node(kind) is not None:
        assert verdict.reason in {Reason.NO_DRIVER, Reason.NO_DEVICE, Reason.NOT_IN_BUILD, Reason.CANNOT_OPEN}
        assert verdict.detail


@pytest.mark.parametrize("kind", [kind for kind in Kind if MODELS[kind].codec in av.codecs_available])
def test_the_build_knows_every_option(kind: Kind) -> None:
    context = av.CodecContext.create(MODELS[kind].codec, "w")
    known = {option.name for option in context.supported_options.private}
    assert MODELS[kind].options.keys() <= known


def test_a_device_is_looked_for_below_the_root(tmp_path: Path) -> None:
    assert missing_node(Kind.QSV, tmp_path) == "/dev/dri/renderD*"
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert missing_node(Kind.QSV, tmp_path) is None
    assert missing_node(Kind.NVENC, tmp_path) == "/dev/nvidia[0-9]*"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("Cannot load libcuda.so.1", Reason.NO_DRIVER),
        ("Cannot load libnvidia-encode.so.1", Reason.NO_DRIVER),
        ("No capable devices found", Reason.NO_DEVICE),
        ("Error creating a MFX session: -9.", Reason.NO_DRIVER),
        ("Could not find a valid device; can't configure encoder", Reason.NO_DEVICE),
        ("OpenEncodeSessionEx failed: out of memory (10)", Reason.CANNOT_OPEN),
        ("", Reason.CANNOT_OPEN),
    ],
)
def test_what_encoders_say_is_understood(log: str, reason: Reason) -> None:
    assert reason_of(log) is reason


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(Reason)
