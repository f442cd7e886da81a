"""The kernel's messages: what is made of them, what is lost, and how waiting ends."""

import errno
import threading
import time

import pytest

from devices.monitor.monitor import LOST, UNPLUGGING, NetlinkEvents
from tests.support.netlink import Message, Netlink


def test_messages_are_told_with_the_port_of_a_plug() -> None:
    netlink = Netlink()
    events = NetlinkEvents(netlink)
    netlink.put(Message("add"))
    netlink.put(Message("bind", device_type="usb_interface", sys_name="1-1:1.0"))
    netlink.put(Message("remove", subsystem="video4linux", device_type=None, sys_name="video0"))
    assert events.wait(5) == [("add", "1-1"), ("bind", None), ("remove", None)]
    assert events.wait(0) == []
    events.close()
    netlink.close()


def test_what_was_lost_is_told_and_what_follows_too() -> None:
    netlink = Netlink()
    events = NetlinkEvents(netlink)
    netlink.put(OSError(errno.ENOBUFS, "no buffer space"))
    netlink.put(Message("add"))
    assert events.wait(5) == [LOST, ("add", "1-1")]
    netlink.put(OSError(errno.EBADF, "gone"))
    with pytest.raises(OSError, match="gone"):
        events.wait(5)
    events.close()
    netlink.close()


def test_only_going_counts_as_unplugging() -> None:
    actions = ("remove", "unbind", "add", "bind", "change", "lost")
    assert [action in UNPLUGGING for action in actions] == [True, True, False, False, False, False]


def test_waking_ends_the_wait_also_one_that_comes_later() -> None:
    events = NetlinkEvents()  # the machine's own: netlink there is everywhere
    began = time.monotonic()
    threading.Timer(0.05, events.wake).start()
    assert events.wait(20) == []
    events.wake()
    assert events.wait(None) == []
    assert time.monotonic() - began < 10
    events.close()
    events.wake()


def test_closing_it_twice_is_closing_it_once() -> None:
    netlink = Netlink()
    events = NetlinkEvents(netlink)
    for _ in range(2):
        events.close()
        events.wake()
    netlink.close()
