"""What has come behind a gap, told by how many segments have come."""

from devices.host.tcp_info import TcpInfo
from devices.uplink.traffic import Arriving


def seen(in_order: int, segments: int, unordered: int) -> TcpInfo:
    return TcpInfo(
        received_bytes=in_order, received_segments=segments, received_segment_bytes=1000, unordered_segments=unordered
    )


def test_where_nothing_came_behind_a_gap_what_is_in_order_is_all_whatever_its_segments() -> None:
    arriving = Arriving()
    assert [arriving.behind_a_gap(seen(100 * n, n, 0)) for n in range(1, 5)] == [0, 0, 0, 0]


def test_from_the_first_gap_on_segments_are_counted() -> None:
    arriving = Arriving()
    assert arriving.behind_a_gap(seen(5_000, 50, 0)) == 0
    assert arriving.behind_a_gap(seen(5_000, 53, 3)) == 3_000
    assert arriving.behind_a_gap(seen(7_000, 55, 4)) == 3_000
    assert arriving.behind_a_gap(seen(12_000, 57, 4)) == 0
    assert arriving.behind_a_gap(seen(12_500, 57, 4)) == 0, "less than whole segments is no debt"


def test_a_connection_that_is_first_looked_at_behind_a_gap_counts_from_its_beginning() -> None:
    assert Arriving().behind_a_gap(seen(2_000, 5, 1)) == 3_000


def test_an_old_kernel_tells_nothing() -> None:
    assert Arriving().behind_a_gap(TcpInfo()) == 0
