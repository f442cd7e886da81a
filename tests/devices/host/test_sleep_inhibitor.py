"""The PC is kept awake while it should be and no longer, on a real bus; nothing of it costs anybody anything."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from devices.host import sleep_inhibitor
from devices.host.sleep_inhibitor import SleepInhibitor
from tests.support.buses import Bus, gnome, logind, screensaver
from tests.support.waiting import wait_for

SLEEP = ("sleep:idle", "Liput", "Rapat", "block")
REFUSAL = "Interactive authentication required."
LID = ("handle-lid-switch", "Liput", "Rapat", "block")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def system(tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = stack.enter_context(Bus(tmp_path / "system"))
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus.address)
    return bus


@pytest.fixture
def session(tmp_path: Path, stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Bus:
    bus = stack.enter_context(Bus(tmp_path / "session"))
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
    return bus


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")


def keep(told: list[str]) -> SleepInhibitor:
    return SleepInhibitor("Liput", "Rapat", told.append)


def test_sleep_the_lid_and_the_screen_are_held_off_while_it_lasts(system: Bus, session: Bus, stack: ExitStack) -> None:
    login, desktop = stack.enter_context(logind(system)), stack.enter_context(screensaver(session))
    told: list[str] = []
    before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths
    with keep(told) as kept:
        wait_for(lambda: login.held == [SLEEP, LID] and desktop.held == [("Liput", "Rapat")])
        assert kept.refused(20.0) == frozenset()
    wait_for(lambda: login.held == [] and desktop.held == [])
    assert told == []
    assert len(sorted(os.listdir("/proc/self/fd"))) == len(before) + 2  # noqa: PTH208 - the fake's own ends of two pipes


def test_gnome_is_asked_where_there_is_no_other(system: Bus, session: Bus, stack: ExitStack) -> None:
    stack.enter_context(logind(system))
    desktop = stack.enter_context(gnome(session))
    told: list[str] = []
    with keep(told):
        wait_for(lambda: desktop.held == [("Liput", 0, "Rapat", 8)])
    wait_for(lambda: desktop.held == [])
    assert told == []


def test_a_refusal_is_told_once_and_the_rest_is_held(system: Bus, session: Bus, stack: ExitStack) -> None:
    stack.enter_context(logind(system, REFUSAL))
    desktop = stack.enter_context(screensaver(session))
    told: list[str] = []
    with keep(told) as kept:
        wait_for(lambda: desktop.held)
        assert kept.refused(20.0) == frozenset({"sleep", "lid"})
    assert told == [
        "This PC may go to sleep meanwhile: org.freedesktop.login1 says: Interactive authentication required."
    ]


def test_no_bus_at_all_is_no_news(monkeypatch: pytest.MonkeyPatch, no_session: None) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(sleep_inhibitor, "_SYSTEM_SOCKETS", ())
    told: list[str] = []
    with keep(told):
        pass
    assert told == []


@pytest.mark.parametrize("address", ["unix:path=/nowhere/bus", "rubbish"])
def test_an_unreachable_bus_is_told_once(monkeypatch: pytest.MonkeyPatch, no_session: None, address: str) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    told: list[str] = []
    with keep(told) as kept:
        assert kept.refused(20.0) == frozenset({"sleep", "lid"})
    assert len(told) == 1
    assert told[0].startswith("The system bus does not answer: ")


def test_a_bus_or_a_logind_that_hangs_keeps_nobody_waiting(
    system: Bus, stack: ExitStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sleep_inhibitor, "ANSWER_S", 0.2)
    monkeypatch.setattr(sleep_inhibitor, "LET_GO_S", 0.1)
    stack.enter_context(logind(system, mute=True))
    hangs = stack.enter_context(socket.socket(socket.AF_UNIX))
    hangs.bind(str(tmp_path / "hangs"))
    hangs.listen()
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/hangs")
    told: list[str] = []
    with keep(told) as kept:
        assert kept.refused(0.0) is None
        assert kept.refused(20.0) == frozenset({"sleep", "lid", "lock"})
    assert sorted(told) == [
        "The session bus does not answer: Did not authenticate in 0.2 seconds",
        "This PC may go to sleep meanwhile: org.freedesktop.login1 does not answer (TimeoutError)",
    ]
