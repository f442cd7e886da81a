import io
from fractions import Fraction

import av
import pytest

from recorder.live.flv import FlvMuxer
from recorder.model.packet import EncodedPacket, Track
from tests.support.encoded import SmallEncoder, late_pictures


def packets_of(flv: bytes) -> dict[str, list[tuple[float, bool]]]:
    found: dict[str, list[tuple[float, bool]]] = {"video": [], "audio": []}
    with av.open(io.BytesIO(flv), "r", format="flv") as container:
        for packet in container.demux():
            if packet.dts is not None:
                found[packet.stream.type].append((float(packet.dts * packet.time_base), packet.is_keyframe))
    return found


def encoded(encoder: SmallEncoder, frames: int) -> list[EncodedPacket]:
    return [packet for _ in range(frames) for packet in encoder.next()]


@pytest.mark.parametrize("start", [0, 30, 60])
def test_time_begins_at_the_keyframe_it_starts_at(encoder: SmallEncoder, start: int) -> None:
    packets = encoded(encoder, 90)
    keyframe = next(p for p in packets if p.track is Track.VIDEO and p.is_keyframe and p.dts >= start * 3000)
    feed = FlvMuxer(encoder.templates, keyframe)
    for packet in packets:
        if packet.dts_s >= keyframe.dts_s - 1:  # what is earlier than the keyframe is left out
            feed.add(packet)
    feed.finish()
    found = packets_of(bytes(feed.data))
    assert found["video"][0] == (0.0, True)
    assert len(found["video"]) == 90 - start
    assert [round(dts * 30) for dts, _ in found["video"]] == list(range(90 - start))
    assert 0 <= found["audio"][0][0] < 0.022
    assert feed.start_s == start / 30


def test_every_packet_comes_out_before_the_next_goes_in(encoder: SmallEncoder) -> None:
    packets = encoded(encoder, 30)
    feed = FlvMuxer(encoder.templates, packets[0])
    for packet in packets:
        feed.add(packet)
    assert len(feed.data) > sum(len(packet.data) for packet in packets) * 0.9
    feed.finish()


@pytest.mark.parametrize("lag_s", [0.9, 1.1, 3.0])
def test_pictures_may_come_long_after_their_sound(encoder: SmallEncoder, lag_s: float) -> None:
    packets = encoded(encoder, 150)
    keyframe = next(p for p in packets if p.track is Track.VIDEO and p.dts_s == 1)
    # No sound begins just when the keyframe does, so the first sound is later than the first picture.
    assert all(p.dts_s != keyframe.dts_s for p in packets if p.track is Track.AUDIO)
    feed = FlvMuxer(encoder.templates, keyframe)
    for packet in late_pictures(packets, lag_s):
        feed.add(packet)
    feed.finish()
    found = packets_of(bytes(feed.data))
    assert [round(dts * 30) for dts, _ in found["video"]] == list(range(120))
    assert len(found["audio"]) == sum(p.track is Track.AUDIO and p.dts_s > 1 for p in packets)


def test_a_track_nobody_announced_is_left_out(encoder: SmallEncoder) -> None:
    packets = encoded(encoder, 10)
    feed = FlvMuxer({Track.VIDEO: encoder.templates[Track.VIDEO]}, packets[0])
    for packet in packets:
        feed.add(packet)
    feed.finish()
    assert packets_of(bytes(feed.data))["audio"] == []


def test_times_of_other_units_stay_in_step(encoder: SmallEncoder) -> None:
    [keyframe, *_] = encoded(encoder, 1)
    late = EncodedPacket(Track.VIDEO, keyframe.data, 1001, 1001, 1, Fraction(1, 30), is_keyframe=True)
    feed = FlvMuxer(encoder.templates, late)
    sound = next(packet for packet in encoded(encoder, 5) if packet.track is Track.AUDIO)
    feed.add(late)
    at = round(1001 / 30 * 48_000) + 24_000
    feed.add(EncodedPacket(Track.AUDIO, sound.data, at, at, 1024, sound.time_base, is_keyframe=True))
    feed.finish()
    assert packets_of(bytes(feed.data))["audio"][0][0] == pytest.approx(0.5, abs=0.001)
