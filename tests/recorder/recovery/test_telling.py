"""What recovery says for people of what is missing."""

from recorder.archive.model import INTERRUPTED, Gap
from recorder.recovery.finish import missing


def test_where_something_is_missing_is_said_as_clocks_show_it_also_after_a_day() -> None:
    gaps = [Gap(start_s=at_s, duration_s=2.9, reason="it was killed") for at_s in (31.9, 90_061.9)]
    assert missing(gaps, []) == (
        "missing: 2.9 s from 0:00:31 on (it was killed); 2.9 s from 25:01:01 on (it was killed)"
    )


def test_what_was_lost_before_is_said_beside_what_a_kill_has_cost() -> None:
    assert missing([], []) == "nothing is missing"
    assert missing([], [INTERRUPTED]) == "the last second may be missing"
    assert missing([], ["source-lost: podium"]) == "while it was recorded: source-lost: podium"
    assert missing([], [INTERRUPTED, "source-lost: podium"]) == (
        "the last second may be missing; while it was recorded: source-lost: podium"
    )
