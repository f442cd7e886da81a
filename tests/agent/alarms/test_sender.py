"""Sending: tried again for a while, told in the log at last, and nobody waits for anybody."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from agent.alarms.desktop import NoDesktop
from agent.alarms.message import Message
from agent.alarms.sender import LONGEST_QUEUE, PAUSES_S, ChannelSender, PartlySent
from config.errors import LiputError
from devices.host.clock import SystemClock
from tests.support.alarms import message
from tests.support.processes import runs
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


@dataclass
class Scripted:
    """A way that fails with each of `errors` first."""

    errors: list[Exception] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    tried: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)
    hangs: bool = False
    name: str = "mail"
    to: str = "somebody"

    def send(self, message: Message) -> None:
        self.tried += 1
        if self.hangs:
            self.let_go.wait(30)
        if self.errors:
            raise self.errors.pop(0)
        self.sent.append(message)


type Begin = Callable[[Scripted], ChannelSender]


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def begin(told: list[str]) -> Iterator[Begin]:
    begun: list[ChannelSender] = []

    def make(channel: Scripted) -> ChannelSender:
        sender = ChannelSender(channel, SimulatedClock(), told.append)
        begun.append(sender)
        sender.start()
        return sender

    yield make
    for sender in begun:
        assert isinstance(sender.channel, Scripted)
        sender.channel.let_go.set()
        sender.stop(10)


def test_what_fails_is_tried_again_and_nothing_is_told(begin: Begin, told: list[str]) -> None:
    channel = Scripted([LiputError("away")] * len(PAUSES_S))
    begin(channel).enqueue(message())
    wait_for(lambda: channel.sent)
    assert channel.tried == len(PAUSES_S) + 1
    assert told == []


def test_what_is_in_vain_is_told_once_and_the_next_is_sent(begin: Begin, told: list[str]) -> None:
    channel = Scripted([*[LiputError("away")] * len(PAUSES_S), ValueError("password=rahasia")])
    sender = begin(channel)
    sender.enqueue(message())
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    (said,) = told
    assert re.fullmatch(r"mail: an alarm of 09:00 could not be sent: ValueError at agent/alarms/sender\.py:\d+", said)


def test_a_pc_that_nobody_sits_at_is_nothing_to_tell(begin: Begin, told: list[str]) -> None:
    channel = Scripted([NoDesktop("no desktop here")])
    sender = begin(channel)
    sender.enqueue(message())
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    assert (channel.tried, told) == (2, [])


def test_one_that_hangs_keeps_nobody_waiting_and_does_not_pile_up(begin: Begin, told: list[str]) -> None:
    hung, whole = Scripted(hangs=True), Scripted()
    slow, quick = begin(hung), begin(whole)
    for _ in range(LONGEST_QUEUE + 5):
        slow.enqueue(message())
        wait_for(lambda: hung.tried)
    quick.enqueue(message())
    wait_for(lambda: whole.sent)
    assert hung.sent == []
    assert told == ["mail: an alarm was not sent: too many wait"] * 4


def test_what_waits_for_its_next_attempt_ends_at_once() -> None:
    channel = Scripted([LiputError("away")] * 10)
    sender = ChannelSender(channel, SystemClock(), lambda _: None)
    sender.start()
    sender.enqueue(message())
    wait_for(lambda: channel.tried)
    sender.stop(10)
    assert not runs("part-alarms-mail")


def test_what_waits_for_its_next_attempt_goes_another_such_way_at_once() -> None:
    wrong, right = Scripted([LiputError("away")] * 10), Scripted()
    sender = ChannelSender(wrong, SystemClock(), lambda _: None)
    sender.start()
    began_s = time.monotonic()
    sender.enqueue(message())
    wait_for(lambda: wrong.tried)
    sender.use(right)
    wait_for(lambda: right.sent)
    assert time.monotonic() - began_s < PAUSES_S[0]
    sender.stop(10)


@pytest.mark.parametrize("is_for_good", [True, False])
def test_who_is_refused_keeps_nobody_waiting_for_the_next_and_is_told_once(is_for_good: bool) -> None:
    refused = [PartlySent("it does not write to gone@kampus.example", is_for_good=is_for_good) for _ in "ab"]
    channel, told = Scripted([*refused]), list[str]()
    sender = ChannelSender(channel, SystemClock(), told.append)
    sender.start()
    began_s = time.monotonic()
    sender.enqueue(message())
    wait_for(lambda: channel.tried >= 1)
    sender.enqueue(message())
    wait_for(lambda: channel.tried >= 2)
    sender.enqueue(message())
    wait_for(lambda: channel.sent)
    assert time.monotonic() - began_s < PAUSES_S[0]
    sender.stop(10)
    assert told == ["mail: it does not write to gone@kampus.example"]
