"""Talking to a recorder: one that hangs keeps nobody waiting for longer than they wanted to wait."""

import time

import pytest

from recorder.running.client import ANSWER_S, Lost, ask
from recorder.running.protocol import Status
from recorder.running.sockets import BACKLOG
from tests.support.served import hanging


@pytest.mark.parametrize("clients", [0, BACKLOG + 1])
def test_one_that_hangs_is_given_up_in_time_however_many_wait_for_it(clients: int) -> None:
    with hanging(clients=clients) as (folder, _):
        began = time.monotonic()
        with pytest.raises(Lost):
            ask(folder, Status(), 0.5)
        assert time.monotonic() - began < ANSWER_S / 2


@pytest.mark.parametrize("timeout_s", [0.0, 0.4e-6, 0.9999999])
def test_any_time_is_a_time_to_wait(timeout_s: float) -> None:
    """The kernel takes whole seconds and less than a million microseconds, and none at all for ever."""
    with hanging(clients=BACKLOG + 1) as (folder, _):
        began = time.monotonic()
        with pytest.raises(Lost, match="cannot be reached: Resource temporarily unavailable"):
            ask(folder, Status(), timeout_s)
        assert time.monotonic() - began < ANSWER_S / 2
