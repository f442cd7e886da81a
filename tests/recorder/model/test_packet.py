"""What a packet says of its times."""

from fractions import Fraction
from random import Random

from recorder.model.packet import EncodedPacket, PacketBacklog, Track


def test_its_times_in_seconds_are_those_of_its_counts() -> None:
    random = Random(1)
    for _ in range(1000):
        base = random.choice([Fraction(1, 90_000), Fraction(1, 48_000), Fraction(1001, 30_000)])
        pts, dts, duration = (random.randint(-5000, 10**10) for _ in range(3))
        packet = EncodedPacket(
            track=Track.VIDEO, data=b"", pts=pts, dts=dts, duration=duration, time_base=base, is_keyframe=False
        )
        assert packet.begins == pts * base
        assert packet.ends == (pts + duration) * base
        assert packet.ends_s == float(packet.ends)
        assert packet.dts_s == float(dts * base)


def picture(number: int, size: int = 10) -> EncodedPacket:
    """Return picture `number` of 10 a second, each tenth a keyframe."""
    return EncodedPacket(Track.VIDEO, bytes(size), number, number, 1, Fraction(1, 10), number % 10 == 0)


def sound(number: int) -> EncodedPacket:
    """Return sound that lasts 20 ms."""
    return EncodedPacket(Track.AUDIO, bytes(5), number, number, 1, Fraction(1, 50), True)


def filled(seconds: int) -> PacketBacklog:
    backlog = PacketBacklog()
    for second in range(seconds):
        for number in range(50):  # sound is a second before its pictures, as an encoder gives them
            backlog.add(sound(second * 50 + number))
        for number in range(10):
            backlog.add(picture(second * 10 + number))
    return backlog


def starts(backlog: PacketBacklog) -> tuple[float, float]:
    packets = backlog.from_the_start()
    pictures = [packet for packet in packets if packet.track == Track.VIDEO]
    sounds = [packet for packet in packets if packet.track == Track.AUDIO]
    assert pictures[0].is_keyframe
    assert [packet.pts for packet in pictures] == list(range(pictures[0].pts, pictures[-1].pts + 1))
    assert [packet.pts for packet in sounds] == list(range(sounds[0].pts, sounds[-1].pts + 1))
    return pictures[0].pts / 10, sounds[0].pts / 50


def test_it_keeps_from_the_last_keyframe_that_is_safe() -> None:
    backlog = filled(8)
    for safe_s, begins_s in ((0.9, 0), (1.0, 1), (4.7, 4), (4.2, 4), (7.99, 7)):
        backlog.confirm(safe_s)
        picture_s, sound_s = starts(backlog)
        assert picture_s == begins_s
        assert backlog.start == begins_s
        assert begins_s - 0.07 <= sound_s <= begins_s


def test_its_bound_drops_whole_groups_of_pictures() -> None:
    backlog = PacketBacklog()
    for number in range(100):
        backlog.add(picture(number, 50))
        backlog.add(sound(number * 5))
        backlog.drop_to(2000)
    picture_s, _ = starts_of_pictures(backlog)
    assert picture_s >= 6
    assert sum(len(packet.data) for packet in backlog.from_the_start()) <= 2000


def starts_of_pictures(backlog: PacketBacklog) -> tuple[float, int]:
    pictures = [packet for packet in backlog.from_the_start() if packet.track == Track.VIDEO]
    assert pictures[0].is_keyframe
    return pictures[0].pts / 10, len(pictures)


def test_before_the_first_picture_there_is_nothing_to_begin_with() -> None:
    backlog = PacketBacklog()
    backlog.confirm(10.0)
    assert backlog.start == 0
    assert not backlog.from_the_start()
