"""The live side's own encode: it follows its rate, never holds up who offers, and fails alone. Real x264."""

import contextlib
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Self

import av
import pytest

from capture.source import ColorMatrix
from config.errors import EncoderError
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings
from recorder.features.load_shedding.load_shedder import CHEAP
from recorder.live_encode.live_encoder import LATE_EVERY_S, NICE, QUEUE, LiveEncoder, live_settings
from recorder.model.packet import EncodedPacket, Track
from tests.support.patterns import Moving
from tests.support.simulated import EventList, SimulatedClock
from tests.support.waiting import wait_for

RATE = 30
STEP = round(1 / RATE / VIDEO_TIME_BASE)


def settings(bit_rate: int = 200_000) -> VideoSettings:
    return live_settings(VideoSettings(320, 180, Fraction(RATE), ColorMatrix.BT601, bit_rate, bit_rate), bit_rate)


class Counted(Encoder):
    """Counts the pictures that it has begun with and is done with, and how many of it were opened."""

    begun = done = opened = 0
    fails_at: frozenset[int] = frozenset()
    """The numbers of the pictures at which it fails."""
    changes: ClassVar[list[VideoSettings]] = []
    go = threading.Event()

    def __init__(self, video: VideoSettings, audio: None) -> None:
        Counted.opened += 1
        super().__init__(video, audio)

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        Counted.begun += 1
        try:
            Counted.go.wait(30)
            if pts // STEP in Counted.fails_at:
                raise EncoderError("the test broke it")
            return super().encode_video(picture, pts)
        finally:
            Counted.done += 1

    def change_video(self, settings: VideoSettings) -> None:
        Counted.changes.append(settings)
        super().change_video(settings)


class Running:
    """A LiveEncoder that was started, and what came of it."""

    def __init__(self, asked: VideoSettings | None = None, fails_at: Iterable[int] = ()) -> None:
        asked = asked or settings()
        Counted.begun = Counted.done = Counted.opened = self.offered = 0
        Counted.fails_at, Counted.changes = frozenset(fails_at), []
        Counted.go.set()
        self.clock = SimulatedClock()
        self.events = EventList()
        self.packets: list[EncodedPacket] = []
        self.gave_up = threading.Event()
        self.encode = LiveEncoder(
            asked,
            put=self.packets.append,
            clock=self.clock,
            emit=self.events,
            on_failure=self.gave_up.set,
            encoder=Counted,
        )
        self.moving = Moving(asked.width, asked.height)
        self.encode.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.encode.close(10.0)
        self.encode.free()

    def offer(self, *numbers: int) -> None:
        """Offer pictures, each once the ones before are taken, so that none is left out."""
        for number in numbers:
            self.give(self.moving.picture(number), number * STEP)

    def give(self, picture: av.VideoFrame, pts: int) -> None:
        wait_for(lambda: self.offered - Counted.begun < QUEUE - 1)
        late = self.encode.late
        self.encode.offer(picture, pts)
        self.offered += self.encode.late == late

    def has_done_all(self) -> bool:
        return Counted.done == self.offered

    def check_stream(self) -> None:
        """Close it, and fail unless its packets are one stream in which each picture can be decoded."""
        self.encode.close(10.0)
        assert all(earlier.dts < later.dts <= later.pts for earlier, later in pairwise(self.packets))
        assert len(decode(self)) == len(self.packets)

    def bits_a_second(self, since_s: float, until_s: float) -> float:
        inside = [len(one.data) * 8 for one in self.packets if since_s <= one.pts * VIDEO_TIME_BASE < until_s]
        return sum(inside) / (until_s - since_s)


def decode(it: Running) -> list[av.VideoFrame]:
    context = av.CodecContext.create("h264", "r")
    context.extradata = it.encode.templates[Track.VIDEO].codec_context.extradata
    frames: list[av.VideoFrame] = []
    for packet in [*it.packets, None]:
        frames += context.decode(None if packet is None else av.Packet(packet.data))
    return frames


def test_its_output_follows_the_rate_it_is_told_with_a_keyframe_every_two_seconds() -> None:
    most = 2_000_000
    with Running(settings(most)) as it:
        it.offer(*range(4 * RATE))
        it.encode.bit_rate = most // 4
        it.offer(*range(4 * RATE, 9 * RATE))
        it.encode.bit_rate = most
        it.offer(*range(9 * RATE, 13 * RATE))
        it.encode.close(10.0)
        assert it.encode.late == 0
        assert len(it.packets) == 13 * RATE
        assert 0.85 * most < it.bits_a_second(1, 4) < 1.15 * most
        assert it.bits_a_second(5, 6) < 1.35 * most / 4, "a second later it is down"
        assert 0.85 * most / 4 < it.bits_a_second(6, 9) < 1.15 * most / 4
        assert 0.8 * most < it.bits_a_second(10, 13) < 1.15 * most
        low = [packet for packet in it.packets if 5 <= packet.pts * VIDEO_TIME_BASE < 9]
        assert max(len(packet.data) * 8 for packet in low) < 0.55 * most / 4, "no keyframe takes longer on the link"
        keys = {packet.pts // STEP for packet in it.packets if packet.is_keyframe}
        assert set(range(0, 13 * RATE, 2 * RATE)) <= keys


def test_what_is_offered_may_change_at_once() -> None:
    """The scene draws its next picture but one into the same frame."""
    with Running(settings(2_000_000)) as it:
        same = it.moving.picture(0)
        for number in range(20):
            wait_for(it.has_done_all)
            for plane, source in zip(same.planes, it.moving.picture(number).planes, strict=True):
                plane.update(bytes(source))
            it.give(same, number * STEP)
        it.encode.close(10.0)

        pictures = decode(it)
        for number in (0, 19):
            wanted, got = it.moving.picture(number).to_ndarray(), pictures[number].to_ndarray()
            assert abs(wanted.astype(int) - got).mean() < 12, number


def test_an_encoder_that_hangs_holds_up_nobody_and_is_told_of_now_and_then() -> None:
    with Running() as it:
        Counted.go.clear()
        for number in range(50):
            it.encode.offer(it.moving.picture(number), number * STEP)
        before = it.encode.late
        assert before >= 50 - QUEUE - 1
        it.offered = 50 - before
        Counted.go.set()
        wait_for(lambda: it.events == [("stream-encode-late", "live picture")])
        wait_for(it.has_done_all)
        it.offer(*range(50, 60))
        assert it.encode.late == before

        it.encode.late += 1
        wait_for(it.has_done_all)
        it.offer(61)
        wait_for(it.has_done_all)
        assert len(it.events) == 1, "not again so soon"
        it.clock.advance_to(it.clock.now_ns() + round(LATE_EVERY_S * NANOSECONDS))
        wait_for(lambda: len(it.events) == 2)


def test_one_failure_is_gone_on_from_with_the_same_stream() -> None:
    with Running(settings(800_000), fails_at={45}) as it:
        it.encode.bit_rate = 400_000
        parameters = it.encode.templates[Track.VIDEO].codec_context.extradata
        it.offer(*range(120))
        it.check_stream()
        assert it.events == [("stream-encode-failed", "live picture")]
        assert not it.gave_up.is_set()
        after = [packet for packet in it.packets if packet.pts // STEP > 45]
        assert (after[0].is_keyframe, after[0].pts // STEP) == (True, 46)
        assert it.encode.templates[Track.VIDEO].codec_context.extradata == parameters
        assert it.bits_a_second(2.5, 4) < 600_000, "with the rate it had"


@pytest.mark.parametrize("after_a_minute", [False, True])
def test_a_second_failure_is_the_end_of_it_unless_it_comes_later_and_costs_nobody_else_anything(
    *, after_a_minute: bool
) -> None:
    with Running(fails_at={20, 30}) as it:
        it.offer(*range(30))
        wait_for(lambda: it.events == [("stream-encode-failed", "live picture")])
        if after_a_minute:
            it.clock.advance_to(it.clock.now_ns() + 61 * NANOSECONDS)
            it.offer(*range(30, 60))
            it.encode.close(10.0)
            assert not it.gave_up.is_set()
            assert max(packet.pts for packet in it.packets) // STEP == 59
        else:
            it.offer(30)
            assert it.gave_up.wait(60)
            assert it.events == [("stream-encode-failed", "live picture")] * 2
            for number in range(40, 60):
                it.encode.offer(it.moving.picture(number), number * STEP)
            assert it.encode.late == 0, "nobody expects them any more"


def test_a_simpler_encode_is_the_same_stream_at_the_rate_it_had() -> None:
    asked = settings(800_000)
    with Running(asked) as it:
        it.offer(*range(30))
        it.encode.bit_rate = 400_000
        it.offer(*range(30, 60))
        it.encode.simplify(CHEAP, 2)
        it.offer(*range(60, 150, 2))
        it.encode.simplify("", 1)
        it.offer(*range(150, 240))
        it.check_stream()

        cheap = replace(asked, rate=asked.rate / 2, more_params=CHEAP)
        assert Counted.changes == [cheap, asked], "each once"
        assert sorted(packet.pts // STEP for packet in it.packets) == [
            *range(60), *range(60, 150, 2), *range(150, 240),
        ]  # fmt: skip
        keys = {packet.pts // STEP for packet in it.packets if packet.is_keyframe}
        assert all(keys & set(range(at - 2 * QUEUE, at + 1)) for at in (60, 150)), "one of those that waited, or next"
        assert it.bits_a_second(2.5, 5) < 600_000
        assert it.bits_a_second(5.5, 8) < 600_000
        assert it.events == []


def test_after_a_pause_no_picture_is_to_be_decoded_at_a_time_from_before_it() -> None:
    """The first keyframe is where a destination's time begins; with B-frames it is decoded at an earlier picture's."""
    pause = 45 * 60 * RATE
    with Running(settings(800_000)) as it:
        it.encode.bit_rate = 400_000
        parameters = it.encode.templates[Track.VIDEO].codec_context.extradata
        it.offer(*range(60), *range(pause, pause + 120))
        it.check_stream()

        after = [packet for packet in it.packets if packet.pts // STEP >= pause]
        assert (after[0].is_keyframe, after[0].pts // STEP) == (True, pause)
        assert after[0].dts // STEP >= pause - 5
        assert after == it.packets[-120:], "nothing of before comes after it"
        assert it.encode.templates[Track.VIDEO].codec_context.extradata == parameters
        assert it.bits_a_second(pause / RATE + 1, pause / RATE + 4) < 600_000, "with the rate it had"
        assert it.events == []


@pytest.mark.parametrize(("rate", "spacing", "opened"), [(RATE, 59, 1), (RATE, 75, 2), (1, 4, 1)])
def test_what_comes_seldom_is_no_pause(rate: int, spacing: int, opened: int) -> None:
    with Running(replace(settings(), rate=Fraction(rate))) as it:
        for number in (*range(10), 9 + spacing):
            it.give(it.moving.picture(number), number * round(1 / rate / VIDEO_TIME_BASE))
        it.encode.close(10.0)
    assert Counted.opened == opened


def test_what_cannot_be_opened_says_why() -> None:
    with pytest.raises(EncoderError, match="live encoder could not be opened"):
        Running(replace(settings(), preset="no such"))


def test_it_is_nicer_than_the_recording() -> None:
    """Its own thread and x264's, which have its niceness from it; nobody else's."""

    def niceness() -> dict[str, int]:
        found = {}
        for task in Path("/proc/self/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread of an earlier test ends meanwhile
                found[task.name] = os.getpriority(os.PRIO_PROCESS, int(task.name))
        return found

    before = niceness()
    with Running():
        encodes = [str(one.native_id) for one in threading.enumerate() if one.name == "stream-encode"]
        new = {name: nice for name, nice in niceness().items() if name not in before}
        assert set(encodes) <= set(new)
        assert len(new) >= 2, "x264 has threads of its own"
        assert set(new.values()) == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)}
        assert all(nice == before[name] for name, nice in niceness().items() if name in before)
