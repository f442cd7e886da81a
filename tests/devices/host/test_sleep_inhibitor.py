"""The PC is kept awake while it should be and no longer, on a real bus; nothing of it costs anybody anything."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.host import sleep_inhibitor
from devices.host.sleep_inhibitor import SleepInhibitor
from tests.support.buses import Inhibitor, logind, private_bus, screensaver
from tests.support.waiting import wait_for

SLEEP = ("sleep:idle", "Liput", "Rapat", "block")
LID = ("handle-lid-switch", "Liput", "Rapat", "block")


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with private_bus(tmp_path / "system") as bus:
        monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
        yield bus


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with private_bus(tmp_path / "session") as bus:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus)
        yield bus


@pytest.fixture
def no_session(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/nowhere")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def inhibitor(told: list[str]) -> SleepInhibitor:
    return SleepInhibitor("Liput", "Rapat", told.append)


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths


def test_sleep_the_lid_and_the_screen_are_held_off_while_it_lasts(
    system: str, session: str, inhibitor: SleepInhibitor, told: list[str]
) -> None:
    with logind(system) as login, screensaver(session) as desktop:
        before = descriptors()
        with inhibitor:
            wait_for(lambda: login.held == [SLEEP, LID] and desktop.held == [("Liput", "Rapat")])
            assert inhibitor.refused(20.0) == frozenset()
        wait_for(lambda: login.held == [] and desktop.held == [])
        assert told == []
        assert descriptors() == before + 2, "the fake's own ends of two pipes"


def test_gnome_is_asked_where_there_is_no_other(system: str, session: str, inhibitor: SleepInhibitor) -> None:
    with logind(system), Inhibitor(session, "org.gnome.SessionManager") as desktop:
        with inhibitor:
            wait_for(lambda: desktop.held == [("Liput", 0, "Rapat", 8)])
        wait_for(lambda: desktop.held == [])


def test_a_refusal_is_told_once_and_the_rest_is_held(
    system: str, session: str, inhibitor: SleepInhibitor, told: list[str]
) -> None:
    with logind(system, "Interactive authentication required."), screensaver(session) as desktop, inhibitor:
        wait_for(lambda: desktop.held)
        assert inhibitor.refused(20.0) == frozenset({"sleep", "lid"})
    assert told == [
        "This PC may go to sleep meanwhile: org.freedesktop.login1 says: Interactive authentication required."
    ]


@pytest.mark.usefixtures("no_session")
def test_no_bus_at_all_is_no_news(monkeypatch: pytest.MonkeyPatch, inhibitor: SleepInhibitor, told: list[str]) -> None:
    monkeypatch.delenv("DBUS_SYSTEM_BUS_ADDRESS", raising=False)
    monkeypatch.setattr(sleep_inhibitor, "_SYSTEM_SOCKETS", ())
    with inhibitor:
        assert inhibitor.refused(20.0) == frozenset()
    assert told == []


@pytest.mark.usefixtures("no_session")
@pytest.mark.parametrize("address", ["unix:path=/nowhere/bus", "rubbish"])
def test_an_unreachable_bus_is_told_once(
    monkeypatch: pytest.MonkeyPatch, inhibitor: SleepInhibitor, told: list[str], address: str
) -> None:
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
    with inhibitor:
        assert inhibitor.refused(20.0) == frozenset({"sleep", "lid"})
    (said,) = told
    assert said.startswith("The system bus does not answer: ")


def test_a_bus_or_a_logind_that_hangs_keeps_nobody_waiting(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inhibitor: SleepInhibitor, told: list[str]
) -> None:
    monkeypatch.setattr(sleep_inhibitor, "ANSWER_S", 0.5)  # in which the bus of `system` must answer
    monkeypatch.setattr(sleep_inhibitor, "LET_GO_S", 0.1)
    with logind(system, mute=True), socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(tmp_path / "hangs"))
        hangs.listen()
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", f"unix:path={tmp_path}/hangs")
        with inhibitor:
            assert inhibitor.refused(0.0) is None
            assert inhibitor.refused(20.0) == frozenset({"sleep", "lid", "lock"})
    assert sorted(told) == [
        "The session bus does not answer: Did not authenticate in 0.5 seconds",
        "This PC may go to sleep meanwhile: org.freedesktop.login1 does not answer (TimeoutError)",
    ]
