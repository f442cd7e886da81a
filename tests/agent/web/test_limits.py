"""How often one address may ask, by a clock that is set by hand."""

import pytest

from agent.web.limits import MOST_ADDRESSES, REQUESTS_AT_ONCE, REQUESTS_PER_S, Rates


class Asked:
    """Asks as one address or another, at `now_s`."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.rates = Rates(lambda: self.now_s)

    def answered(self, address: str) -> int:
        """Ask until it is one too many; return how many were not."""
        count = 0
        while self.rates.wait_s(address) == 0.0:
            count += 1
        return count


def test_an_address_may_ask_so_much_at_once_and_then_so_much_in_a_second() -> None:
    asked = Asked()
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE
    assert asked.rates.wait_s("10.0.0.1") == pytest.approx(1 / REQUESTS_PER_S)
    asked.now_s += 1.0
    assert asked.answered("10.0.0.1") == REQUESTS_PER_S
    assert asked.answered("10.0.0.2") == REQUESTS_AT_ONCE, "another one has its own"
    asked.now_s += 3600.0
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE, "what is not used is not saved for long"


def test_the_address_that_was_silent_the_longest_is_forgotten_first() -> None:
    asked = Asked()
    assert asked.answered("first") == REQUESTS_AT_ONCE
    for number in range(MOST_ADDRESSES - 1):
        asked.rates.wait_s(f"other {number}")
        assert asked.rates.wait_s("first") > 0.0, "it asks all the time"
    for number in range(MOST_ADDRESSES):
        asked.rates.wait_s(f"further {number}")
    assert asked.rates.wait_s("first") == 0.0
