"""The figures of a link, from steps and samples, and what the kernel tells of a connection."""

import os
import socket

import pytest

from devices.uplink.model import LinkLatency, LinkRate, UplinkResult
from devices.uplink.tcp_info import TcpInfo, owner_of_peer, tcp_info
from devices.uplink.traffic import NOTHING_RECEIVED, TransferSamples, bytes_behind_gap
from tests.support.waiting import wait_for


def test_a_rate_is_the_middle_the_worst_tenth_and_the_average_of_its_windows() -> None:
    rate = LinkRate.of([10.0] * 8 + [2.0] * 4 + [18.0] * 4)
    assert rate.median_bps == 10, "of two seconds each, one beginning with each step"
    assert 2 < rate.p10_bps < 6
    assert rate.mean_bps == 10
    assert LinkRate.of([10.0, 2.0, 10.0, 2.0] * 4).p10_bps == 6, "what waits for what was lost is not missing"
    assert LinkRate.of([5.0]) == LinkRate(5, 5, 5)
    assert LinkRate.of([3.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 0.5]).mean_bps == 2
    assert LinkRate.of([2.0, 0.0, 4.0, 2.0, 2.0, 0.0, 0.0, 6.0]).mean_bps == 2, "nor is what is only late"
    assert LinkRate.of([4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0]).mean_bps == 3, "a link that becomes slower is"
    assert LinkRate.of([0.0, 0.0]).mean_bps == 0
    assert LinkRate(median_bps=52.0, p10_bps=40.0, mean_bps=46.0).sustained_bps == 46
    assert LinkRate(median_bps=46.0, p10_bps=40.0, mean_bps=52.0).sustained_bps == 46


def test_a_latency_is_the_middle_and_how_far_the_next_is_off() -> None:
    assert LinkLatency.of([0.02, 0.03, 0.02, 0.10]) == LinkLatency(0.025, (0.01 + 0.01 + 0.08) / 3)
    assert LinkLatency.of([0.02]) == LinkLatency(0.02, 0.0)
    assert LinkLatency.of([]) is None


def test_the_warm_up_does_not_count_but_at_most_the_first_half() -> None:
    samples = [(number / 10, 0 if number < 20 else (number - 20) * 100_000) for number in range(81)]
    rate = TransferSamples(samples).rate(2.0)
    assert abs(rate.median_bps - 8e6) < 1
    assert abs(rate.p10_bps - 8e6) < 1
    samples = [(number / 10, number * number * 1000) for number in range(21)]
    fast, slow = TransferSamples(samples).rate(2.0), TransferSamples(samples[:11]).rate(2.0)
    assert fast.median_bps > slow.median_bps
    assert TransferSamples([(0.0, 0), (0.1, 100_000)]).rate(2.0).median_bps == 8_000_000
    assert TransferSamples([(0.0, 0)]).rate(2.0).median_bps == 0


def test_a_full_link_keeps_answers_waiting_the_longer_of_both_ways() -> None:
    rate = LinkRate.of([1e6])

    def uplink(idle: float | None, up: float | None, down: float | None) -> UplinkResult:
        one, two, three = (None if each is None else LinkLatency(each, 0) for each in (idle, up, down))
        return UplinkResult(up=rate, idle=one, loaded=two, loaded_down=three, moved_bytes=1, streams=1)

    assert uplink(0.02, 0.12, 0.32).bloat_s == 0.3
    assert uplink(0.02, 0.01, None).bloat_s == 0
    assert uplink(0.02, None, None).bloat_s is None
    assert uplink(None, 0.3, 0.1).bloat_s is None


def seen(in_order: int, segments: int) -> TcpInfo:
    return TcpInfo(received_bytes=in_order, received_segments=segments, received_segment_bytes=1000)


def test_what_has_come_behind_a_gap_is_told_by_how_many_segments_have_come() -> None:
    whole = seen(5_000, 50)
    assert bytes_behind_gap(whole, whole) == 0
    assert bytes_behind_gap(whole, seen(5_000, 53)) == 3_000
    assert bytes_behind_gap(whole, seen(7_000, 55)) == 3_000
    assert bytes_behind_gap(whole, seen(12_000, 57)) == 0
    assert bytes_behind_gap(whole, seen(12_500, 57)) == 0, "less than whole segments is no debt"
    assert bytes_behind_gap(NOTHING_RECEIVED, seen(2_000, 5)) == 3_000, "one that is first looked at behind a gap"
    assert bytes_behind_gap(NOTHING_RECEIVED, TcpInfo()) == 0, "an old kernel tells nothing"


def test_what_has_arrived_is_acknowledged() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        before = tcp_info(client)
        server, _ = listener.accept()
        with server:
            client.sendall(bytes(50_000))
            wait_for(lambda: (tcp_info(client).acknowledged_bytes or 0) - (before.acknowledged_bytes or 0) == 50_000)
            after = tcp_info(client)
            assert after.sent_bytes == 50_000
            assert after.again_bytes == 0
            assert after.rtt_s is not None
            assert 0 < after.rtt_s < 1
            assert after.window_bytes


@pytest.mark.parametrize(("listens", "asks"), [("::1", "::1"), ("::", "127.0.0.1")])
def test_whose_the_other_end_is(listens: str, asks: str) -> None:
    family = socket.AF_INET6 if ":" in listens else socket.AF_INET
    with socket.create_server((listens, 0), family=family, dualstack_ipv6=listens == "::") as listener:
        with socket.create_connection((asks, listener.getsockname()[1])), listener.accept()[0] as taken:
            assert owner_of_peer(taken) == os.geteuid()
        assert owner_of_peer(taken) is None, "it is closed"
