"""Samples of the proofs in which no clock is judged: they run as fast as they go, beside others, too."""

import pytest

from tests.proofs import archive, drift, watches
from tests.support.figures import SEED, in_full

pytestmark = pytest.mark.computing


@pytest.mark.slow
def test_a_lecture_alarms_nobody_and_faults_are_found_in_time() -> None:
    figures = watches.run(1, 1, SEED, (480, 270))
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
def test_sound_stays_with_the_picture_whatever_the_clock_of_its_device() -> None:
    figures = drift.run(4, SEED)
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
def test_a_kill_at_any_moment_of_what_changes_an_archive_costs_only_time() -> None:
    figures = archive.run(5, SEED)
    assert figures["holds"], in_full(figures)
