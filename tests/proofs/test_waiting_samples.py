"""Samples of the proofs that mostly wait, or mind little what waits beside them (tests/support/sharing.py)."""

import random

import pytest

from tests.bench import scaling
from tests.net.faults import FAULTS
from tests.proofs import crowd, endurance, kill, live, soak, uplink
from tests.support.figures import SEED, in_full

pytestmark = pytest.mark.alone("each judges time", lane="disks")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_at_any_moment_costs_at_most_a_second() -> None:
    figures = kill.run(2, SEED, "240p15")
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
def test_neither_memory_nor_threads_grow_and_sound_stays_with_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endurance, "MARKS_MIN", (0.25, 0.5, 0.75, 1))
    monkeypatch.setattr(scaling, "BAR", 1.0)  # of so little on a machine that does other things too
    figures = endurance.run(66, most_mb_per_hour=400)  # 7 MB, or 4 kB of a frame's 86: libraries take 1 or 2
    assert figures["holds"], in_full(figures)
    cpu_s = figures["cpu_s_after_minutes"]
    assert isinstance(cpu_s, dict)
    assert list(cpu_s) == [0.25, 0.5, 0.75, 1]
    assert 0 < cpu_s[0.25] < cpu_s[0.5] < cpu_s[0.75] < cpu_s[1]


@pytest.mark.slow
@pytest.mark.server
def test_viewers_are_back_after_faults_of_the_network_and_the_recording_never_noticed() -> None:
    name = random.Random(SEED).choice(sorted(FAULTS))
    figures = live.run([name], SEED, "2M", longest_s=10, slack=2)
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
def test_three_destinations_that_fail_cost_the_fourth_and_the_recording_nothing() -> None:
    figures = crowd.run(12, "240p15", mb_per_minute=1000, slack=2)  # in so short a time, memory is still filled
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_a_server_that_comes_and_goes_leaves_nothing_behind_in_a_recorder() -> None:
    figures = soak.run_here(30, 2, most_mb=8, busy=True)  # in so short a time, memory is still filled
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
def test_an_uplink_is_as_iperf3_says_and_a_fault_has_its_own_reason() -> None:
    cells = [uplink.Cell(10e6, 0.02, 0.0)]
    figures = uplink.run(cells, ["librespeed"], ["portal"], uplink.SHORT, SEED, slack=2, opinions=1)
    assert figures["holds"], in_full(figures)
