"""What a packet says of its times."""

from fractions import Fraction
from random import Random

from recorder.model.packet import EncodedPacket, Track


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
