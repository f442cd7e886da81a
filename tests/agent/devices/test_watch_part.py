"""The daemon's part that watches devices: a real monitor and device service, over messages that are replayed."""

import errno
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from agent.daemon.parts import Parts
from agent.devices import watch_part as module
from agent.devices.watch_part import BROKEN, FRESH_S, DevicesPart, SoundInputCache
from config.settings.schema import Settings
from devices.health.log_line import LogKind
from devices.health.log_reader import LogFilter, read
from devices.health.log_writer import HealthLog, log_folder
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from devices.monitor.monitor import HotplugListener
from devices.roles.assignment import roles_store
from tests.support.ports import WEBCAM, Ports
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


@pytest.fixture
def ports(monkeypatch: pytest.MonkeyPatch) -> Ports:
    monkeypatch.setattr("capture.sound.inputs.server_inputs", list)  # this PC's sound servers are none of ours
    monkeypatch.setattr(module, "AGAIN_S", 0.2)
    monkeypatch.setattr(module, "LOOK_S", 0.1)
    return Ports()


@contextmanager
def watched(ports: Ports, told: list[str] | None = None) -> Iterator[DevicesPart]:
    clock, said = SystemClock(), [] if told is None else told
    part = DevicesPart(Settings(), clock, said.append, monitor=ports.monitor)
    parts = Parts([part], clock, said.append)
    parts.start()
    try:
        yield part
    finally:
        assert parts.stop() == []
        ports.netlink.close()


def names(part: DevicesPart) -> list[str] | None:
    there = part.there()
    return None if there is None else [device.name for device in there]


def test_what_is_plugged_in_is_known_and_who_shows_it_is_to_ask_again(ports: Ports) -> None:
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        assert names(part) == []
        before = part.number()
        ports.plug(WEBCAM, "1-1")
        wait_for(lambda: names(part) == ["C270"])
        wait_for(lambda: part.number() != before)
        unplugged_from = part.number()
        ports.unplug("1-1")
        wait_for(lambda: names(part) == [])
        wait_for(lambda: part.number() != unplugged_from)
        quiet = part.number()
        roles_store().change(lambda roles: roles)
        assert part.number() != quiet, "it moves with what people write, too"
        given = part.number()
        with HealthLog(clock=SystemClock()) as log:
            log("046d:0825:A1", LogKind.DEGRADED, "stands still", fault="frozen")
            assert log.flush()
        assert part.number() != given, "and with what sessions write"
    assert part.number() is None
    assert part.there() is None
    wanted = LogFilter(kinds=(LogKind.WATCH_STARTED, LogKind.PLUGGED, LogKind.UNPLUGGED))
    assert [line.kind for line in read(log_folder(), wanted)] == [
        LogKind.WATCH_STARTED,
        LogKind.PLUGGED,
        LogKind.UNPLUGGED,
    ]


def test_nothing_is_looked_at_while_nobody_asks_and_the_number_stays(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_S", 3600.0)
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        wait_for(lambda: any(line.kind == LogKind.WATCH_STARTED for line in read(log_folder(), LogFilter())))

        def stays() -> bool:
            before = part.number(), ports.looks
            assert not threading.Event().wait(1.0)
            return (part.number(), ports.looks) == before

        wait_for(stays, what="the end of what a slow machine still has to do at the start")
        looks = ports.looks
        part.there()
        wait_for(lambda: ports.looks == looks + 1)
        part.there()
        assert not threading.Event().wait(0.3)
        assert ports.looks == looks + 1, "who asks often does not make it look each time"


def test_a_watch_that_cannot_be_is_tried_again_and_told_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [OSError(errno.ENOBUFS, "no netlink")] * 3

    def events() -> HotplugListener:
        if refusals:
            raise refusals.pop()
        return HotplugListener(ports.netlink)

    monkeypatch.setattr(ports, "events", events)
    told: list[str] = []
    with watched(ports, told) as part:
        wait_for(lambda: ports.opened == 4 and part.number() is not None)
        ports.plug(WEBCAM, "1-1")
        wait_for(lambda: names(part) == ["C270"])
    assert told == [BROKEN]


# Inputs of sound servers

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
        self.known = SoundInputCache(self.clock, self._change, self._ask)

    def _ask(self) -> Sequence[Device]:
        self.asked += 1
        assert self.may_answer.wait(60)
        return self.offered

    def _change(self) -> None:
        self.changes += 1

    def pass_time(self, seconds: float) -> None:
        self.clock.advance_to(self.clock.now_ns() + int(seconds * NANOSECONDS))


def test_the_first_who_asks_waits_and_later_answers_are_asked_for_beside() -> None:
    servers = Servers()
    assert [*servers.known.now(), *servers.known.now()] == []
    assert (servers.asked, servers.changes) == (1, 0), "the next take that answer"
    servers.pass_time(FRESH_S + 1)
    servers.may_answer.clear()
    servers.offered = [HEADSET]
    assert list(servers.known.now()) == []
    assert list(servers.known.now()) == [], "nobody waits for servers that hang"
    servers.may_answer.set()
    wait_for(lambda: servers.changes)
    assert (list(servers.known.now()), servers.asked) == ([HEADSET], 2)
    servers.known.expire()
    servers.known.now()
    wait_for(lambda: servers.asked == 3, what="a look after a plug")
