"""Which output node is meant, and why there is none; real nodes are in tests/rig/guest/guest_conference.py."""

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
