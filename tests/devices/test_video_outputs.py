"""Which output node is meant, and why there is none; real nodes are in tests/rig/guest/guest_record.py."""

import os
import subprocess
import sys

import pytest

from config.errors import DeviceError, DeviceNotFound
from devices.video_outputs import find_output
from tests.support.errors import because


def test_a_label_that_no_node_has_is_told_with_what_makes_one() -> None:
    with pytest.raises(DeviceNotFound, match='no virtual camera called "No such camera"') as caught:
        find_output("No such camera")
    assert "liput conference setup" in caught.value.hint


def test_a_path_that_is_none_and_one_that_takes_no_pictures_are_told_apart() -> None:
    with pytest.raises(DeviceNotFound):
        find_output("/dev/video-that-is-not")
    with pytest.raises(DeviceError, match="/dev/null takes no frames", check=because("unsupported")):
        find_output("/dev/null")


# No node that is opened becomes the terminal of a daemon, which would end it


ASK = """
import contextlib, os, sys
from fractions import Fraction
from config.errors import LiputError
from devices.controls.panel import ControlPanel
from devices.monitor.modes import is_stream_free
from devices.monitor.modes import probe_node
from devices.video_outputs import VideoOutput, VideoOutputWriter, find_output

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
        "find_output(node)",
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
