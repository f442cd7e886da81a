"""What live destinations get of a session, and how they end with its recording."""

import threading
from collections.abc import Mapping, Sequence
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
    """Destinations that keep what they are given."""

    def __init__(self) -> None:
        super().__init__(clock=SystemClock(), emit=EventList())
        self.templates: Mapping[TrackId, Stream] = {}
        self.heard: list[EncodedPacket] = []

    def begin(self, templates: Mapping[TrackId, Stream]) -> None:
        self.templates = templates

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


def test_destinations_get_the_mix_and_not_the_sound_of_each_input() -> None:
    made, live = SmallEncoder(), Heard()
    templates = dict(made.templates)
    all_of_them = {**templates, "sound:podium": templates[Track.AUDIO]}
    outputs = SessionOutputs(Kept(), 0, lambda _: all_of_them, live=live)
    outputs.connect({})
    packets = made.next() + made.next()
    for packet in packets:
        outputs.put(packet)
        outputs.put(replace(packet, track="sound:podium"))
    assert live.templates == templates
    assert live.heard == packets
    outputs.close()
    made.close()


def test_destinations_get_the_tracks_that_are_encoded_for_them_apart_and_no_others_twice() -> None:
    made, apart = SmallEncoder(), SmallEncoder(bit_rate=100_000)
    live, recorded = Heard(), Kept()
    only_video: dict[TrackId, Stream] = {Track.VIDEO: apart.templates[Track.VIDEO]}
    outputs = SessionOutputs(recorded, 0, lambda _: made.templates, live=live)
    outputs.connect(only_video)
    packets, others = made.next() + made.next(), [one for one in apart.next() if one.track is Track.VIDEO]
    for packet in packets:
        outputs.put(packet)
    for packet in others:
        live.put(packet)
    assert live.templates == {Track.VIDEO: apart.templates[Track.VIDEO], Track.AUDIO: made.templates[Track.AUDIO]}
    assert live.heard == [one for one in packets if one.track is Track.AUDIO] + others
    outputs.close()
    made.close()
    apart.close()


class Begun(Heard):
    """Destinations that take note of when they are begun, among the packets they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.begun_after: list[int] = []

    def begin(self, templates: Mapping[TrackId, Stream]) -> None:
        super().begin(templates)
        self.begun_after.append(len(self.heard))


@pytest.mark.parametrize("has_own_picture", [False, True])
def test_destinations_are_connected_anew_where_the_picture_becomes_one_of_another_form(has_own_picture: bool) -> None:
    made, later, live, kept = SmallEncoder(), SmallEncoder(bit_rate=100_000), Begun(), Kept()
    outputs = SessionOutputs(kept, 0, lambda form: (made, later)[form].templates, live=live)
    apart: dict[TrackId, Stream] = {Track.VIDEO: later.templates[Track.VIDEO]} if has_own_picture else {}
    outputs.connect(apart)
    before = made.next() + made.next()
    given = later.next() + later.next()
    after = [replace(packet, form=1) if packet.track is Track.VIDEO else packet for packet in given]
    for packet in [*before, *after]:
        outputs.put(packet)
    (change,) = kept.changes
    assert (change.form, change.since) == (1, after[0].begins)
    if has_own_picture:
        assert live.templates[Track.VIDEO] is apart[Track.VIDEO], "their own encode goes on"
        assert live.heard == [packet for packet in before + after if packet.track is Track.AUDIO]
        assert live.begun_after == [0]
        outputs.share()
        assert live.templates == later.templates, "what is recorded is of the new form by now"
    else:
        assert live.templates == later.templates
        assert live.begun_after == [0, len(before)], "once, before the first packet of that form"
        assert live.heard == [*before, *after]
    outputs.close()
    made.close()
    later.close()


class Unclosed(Kept):
    """A recording that cannot be closed."""

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        raise StorageError("the disk is gone")


def test_destinations_are_stopped_before_the_recording_is_closed_and_freed_after_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, live, kept, ends = SmallEncoder(), Heard(), Kept(), list[str]()
    outputs = SessionOutputs(kept, 0, lambda _: made.templates, live=live)
    monkeypatch.setattr(live, "stop", lambda: ends.append("destinations stop"))
    monkeypatch.setattr(live, "close", lambda: ends.append("destinations freed"))
    monkeypatch.setattr(kept, "close", lambda *_: ends.append("recording closed"))
    outputs.close()
    assert ends == ["destinations stop", "recording closed", "destinations freed"]
    made.close()


def test_a_recording_that_cannot_be_closed_leaves_nobody_behind() -> None:
    """Destinations use the encoder's streams, which are freed next."""
    made, before = SmallEncoder(), set(threading.enumerate())
    target = StreamTarget(name="siaran", url=Secret("rtmp://127.0.0.1:9/live/key"))
    live = Destinations([target], clock=SystemClock(), emit=EventList())
    outputs = SessionOutputs(Unclosed(), 0, lambda _: made.templates, live=live)
    outputs.connect({})
    assert any(thread.name == "live-siaran" for thread in threading.enumerate())
    with pytest.raises(StorageError, match="gone"):
        outputs.close()
    assert set(threading.enumerate()) == before
    made.close()
