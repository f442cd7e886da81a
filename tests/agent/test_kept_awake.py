"""While a session is armed or recorded the PC stays awake, whatever becomes of its recorder afterwards."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from recorder.running import runtime_directory
from tests.support import command
from tests.support.buses import Bus, Service, logind, screensaver
from tests.support.command import Running, running
from tests.support.recorders import kill, recorders
from tests.support.room import Room
from tests.support.waiting import wait_for


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def bus(stack: ExitStack, tmp_path: Path) -> Bus:
    return stack.enter_context(Bus(tmp_path / "bus"))


@pytest.fixture
def login(stack: ExitStack, bus: Bus) -> Service:
    return stack.enter_context(logind(bus))


@pytest.fixture
def desktop(stack: ExitStack, bus: Bus) -> Service:
    return stack.enter_context(screensaver(bus))


def variables(bus: Bus) -> dict[str, str]:
    return {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "DBUS_SESSION_BUS_ADDRESS": bus.address}


def recording(room: Room, bus: Bus, stack: ExitStack) -> Running:
    session = stack.enter_context(running(room.home, *room.words("--json"), more=variables(bus)))
    session.until("event", kind="session-live")
    return session


def test_sleep_and_lock_are_held_off_from_arming_to_the_end(
    room: Room, bus: Bus, login: Service, desktop: Service
) -> None:
    armed = command.liput(room.home, "arm", *room.words()[1:], more=variables(bus))
    assert armed.returncode == 0, armed.stderr
    wait_for(lambda: len(login.held) == 2 and len(desktop.held) == 1)
    assert login.held[0] == ("sleep:idle", "Liput", "Rapat Senat: a session is armed or recorded", "block")
    assert command.liput(room.home, "start").returncode == 0
    assert (len(login.held), len(desktop.held)) == (2, 1)
    assert command.liput(room.home, "stop").returncode == 0
    wait_for(lambda: login.held == desktop.held == [])
    assert len(login.asked) == 2  # nothing was asked for twice


def test_a_killed_recorder_keeps_nothing_awake(
    room: Room, bus: Bus, login: Service, desktop: Service, stack: ExitStack
) -> None:
    recording(room, bus, stack)
    wait_for(lambda: len(login.held) == 2 and len(desktop.held) == 1)
    (info,) = recorders(Path(os.environ[runtime_directory.RUNTIME_VARIABLE]))
    kill(info.pid)
    wait_for(lambda: login.held == desktop.held == [])


def test_a_refusal_is_a_sentence_and_no_loss(room: Room, bus: Bus, stack: ExitStack) -> None:
    stack.enter_context(logind(bus, "Permission denied"))
    done = command.liput(room.home, *room.words("--json", "--for", "2s"), more=variables(bus))
    assert done.returncode == 0
    assert command.lines(done.stdout)[-1]["degraded"] == []
    assert done.stderr == "This PC may go to sleep meanwhile: org.freedesktop.login1 says: Permission denied\n"
