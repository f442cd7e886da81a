"""The recorders that a test has started, by whatever way: found in the runtime directory, and gone afterwards."""

import contextlib
import os
import signal
from pathlib import Path

import msgspec

from devices.host.process import process_started
from recorder.running.runtime_directory import RecorderInfo
from tests.support.waiting import wait_for


def recorders(runtime: Path) -> list[RecorderInfo]:
    """Return those that run. Not a test that calls itself one."""
    found = []
    for path in runtime.glob("*/recorder.json"):
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            found.append(msgspec.json.decode(path.read_bytes(), type=RecorderInfo))
    return [info for info in found if info.is_alive and _is_recorder(info.pid)]


def recording(runtime: Path, other_than: int = 0) -> RecorderInfo:
    """Wait for a recorder that records, and is not the process `other_than`."""

    def found() -> RecorderInfo | None:
        return next((info for info in recorders(runtime) if info.work and info.pid != other_than), None)

    info = wait_for(found, what="a recorder that records")
    assert info
    return info


def _is_recorder(pid: int) -> bool:
    try:
        return b"\0recorder.control.process\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def kill_recorders(runtime: Path) -> None:
    """Kill them, each with the children of its own session, and wait until they are gone."""
    for info in recorders(runtime):
        kill(info.pid)


def kill(pid: int) -> None:
    """Kill a recorder, and wait until it is gone."""
    started = process_started(pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: process_started(pid) is None or process_started(pid) != started)
