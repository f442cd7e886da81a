import pytest

from recorder.live.transports.libsrt import UNMEASURED_RTT_MS, SrtStatistics
from recorder.live.transports.srt_rate import CATCH_UP, SrtRateLimiter

STREAM_BPS = 3_000_000
PACKETS = 285  # a second, of 1316 bytes: about 3 Mb/s


class Link:
    """A pace on a clock of its own, and what was counted on its connection so far."""

    def __init__(self, latency_ms: int = 500, empty_rtt_ms: float | None = 150.0) -> None:
        self.now_s = 0.0
        self.pace = SrtRateLimiter(latency_ms, STREAM_BPS, lambda: self.now_s, empty_rtt_ms)
        self._counted = SrtStatistics(msRTT=UNMEASURED_RTT_MS)
        self.pace.update(self._counted)

    def _count(self, sent: int = 0, lost: int = 0, heard: int = 0, rtt_ms: float | None = None) -> None:
        """Count so many more; those that were lost are sent again. The round trip stays unless one is given."""
        before = self._counted
        self._counted = SrtStatistics(
            pktSentTotal=before.pktSentTotal + sent,
            pktSndLossTotal=before.pktSndLossTotal + lost,
            pktRetransTotal=before.pktRetransTotal + lost,
            pktRecvACKTotal=before.pktRecvACKTotal + heard,
            msRTT=rtt_ms or before.msRTT,
        )
        self.pace.update(self._counted)

    def carry(
        self,
        seconds: float,
        *,
        packets: int = PACKETS,
        lost: float = 0.0,
        rtt_ms: float | None = 150.0,
        is_heard: bool = True,
    ) -> None:
        """Give it `packets` a second for some time, of which a part is lost and sent again."""
        for _ in range(round(seconds * 4)):
            self.now_s += 0.25
            for _ in range(packets // 4):
                self.pace.add_sent(1316)
            self._count(packets // 4, round(packets / 4 * lost), 25 * is_heard, rtt_ms)

    def pause(self, seconds: float, *, rtt_ms: float) -> None:
        """Give it nothing for some time; the round trip is what it was when there was something."""
        self.now_s += seconds
        self._count(rtt_ms=rtt_ms)

    def lose(self, packets: int) -> None:
        """Send so many again, which it has lost."""
        self._count(lost=packets)

    def allows(self, seconds: float) -> int:
        """Return how many packets may be sent in some time."""
        sent = 0
        until_s = self.now_s + seconds
        while self.now_s < until_s:
            self.now_s += 0.005
            while self.pace.wait_s() == 0.0:
                self.pace.add_sent(1316)
                sent += 1
        return sent


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
    link.carry(0.5, rtt_ms=420)
    first = link.pace.limit_bps
    link.carry(0.5, rtt_ms=421)
    assert link.pace.limit_bps == first
    for rtt_ms in (412, 405, 400, 390, 380, 370, 360, 350, 320, 310):
        link.carry(0.25, rtt_ms=rtt_ms)
        assert link.pace.limit_bps == first, "the round trip falls: the cut was enough"


def test_once_what_waited_has_got_away_the_link_is_filled_again() -> None:
    link = Link()
    link.carry(0.25, rtt_ms=420)
    drained = link.pace.bps
    link.carry(0.25, packets=int(drained / 1316 / 8), rtt_ms=300)
    assert link.pace.bps == drained, "some of it waits still"
    link.carry(0.25, packets=int(drained / 1316 / 8), rtt_ms=160)
    assert link.pace.bps > 1.5 * drained


def test_what_is_sent_again_takes_the_place_of_what_is_new() -> None:
    link = Link()
    link.carry(0.5, rtt_ms=420)
    link.allows(1.0)  # what was given before it was known counts, too
    alone = link.allows(2.0)
    link.lose(alone // 4)
    assert link.allows(2.0) == pytest.approx(alone - alone // 4, abs=10)
    link.lose(alone // 4)
    assert link.allows(2.0) == pytest.approx(alone - alone // 4, abs=10)


def test_nothing_is_added_while_packets_wait_on_the_way() -> None:
    link = Link()
    link.carry(1.5, rtt_ms=420)
    link.carry(1, packets=100)
    limit_bps = link.pace.bps
    link.carry(4, packets=int(limit_bps / 1316 / 8), rtt_ms=220)  # of 150 ms that it may be more
    assert link.pace.bps == limit_bps


def test_a_way_that_has_become_longer_is_not_taken_for_full_for_ever() -> None:
    link = Link()
    for _ in range(200):
        link.carry(0.25, packets=min(PACKETS, int(link.pace.bps / 1316 / 8)), rtt_ms=420)
    assert link.pace.bps > STREAM_BPS / 2


def test_without_need_there_is_no_limit_any_more() -> None:
    link = Link()
    link.carry(1.5, rtt_ms=420)
    link.carry(0.25, packets=0)
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
        link.pace.add_sent(1316)
        sent += 1316
    assert sent * 8 < CATCH_UP * STREAM_BPS * 0.1
    link.now_s += 1
    assert link.pace.wait_s() == 0.0


def test_a_stream_that_is_larger_than_was_said_may_still_be_sent() -> None:
    link = Link()
    for number in range(100):
        link.pace.add_input(100_000, number / 10)
    assert link.pace.bps == pytest.approx(CATCH_UP * 8_000_000, rel=0.02)


@pytest.mark.parametrize(("waiting_ms", "is_full"), [(70, False), (100, True)])
def test_where_little_may_wait_a_link_is_full_when_80_ms_of_it_do(waiting_ms: float, is_full: bool) -> None:
    link = Link(latency_ms=100)
    link.carry(1, rtt_ms=150 + waiting_ms)
    assert (link.pace.limit_bps is not None) == is_full


def test_what_the_other_side_has_got_is_what_was_sent_without_what_was_lost() -> None:
    link = Link()
    link.carry(0.25, packets=400, lost=0.25)
    assert link.pace.delivered_bps == 300 * 1316 * 8
    link.carry(0.25, packets=400, lost=1.5)  # losses are told twice
    assert link.pace.delivered_bps == 0.0


def test_a_link_that_was_a_little_too_full_is_given_no_more_while_it_loses_much() -> None:
    link = Link()
    link.carry(4, lost=0.2)
    link.carry(0.25, lost=0.2, rtt_ms=360)
    limit_bps = link.pace.limit_bps
    assert limit_bps is not None
    assert limit_bps < STREAM_BPS
    link.carry(2, packets=int(limit_bps / 1316 / 8), lost=0.2)
    assert link.pace.limit_bps == limit_bps


def test_without_a_limit_as_many_bits_go_out_as_are_said() -> None:
    assert Link().allows(4.0) * 1316 * 8 == pytest.approx(4 * CATCH_UP * STREAM_BPS, rel=0.03)


def test_a_link_that_fills_slowly_after_a_while_is_noticed() -> None:
    link = Link()
    link.carry(12)
    for rtt_ms in range(150, 350, 10):
        link.carry(0.25, rtt_ms=rtt_ms)
    assert link.pace.limit_bps is not None


def test_it_is_told_how_long_nothing_may_be_sent() -> None:
    link = Link()
    link.now_s += 1
    while link.pace.wait_s() == 0.0:
        link.pace.add_sent(1316)
    link.pace.add_sent(10 * 1316)
    assert link.pace.wait_s() == pytest.approx(10 * 1316 * 8 / link.pace.bps, rel=0.2)


def test_what_more_the_link_takes_is_asked_slowly_at_first_and_faster_after_a_while() -> None:
    link = Link()
    link.pause(100, rtt_ms=150)
    link.carry(0.25, rtt_ms=420)
    link.carry(0.25)
    rises = []
    for _ in range(20):
        before = link.pace.bps
        link.carry(0.25, packets=int(before / 1316 / 8))
        rises.append(link.pace.bps / before)
    assert rises[:4] == pytest.approx([1.02] * 4)
    assert rises[-4:] == pytest.approx([1.05] * 4)


def test_a_long_way_that_was_full_from_the_first_is_filled_again_once_it_is_empty() -> None:
    link = Link(empty_rtt_ms=None)
    link.carry(0.5, rtt_ms=None)
    link.carry(0.25, rtt_ms=414)
    cut_bps = link.pace.bps
    assert cut_bps < 0.6 * STREAM_BPS
    for rtt_ms in (415, 350, 280, 230, 190, 180, 170):  # it turns slowly; 170 when nothing waits there
        assert link.pace.bps == cut_bps, "what waits has not got away"
        link.carry(0.25, packets=int(cut_bps / 1316 / 8), rtt_ms=rtt_ms)
    link.carry(0.25, packets=int(cut_bps / 1316 / 8), rtt_ms=170)
    assert link.pace.bps > 1.5 * cut_bps
    for _ in range(12):
        link.carry(0.25, packets=int(link.pace.bps / 1316 / 8), rtt_ms=170)
    assert link.pace.bps > 2 * cut_bps


@pytest.mark.parametrize(
    ("lost", "rise_ms", "is_heard"),
    [
        pytest.param(0.1, 0, True, id="it loses"),
        pytest.param(0.0, 12, True, id="the round trip grows"),
        pytest.param(0.0, 0, False, id="nothing is heard"),
    ],
)
def test_a_way_that_is_still_full_after_a_cut_is_not_taken_for_empty(lost: float, rise_ms: int, is_heard: bool) -> None:
    link = Link(empty_rtt_ms=None)
    rtt_ms = 414.0
    link.carry(0.25, rtt_ms=rtt_ms)
    first = link.pace.bps
    for _ in range(3):
        before = link.pace.bps
        for _ in range(5):
            rtt_ms += rise_ms
            link.carry(0.25, packets=int(before / 1316 / 8), lost=lost, rtt_ms=rtt_ms, is_heard=is_heard)
        assert link.pace.bps < before, "it is cut again"
    assert link.pace.bps < 0.4 * first


def test_what_catches_up_is_cut_by_what_the_stream_needs() -> None:
    link = Link()
    link.carry(0.25, packets=int(PACKETS * CATCH_UP), rtt_ms=420)
    assert link.pace.bps == pytest.approx(0.85 * 0.6 * STREAM_BPS, rel=0.01)


def test_who_uses_little_of_a_limit_is_given_no_more_than_that_for_four_seconds() -> None:
    link = Link()
    link.carry(1.5, rtt_ms=420)
    link.carry(0.25, packets=int(link.pace.bps / 1316 / 8))
    limit_bps = link.pace.bps
    for _ in range(12):
        link.carry(0.25, packets=int(0.3 * limit_bps / 1316 / 8))
        assert link.pace.limit_bps == limit_bps
