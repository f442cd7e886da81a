"""How often one address may ask, by a clock that is set by hand; and whose connections make room for others."""

import contextlib
import socket

import pytest

from agent.web.http.limits import MOST_ADDRESSES, REQUESTS_AT_ONCE, REQUESTS_PER_S, LimitedListener
from devices.host.throttle import TokenBuckets


class Asked:
    """Asks as one address or another, at `now_s`."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._rates = TokenBuckets(REQUESTS_AT_ONCE, REQUESTS_PER_S, MOST_ADDRESSES)

    def wait_s(self, address: str) -> float:
        return self._rates.take(address, self.now_s)

    def answered(self, address: str) -> int:
        """Ask until it is one too many; return how many were not."""
        count = 0
        while self.wait_s(address) == 0.0:
            count += 1
        return count


def test_an_address_may_ask_so_much_at_once_and_then_so_much_in_a_second() -> None:
    asked = Asked()
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE
    assert asked.wait_s("10.0.0.1") == pytest.approx(1 / REQUESTS_PER_S)
    asked.now_s += 1.0
    assert asked.answered("10.0.0.1") == REQUESTS_PER_S
    assert asked.answered("10.0.0.2") == REQUESTS_AT_ONCE, "another one has its own"
    asked.now_s += 3600.0
    assert asked.answered("10.0.0.1") == REQUESTS_AT_ONCE, "what is not used is not saved for long"


def test_the_address_that_was_silent_the_longest_is_forgotten_first() -> None:
    asked = Asked()
    assert asked.answered("first") == REQUESTS_AT_ONCE
    for number in range(MOST_ADDRESSES - 1):
        asked.wait_s(f"other {number}")
        assert asked.wait_s("first") > 0.0, "it asks all the time"
    for number in range(MOST_ADDRESSES):
        asked.wait_s(f"further {number}")
    assert asked.wait_s("first") == 0.0


def test_who_has_shown_the_token_makes_room_for_nobody_and_others_for_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.web.http.limits.MOST_CONNECTIONS", 40)  # ten of each kind, eight of each user
    users = iter([0] * 11 + [1000] * 2 + [1001] * 20 + [1002])
    monkeypatch.setattr("agent.web.http.limits.owner_of_peer", lambda _connection: next(users))
    with contextlib.ExitStack() as held, contextlib.closing(LimitedListener(socket.AF_INET)) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)

        def come(count: int, *, shows_token: bool = False) -> list[socket.socket]:
            """Return the server's ends of new connections; as it does, close those that are let go."""
            ends = []
            for _ in range(count):
                held.enter_context(socket.create_connection(listener.getsockname()))
                taken, client = listener.accept()
                ends.append(held.enter_context(taken))
                if shows_token:
                    listener.mark_authenticated(client)
                for end in {*there, *ends}:
                    if not _is_open(end):
                        end.close()
            there.update(ends)
            return ends

        there: set[socket.socket] = set()
        known = come(11, shows_token=True)
        first, others = come(2), come(20)
        assert [*map(_is_open, known)] == [True] * 10 + [False], "one too many counts as those without it"
        assert [*map(_is_open, first)] == [True] * 2
        assert [*map(_is_open, others)] == [False] * 12 + [True] * 8
        come(1)
        assert [*map(_is_open, first)] == [False, True], "of all, the oldest"


def _is_open(end: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        return end.fileno() >= 0 and end.recv(1, socket.MSG_DONTWAIT) != b""
    return True
