"""Which timestamps are believed."""

from capture.stamps import Stamps

NOW = 1_000_000_000_000
MS = 1_000_000


def test_the_kernels_times_are_taken_as_they_are() -> None:
    stamps = Stamps()
    assert [stamps.stamp(NOW + step * 33 * MS, NOW + step * 33 * MS + 20 * MS) for step in range(3)] == [
        NOW, NOW + 33 * MS, NOW + 66 * MS,
    ]  # fmt: skip
    assert stamps.is_monotonic


def test_wall_clock_or_no_times_give_way_to_the_arrival() -> None:
    for driver in (1_800_000_000_000_000_000, None, 12 * MS):
        stamps = Stamps()
        assert stamps.stamp(driver, NOW) == NOW
        assert stamps.stamp(driver, NOW + 33 * MS) == NOW + 33 * MS
        assert stamps.is_monotonic is False


def test_frames_that_waited_keep_their_time() -> None:
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 33 * MS, NOW + 5_000 * MS) == NOW + 33 * MS


def test_a_time_from_the_future_is_not_believed_and_times_never_go_back() -> None:
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 60_000 * MS, NOW + 33 * MS) == NOW + 33 * MS
    assert stamps.stamp(NOW + 10 * MS, NOW + 66 * MS) == NOW + 33 * MS + 1
