"""The daemon's part that watches devices: a real monitor and device service, over messages that are replayed."""

import errno
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from agent.daemon.parts import Parts
from agent.devices import part as module
from agent.devices.part import BROKEN, DevicesPart
from config.settings.schema import Settings
from devices.health.line import Kind
from devices.health.log import HealthLog, log_folder
from devices.health.query import Wanted, read
from devices.host.clock import SystemClock
from devices.monitor.monitor import NetlinkEvents
from devices.roles.roles import roles_store
from tests.support.looks import WEBCAM
from tests.support.waiting import wait_for
from tests.support.watched import Ports


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
    assert part.number() is None
    assert part.there() is None
    wanted = Wanted(kinds=(Kind.WATCH_STARTED, Kind.PLUGGED, Kind.UNPLUGGED))
    assert [line.kind for line in read(log_folder(), wanted)] == [Kind.WATCH_STARTED, Kind.PLUGGED, Kind.UNPLUGGED]


def test_nothing_is_looked_at_while_nobody_asks_and_the_number_stays(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ASKED_S", 3600.0)
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        wait_for(lambda: any(line.kind == Kind.WATCH_STARTED for line in read(log_folder(), Wanted())))

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


def test_the_number_moves_with_what_sessions_and_people_write(ports: Ports) -> None:
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        wait_for(lambda: any(line.kind == Kind.WATCH_STARTED for line in read(log_folder(), Wanted())))
        before = part.number()
        with HealthLog(clock=SystemClock()) as log:
            log("046d:0825:A1", Kind.DEGRADED, "stands still", fault="frozen")
            assert log.flush()
        between = part.number()
        assert between != before
        roles_store().change(lambda roles: roles)
        assert part.number() != between


def test_a_watch_that_cannot_be_is_tried_again_and_told_once(ports: Ports, monkeypatch: pytest.MonkeyPatch) -> None:
    refusals = [OSError(errno.ENOBUFS, "no netlink")] * 3

    def events() -> NetlinkEvents:
        if refusals:
            raise refusals.pop()
        return NetlinkEvents(ports.netlink)

    monkeypatch.setattr(ports, "events", events)
    told: list[str] = []
    with watched(ports, told) as part:
        wait_for(lambda: ports.opened == 4 and part.number() is not None)
        ports.plug(WEBCAM, "1-1")
        wait_for(lambda: names(part) == ["C270"])
    assert told == [BROKEN]


def test_a_watch_that_ends_is_begun_anew(ports: Ports) -> None:
    with watched(ports) as part:
        wait_for(lambda: part.number() is not None)
        service = part._service
        assert service
        service._monitor.stop()  # as a mistake of its own would end its thread
        wait_for(lambda: ports.opened == 2 and part.number() is not None)
        ports.plug(WEBCAM, "1-1")
        wait_for(lambda: names(part) == ["C270"])
