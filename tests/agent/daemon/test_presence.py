"""Who waits for the recorder that goes on in the place of a killed one, and for how long."""

import threading
import time
from pathlib import Path

import msgspec
import pytest

from agent.daemon import presence
from agent.daemon.presence import SUCCESSOR_WAIT_S, successor, with_replaced
from devices.host.clock import SystemClock
from recorder.running import runtime_directory
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo

pytestmark = pytest.mark.usefixtures("runtime")


def recorder(**facts: object) -> RecorderFolder:
    """Leave the folder of a recorder: this very process, so that it counts as alive."""
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    return runtime_directory.make_recorder_folder(
        msgspec.structs.replace(info, work="/arsip/.incoming/rapat", **facts), b"{}"
    )


def who_comes_in_the_place_of(killed: RecorderFolder, *waited_for: RecorderFolder) -> RecorderInfo:
    """Return who is found by those who wait, of those that come only half a second later."""

    def come() -> None:
        recorder(replaces=killed.id)
        killed.remove()

    with presence.daemon_lock():
        coming = threading.Timer(0.5, come)
        coming.start()
        found = successor(*waited_for)
        coming.join()
    assert found
    info = found.info()
    assert info
    return info


def test_one_that_has_taken_the_folder_of_the_killed_one_away_is_found() -> None:
    killed = recorder(pid_started=1)
    following = recorder(replaces=killed.id)
    killed.remove()
    found = successor(killed)
    assert found
    assert found.id == following.id


def test_one_that_comes_is_waited_for() -> None:
    killed = recorder(pid_started=1)
    assert who_comes_in_the_place_of(killed, killed).replaces == killed.id


def test_one_that_died_before_it_recorded_is_followed_by_who_comes_in_the_place_of_the_first() -> None:
    killed = recorder(pid_started=1)
    second = recorder(pid_started=1, replaces=killed.id)
    info = second.info()
    assert info
    both = with_replaced(second, info)
    second.remove()  # the daemon does: nothing is lost with it
    assert who_comes_in_the_place_of(killed, *both).replaces == killed.id


def test_none_is_waited_for_once_the_session_is_given_up() -> None:
    """The daemon takes the folder away, and makes a package of what there is."""
    killed = recorder(pid_started=1)
    began_s = time.monotonic()
    with presence.daemon_lock():
        threading.Timer(0.5, killed.remove).start()
        assert successor(killed) is None
    assert time.monotonic() - began_s < SUCCESSOR_WAIT_S / 2


def test_none_is_waited_for_where_no_daemon_runs() -> None:
    began_s = time.monotonic()
    assert successor(recorder(pid_started=1)) is None
    assert time.monotonic() - began_s < SUCCESSOR_WAIT_S / 2
