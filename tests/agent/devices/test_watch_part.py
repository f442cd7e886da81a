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
from devices.device_service import DeviceService
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
    monkeypatch.setattr(module, "AGAIN_S", 0.02)
    monkeypatch.setattr(module, "LOOK_S", 0.01)
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
    kinds = [LogKind.WATCH_STARTED, LogKind.PLUGGED, LogKind.UNPLUGGED]
    assert [line.kind for line in read(log_folder(), LogFilter(kinds=kinds))] == kinds


def test_nothing_is_looked_at_while_nobody_asks_and_the_number_stays(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_S", 3600.0)
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        wait_for(lambda: any(line.kind == LogKind.WATCH_STARTED for line in read(log_folder(), LogFilter())))

        def stays() -> bool:
            before = part.number(), ports.looks
            assert not threading.Event().wait(0.1)  # in real time: ten looks of the part
            return (part.number(), ports.looks) == before

        wait_for(stays, what="the end of what a slow machine still has to do at the start")
        looks = ports.looks
        part.there()
        wait_for(lambda: ports.looks == looks + 1)
        asked = list[int]()
        monkeypatch.setattr(DeviceService, "refresh", lambda _: asked.append(1))
        part.there()
        assert asked == [], "who asks often does not make it look each time"
        monkeypatch.setattr(module, "ASKED_S", 0.0)
        part.there()
        assert asked == [1]


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


def test_the_first_who_asks_waits_and_later_answers_are_asked_for_beside() -> None:
    offered, asked, may_answer = list[Device](), list[int](), threading.Event()
    clock, changed = SimulatedClock(), threading.Event()

    def ask() -> Sequence[Device]:
        asked.append(1)
        assert may_answer.wait(60)
        return offered

    may_answer.set()
    known = SoundInputCache(clock, changed.set, ask)
    assert [*known.now(), *known.now()] == []
    assert (len(asked), changed.is_set()) == (1, False), "the next take that answer"
    clock.advance_to(clock.now_ns() + int((FRESH_S + 1) * NANOSECONDS))
    may_answer.clear()
    offered.append(HEADSET)
    assert [*known.now(), *known.now()] == [], "nobody waits for servers that hang"
    may_answer.set()
    assert changed.wait(60)
    assert (list(known.now()), len(asked)) == ([HEADSET], 2)
    known.expire()
    known.now()
    wait_for(lambda: len(asked) == 3, what="a look after a plug")
