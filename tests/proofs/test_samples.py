"""A seeded sample of each long proof that judges time, and is alone therefore; `./run prove AREA` runs the whole."""

import os

import pytest

from tests.proofs import congestion, latency, load, minute, page, sealing
from tests.support.figures import SEED, in_full
from tests.support.quota import is_allowed

pytestmark = pytest.mark.alone("each judges time or cost")


@pytest.mark.slow
@pytest.mark.server
def test_every_picture_of_a_paced_session_is_recorded_and_streamed() -> None:
    figures = minute.run(6, "720p30")
    assert figures["holds"], in_full(figures)
    assert figures["frames_at_the_server"] == figures["frames_expected"], in_full(figures)


@pytest.mark.slow
@pytest.mark.skipif(not is_allowed(), reason="control groups cannot be made here")
def test_a_pc_that_cannot_keep_up_costs_pictures_and_no_sound() -> None:
    # Half of what the session takes. With less a slow machine has too little for the sound alone: that takes a tenth of
    # a core, and what looks after the session nearly as much.
    share = 0.3 / (os.cpu_count() or 1)
    figures = load.run({"squeezed": load.Case([(None, 3), (share, 12)])}, "720p30", busy=True)
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
def test_nobody_waits_long_for_a_start_a_slate_a_return_or_a_layout() -> None:
    figures = latency.run(1, "240p15", slack=2, reaches_back_s=3)  # of a machine that does other things too
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
def test_the_live_sides_own_encode_follows_a_link_that_narrows() -> None:
    figures = congestion.run(((6e6, 6.0), (2e6, 10.0)), busy=True)
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
def test_sealing_takes_little_and_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "MOST_S_PER_GB", 200.0)  # idle programs wait for all others
    figures = sealing.run(600, "300k", "320x180")
    assert figures["holds"], in_full(figures)


@pytest.mark.slow
@pytest.mark.server
def test_a_page_costs_little_and_twenty_cost_no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SETTLE_S", 1.0)
    # On a machine that does other things too.
    figures = page.run(SEED, "240p15", pairs=(1, 3.0), crowd=(1, 3.0), slack=2)
    assert figures["holds"], in_full(figures)
