"""A destination whose link is too slow: how late viewers are, what is dropped, what is said; on a simulated clock."""

import pytest

from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import NANOSECONDS
from recorder.live import attempt
from recorder.live.attempt import LEAST_BYTES, MOST_BYTES, buffer_bytes
from recorder.live.destination import LagDetector, LiveDestination
from recorder.model.status import DestinationLine
from tests.support.encoded import RATE, SmallEncoder
from tests.support.links import ThrottledChild
from tests.support.simulated import BEGINNING, SimulatedClock
from tests.support.streams import Events
from tests.support.waiting import wait_for

STREAM_BPS = 300_000


def test_it_is_slow_from_the_first_drop_until_it_has_been_close_for_a_while() -> None:
    lag = LagDetector()
    lag.begin(dropped=40)  # before it was live

    def look(at_s: float, dropped: int, delay_s: float) -> bool:
        return lag.update(round(at_s * NANOSECONDS), dropped, delay_s)

    assert look(0, 40, 5.9) is False
    assert look(1, 100, 6.0) is True
    assert look(2, 130, 2.0) is False
    assert [look(at_s, 130, 1.0) for at_s in (3, 7, 11.9)] == [False] * 3
    assert look(12, 130, 1.0) is True
    assert (lag.is_slow, lag.slow_s, lag.frames) == (False, 11.0, 90)
    assert look(13, 130, 4.0) is False
    assert look(14, 131, 4.0) is True


def test_between_two_drops_it_is_slow() -> None:
    lag = LagDetector()
    lag.begin(0)
    delays = [(t, 2.0 + t % 10 * 0.4) for t in range(100)]  # it falls behind by 0.4 s a second, and drops every 10 s
    changes = [lag.update(t * NANOSECONDS, 60 * (1 + t // 10), delay_s) for t, delay_s in delays]
    assert changes == [True] + [False] * 99


@pytest.mark.parametrize(
    ("bps", "most"), [(300_000, 16_384), (2_500_000, 65_536), (30_000, LEAST_BYTES), (0, MOST_BYTES)]
)
def test_what_the_way_holds_is_half_a_second_at_most(bps: int, most: int) -> None:
    assert buffer_bytes(bps) == most
    assert bps == 0 or most == LEAST_BYTES or most * 8 <= bps / 2


def test_viewers_of_a_slow_link_are_six_seconds_late_at_most_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, events = SimulatedClock(), Events()
    encoder = SmallEncoder(noise=True, bit_rate=STREAM_BPS, keyframe_every=60)
    statuses: list[DestinationLine] = []

    def link_bps(at_s: float) -> float:
        return STREAM_BPS * (0.6 if 10 <= at_s < 50 else 4.0)

    def tick() -> None:
        while encoder.frames < child.now_s * RATE:
            for packet in encoder.next():
                destination.put(packet)
        statuses.append(destination.status())

    child = ThrottledChild(clock, link_bps, tick, until_s=75, held=3 * buffer_bytes(STREAM_BPS))
    monkeypatch.setattr(attempt, "LiveChild", lambda _bytes: child)
    destination = LiveDestination(
        StreamTarget("jauh", secret_url("rtmp://127.0.0.1/live/good")), encoder.templates, emit=events, clock=clock
    )
    destination.start()
    wait_for(child.over.is_set)
    destination.stop()
    encoder.close()
    late_s = [when - at_s for when, at_s in child.arrivals]
    assert max(late_s) < 6.8
    assert max(status.backlog_s for status in statuses) < 6.5
    slow = [status for status in statuses if status.reason == "too-slow"]
    assert {status.state for status in slow} == {"live"}
    assert "too slow for this stream" in (slow[0].message or "")
    assert slow[0].since
    assert 10 < (slow[0].since - BEGINNING).total_seconds() < 30
    kinds = [kind for _, kind, *_ in events.seen if kind != "destination-dropped"]
    assert kinds == ["destination-live", "destination-slow", "destination-keeps-up", "destination-stopped"]
    dropped = sum(int(str(detail["frames"])) for detail in events.of("destination-dropped"))
    assert dropped == events.of("destination-keeps-up")[0]["frames"] == destination.status().dropped > 0
    assert late_s[-1] < 1.0
