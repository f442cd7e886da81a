"""What is shown of what a recorder tells."""

from datetime import UTC, datetime
from typing import get_args

import pytest

from agent.reporters import PlainReporter
from agent.telling import NOT_MEASURED, Follower
from config.events import Event
from recorder.streaming.choice import Why


@pytest.mark.parametrize("destinations", [["kampus"], []])
@pytest.mark.parametrize("why", [*get_args(Why.__value__), None])
def test_a_session_that_begins_with_a_pc_nobody_has_measured_says_what_to_do(
    why: str | None, destinations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    detail: dict[str, object] = {"destinations": destinations} | ({"stream_why": why} if why else {})
    Follower(PlainReporter()).take(Event(datetime.now(UTC), "session-live", "paket", detail, "Recording."))
    shown = capsys.readouterr().out
    assert "Recording." in shown
    assert (NOT_MEASURED in shown) is (why == "not-measured" and bool(destinations)), (
        "who streams to nobody need not care"
    )
    assert "liput headroom" in NOT_MEASURED
