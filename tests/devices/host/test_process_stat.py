"""What the kernel says of a process, beside what psutil reads there, whatever the command is called."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import psutil

from devices.host.process_stat import process_stat


def test_it_is_what_psutil_says_whatever_the_command_is_called(tmp_path: Path) -> None:
    awkward = tmp_path / ") R 1 (\udcff"
    shutil.copy(shutil.which("sleep") or "", awkward)
    with subprocess.Popen([awkward, "60"], process_group=0) as child:
        try:
            found = process_stat(child.pid)
            assert found is not None
            assert found.parent == os.getpid()
            assert found.state in {"S", "R", "D"}
            ticks = os.sysconf("SC_CLK_TCK")
            began_s = psutil.boot_time() + found.started / ticks
            assert abs(began_s - psutil.Process(child.pid).create_time()) <= 2 / ticks
        finally:
            child.kill()
        while (dead := process_stat(child.pid)) is None or dead.state != "Z":
            time.sleep(0.01)
        assert dead.parent == os.getpid()
    assert process_stat(child.pid) is None
