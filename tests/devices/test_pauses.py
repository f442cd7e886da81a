from devices.pauses import pause_s


def test_each_pause_is_as_much_longer_until_the_longest() -> None:
    assert [pause_s(failures, 30.0) for failures in range(1, 9)] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert [pause_s(failures, 2.0, growth=1.6) for failures in range(1, 5)] == [1, 1.6, 2, 2]
    assert pause_s(0, 30.0) == 1.0


def test_it_is_the_longest_after_as_many_failures_as_there_may_be() -> None:
    assert pause_s(10**9, 30.0) == 30.0
    assert pause_s(10**9, 2.0, growth=1.6) == 2.0
