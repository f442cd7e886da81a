import pytest

from recorder.live.pace import CATCH_UP, Counts, Pace

STREAM_BPS = 3_000_000
PACKETS = 285  # a second, of 1316 bytes: about 3 Mb/s


class Link:
    """A pace on a clock of its own, and what was counted on its connection so far."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.pace = Pace(500, STREAM_BPS, lambda: self.now_s)
        self._counts = Counts(0, 0, 150.0)
        self.pace.look(self._counts)

    def carry(self, seconds: float, *, packets: int = PACKETS, lost: float = 0.0, rtt_ms: float = 150.0) -> None:
        """Give it `packets` a second for some time, of which a part is lost."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            for _ in range(packets // 4):
                self.pace.given(1316)
            before = self._counts
            self._counts = Counts(before.sent + packets // 4, before.lost + round(packets / 4 * lost), rtt_ms)
            self.pace.look(self._counts)


def test_a_link_that_loses_packets_without_being_full_is_given_everything() -> None:
    link = Link()
    link.carry(20, lost=0.1, rtt_ms=170)
    assert link.pace.limit_bps is None
    assert link.pace.bps == CATCH_UP * STREAM_BPS


@pytest.mark.parametrize(("lost", "rtt_ms"), [(0.0, 420.0), (0.4, 150.0)])
def test_a_full_link_is_given_less_and_then_what_it_takes(lost: float, rtt_ms: float) -> None:
    link = Link()
    link.carry(1.5, lost=lost, rtt_ms=rtt_ms)
    limit_bps = link.pace.bps
    assert 0.25 * STREAM_BPS < limit_bps < 0.7 * STREAM_BPS
    for _ in range(40):
        link.carry(0.25, packets=int(link.pace.bps / 1316 / 8))
    assert 1.3 * limit_bps < link.pace.bps <= STREAM_BPS * CATCH_UP


def test_one_cut_is_judged_before_the_next() -> None:
    link = Link()
    link.carry(1, rtt_ms=420)
    first = link.pace.limit_bps
    link.carry(0.5, rtt_ms=421)
    assert link.pace.limit_bps == first
    for rtt_ms in (412, 405, 400, 390, 380, 370, 360, 350, 320, 310):
        link.carry(0.25, rtt_ms=rtt_ms)
        assert link.pace.limit_bps == first, "the round trip falls: the cut was enough"


def test_without_need_there_is_no_limit_any_more() -> None:
    link = Link()
    link.carry(1.5, rtt_ms=420)
    limit_bps = link.pace.limit_bps
    assert limit_bps is not None
    link.carry(3, packets=0)
    assert link.pace.limit_bps == limit_bps, "nothing was given: whether more would get through is not known"
    link.carry(5, packets=int(limit_bps / 1316 / 8 / 3))
    assert link.pace.limit_bps is None


def test_what_has_piled_up_does_not_go_out_in_one_burst() -> None:
    link = Link()
    link.now_s += 10
    sent = 0
    while link.pace.wait_s() == 0.0:
        link.pace.given(1316)
        sent += 1316
    assert sent * 8 < CATCH_UP * STREAM_BPS * 0.1
    link.now_s += 1
    assert link.pace.wait_s() == 0.0


def test_a_stream_that_is_larger_than_was_said_may_still_be_sent() -> None:
    link = Link()
    for number in range(100):
        link.pace.came(100_000, number / 10)
    assert link.pace.bps == pytest.approx(CATCH_UP * 8_000_000, rel=0.02)
