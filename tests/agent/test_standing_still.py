"""A recorder that stands still for a moment, as on a virtual PC that is paused, has what its sources gave meanwhile."""

import os
import signal
import time
from pathlib import Path

import pytest

from tests.proofs.sync import sound_times
from tests.support.command import running
from tests.support.recorders import recorders
from tests.support.room import Room, program

STANDS_S = 2.0
"""Longer than any source may give nothing."""


def test_all_sound_is_recorded_and_none_is_called_silent(room: Room, runtime: Path) -> None:
    with running(room.home, *room.words("--json", "--audio", "synthetic", "--for", "6s")) as session:
        for line in session.read():
            if line["type"] == "status" and float(str(line["media_time_s"])) > 1:
                break
        (info,) = recorders(runtime)
        os.kill(info.pid, signal.SIGSTOP)
        time.sleep(STANDS_S)
        os.kill(info.pid, signal.SIGCONT)
        session.wait()
    events = [line for line in session.seen if line["type"] == "event"]
    silent = [line for line in events if line["subject"] == "synthetic sound"]
    assert [line["kind"] for line in silent] == []
    assert sound_times(program(room.only_package()), 0.0) == pytest.approx(range(6), abs=0.04)
