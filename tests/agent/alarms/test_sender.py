"""Sending: tried again for a while, told in the log at last, and nobody waits for anybody."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from agent.alarms.desktop import NoDesktop
from agent.alarms.sender import LONGEST_QUEUE, PAUSES_S, ChannelSender, PartlySent
from config.errors import LiputError
from devices.host.clock import Clock, SystemClock
from tests.support.alarms import ScriptedChannel, message
from tests.support.processes import runs
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


class Endless(SystemClock):
    """Lets a pause end by its event alone."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait()


type Begin = Callable[..., ChannelSender]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def begin(told: list[str]) -> Iterator[Begin]:
    with ExitStack() as stack:

        def make(channel: ScriptedChannel, clock: Clock | None = None) -> ChannelSender:
            sender = ChannelSender(channel, clock or SimulatedClock(), told.append)
            stack.callback(sender.stop, 10)
            stack.callback(channel.let_go.set)
            sender.start()
            return sender

        yield make


def test_what_fails_is_tried_again_and_nothing_is_told(begin: Begin, told: list[str]) -> None:
    channel = ScriptedChannel([LiputError("away")] * len(PAUSES_S))
    begin(channel).enqueue(message())
    wait_for(lambda: channel.sent)
    assert channel.tried == len(PAUSES_S) + 1
    assert told == []


def test_what_is_in_vain_is_told_once_and_the_next_is_sent(begin: Begin, told: list[str]) -> None:
    channel = ScriptedChannel([*[LiputError("away")] * len(PAUSES_S), ValueError("password=rahasia")])
    sender = begin(channel)
    sender.enqueue(message())
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    (said,) = told
    assert re.fullmatch(r"mail: an alarm of 09:00 could not be sent: ValueError at agent/alarms/sender\.py:\d+", said)


def test_a_pc_that_nobody_sits_at_is_nothing_to_tell(begin: Begin, told: list[str]) -> None:
    channel = ScriptedChannel([NoDesktop("no desktop here")])
    sender = begin(channel)
    sender.enqueue(message())
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    assert (channel.tried, told) == (2, [])


def test_one_that_hangs_keeps_nobody_waiting_and_does_not_pile_up(begin: Begin, told: list[str]) -> None:
    hung, whole = ScriptedChannel(hangs=True), ScriptedChannel()
    slow, quick = begin(hung), begin(whole)
    for _ in range(LONGEST_QUEUE + 5):
        slow.enqueue(message())
        wait_for(lambda: hung.tried)
    quick.enqueue(message())
    wait_for(lambda: whole.sent)
    assert hung.sent == []
    assert told == ["mail: an alarm was not sent: too many wait"] * 4


def test_what_waits_for_its_next_attempt_ends_at_once(begin: Begin) -> None:
    channel = ScriptedChannel([LiputError("away")] * 10)
    sender = begin(channel, Endless())
    sender.enqueue(message())
    wait_for(lambda: channel.tried)
    sender.stop(10)
    assert not runs("part-alarms-mail")


def test_what_waits_for_its_next_attempt_goes_another_such_way_at_once(begin: Begin) -> None:
    wrong, right = ScriptedChannel([LiputError("away")] * 10), ScriptedChannel()
    sender = begin(wrong, Endless())
    sender.enqueue(message())
    wait_for(lambda: wrong.tried)
    sender.use(right)
    wait_for(lambda: right.sent)


@pytest.mark.parametrize("is_for_good", [True, False])
def test_who_is_refused_keeps_nobody_waiting_for_the_next_and_is_told_once(
    begin: Begin, told: list[str], is_for_good: bool
) -> None:
    channel = ScriptedChannel([PartlySent("it does not write to gone@kampus.example", is_for_good=is_for_good)] * 2)
    sender = begin(channel, Endless())
    sender.enqueue(message())
    wait_for(lambda: channel.tried >= 1)
    sender.enqueue(message())
    wait_for(lambda: channel.tried >= 2)
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    assert told == ["mail: it does not write to gone@kampus.example"]
