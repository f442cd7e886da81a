"""What the kernel says of a process, beside what psutil reads there, whatever the command is called."""

import os
import shutil
import subprocess
from pathlib import Path

import psutil

from devices.host.process import parent_of, process_started
from tests.support.waiting import wait_for


def test_it_is_what_psutil_says_whatever_the_command_is_called(tmp_path: Path) -> None:
    awkward = tmp_path / ") R 1 (\udcff"
    shutil.copy(shutil.which("sleep") or "", awkward)
    with subprocess.Popen([awkward, "60"], process_group=0) as child:
        try:
            assert parent_of(child.pid) == os.getpid()
            started = process_started(child.pid)
            assert started is not None
            ticks = os.sysconf("SC_CLK_TCK")
            began_s = psutil.boot_time() + started / ticks
            assert abs(began_s - psutil.Process(child.pid).create_time()) <= 2 / ticks
        finally:
            child.kill()
        wait_for(lambda: process_started(child.pid) is None, what="its end")
        assert parent_of(child.pid) == os.getpid()
    assert parent_of(child.pid) is None
