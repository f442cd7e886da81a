"""The live side: how links become a bit rate, and what is said of it. Destinations that a test makes up."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any, cast

import av
import pytest
from av.stream import Stream

from capture.source import ColorMatrix
from config.errors import EncoderError
from config.settings.schema import BUILT_IN_PROFILES
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import NANOSECONDS
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import VideoSettings
from recorder.live.destinations import Destinations
from recorder.live.kind import LinkReport
from recorder.live_encode import live_encode_control, live_encoder
from recorder.live_encode.headroom import Headroom, HeadroomQuery, StreamPlan
from recorder.live_encode.live_encode_control import LiveEncodeControl
from recorder.live_encode.live_encoder import LiveEncoder
from recorder.model.packet import TrackId
from recorder.model.status import DestinationLine
from tests.support.simulated import BEGINNING, EventList, SimulatedClock
from tests.support.streams import Events
from tests.support.waiting import wait_for

EVERY_S = 0.25
LEAST, MOST = 500_000, 4_000_000
RECORDED = VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, MOST, MOST)
QUESTION = HeadroomQuery(BUILT_IN_PROFILES["720p30"], MOST)


@dataclass
class Server:
    """Stands for a LiveDestination: says what the test sets."""

    name: str = "kampus"
    state: str = "live"
    backlog_s: float = 0.3
    dropped: int = 0
    link: LinkReport | None = field(default_factory=lambda: LinkReport(0.0, 40.0, 20_000, 4_100_000.0))

    def status(self) -> DestinationLine:
        return DestinationLine(
            name=self.name, state=self.state, since=BEGINNING, backlog_s=self.backlog_s, dropped=self.dropped
        )


class Encode:
    """Stands for a LiveEncoder; the test calls what its thread would."""

    templates: Mapping[TrackId, Stream] = {}
    late = 0

    def __init__(self, settings: VideoSettings, *, on_turn: Callable[[], None], **_: object) -> None:
        self.bit_rate = settings.bit_rate
        self.on_turn = on_turn
        self.simplified: list[tuple[str, int]] = []
        self.offered: list[int] = []

    def start(self) -> None:
        pass

    def offer(self, _picture: av.VideoFrame, pts: int) -> None:
        self.offered.append(pts)

    def simplify(self, more_params: str, spacing: int) -> None:
        self.simplified.append((more_params, spacing))


@pytest.fixture
def encodes(monkeypatch: pytest.MonkeyPatch) -> list[Encode]:
    """Put Encode in the place of LiveEncoder; return those that are made."""
    made: list[Encode] = []

    def make(settings: VideoSettings, **how: Any) -> Encode:
        made.append(Encode(settings, **how))
        return made[-1]

    monkeypatch.setattr(live_encode_control, "LiveEncoder", make)
    return made


class Place:
    """A live side with one server; its encode's thread never runs, the test does what that does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, encodes: list[Encode]) -> None:
        self.clock = SimulatedClock()
        self.events = Events()
        self.server = Server()
        destinations = Destinations([], clock=self.clock, emit=EventList())
        monkeypatch.setattr(Destinations, "names", ("kampus",))
        monkeypatch.setattr(Destinations, "streaming", (self.server,))
        plan = StreamPlan("separate", LEAST, QUESTION)
        self.side = LiveEncodeControl(plan, destinations, clock=self.clock, emit=self.events)
        connected: list[object] = []
        self.side.open(RECORDED, connect=connected.append, share=lambda: None)
        wait_for(lambda: connected)
        self.encode = encodes[0]

    def pass_s(
        self, seconds: float, *, delivered_bps: float | None = None, behind: float = 0.0, unsent_bytes: int = 20_000
    ) -> int:
        """Let so much time pass, the backlog growing by `behind` a second; return the rate."""
        for _ in range(round(seconds / EVERY_S)):
            self.clock.advance_to(self.clock.now_ns() + round(EVERY_S * NANOSECONDS))
            self.server.backlog_s = max(0.3, self.server.backlog_s + behind * EVERY_S)
            if delivered_bps is not None:
                self.server.link = LinkReport(0.0, 40.0, unsent_bytes, delivered_bps)
            self.encode.on_turn()
        line = self.side.line()
        assert line
        return line.bitrate

    @property
    def told(self) -> list[tuple[object, object, object]]:
        return [
            (event["before"], event["bitrate"], event["slowest"]) for event in self.events.of("stream-rate-changed")
        ]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch, encodes: list[Encode]) -> Place:
    place = Place(monkeypatch, encodes)
    place.pass_s(5, delivered_bps=4_100_000.0)
    assert place.told == []
    return place


def test_a_link_that_carries_less_is_followed_and_told_of_once(place: Place) -> None:
    rate = place.pass_s(3, delivered_bps=1_500_000.0, behind=0.6, unsent_bytes=90_000)
    assert LEAST <= rate < 1_500_000
    assert place.encode.bit_rate == rate, "the encoder is told"
    assert len(place.told) in {1, 2}
    before, told, slowest = place.told[0]
    assert before == MOST
    assert cast("int", told) < MOST
    assert slowest == "kampus"


def test_it_is_told_of_again_when_it_has_gone_up_but_not_at_every_step(place: Place) -> None:
    place.pass_s(3, delivered_bps=1_500_000.0, behind=0.6, unsent_bytes=90_000)
    down = len(place.told)
    place.server.backlog_s = 0.3
    # Whatever it is given now gets through.
    assert place.pass_s(60, delivered_bps=4_200_000.0) == MOST
    assert place.told[-1][1] == MOST
    assert len(place.told) - down <= 6


def test_a_child_that_says_nothing_more_is_no_measure_of_its_link(place: Place) -> None:
    """It is held up: what it said last is not what is delivered now."""
    assert place.pass_s(6, behind=1.0) > 0.8 * MOST, "a step at most, before it is known that nothing comes"


def test_what_waits_in_this_pc_while_the_way_is_empty_is_no_matter_of_the_link(place: Place) -> None:
    place.server.dropped = 30
    assert place.pass_s(3, delivered_bps=1_500_000.0, behind=0.6) == MOST
    assert place.told == []


def test_a_folder_that_tells_nothing_of_its_way_is_not_blamed_where_this_pc_stood_still(
    monkeypatch: pytest.MonkeyPatch, encodes: list[Encode]
) -> None:
    place = Place(monkeypatch, encodes)
    place.server.link = LinkReport(0.0)
    place.pass_s(5)
    for _ in range(4):
        place.clock.advance_to(place.clock.now_ns() + round(0.6 * NANOSECONDS))
        place.server.backlog_s = 0.9
        place.server.link = LinkReport(0.0)
        place.encode.on_turn()
        place.server.backlog_s = 0.3
        place.pass_s(2)
    assert place.told == []
    assert place.pass_s(3, behind=0.6) < MOST, "which is not all that a folder may be slow for"


def test_what_is_not_live_says_nothing_and_nobody_is_named_who_was_removed(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.server.state, place.server.link = "waiting", None
    assert place.pass_s(10, behind=1.0) == MOST
    monkeypatch.setattr(Destinations, "streaming", ())
    assert place.pass_s(2) == MOST
    assert place.told == []


def test_pictures_are_encoded_from_the_recording_on_while_anybody_streams(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = av.VideoFrame(320, 180, "yuv420p")
    wanted = [place.side.offer(picture, 1)]
    place.side.begin(lambda packet: packet)
    wanted.append(place.side.offer(picture, 2))
    monkeypatch.setattr(Destinations, "streaming", ())
    wanted.append(place.side.offer(picture, 3))
    assert (wanted, place.encode.offered) == ([False, True, False], [2])


class Alone:
    """A live side without links: what it says, and the streams of its own for which it has had servers connected."""

    def __init__(self, encode: str = "separate") -> None:
        self.events = Events()
        self.connected: list[Mapping[TrackId, Stream]] = []
        clock = SimulatedClock()
        targets = [StreamTarget("kampus", Secret("rtmp://127.0.0.1:9/live/key"))]
        destinations = Destinations(targets, clock=clock, emit=EventList())
        plan = StreamPlan(encode, LEAST, QUESTION)
        self.side = LiveEncodeControl(plan, destinations, clock=clock, emit=self.events)

    def open(self) -> None:
        self.side.open(RECORDED, connect=self.connected.append, share=lambda: None)


def test_an_encode_that_is_opened_after_a_step_begins_with_it_and_follows_the_next(encodes: list[Encode]) -> None:
    alone = Alone()
    alone.side.simplify("subme=1", 2)
    alone.open()
    wait_for(lambda: alone.connected)
    alone.side.simplify("", 1)
    assert encodes[0].simplified == [("subme=1", 2), ("", 1)]


def test_an_encoder_that_takes_long_to_open_delays_the_destinations_only(monkeypatch: pytest.MonkeyPatch) -> None:
    opens, made = threading.Event(), list[Encoder]()

    class Slow(Encoder):
        def __init__(self, video: VideoSettings, audio: None) -> None:
            opens.wait(120)
            super().__init__(video, audio)
            made.append(self)

    monkeypatch.setattr(live_encoder, "OPEN_S", 120.0)
    monkeypatch.setattr(live_encode_control, "LiveEncoder", partial(LiveEncoder, encoder=Slow))
    alone = Alone()
    alone.open()  # which returns at once: the recording goes on
    assert (alone.connected, alone.side.facts()["stream_encode"]) == ([], "separate")
    opens.set()
    (own,) = wait_for(lambda: alone.connected)
    assert own == made[0].templates
    alone.side.end()
    alone.side.free()


def test_nobody_is_told_of_it_before_the_recording_and_without_destinations(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = Alone("shared")
    assert (alone.side.facts(), alone.side.line()) == ({}, None)
    alone.open()
    assert alone.side.facts() == {"stream_encode": "shared", "stream_why": "set"}
    assert alone.connected == [{}], "they get what is recorded"
    line = alone.side.line()
    assert line
    assert (line.encode, line.why, line.bitrate, line.least) == ("shared", "set", MOST, None)
    monkeypatch.setattr(Destinations, "names", ())
    assert alone.side.line() is None


def test_where_none_can_be_opened_what_is_recorded_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_encoder: LiveEncoder) -> None:
        raise EncoderError("the test broke it")

    monkeypatch.setattr(LiveEncoder, "start", break_down)
    alone = Alone()
    alone.open()
    wait_for(lambda: alone.connected)
    alone.side.free()
    assert alone.side.facts() == {"stream_encode": "shared", "stream_why": "failed"}
    assert alone.connected == [{}]
    assert alone.events.of("stream-encode-failed") == [{"goes_on": "shared"}]


class Measurement:
    """A measurement that never ends by itself; `found` is what it has found so far."""

    def __init__(self, found: Headroom | None) -> None:
        self.found = found
        self.is_stopped = False

    def look_up(self, _asked: HeadroomQuery, *, measures: bool) -> "Measurement":
        return self

    def stop(self) -> None:
        self.is_stopped = True


@pytest.mark.parametrize(
    ("found", "encode", "why"),
    [
        (None, "shared", "not-measured"),
        (Headroom(one_encode=1.0, two_encodes=1.9, cores=2), "shared", "no-headroom"),
        (Headroom(one_encode=0.4, two_encodes=0.7, cores=2), "separate", "headroom"),
    ],
)
@pytest.mark.usefixtures("encodes")
def test_a_start_ends_the_measurement_and_uses_what_it_has_found(
    monkeypatch: pytest.MonkeyPatch, found: Headroom | None, encode: str, why: str
) -> None:
    measurement = Measurement(found)
    monkeypatch.setattr(live_encode_control, "HeadroomMeasurement", lambda: measurement)
    alone = Alone("auto")
    alone.side.look_up(measures=True)
    alone.open()
    assert measurement.is_stopped, "the recording gets the whole PC"
    assert alone.side.facts() == {"stream_encode": encode, "stream_why": why}
    assert wait_for(lambda: alone.connected) == [{}]
