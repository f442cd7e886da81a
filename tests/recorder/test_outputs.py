"""What live destinations get of a session, and how they end with its recording."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from av.stream import Stream

from config.errors import StorageError
from config.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.live.destinations import Destinations
from recorder.model.marks import Mark
from recorder.model.packet import EncodedPacket, Track, TrackId
from recorder.outputs import Outputs
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


class Kept:
    """A recording in memory."""

    def put(self, packet: EncodedPacket) -> None:
        pass

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        pass


def test_destinations_get_the_mix_and_not_the_sound_of_each_input() -> None:
    made, live = SmallEncoder(), Heard()
    templates = dict(made.templates)
    outputs = Outputs(Kept(), {**templates, "sound:podium": templates[Track.AUDIO]}, live=live)
    outputs.connect()
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
    outputs = Outputs(recorded, made.templates, live=live)
    outputs.connect(only_video)
    packets, others = made.next() + made.next(), [one for one in apart.next() if one.track is Track.VIDEO]
    for packet in packets:
        outputs.put(packet)
    for packet in others:
        outputs.put_live(packet)
    assert live.templates == {Track.VIDEO: apart.templates[Track.VIDEO], Track.AUDIO: made.templates[Track.AUDIO]}
    assert live.heard == [one for one in packets if one.track is Track.AUDIO] + others
    outputs.close()
    made.close()
    apart.close()


class Renewed(Heard):
    """Destinations that take note of what they are renewed with, among what they are given."""

    def __init__(self) -> None:
        super().__init__()
        self.renewed_after: list[int] = []

    def renew(self, templates: Mapping[TrackId, Stream]) -> None:
        self.templates = templates
        self.renewed_after.append(len(self.heard))


@pytest.mark.parametrize("has_own_picture", [False, True])
def test_destinations_are_connected_anew_where_the_picture_becomes_one_of_another_form(has_own_picture: bool) -> None:
    made, later, live = SmallEncoder(), SmallEncoder(bit_rate=100_000), Renewed()
    outputs = Outputs(Kept(), made.templates, live=live, templates_of=lambda form: (made, later)[form].templates)
    apart: dict[TrackId, Stream] = {Track.VIDEO: later.templates[Track.VIDEO]} if has_own_picture else {}
    outputs.connect(apart)
    before = made.next() + made.next()
    given = later.next() + later.next()
    after = [replace(packet, form=1) if packet.track is Track.VIDEO else packet for packet in given]
    for packet in [*before, *after]:
        outputs.put(packet)
    if has_own_picture:
        assert live.templates[Track.VIDEO] is apart[Track.VIDEO], "their own encode goes on"
        assert live.heard == [packet for packet in before + after if packet.track is Track.AUDIO]
        assert live.renewed_after == []
        outputs.share()
        assert live.templates == later.templates, "what is recorded is of the new form by now"
    else:
        assert live.templates == later.templates
        assert live.renewed_after == [len(before)], "once, before the first packet of that form"
        assert live.heard == [*before, *after]
    outputs.close()
    made.close()
    later.close()


class Unclosed(Kept):
    """A recording that cannot be closed."""

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        raise StorageError("the disk is gone")


class Ending(Heard, Kept):
    """Destinations and a recording that take note of how they end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[str] = []

    def stop(self) -> None:
        self.ends.append("destinations stop")

    def close(self, marks: Sequence[Mark] = (), title: str = "") -> None:
        self.ends.append("closed")


def test_destinations_are_stopped_before_the_recording_is_closed_and_freed_after_it() -> None:
    made, all_of_it = SmallEncoder(), Ending()
    outputs = Outputs(all_of_it, made.templates, live=all_of_it)
    outputs.close()
    assert all_of_it.ends == ["destinations stop", "closed", "closed"]
    made.close()


def test_a_recording_that_cannot_be_closed_leaves_nobody_behind() -> None:
    """Destinations use the encoder's streams, which are freed next."""
    made, before = SmallEncoder(), set(threading.enumerate())
    target = StreamTarget(name="siaran", url=Secret("rtmp://127.0.0.1:9/live/key"))
    live = Destinations([target], clock=SystemClock(), emit=EventList())
    outputs = Outputs(Unclosed(), made.templates, live=live)
    outputs.connect()
    assert any(thread.name == "live-siaran" for thread in threading.enumerate())
    with pytest.raises(StorageError, match="gone"):
        outputs.close()
    assert set(threading.enumerate()) == before
    made.close()
