"""What the sound servers said last: who waits for them, and who is told that they say something else."""

import threading
from collections.abc import Sequence

from agent.devices.part import FRESH_S, STALE_S, KnownInputs
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

HEADSET = Device(id="pulse:headset", kind=DeviceKind.MICROPHONE, name="Headset")


class Servers:
    """Answer with `offered`, when they are let."""

    def __init__(self) -> None:
        self.offered: Sequence[Device] = ()
        self.asked = 0
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.clock = SimulatedClock()
        self.changes = 0
        self.known = KnownInputs(self.clock, self._change, self._ask)

    def _ask(self) -> Sequence[Device]:
        self.asked += 1
        assert self.may_answer.wait(60)
        return self.offered

    def _change(self) -> None:
        self.changes += 1

    def pass_time(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))


def test_the_first_who_asks_waits_and_the_next_take_that_answer() -> None:
    servers = Servers()
    servers.offered = [HEADSET]
    assert [*servers.known.now(), *servers.known.now()] == [HEADSET, HEADSET]
    assert (servers.asked, servers.changes) == (1, 0)


def test_an_answer_that_is_not_fresh_is_asked_for_beside_and_told_if_it_is_another() -> None:
    servers = Servers()
    servers.known.now()
    servers.pass_time(FRESH_S + 1)
    servers.may_answer.clear()
    servers.offered = [HEADSET]
    assert list(servers.known.now()) == []
    assert list(servers.known.now()) == [], "nobody waits for servers that hang"
    servers.may_answer.set()
    wait_for(lambda: servers.changes)
    assert (list(servers.known.now()), servers.asked) == ([HEADSET], 2)


def test_after_a_plug_they_are_asked_at_once_and_after_a_minute_it_is_waited_for_them() -> None:
    servers = Servers()
    servers.known.now()
    servers.known.doubt()
    servers.known.now()
    wait_for(lambda: servers.asked == 2)
    servers.offered = [HEADSET]
    wait_for(lambda: not servers.known._asking.locked())
    servers.pass_time(STALE_S + 1)
    assert list(servers.known.now()) == [HEADSET]
    assert servers.asked == 3
