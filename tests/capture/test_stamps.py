"""Which timestamps are believed."""

from capture.v4l2 import Stamps

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


def test_a_device_that_is_opened_again_may_have_another_clock() -> None:
    """As after a reset: all its stamps lie in the past, and each would be a nanosecond after the one before."""
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    stamps.begin_anew()
    later = NOW + 60_000 * MS
    assert [stamps.stamp(step * 33 * MS, later + step * 33 * MS) for step in range(3)] == [
        later, later + 33 * MS, later + 66 * MS,
    ]  # fmt: skip
    assert stamps.is_monotonic is False
    stamps.begin_anew()
    assert stamps.stamp(NOW, later) == later + 66 * MS + 1, "they never go back"


def test_frames_that_waited_keep_their_time() -> None:
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 33 * MS, NOW + 5_000 * MS) == NOW + 33 * MS


def test_a_time_from_the_future_is_not_believed_and_times_never_go_back() -> None:
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(NOW + 60_000 * MS, NOW + 33 * MS) == NOW + 33 * MS
    assert stamps.stamp(NOW + 10 * MS, NOW + 66 * MS) == NOW + 33 * MS + 1


def test_the_first_time_is_of_another_clock_where_it_is_two_seconds_old_or_a_quarter_ahead() -> None:
    for driver, is_believed in (
        (NOW - 2_000 * MS + 1, True),
        (NOW - 2_000 * MS, False),
        (NOW + 250 * MS - 1, True),
        (NOW + 250 * MS, False),
    ):
        stamps = Stamps()
        assert stamps.is_monotonic is None
        assert stamps.stamp(driver, NOW) == (driver if is_believed else NOW)
        assert stamps.is_monotonic is is_believed


def test_a_later_time_may_be_a_quarter_of_a_second_ahead_and_no_more() -> None:
    for ahead_ns, taken_ns in ((250 * MS, 250 * MS), (250 * MS + 1, 0)):
        stamps = Stamps()
        stamps.stamp(NOW, NOW)
        assert stamps.stamp(NOW + 33 * MS + ahead_ns, NOW + 33 * MS) == NOW + 33 * MS + taken_ns


def test_a_frame_without_a_time_among_others_has_that_of_its_arrival() -> None:
    stamps = Stamps()
    stamps.stamp(NOW, NOW)
    assert stamps.stamp(None, NOW + 40 * MS) == NOW + 40 * MS
    assert stamps.stamp(NOW + 66 * MS, NOW + 70 * MS) == NOW + 66 * MS


def test_another_clock_is_not_believed_later_when_it_happens_to_say_the_same() -> None:
    stamps = Stamps()
    stamps.stamp(NOW - 60_000 * MS, NOW)
    assert stamps.stamp(NOW + 20 * MS, NOW + 33 * MS) == NOW + 33 * MS
