"""What is kept before a start, and where a recording that reaches back begins: real packets."""

import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from devices.host.clock import NANOSECONDS
from recorder.model.packet import AUDIO_RUN_IN, EncodedPacket, Track
from recorder.program.preroll import PreRoll
from tests.support.encoded import RATE, SmallEncoder
from tests.support.tracks import in_time

SECONDS = 8


@pytest.fixture(scope="module")
def packets() -> list[EncodedPacket]:
    """Return pictures and sound, a keyframe a second."""
    encoder = SmallEncoder(keyframe_every=RATE)
    return [packet for _ in range(SECONDS * RATE) for packet in encoder.next()]


def put(gate: PreRoll, packets: list[EncodedPacket]) -> None:
    for packet in packets:
        gate.put(packet)


def seconds(packet: EncodedPacket) -> float:
    return float(packet.pts * packet.time_base)


def pictures_of(packets: list[EncodedPacket]) -> list[EncodedPacket]:
    return [packet for packet in packets if packet.track == Track.VIDEO]


@pytest.mark.parametrize(("back_s", "begins_s"), [(0.0, 7.0), (0.99, 6.0), (1.5, 6.0), (100.0, 0.0)])
def test_it_begins_at_the_keyframe_at_or_before_the_moment_asked_for(
    packets: list[EncodedPacket], back_s: float, begins_s: float
) -> None:
    gate, handed = PreRoll(30), list[EncodedPacket]()
    put(gate, packets)
    origin_ns = gate.open(handed.append, round((SECONDS - 1 / RATE - back_s) * NANOSECONDS))
    assert gate.is_open
    assert origin_ns == begins_s * NANOSECONDS
    pictures, sound = pictures_of(handed), [packet for packet in handed if packet.track == Track.AUDIO]
    assert (pictures[0].is_keyframe, pictures[0].pts, pictures[0].dts) == (True, 0, 0)
    assert len(pictures) == round((SECONDS - begins_s) * RATE)
    assert gate.skipped == SECONDS * RATE - len(pictures)
    assert -0.1 < seconds(sound[0]) <= 0
    assert all(after.pts - before.pts == before.duration for before, after in pairwise(sound))


@pytest.mark.parametrize(("last_s", "begins_s"), [(7 + 8.5 / RATE, 6.0), (7 + 9.5 / RATE, 7.0)])
def test_it_begins_with_enough_pictures_to_be_on_disk_at_once(
    packets: list[EncodedPacket], last_s: float, begins_s: float
) -> None:
    gate = PreRoll(30)
    put(gate, [packet for packet in packets if seconds(packet) <= last_s])
    assert gate.open(lambda packet: None, round(last_s * NANOSECONDS)) == begins_s * NANOSECONDS


def test_of_the_sound_before_it_only_what_the_decoder_needs_goes_along(packets: list[EncodedPacket]) -> None:
    sound = next(packet for packet in packets if packet.track == Track.AUDIO)
    needless = round((1 - AUDIO_RUN_IN) * 48_000) - sound.duration  # ends where what is needed begins
    block = replace(sound, pts=needless, dts=needless)
    gate, handed = PreRoll(30), list[EncodedPacket]()
    put(gate, [*pictures_of(packets)[: 2 * RATE], block, replace(block, pts=needless + 1, dts=needless + 1)])
    assert gate.open(handed.append, NANOSECONDS) == NANOSECONDS
    assert [packet.pts + 48_000 for packet in handed if packet.track == Track.AUDIO] == [needless + 1]


def test_what_follows_is_handed_on_at_once_on_the_same_times(packets: list[EncodedPacket]) -> None:
    gate, handed, half = PreRoll(30), list[EncodedPacket](), len(packets) // 2
    put(gate, packets[:half])
    gate.open(handed.append, 3 * NANOSECONDS)
    before = len(handed)
    put(gate, packets[half:])
    assert len(handed) == before + len(packets) - half
    pictures = [packet.pts for packet in pictures_of(handed)]
    assert pictures == list(range(0, 3000 * len(pictures), 3000))
    assert (gate.bytes, gate.seconds) == (0, 0.0)


def test_a_slow_disk_holds_up_who_hands_on_and_nobody_else(packets: list[EncodedPacket]) -> None:
    gate, disk, asked, looked = PreRoll(30), threading.Event(), threading.Event(), list[float]()

    def slow(packet: EncodedPacket) -> None:
        asked.set()
        disk.wait(30)

    gate.open(slow, 0)
    tracks = [threading.Thread(target=gate.put, args=(packets[0],), daemon=True) for _ in Track]
    for one in tracks:
        asked.clear()
        one.start()
        assert asked.wait(60), "one track waits for the other"
    in_time(lambda: looked.append(gate.seconds))
    disk.set()
    for one in tracks:
        one.join(60)


def test_before_the_first_packet_it_begins_with_the_first(packets: list[EncodedPacket]) -> None:
    gate, handed = PreRoll(30), list[EncodedPacket]()
    assert (gate.bytes, gate.seconds, gate.form, gate.is_open) == (0, 0.0, 0, False)
    assert gate.open(handed.append, NANOSECONDS) == 0
    put(gate, packets)
    assert handed == packets
    assert gate.skipped == 0


@pytest.mark.parametrize("keep_s", [0.0, 5.5])
def test_it_keeps_what_was_asked_for_and_at_most_a_group_of_pictures_more(
    packets: list[EncodedPacket], keep_s: float
) -> None:
    gate, handed, most = PreRoll(keep_s), list[EncodedPacket](), 0.0
    for packet in packets:
        gate.put(packet)
        most = max(most, gate.seconds)
    assert keep_s - 1 / RATE <= gate.seconds
    assert most <= keep_s + 1 + 1 / RATE
    gate.open(handed.append, 0)
    assert gate.skipped + len(pictures_of(handed)) == SECONDS * RATE


def test_a_group_goes_once_the_newest_picture_is_as_late_as_what_is_kept(packets: list[EncodedPacket]) -> None:
    gate = PreRoll(3)
    put(gate, [packet for packet in packets if packet.begins <= 4])
    assert (gate.seconds, gate.skipped) == (3, RATE), "a keyframe comes exactly 3 s after the second one"


def test_its_memory_is_bounded_whatever_is_to_be_kept(
    packets: list[EncodedPacket], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = sum(len(packet.data) for packet in packets)
    monkeypatch.setattr("recorder.program.preroll.MOST_PACKET_BYTES", whole // 2)
    group = max(
        sum(len(packet.data) for packet in packets if second <= seconds(packet) < second + 1)
        for second in range(SECONDS)
    )
    gate = PreRoll(0)
    gate.holds = True
    for packet in packets:
        gate.put(packet)
        assert gate.bytes <= whole // 2 + group
    assert gate.seconds > 1
    is_second = [packet.track == Track.VIDEO and packet.is_keyframe and packet.begins == 1 for packet in packets]
    first_two = packets[: is_second.index(True) + 1]
    monkeypatch.setattr("recorder.program.preroll.MOST_PACKET_BYTES", sum(len(packet.data) for packet in first_two))
    gate = PreRoll(0)
    gate.holds = True
    put(gate, first_two)
    assert gate.skipped == 0, "it is not more"


def test_it_keeps_no_pictures_of_another_form_than_the_newest(packets: list[EncodedPacket]) -> None:
    gate, handed, pictures = PreRoll(30), list[EncodedPacket](), pictures_of(packets)
    changes = next(packet.pts for packet in pictures[5 * RATE :] if packet.is_keyframe)
    put(gate, [replace(one, form=1) if one.track == Track.VIDEO and one.pts >= changes else one for one in packets])
    assert gate.form == 1
    assert gate.open(handed.append, 0) == round(changes / 90_000 * NANOSECONDS)
    shown = pictures_of(handed)
    assert {packet.form for packet in shown} == {1}
    assert shown[0].is_keyframe
    assert gate.skipped == len(pictures) - len(shown)
