"""A session's encoder in hardware that fails in mid-session: x264 goes on, and no picture is missing."""

import random
import threading
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from devices.host.clock import SystemClock
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.hardware_kinds import HARDWARE, EncoderFailure, EncoderKind, EncoderVerdict
from recorder.encode.hardware_process import EncoderProcess
from recorder.encode.session_encoder import (
    EncoderPlan,
    SessionEncoder,
    choose_encoder,
    remember,
    remembered,
    verdict_of,
    verdicts,
)
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.load_shedder import CHEAP
from recorder.model.packet import EncodedPacket, Track
from tests.recorder.encode.test_x264_stream import SETTINGS, draw, number_of, times
from tests.support.fake_hardware import WELL, command
from tests.support.waiting import wait_for

PICTURES = 75


def good(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
    return EncoderVerdict(kind=kind)


class Opened:
    """An encoder in hardware as a session has it, and what is told of it."""

    def __init__(self, way: str, at: int = 0, wish: str = "nvenc") -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []
        self.pictures = SessionEncoder(EncoderPlan(wish, good, command(way, at)), clock=SystemClock(), emit=self._emit)
        self.encoder = self.pictures.open(SETTINGS, AudioSettings(1, 64_000))

    def _emit(self, kind: str, subject: str, message: str, **detail: object) -> None:
        self.events.append((kind, subject, detail))

    def encode(self, shown: Sequence[int]) -> list[EncodedPacket]:
        packets: list[EncodedPacket] = []
        for number, pts in enumerate(shown):
            packets += self.encoder.encode_video(draw(number), pts)
        return [*packets, *self.encoder.flush(Track.VIDEO)]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow computer be no reason to give an encoder up."""
    monkeypatch.setattr(EncoderProcess.__init__, "__kwdefaults__", {
        **(EncoderProcess.__init__.__kwdefaults__ or {}), "patience_s": 30.0, "open_s": 60.0,
    })  # fmt: skip


def played(encoder: Encoder, packets: Sequence[EncodedPacket]) -> list[tuple[int, int]]:
    """Return when each picture is shown, and its number, as a decoder has it that is told of each form."""
    found: list[tuple[int, int]] = []
    for form in sorted({packet.form for packet in packets}):
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = encoder.templates_of(form)[Track.VIDEO].codec_context.extradata
        for packet in packets:
            if packet.form == form:
                raw = av.Packet(packet.data)
                raw.pts, raw.dts = packet.pts, packet.dts
                found += [(picture.pts or 0, number_of(picture)) for picture in decoder.decode(raw)]
        found += [(picture.pts or 0, number_of(picture)) for picture in decoder.decode(None)]
    return sorted(found)


def check_whole(opened: Opened, shown: Sequence[int], packets: Sequence[EncodedPacket]) -> None:
    """Every picture is there, at its time; decoding goes on without a gap, whoever encodes."""
    assert played(opened.encoder, packets) == [(pts, number) for number, pts in enumerate(shown)]
    assert all(packet.dts <= packet.pts for packet in packets)
    for before, after in pairwise(packets):
        assert before.dts < after.dts
        assert before.dts + before.duration == after.dts
        assert after.form >= before.form
        assert after.is_keyframe or after.form == before.form


@pytest.mark.usefixtures("patience")
def test_one_that_works_encodes_all_of_it() -> None:
    opened, shown = Opened(WELL), times((), random.Random(3), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [round(packet.pts / 90_000, 1) for packet in packets if packet.is_keyframe] == [0.0, 2.0]
    assert (opened.events, remembered(EncoderKind.NVENC, SETTINGS), opened.encoder.is_external) == ([], None, True)
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("raise", EncoderFailure.FAILED), ("crash", EncoderFailure.CRASHED), ("exit", EncoderFailure.CRASHED),
        ("lose", EncoderFailure.WRONG_STREAM), ("noise", EncoderFailure.WRONG_STREAM),
        ("empty", EncoderFailure.WRONG_STREAM), ("huge", EncoderFailure.WRONG_STREAM),
        ("backwards", EncoderFailure.WRONG_STREAM), ("other", EncoderFailure.WRONG_STREAM),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 40, PICTURES - 1])
def test_x264_goes_on_and_no_picture_is_missing(way: str, reason: EncoderFailure, at: int) -> None:
    if (way, at) == ("backwards", 0):
        at = 1  # a first decoding time of 0 is none that goes back
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    if (way, at) not in {("lose", PICTURES - 1), ("huge", PICTURES - 1)}:  # it has not gone wrong by then
        assert [(kind, subject) for kind, subject, _ in opened.events] == [("encoder-failed", "NVENC")]
        assert opened.events[0][2]["reason"] == reason.value
        wait_for(lambda: (known := remembered(EncoderKind.NVENC, SETTINGS)) is not None and known.reason is reason)
        assert {packet.form for packet in packets} <= {0, 1}
        assert packets[-1].form == 1
        assert not opened.encoder.is_external
    check_whole(opened, shown, packets)
    opened.encoder.close()


@pytest.mark.parametrize("way", ["hang", "swallow"])
@pytest.mark.parametrize("at", [0, 30])
def test_one_that_gives_nothing_is_given_up(way: str, at: int) -> None:
    """With the session's own patience: whatever it has swallowed by then is encoded again."""
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    ((_, _, detail),) = opened.events
    assert detail["reason"] == EncoderFailure.SILENT.value
    again = detail["encoded_again"]
    assert isinstance(again, int)
    assert again > 13  # what may wait anyway
    assert (detail["encoder"], detail["goes_on"]) == ("nvenc", "x264")
    line = opened.pictures.line()
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")
    assert line.reason is not None
    assert line.reason.startswith("NVENC: it gives no output (nothing for ")
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("way", ["refuse", "crash-open"])
def test_one_that_cannot_be_opened_is_none(way: str) -> None:
    opened, shown = Opened(way), times((), random.Random(1), 20)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [kind for kind, _, _ in opened.events] == ["encoder-failed"]
    assert opened.pictures.facts()["encoder"] == "x264"
    assert opened.encoder.is_external is False
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
def test_a_step_down_is_taken_by_the_x264_that_comes_later() -> None:
    """Hardware is not relieved by looking for less; x264 begins with that, and goes back in the same stream."""
    opened, shown = Opened("crash", 40), times((), random.Random(2), 100)
    packets: list[EncodedPacket] = []
    for number, pts in enumerate(shown):
        if number == 20:
            opened.encoder.change_video(replace(SETTINGS, more_params=CHEAP))
        if number == 60:  # it is noticed with the next picture
            wait_for(lambda: "hardware-encoder" not in [thread.name for thread in threading.enumerate()])
        if number == 80:
            assert not opened.encoder.is_external
            opened.encoder.change_video(SETTINGS)
        packets += opened.encoder.encode_video(draw(number), pts)
    packets += opened.encoder.flush(Track.VIDEO)
    check_whole(opened, shown, packets)
    sizes = {packet.pts for packet in packets if packet.is_keyframe and packet.form == 1}
    assert shown[80] in sizes
    opened.encoder.close()


def test_its_process_ends_with_it() -> None:
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command(WELL), open_s=60.0)
    process.give(draw(0), 0, is_key=True)
    process.wait(60.0)
    assert [packet.is_keyframe for packet in process.take()] == [True]
    process.close()
    assert process.child.status == 0
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command("hang"), open_s=60.0)
    process.give(draw(0), 0, is_key=True)
    process.close()
    wait_for(lambda: process.child.status == -9)


def test_memory_is_touched_as_far_as_it_is_used() -> None:
    """A picture's place is used again as soon as it has come out."""
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command(WELL), open_s=60.0, patience_s=60.0)
    for number in range(40):
        assert process.give(draw(number), number * 3000, is_key=number == 0)
        process.wait(60.0)
        process.take()
    mapping = Path("/proc/self/smaps").read_text().rpartition("liput-pictures")[2]
    touched = next(line for line in mapping.splitlines() if line.startswith("Rss:"))
    assert int(touched.split()[1]) * 1024 < 4 * SETTINGS.picture_bytes
    process.close()


# What is chosen


def test_what_is_wished_for_is_asked_about_in_order_until_one_is_good() -> None:
    asked: list[EncoderKind] = []

    def judge(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
        asked.append(kind)
        return EncoderVerdict(
            kind=kind, reason=None if kind is EncoderKind.VAAPI else EncoderFailure.NO_DEVICE, detail="/dev/x"
        )

    choice = choose_encoder("auto", SETTINGS, judge)
    assert (choice.kind, choice.why, asked) == (EncoderKind.VAAPI, "tried", list(HARDWARE[:3]))
    assert choice.reason == ("NVENC: there is no such device (/dev/x); Quick Sync: there is no such device (/dev/x)")
    choice = choose_encoder("qsv", SETTINGS, judge)
    assert (choice.kind, choice.why) == (EncoderKind.X264, "refused")
    asked.clear()
    choice = choose_encoder("x264", SETTINGS, judge)
    assert (choice.kind, choice.why, choice.reason, asked) == (EncoderKind.X264, "set", None, [])


def test_a_comparison_with_other_encoders_defaults_is_x264() -> None:
    pictures = SessionEncoder(EncoderPlan("nvenc", good), clock=SystemClock(), emit=lambda *_, **__: None)
    encoder = pictures.open(replace(SETTINGS, x264_params="bframes=0"), None)
    assert not encoder.is_external
    encoder.close()


def test_what_was_found_is_remembered_until_the_pc_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[EncoderKind] = []

    def probe(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
        tries.append(kind)
        return EncoderVerdict(kind=kind, psnr_db=40.0)

    monkeypatch.setattr("recorder.encode.hardware_probe.probe", probe)
    other = VideoSettings(640, 360, Fraction(30), SETTINGS.matrix, 900_000, 900_000)
    assert remembered(EncoderKind.QSV, SETTINGS) is None
    assert (
        verdict_of(EncoderKind.QSV, SETTINGS)
        == verdict_of(EncoderKind.QSV, SETTINGS)
        == EncoderVerdict(kind=EncoderKind.QSV, psnr_db=40.0)
    )
    assert tries == [EncoderKind.QSV]
    assert remembered(EncoderKind.QSV, other) is None
    remember(EncoderVerdict(kind=EncoderKind.QSV, reason=EncoderFailure.CRASHED, detail="SIGSEGV"), SETTINGS)
    assert verdict_of(EncoderKind.QSV, SETTINGS).reason is EncoderFailure.CRASHED
    assert tries == [EncoderKind.QSV]
    remember(
        EncoderVerdict(kind=EncoderKind.QSV, reason=EncoderFailure.CANNOT_OPEN, detail="out of memory (10)"), SETTINGS
    )
    assert verdict_of(EncoderKind.QSV, SETTINGS).reason is None, "by now another program may have let go of it"
    assert tries == [EncoderKind.QSV] * 2
    monkeypatch.setattr("recorder.encode.session_encoder.boot_id", lambda: "another")
    assert remembered(EncoderKind.QSV, SETTINGS) is None
    remember(EncoderVerdict(kind=EncoderKind.QSV), SETTINGS)
    assert len(verdicts().read()) == 1
