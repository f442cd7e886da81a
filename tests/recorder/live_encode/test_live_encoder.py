"""The live side's own encode: it follows its rate, never holds up who offers, and fails alone. Real x264."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

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
MOST = 4_000_000


def settings(bit_rate: int = MOST, width: int = 640, height: int = 360) -> VideoSettings:
    recorded = VideoSettings(width, height, Fraction(RATE), ColorMatrix.BT601, bit_rate, bit_rate)
    return live_settings(recorded, bit_rate)


class Counted(Encoder):
    """Counts the pictures that it has begun with and is done with, and how many of it were opened."""

    begun = done = opened = 0

    def __init__(self, video: VideoSettings, audio: None) -> None:
        Counted.opened += 1
        super().__init__(video, audio)

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        Counted.begun += 1
        try:
            return self.encoded(picture, pts)
        finally:
            Counted.done += 1

    def encoded(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        return super().encode_video(picture, pts)


class Running:
    """A LiveEncoder that was started, and what came of it."""

    def __init__(self, asked: VideoSettings, make: type[Counted] = Counted) -> None:
        Counted.begun = Counted.done = Counted.opened = self.offered = 0
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
            encoder=make,
        )
        self.moving = Moving(asked.width, asked.height)
        self.encode.start()

    def offer(self, number: int, *, is_taken: bool = True) -> None:
        """Offer a picture; one that `is_taken` is waited for, so that none is left out."""
        self.give(self.moving.picture(number), number * STEP, is_taken=is_taken)

    def give(self, picture: av.VideoFrame, pts: int, *, is_taken: bool = True) -> None:
        if is_taken:
            wait_for(lambda: self.offered - Counted.begun < QUEUE - 1)
        late = self.encode.late
        self.encode.offer(picture, pts)
        self.offered += self.encode.late == late

    def has_done_all(self) -> bool:
        return Counted.done == self.offered


@contextmanager
def running(asked: VideoSettings | None = None, make: type[Counted] = Counted) -> Iterator[Running]:
    it = Running(asked or settings(), make)
    try:
        yield it
    finally:
        it.encode.close(10.0)
        it.encode.free()


def bits_a_second(packets: list[EncodedPacket], since_s: float, until_s: float) -> float:
    inside = [len(packet.data) * 8 for packet in packets if since_s <= packet.pts * VIDEO_TIME_BASE < until_s]
    return sum(inside) / (until_s - since_s)


def test_its_output_follows_the_rate_it_is_told() -> None:
    with running() as it:
        for number in range(20 * RATE):
            if number in {6 * RATE, 13 * RATE}:
                it.encode.bit_rate = MOST // 4 if number == 6 * RATE else MOST
            it.offer(number)
        it.encode.close(10.0)

        packets = it.packets
        assert it.encode.late == 0
        assert len(packets) == 20 * RATE
        assert 0.85 * MOST < bits_a_second(packets, 1, 6) < 1.15 * MOST
        assert bits_a_second(packets, 7, 8) < 1.35 * MOST / 4, "a second later it is down"
        assert 0.85 * MOST / 4 < bits_a_second(packets, 8, 13) < 1.15 * MOST / 4
        assert 0.8 * MOST < bits_a_second(packets, 14, 20) < 1.15 * MOST
        low = [packet for packet in packets if 7 <= packet.pts * VIDEO_TIME_BASE < 13]
        assert max(len(packet.data) * 8 for packet in low) < 0.55 * MOST / 4, "no keyframe takes longer on the link"


def test_a_keyframe_comes_every_two_seconds() -> None:
    with running(settings(200_000, 320, 180)) as it:
        for number in range(7 * RATE):
            it.offer(number)
        it.encode.close(10.0)

        keys = {packet.pts // STEP for packet in it.packets if packet.is_keyframe}
        assert {0, 60, 120, 180} <= keys


def test_what_is_offered_may_change_at_once() -> None:
    """The scene draws its next picture but one into the same frame."""
    with running(settings(2_000_000, 320, 180)) as it:
        same = it.moving.picture(0)
        for number in range(30):
            wait_for(it.has_done_all)
            for plane, source in zip(same.planes, it.moving.picture(number).planes, strict=True):
                plane.update(bytes(source))
            it.give(same, number * STEP)
        it.encode.close(10.0)

        pictures = decode(it.encode, it.packets)
        for number in (0, 10, 29):
            wanted, got = it.moving.picture(number).to_ndarray(), pictures[number].to_ndarray()
            assert abs(wanted.astype(int) - got).mean() < 12, number


def decode(encode: LiveEncoder, packets: list[EncodedPacket]) -> list[av.VideoFrame]:
    context = av.CodecContext.create("h264", "r")
    context.extradata = encode.templates[Track.VIDEO].codec_context.extradata
    frames: list[av.VideoFrame] = []
    for packet in [*packets, None]:
        wrapped = None if packet is None else av.Packet(packet.data)
        frames += context.decode(wrapped)
    return frames


class Stuck(Counted):
    """Encodes nothing until it is let go."""

    go = threading.Event()

    def encoded(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        Stuck.go.wait(30)
        return super().encoded(picture, pts)


def test_an_encoder_that_hangs_holds_up_nobody_and_is_told_of_now_and_then() -> None:
    Stuck.go.clear()
    with running(settings(200_000, 320, 180), Stuck) as it:
        for number in range(50):
            it.offer(number, is_taken=False)
        assert it.encode.late >= 50 - QUEUE - 1
        before = it.encode.late
        Stuck.go.set()
        wait_for(lambda: it.events == [("stream-encode-late", "live picture")])
        wait_for(it.has_done_all)
        for number in range(50, 60):
            it.offer(number)
        assert it.encode.late == before

        it.encode.late += 1
        wait_for(it.has_done_all)
        it.offer(61)
        wait_for(it.has_done_all)
        assert len(it.events) == 1, "not again so soon"
        it.clock.advance_to(it.clock.now_ns() + round(LATE_EVERY_S * NANOSECONDS))
        wait_for(lambda: len(it.events) == 2)


class Failing(Counted):
    """Fails at the pictures with these numbers."""

    at: frozenset[int] = frozenset()

    def encoded(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        if pts // STEP in Failing.at:
            raise EncoderError("the test broke it")
        return super().encoded(picture, pts)


def test_one_failure_is_gone_on_from_with_the_same_stream() -> None:
    Failing.at = frozenset({45})
    with running(settings(800_000, 320, 180), Failing) as it:
        it.encode.bit_rate = 400_000
        parameters = it.encode.templates[Track.VIDEO].codec_context.extradata
        for number in range(120):
            it.offer(number)
        it.encode.close(10.0)

        assert it.events == [("stream-encode-failed", "live picture")]
        assert not it.gave_up.is_set()
        after = [packet for packet in it.packets if packet.pts // STEP > 45]
        assert after[0].is_keyframe
        assert after[0].pts // STEP == 46
        assert all(earlier.dts < later.dts <= later.pts for earlier, later in pairwise(it.packets))
        assert it.encode.templates[Track.VIDEO].codec_context.extradata == parameters
        assert len(decode(it.encode, it.packets)) == len(it.packets)
        assert bits_a_second(it.packets, 2.5, 4) < 600_000, "with the rate it had"


class Noting(Counted):
    """Takes note of what it was changed to; told not to, it cannot."""

    asked: ClassVar[list[VideoSettings]] = []
    refuses = False

    def change_video(self, settings: VideoSettings) -> None:
        Noting.asked.append(settings)
        if Noting.refuses:
            raise EncoderError("the test refused it")
        super().change_video(settings)


@pytest.mark.parametrize("refuses", [False, True])
def test_a_simpler_encode_is_the_same_stream_at_the_rate_it_had(
    refuses: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    Noting.asked, Noting.refuses = [], refuses
    asked = settings(800_000, 320, 180)
    with running(asked, Noting) as it:
        for number in range(240):
            if number == 30:
                it.encode.bit_rate = 400_000
            if number == 60:
                it.encode.simplify(CHEAP, 2)
            if number < 60 or number >= 150 or number % 2 == 0:
                it.offer(number)
            if number == 149:
                it.encode.simplify("", 1)
        it.encode.close(10.0)

        cheap = replace(asked, rate=asked.rate / 2, more_params=CHEAP)
        assert Noting.asked == [cheap, asked], "each once, whether it could be or not"
        assert ("the test refused it" in capfd.readouterr().err) is refuses
        assert [packet.pts // STEP for packet in sorted(it.packets, key=lambda packet: packet.pts)] == [
            *range(60), *range(60, 150, 2), *range(150, 240),
        ]  # fmt: skip
        keys = {packet.pts // STEP for packet in it.packets if packet.is_keyframe}
        begun = [keys & set(range(at - 2 * QUEUE, at + 1)) for at in (60, 150)]  # of those that waited, or the next
        assert all(begun) or refuses
        assert all(earlier.dts < later.dts <= later.pts for earlier, later in pairwise(it.packets))
        assert len(decode(it.encode, it.packets)) == len(it.packets)
        assert bits_a_second(it.packets, 2.5, 5) < 600_000
        assert bits_a_second(it.packets, 5.5, 8) < 600_000
        assert it.events == []


def test_after_a_pause_no_picture_is_to_be_decoded_at_a_time_from_before_it() -> None:
    """The first keyframe is where a destination's time begins; with B-frames it is decoded at an earlier picture's."""
    pause = 45 * 60 * RATE
    with running(settings(800_000, 320, 180)) as it:
        it.encode.bit_rate = 400_000
        parameters = it.encode.templates[Track.VIDEO].codec_context.extradata
        for number in [*range(60), *range(pause, pause + 120)]:
            it.offer(number)
        it.encode.close(10.0)

        after = [packet for packet in it.packets if packet.pts // STEP >= pause]
        assert (after[0].is_keyframe, after[0].pts // STEP) == (True, pause)
        assert after[0].dts // STEP >= pause - 5
        assert len(after) == 120
        assert after == it.packets[-120:], "nothing of before comes after it"
        assert all(earlier.dts < later.dts <= later.pts for earlier, later in pairwise(it.packets))
        assert it.encode.templates[Track.VIDEO].codec_context.extradata == parameters
        assert len(decode(it.encode, it.packets)) == len(it.packets)
        begun_s = pause / RATE
        assert bits_a_second(it.packets, begun_s + 1, begun_s + 4) < 600_000, "with the rate it had"
        assert it.events == []


@pytest.mark.parametrize(("rate", "spacing", "opened"), [(RATE, 59, 1), (RATE, 75, 2), (1, 4, 1)])
def test_what_comes_seldom_is_no_pause(rate: int, spacing: int, opened: int) -> None:
    asked = replace(settings(800_000, 320, 180), rate=Fraction(rate))
    with running(asked) as it:
        for number in (*range(10), 9 + spacing):
            it.give(it.moving.picture(number), number * round(1 / rate / VIDEO_TIME_BASE))
        it.encode.close(10.0)
    assert Counted.opened == opened


def test_two_failures_are_the_end_of_it_and_cost_nobody_else_anything() -> None:
    Failing.at = frozenset({20, 30})
    with running(settings(200_000, 320, 180), Failing) as it:
        for number in range(31):
            it.offer(number)
        assert it.gave_up.wait(60)
        assert it.events == [("stream-encode-failed", "live picture")] * 2
        for number in range(40, 60):
            it.encode.offer(it.moving.picture(number), number * STEP)
        assert it.encode.late == 0, "nobody expects them any more"


def test_a_minute_later_it_is_opened_again_once_more() -> None:
    Failing.at = frozenset({20, 30})
    with running(settings(200_000, 320, 180), Failing) as it:
        for number in range(30):
            it.offer(number)
        wait_for(lambda: len(it.events) == 1)
        it.clock.advance_to(it.clock.now_ns() + 61 * NANOSECONDS)
        for number in range(30, 60):
            it.offer(number)
        it.encode.close(10.0)

        assert not it.gave_up.is_set()
        assert max(packet.pts for packet in it.packets) // STEP == 59


def test_what_cannot_be_opened_says_why() -> None:
    with pytest.raises(EncoderError, match="live encoder could not be opened"):
        Running(live_settings(VideoSettings(640, 360, Fraction(30), ColorMatrix.BT601, 1, 1, preset="no such"), 1000))


def test_a_picture_of_another_size_troubles_nobody() -> None:
    with running(settings(200_000, 320, 180)) as it:
        it.encode.offer(Moving(640, 360).picture(0), 0)
        it.offer(1)
        it.encode.close(10.0)

        assert [packet.pts // STEP for packet in it.packets] == [1]
        assert it.encode.late == 1


def test_it_is_nicer_than_the_recording() -> None:
    """Its own thread and x264's, which have its niceness from it; nobody else's."""

    def niceness() -> dict[str, int]:
        return {
            task.name: int((task / "stat").read_text().rpartition(")")[2].split()[16])
            for task in Path("/proc/self/task").iterdir()
        }

    before = niceness()
    with running():
        encodes = [str(one.native_id) for one in threading.enumerate() if one.name == "stream-encode"]
        new = {name: nice for name, nice in niceness().items() if name not in before}
        assert set(encodes) <= set(new)
        assert len(new) >= 2, "x264 has threads of its own"
        assert set(new.values()) == {min(19, os.getpriority(os.PRIO_PROCESS, 0) + NICE)}
        assert all(nice == before[name] for name, nice in niceness().items() if name in before)
