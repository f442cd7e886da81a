"""What limits grant to an ordinary user, as the unit of a recorder has them: real ones, raised by root."""

import os

from devices.host.priority import NICE, REALTIME, SOUND_NICE
from tests.support.processes import asked, figures


def test_what_the_limits_allow_is_taken() -> None:
    told = asked(nice=SOUND_NICE, realtime=REALTIME)
    assert figures(told["may"]) == figures(told["got"]) == (NICE, REALTIME)
    assert (told["thread"], told["sound"]) == (NICE, "realtime")
    assert told["policies"] == [os.SCHED_OTHER, os.SCHED_RR, os.SCHED_RR]


def test_a_part_of_it_is_better_than_nothing() -> None:
    told = asked(nice=-2)
    assert figures(told["may"]) == figures(told["got"]) == (-2, 0)
    assert told["sound"] == "nice -2"


def test_sound_that_may_not_be_real_time_is_less_nice_than_the_rest() -> None:
    told = asked(nice=SOUND_NICE)
    assert figures(told["got"]) == (NICE, 0)
    assert told["sound"] == f"nice {SOUND_NICE}"


def test_what_the_limits_forbid_is_done_without() -> None:
    told = asked(nice=20)
    assert figures(told["may"]) == figures(told["got"]) == (0, 0)
    assert told["sound"] == "nice 0"
