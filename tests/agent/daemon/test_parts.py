"""The parts of the daemon: one that breaks is begun anew, one that hangs is seen, none takes another with it."""

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.daemon import parts
from agent.daemon.parts import HANGS_AFTER_S, Beat, Parts, ServiceNotifier
from devices.host.clock import NANOSECONDS
from devices.host.throttle import Tell
from tests.support import command
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


@dataclass
class Scripted:
    """Breaks as often as it is told to, then waits for the end; or hangs without a word."""

    name: str = "scripted"
    breaks: int = 0
    hangs: bool = False
    begun: int = 0
    beats: int = 0
    let_go: threading.Event = field(default_factory=threading.Event)

    def run(self, stop: threading.Event, beat: Beat) -> None:
        self.begun += 1
        if self.begun <= self.breaks:
            raise OSError(f"broken {self.begun}")
        if self.hangs:
            self.let_go.wait(30)
            return
        while not stop.wait(0.005):
            beat()
            self.beats += 1


def test_one_that_breaks_is_begun_anew_and_the_others_go_on() -> None:
    broken, whole, told = Scripted("broken", breaks=3), Scripted("whole"), list[str]()
    parts = Parts([broken, whole], SimulatedClock(), told.append)
    parts.start()
    wait_for(lambda: broken.beats and whole.beats)
    assert parts.stop() == []
    assert (broken.begun, whole.begun) == (4, 1)
    assert [text for text in told if text.startswith("broken has broken")] == told
    assert "broken 3" in told[2]


def test_one_that_hangs_is_seen_and_named_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.daemon.parts.END_S", 0.2)
    hung, whole, clock = Scripted("hung", hangs=True), Scripted("whole"), SimulatedClock()
    parts = Parts([hung, whole], clock, print)
    parts.start()
    wait_for(lambda: hung.begun and whole.beats)
    assert parts.standing() == []
    clock.advance_to(clock.now_ns() + int((HANGS_AFTER_S + 1) * NANOSECONDS))
    wait_for(lambda: parts.standing() == ["hung"])
    assert "hung" in parts.stop()
    hung.let_go.set()
    wait_for(lambda: parts.standing() == [])  # one that has ended does not count as hung


# What a service manager hears: a real datagram socket, and a real daemon one of whose parts hangs


class Manager:
    """Stands for systemd: a datagram socket."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(60)

    def until(self, words: str) -> list[str]:
        """Return what comes, up to these words."""
        heard = list[str]()
        while words not in heard:
            heard.append(self._socket.recv(4096).decode())
        return heard

    def waiting(self) -> list[str]:
        """Return what has come already."""
        heard = list[str]()
        self._socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                heard.append(self._socket.recv(4096).decode())
        self._socket.settimeout(60)
        return heard

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with closing(Manager(f"@liput-test-{tmp_path}"[:100])) as manager:
        yield manager


def pulse_of(environment: dict[str, str], clock: SimulatedClock | None = None, tell: Tell = print) -> ServiceNotifier:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "environ", environment)
        return ServiceNotifier(clock or SimulatedClock(), tell)


def test_each_word_is_one_datagram_and_children_cannot_speak(manager: Manager) -> None:
    environment = {parts.ADDRESS: manager.address, "HOME": "/root"}
    made = pulse_of(environment)
    made.send("READY=1")
    made.send("STOPPING=1")
    assert manager.waiting() == ["READY=1", "STOPPING=1"]
    assert environment == {"HOME": "/root"}


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "@" + "x" * 300, "/with\0nul"])
def test_a_manager_that_cannot_be_told_harms_nobody(address: str) -> None:
    pulse_of({parts.ADDRESS: address} if address else {}).begin()


def test_a_manager_that_reads_nothing_is_not_waited_for(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SEND_S", 0.01)
    made = pulse_of({parts.ADDRESS: manager.address})
    for _ in range(100):  # more than the kernel keeps
        made.send("WATCHDOG=1")
    assert set(manager.waiting()) == {"WATCHDOG=1"}


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 10.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_the_watchdog_is_fed_where_it_is_ours(variables: dict[str, str], seconds: float | None) -> None:
    assert pulse_of(dict(variables)).fed_every_s == seconds


def test_it_is_fed_in_half_of_its_time_and_only_while_nothing_stands(manager: Manager) -> None:
    clock, told = SimulatedClock(), list[str]()
    made = pulse_of({parts.ADDRESS: manager.address, "WATCHDOG_USEC": "20000000"}, clock, told.append)
    made.begin()
    assert manager.waiting() == ["READY=1", "STATUS=watching", "WATCHDOG=1"]

    def looks(count: int, *standing: str) -> list[str]:
        for _ in range(count):
            clock.advance_to(clock.now_ns() + int(made.look_s * NANOSECONDS))
            made.look(standing)
        return manager.waiting()

    assert looks(40).count("WATCHDOG=1") >= 4
    assert looks(60, "web", "sessions") == ["STATUS=web, sessions hangs"]
    assert told == ["web, sessions hangs; the daemon will be started anew"]
    assert looks(1) == ["STATUS=watching", "WATCHDOG=1"], "one that moves again is worth living for"
    assert told[1:] == ["nothing hangs any more"]


SERVE = """
import sys
from pathlib import Path
import agent.daemon.parts, agent.daemon.supervisor
from agent.cli.main import main

sign = Path(sys.argv[1])

def run(self, stop, beat=lambda: None):
    while not stop.wait(0.05):
        if sign.exists():
            agent.daemon.parts.HANGS_AFTER_S = 2.0
        else:
            beat()

agent.daemon.supervisor.RecorderSupervisor.run = run
sys.argv[1:] = ["serve", "--archive", str(sign.parent), "--json"]
main()
"""
"""`liput serve`, whose sessions hang while there is a file of that name."""


def test_a_daemon_one_of_whose_parts_hangs_feeds_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sign = tmp_path / "hang"
    monkeypatch.setattr(command, "LIPUT", (command.LIPUT[0], "-P", "-c", SERVE))
    with (
        closing(Manager(str(tmp_path / "notify"))) as manager,
        command.running(tmp_path, sign, more={parts.ADDRESS: manager.address, "WATCHDOG_USEC": "1000000"}) as daemon,
    ):
        assert manager.until("WATCHDOG=1") == ["READY=1", "STATUS=watching", "WATCHDOG=1"]
        manager.until("WATCHDOG=1")
        sign.touch()
        manager.until("STATUS=sessions hangs")
        daemon.until("note", text="sessions hangs; the daemon will be started anew")
        assert manager.waiting() == []
        sign.unlink()
        assert manager.until("STATUS=watching") == ["STATUS=watching"], "not one sign of life while it hung"
        manager.until("WATCHDOG=1")
        daemon.signal(signal.SIGTERM)
        manager.until("STOPPING=1")
        assert daemon.wait() == 0
