"""Nodes are opened as what they are to us: none becomes the terminal that ends us when it hangs up."""

import os
import subprocess
import sys

import pytest

ASK = """
import contextlib, os, sys
from fractions import Fraction
from config.errors import LiputError
from devices.controls.panel import ControlPanel
from devices.monitor.modes import is_stream_free
from devices.monitor.modes import probe_node
from devices.video_outputs import VideoOutput, VideoOutputWriter, _probe

node = sys.argv[1]
with contextlib.suppress(LiputError, OSError):
    {asking}
try:
    os.close(os.open("/dev/tty", os.O_RDWR))
except OSError:
    print("no terminal")
"""


@pytest.mark.parametrize(
    "asking",
    [
        "is_stream_free(node)",
        "probe_node(node, 'Cam')",
        "ControlPanel(node, 'Cam')",
        "_probe(node, 'Loop')",
        "VideoOutputWriter(VideoOutput(node, 'Loop', is_loopback=False), 16, 16, Fraction(30))",
    ],
)
def test_a_terminal_that_is_taken_for_a_device_is_not_ours(asking: str) -> None:
    """A daemon leads a session of its own; a terminal that it opened would end it when somebody closes that."""
    master, slave = os.openpty()
    node = os.ttyname(slave)
    os.close(slave)
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(asking=asking), node],
        capture_output=True, text=True, start_new_session=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(master)
    assert (done.stdout, done.stderr) == ("no terminal\n", "")
