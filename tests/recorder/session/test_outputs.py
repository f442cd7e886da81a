"""What live destinations get of a session, and how they end with its recording."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from av.stream import Stream

from config.errors import StorageError
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.recording.failover import Failover
from recorder.recording.replica_opener import StreamFormat
from recorder.session.outputs import SessionOutputs
from tests.support.encoded import SmallEncoder
from tests.support.simulated import EventList


class Heard(Destinations):
    """Destinations that keep what they are given, and after how many packets they were begun."""

    def __init__(self) -> None:
        super().__init__(clock=SystemClock(), emit=EventList())
        self.templates: Mapping[TrackId, Stream] = {}
        self.heard: list[EncodedPacket] = []
        self.begun_after: list[int] = []

    def begin(self, templates: Mapping[TrackId, Stream]) -> None:
        self.templates = templates
        self.begun_after.append(len(self.heard))

    def put(self, packet: EncodedPacket) -> None:
        self.heard.append(packet)


class Kept(Failover):
    """A recording that keeps nothing, and takes note of what it is changed to."""

    def __init__(self) -> None:
        self.changes: list[StreamFormat] = []

    def change(self, stream_format: StreamFormat) -> None:
        self.changes.append(stream_format)

    def put(self, packet: EncodedPacket) -> None:
        pass

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        pass


@pytest.fixture
def made() -> Iterator[SmallEncoder]:
    encoder = SmallEncoder()
    yield encoder
    encoder.close()


@pytest.fixture
def apart() -> Iterator[SmallEncoder]:
    """Another encoder than `made`, of another form."""
    encoder = SmallEncoder(bit_rate=100_000)
    yield encoder
    encoder.close()


def test_destinations_get_the_mix_and_not_the_sound_of_each_input(made: SmallEncoder) -> None:
    live, templates = Heard(), dict(made.templates)
    with_input = {**templates, "sound:podium": templates[Track.AUDIO]}
    outputs = SessionOutputs(Kept(), 0, lambda _: with_input, live=live)
    outputs.connect({})
    packets = made.next() + made.next()
    for packet in packets:
        outputs.put(packet)
        outputs.put(replace(packet, track="sound:podium"))
    assert live.templates == templates
    assert live.heard == packets


@pytest.mark.parametrize("has_own_picture", [False, True])
def test_destinations_are_connected_anew_where_the_picture_becomes_one_of_another_form(
    made: SmallEncoder, apart: SmallEncoder, has_own_picture: bool
) -> None:
    live, kept = Heard(), Kept()
    outputs = SessionOutputs(kept, 0, lambda form: (made, apart)[form].templates, live=live)
    own: dict[TrackId, Stream] = {Track.VIDEO: apart.templates[Track.VIDEO]} if has_own_picture else {}
    outputs.connect(own)
    assert live.templates == {**made.templates, **own}
    before = made.next() + made.next()
    given = apart.next() + apart.next()
    after = [replace(packet, form=1) if packet.track is Track.VIDEO else packet for packet in given]
    for packet in [*before, *after]:
        outputs.put(packet)
    (change,) = kept.changes
    assert (change.form, change.since) == (1, after[0].begins)
    if has_own_picture:
        assert live.templates[Track.VIDEO] is own[Track.VIDEO], "their own encode goes on"
        assert live.heard == [packet for packet in before + after if packet.track is Track.AUDIO]
        assert live.begun_after == [0]
        outputs.share()
        outputs.put(after[-1])
        assert live.heard[-1] is after[-1]
    else:
        assert live.begun_after == [0, len(before)], "once, before the first packet of that form"
        assert live.heard == [*before, *after]
    assert live.templates == apart.templates, "what is recorded is of the new form by now"


def test_destinations_are_stopped_before_the_recording_is_closed_and_freed_after_it(
    monkeypatch: pytest.MonkeyPatch, made: SmallEncoder
) -> None:
    live, kept, ends = Heard(), Kept(), list[str]()
    outputs = SessionOutputs(kept, 0, lambda _: made.templates, live=live)
    monkeypatch.setattr(live, "stop", lambda: ends.append("destinations stop"))
    monkeypatch.setattr(live, "close", lambda: ends.append("destinations freed"))
    monkeypatch.setattr(kept, "close", lambda *_: ends.append("recording closed"))
    outputs.close()
    assert ends == ["destinations stop", "recording closed", "destinations freed"]


def test_a_recording_that_cannot_be_closed_leaves_nobody_behind(made: SmallEncoder) -> None:
    """Destinations use the encoder's streams, which are freed next."""

    class Unclosed(Kept):
        def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
            raise StorageError("the disk is gone")

    before = set(threading.enumerate())
    target = StreamTarget(name="siaran", url=Secret("rtmp://127.0.0.1:9/live/key"))
    live = Destinations([target], clock=SystemClock(), emit=EventList())
    outputs = SessionOutputs(Unclosed(), 0, lambda _: made.templates, live=live)
    outputs.connect({})
    assert any(thread.name == "live-siaran" for thread in threading.enumerate())
    with pytest.raises(StorageError, match="gone"):
        outputs.close()
    assert set(threading.enumerate()) <= before
