"""What is kept of a recording's packets until they are on disk: groups from a keyframe on, and the sound of each."""

from dataclasses import replace
from fractions import Fraction

import pytest

from recorder.model.packet import AUDIO_RUN_IN, DiskProgress, EncodedPacket, PacketBacklog, Track, sound_track

TENTH = Fraction(1, 10)
BYTES = 10


def packet(track: str, number: int, *, is_keyframe: bool = False) -> EncodedPacket:
    """Return one that begins after so many tenths of a second and lasts one of them."""
    return EncodedPacket(track, bytes(BYTES), number, number - 1, 1, TENTH, is_keyframe)


@pytest.fixture
def kept() -> PacketBacklog:
    """Return two seconds of pictures, a keyframe every half second, and their sound."""
    backlog = PacketBacklog()
    for number in range(20):
        backlog.add(packet(Track.VIDEO, number, is_keyframe=number % 5 == 0))
        backlog.add(packet(Track.AUDIO, number, is_keyframe=True))
    return backlog


def numbers(packets: list[EncodedPacket], track: str = Track.VIDEO) -> list[int]:
    return [one.pts for one in packets if one.track == track]


def test_a_packet_says_when_it_is_shown_and_decoded() -> None:
    one = replace(packet(sound_track("podium"), 7), time_base=Fraction(1001, 30_000))
    assert (one.track, one.begins, one.ends) == ("sound:podium", Fraction(7007, 30_000), Fraction(8008, 30_000))
    assert (one.ends_s, one.dts_s) == (8008 / 30_000, 6006 / 30_000)


def test_what_is_kept_is_counted(kept: PacketBacklog) -> None:
    assert (kept.bytes, kept.seconds, kept.start) == (40 * BYTES, Fraction(19, 10), Fraction(0))
    assert kept.keyframes() == [0, 5, 10, 15]
    assert kept.second_keyframe() == 5
    assert numbers(kept.from_the_start()) == numbers(kept.from_the_start(), Track.AUDIO) == [*range(20)]


def test_it_begins_at_a_keyframe_with_the_sound_that_a_decoder_needs(kept: PacketBacklog) -> None:
    kept.begin_at(10)
    assert (numbers(list(kept.leaders)), numbers(list(kept.others), Track.AUDIO)) == ([*range(10, 20)], [*range(9, 20)])
    assert (kept.bytes, kept.start) == (21 * BYTES, Fraction(1))
    later = kept.from_leader(5)
    assert (numbers(later), numbers(later, Track.AUDIO)) == ([*range(15, 20)], [*range(14, 20)])
    kept.leaders.popleft()
    assert kept.start == Fraction(3, 2), "the first one is no keyframe"
    assert numbers(kept.from_the_start()) == [*range(15, 20)]


@pytest.mark.parametrize(("most", "begins"), [(400, 0), (399, 5), (310, 5), (309, 10), (1, 15), (0, 15)])
def test_the_oldest_groups_go_until_it_is_small_enough_and_the_last_one_stays(
    kept: PacketBacklog, most: int, begins: int
) -> None:
    kept.drop_to(most)
    assert kept.leaders[0].pts == begins


@pytest.mark.parametrize(("safe_s", "begins"), [(-0.1, 0), (0.4, 0), (0.5, 5), (1.4, 10), (9.0, 15)])
def test_what_is_on_disk_goes_up_to_the_last_keyframe_there(kept: PacketBacklog, safe_s: float, begins: int) -> None:
    kept.confirm(safe_s)
    assert kept.leaders[0].pts == begins


def test_without_pictures_the_sound_is_kept_and_nothing_is_led(kept: PacketBacklog) -> None:
    kept.forget_leaders()
    assert (len(kept.leaders), kept.bytes, kept.seconds, kept.start) == (0, 20 * BYTES, Fraction(0), Fraction(0))
    assert (kept.keyframes(), kept.second_keyframe()) == ([], None)
    assert numbers(kept.from_the_start(), Track.AUDIO) == [*range(20)]


def test_without_a_keyframe_the_start_is_the_oldest() -> None:
    backlog = PacketBacklog()
    for number in range(3):
        backlog.add(packet(Track.VIDEO, number, is_keyframe=False))
    assert numbers(backlog.from_the_start()) == [0, 1, 2]


def test_nothing_is_left_after_clearing(kept: PacketBacklog) -> None:
    kept.clear()
    assert (len(kept.leaders), len(kept.others), kept.bytes) == (0, 0, DiskProgress().bytes) == (0, 0, 0)
    assert DiskProgress().media_time_s == 0
    kept.confirm(10.0)
    assert kept.start == 0
    assert kept.from_the_start() == []


def test_sound_that_ends_where_the_run_in_begins_is_not_needed(kept: PacketBacklog) -> None:
    kept.others.clear()
    for number in range(int((kept.leaders[10].begins - AUDIO_RUN_IN) / AUDIO_RUN_IN) + 1):
        kept.add(EncodedPacket(Track.AUDIO, bytes(BYTES), number, number, 1, AUDIO_RUN_IN, True))
    *_, before, last = kept.others
    assert before.ends == kept.leaders[10].begins - AUDIO_RUN_IN
    assert numbers(kept.from_leader(10), Track.AUDIO) == [last.pts]
    kept.begin_at(10)
    assert [*kept.others] == [last]


def test_sound_alone_may_lead() -> None:
    kept = PacketBacklog(Track.AUDIO)
    for number in range(3):
        kept.add(packet(Track.AUDIO, number, is_keyframe=True))
    kept.drop_to(BYTES)
    assert numbers(list(kept.leaders), Track.AUDIO) == [2]
