"""Trying an encoder in hardware: x264 in its place passes, and each way in which drivers go wrong is told apart."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from capture.source import ColorMatrix
from recorder.encode import hardware_probe as probing
from recorder.encode.hardware_kinds import (
    HARDWARE,
    MODELS,
    SENTENCES,
    WORKER,
    EncoderFailure,
    EncoderKind,
    failure_of_log,
    missing_node,
)
from recorder.encode.hardware_probe import probe, try_encoder
from recorder.encode.x264 import VideoSettings
from tests.support.fake_hardware import command

SETTINGS = VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, 600_000, 600_000)
LIMITS = {"open_s": 60.0, "patience_s": 60.0, "altogether_s": 90.0, "realtime": 60.0}
"""A shared computer may be slow at any moment."""
SHORT = LIMITS | {"open_s": 3.0, "patience_s": 1.0}


@pytest.mark.parametrize(
    ("size", "rate", "bit_rate"),
    [((320, 180), 30, 600_000), ((854, 480), 15, 800_000), ((640, 360), 5, 500_000), ((320, 180), 1, 100_000)],
)
def test_x264_in_its_place_is_good(size: tuple[int, int], rate: int, bit_rate: int) -> None:
    settings = VideoSettings(*size, Fraction(rate), ColorMatrix.BT601, bit_rate, bit_rate)
    verdict = try_encoder(EncoderKind.X264, settings, command=WORKER, **LIMITS)
    assert (verdict.reason, verdict.detail) == (None, "")
    assert verdict.psnr_db is not None
    assert verdict.psnr_db > 35
    assert verdict.bit_rate is not None
    assert verdict.bit_rate < 2 * bit_rate


@pytest.mark.parametrize(
    ("way", "at", "reason", "detail"),
    [
        ("refuse", 0, EncoderFailure.CANNOT_OPEN, "out of memory"),
        ("crash-open", 0, EncoderFailure.CRASHED, "SIGSEGV"),
        ("hang-open", 0, EncoderFailure.SILENT, "not open after"),
        ("raise", 20, EncoderFailure.FAILED, "fallen off the bus"),
        ("crash", 20, EncoderFailure.CRASHED, "SIGSEGV"),
        ("exit", 20, EncoderFailure.CRASHED, "exit status 3"),
        ("hang", 20, EncoderFailure.SILENT, "nothing for"),
        ("swallow", 20, EncoderFailure.SILENT, "nothing for"),
        ("swallow", 0, EncoderFailure.HOLDS_BACK, "more than"),
        ("lose", 20, EncoderFailure.WRONG_STREAM, "missing"),
        ("noise", 20, EncoderFailure.WRONG_STREAM, "picture"),
        ("empty", 20, EncoderFailure.WRONG_STREAM, "0 bytes"),
        ("huge", 2, EncoderFailure.WRONG_STREAM, "more bits"),
        ("backwards", 20, EncoderFailure.WRONG_STREAM, "times"),
        ("deaf", 1, EncoderFailure.WRONG_STREAM, "no keyframe"),
        ("other", 20, EncoderFailure.WRONG_STREAM, "parameter sets"),
        ("green", 5, EncoderFailure.WRONG_PICTURES, "dB"),
        ("swap", 0, EncoderFailure.WRONG_PICTURES, "dB"),
        ("damage", 5, EncoderFailure.WRONG_PICTURES, "dB"),
    ],
)
def test_each_way_of_going_wrong_is_told(way: str, at: int, reason: EncoderFailure, detail: str) -> None:
    limits = SHORT if reason in {EncoderFailure.SILENT, EncoderFailure.HOLDS_BACK} else LIMITS
    verdict = try_encoder(EncoderKind.NVENC, SETTINGS, command=command(way, at), **limits)
    assert (verdict.kind, verdict.reason) == (EncoderKind.NVENC, reason)
    assert detail in verdict.detail


def test_one_that_is_slower_than_pictures_come_is_refused() -> None:
    verdict = try_encoder(EncoderKind.X264, SETTINGS, command=WORKER, **LIMITS | {"realtime": 0.0})
    assert verdict.reason is EncoderFailure.TOO_SLOW


def test_it_is_over_in_time_whatever_the_encoder_does() -> None:
    limits = LIMITS | {"altogether_s": 2.0}
    verdict = try_encoder(EncoderKind.NVENC, SETTINGS, command=command("hang", 20), **limits)
    assert (verdict.reason, verdict.detail) == (EncoderFailure.SILENT, "not done after 2 s")


def test_without_a_device_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "missing_node", lambda kind: "/dev/nvidia0" if kind is EncoderKind.NVENC else None)
    verdict = probe(EncoderKind.NVENC, SETTINGS, command=["/nowhere"])
    assert (verdict.reason, verdict.detail) == (EncoderFailure.NO_DEVICE, "/dev/nvidia0")
    verdict = probe(EncoderKind.X264, SETTINGS, command=["/nowhere"])
    assert verdict.reason is EncoderFailure.CANNOT_OPEN


@pytest.mark.parametrize("kind", HARDWARE)
def test_the_builds_own_encoders_say_why_they_cannot_be_opened_here(kind: EncoderKind) -> None:
    """Where there is no such hardware; where there is, they are good or have another reason."""
    verdict = try_encoder(kind, SETTINGS, command=WORKER, **LIMITS)
    if missing_node(kind) is not None:
        assert verdict.reason in {
            EncoderFailure.NO_DRIVER,
            EncoderFailure.NO_DEVICE,
            EncoderFailure.NOT_IN_BUILD,
            EncoderFailure.CANNOT_OPEN,
        }
        assert verdict.detail


@pytest.mark.parametrize("kind", [kind for kind in EncoderKind if MODELS[kind].codec in av.codecs_available])
def test_the_build_knows_every_option(kind: EncoderKind) -> None:
    context = av.CodecContext.create(MODELS[kind].codec, "w")
    known = {option.name for option in context.supported_options.private}
    assert MODELS[kind].options.keys() <= known


def test_a_device_is_looked_for_below_the_root(tmp_path: Path) -> None:
    assert missing_node(EncoderKind.QSV, tmp_path) == "/dev/dri/renderD*"
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert missing_node(EncoderKind.QSV, tmp_path) is None
    assert missing_node(EncoderKind.NVENC, tmp_path) == "/dev/nvidia[0-9]*"


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        ("Cannot load libcuda.so.1", EncoderFailure.NO_DRIVER),
        ("Cannot load libnvidia-encode.so.1", EncoderFailure.NO_DRIVER),
        ("No capable devices found", EncoderFailure.NO_DEVICE),
        ("Error creating a MFX session: -9.", EncoderFailure.NO_DRIVER),
        ("Could not find a valid device; can't configure encoder", EncoderFailure.NO_DEVICE),
        ("OpenEncodeSessionEx failed: out of memory (10)", EncoderFailure.CANNOT_OPEN),
        ("", EncoderFailure.CANNOT_OPEN),
    ],
)
def test_what_encoders_say_is_understood(log: str, reason: EncoderFailure) -> None:
    assert failure_of_log(log) is reason


def test_every_reason_has_its_sentence() -> None:
    assert set(SENTENCES) == set(EncoderFailure)
