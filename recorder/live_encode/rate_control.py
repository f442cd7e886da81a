"""The live bit rate: falls at once when a link carries less, rises slowly, and follows the slowest link.

Destinations that are not live, stalled, or too slow for the least rate do not slow the others. If all are, the rate
stays, or is the least one (too slow).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import takewhile

from recorder.live.attempt import buffer_bytes

CONGESTED_S = 0.6  # seconds of excess delay at which a link is congested
CLEAR_S = 0.3  # excess delay below which a link is clear. Between the two the rate stays
AHEAD_S = 0.5  # look-ahead of the delay: a steep rise counts early
STANDING_S, SOON_S = 0.35, 0.2
"""The least delay over this time is the standing one, without spikes by keyframes and late reports. The shorter time
serves if the delivered rate agrees."""
USUAL_S = 30.0  # the least delay in this time is the usual one of reports, pipes and the link
MOST_USUAL_S = 0.6  # limit of the usual delay beyond the shortest round trip, which is long by satellite
MEASURED_S, NEWEST_S = 1.0, 0.25  # averaging times of the delivered rate
ABLE_S = 5.0  # time of carrying the least rate after which a slow link is followed again
AGAIN_S, FAR = 1.0, 0.75
"""Time between two cuts, since a cut shows late; a target below this part of the rate cuts earlier."""
HOLD_S = 2.0  # time after a cut without a rise
DRAIN_S = 4.0  # time in which a cut drains the delay
NARROWER = 0.75  # a full link that delivers less than this part of the rate has become much narrower
FULL_BYTES, FULL_RTT, FULL_S = 120_000, 1.7, 0.05
"""Bytes in the kernel, or a round trip (multiple of the shortest, seconds beyond it), from which a link is full. Below
them this PC has stalled."""
EMPTY = 0.5
"""Part of the kernel's send buffer. With less unsent data, beyond that in flight, the link waits for this PC. On a
congested link the buffer is full."""
PAUSING, PAUSED_S = 5, 0.5
"""Segments in flight: every 10 s BBR drains the link to four for 0.2 s to measure it. Rates delivered then, and in this
time after it, do not count."""
LEAST_CUT, ABRUPT_CUT, MOST_CUT = 0.1, 0.3, 0.5
RETURN = 0.25  # growth per second up to SURE of the rate that the link has carried
SURE = 0.9
FEEL = 0.03  # growth per second around the last rate that was too much, which finds the limit gently
AROUND = 1.1
GROW = 0.1  # growth per second without a known limit
PROVED, PROVED_S = 0.6, 2.5  # part of the rate in use, and averaging time; below, the link has proved nothing
OVERHEAD = 1.04  # overhead of FLV, RTMP and the like
NOTHING = 0.05  # part of the least rate; a link that delivers less is stalled, not slow
REVIVED = 0.75  # part of the last carried rate that a link gets after a reconnect


@dataclass(frozen=True, slots=True)
class LinkSample:
    """State of a destination; None stands for an unknown figure."""

    at_s: float  # of any clock
    is_live: bool
    backlog_s: float = 0.0  # media not yet sent
    delivered_bps: float | None = None  # taken by the far end
    rtt_ms: float | None = None
    unsent_bytes: int = 0  # not acknowledged, in the kernel
    in_flight: int | None = None  # segments of these on their way
    dropped: int = 0  # frames so far


class LinkState(StrEnum):
    """Whether the rate follows a link, or the reason why not."""

    YES = "yes"
    NOT_LIVE = "not-live"
    STALLED = "stalled"
    TOO_SLOW = "too-slow"


@dataclass(frozen=True, slots=True)
class _Point:
    at_s: float
    delay_s: float
    delivered_bps: float
    is_full: bool
    is_pausing: bool


class LinkEstimator:
    """One destination's link, for `least` to `most` bits of video a second; `beside` is the audio's rate."""

    def __init__(self, least: int, most: int, beside: int) -> None:
        self.rate = float(most)
        self.following = LinkState.NOT_LIVE
        self.excess_s = 0.0  # seconds of delay beyond the usual
        self._soon_s = 0.0
        self._least = least
        self._most = most
        self._beside = beside
        self._held_bytes = buffer_bytes(most + beside)
        self._ceiling: float | None = None
        self._carried_rate = float(most)
        self._cut_s = self._clear_since_s = self._able_since_s = -1e9
        self._dropped = 0
        self._points: deque[_Point] = deque()
        self._least_rtt_ms: float | None = None
        self._was_draining = False

    def update(self, sample: LinkSample, used: float) -> None:
        """Take a sample; `used` is the rate in force."""
        if not sample.is_live:
            self.following = LinkState.NOT_LIVE
            return
        if self.following is LinkState.NOT_LIVE:
            self._reconnect(sample)
        now_s, before_s = sample.at_s, self._points[-1].at_s if self._points else sample.at_s
        self._add_point(sample, used)
        carried = self._delivered_rate()
        has_dropped, self._dropped = sample.dropped > self._dropped, sample.dropped
        if self.following is not LinkState.TOO_SLOW:
            has_stalled = self._delivered_rate(NEWEST_S, 0) < NOTHING * self._least and self.excess_s > CLEAR_S
            self.following = LinkState.STALLED if has_stalled else LinkState.YES
            if has_stalled:
                return
        if self._ceiling is not None and self.excess_s > CLEAR_S:  # a backlog drains at the link's own rate
            self._ceiling = max(self._ceiling, self._delivered_rate(AHEAD_S))
        if self._is_congested(used) or (has_dropped and not self._has_room(sample)):
            self._clear_since_s = now_s
            self._cut(now_s, carried, used)
        elif self.excess_s < CLEAR_S and now_s - self._cut_s >= HOLD_S:
            self._grow(now_s - before_s, used)
        if now_s - self._clear_since_s >= ABLE_S:
            self._carried_rate = min(self.rate, used)
        self._judge(now_s, carried)

    def _reconnect(self, sample: LinkSample) -> None:
        """Start with the rate carried before: the connection is new."""
        self.following = LinkState.YES
        self._points.clear()
        self._least_rtt_ms = None
        self._dropped = sample.dropped
        self._clear_since_s = self._able_since_s = sample.at_s
        if self._cut_s > -1e9:
            self.rate = max(self._least, min(self.rate, REVIVED * self._carried_rate))

    def _add_point(self, sample: LinkSample, used: float) -> None:
        given = (used + self._beside) * OVERHEAD
        delivered = sample.delivered_bps
        if delivered is None:
            delivered = given
            if (early := self._first_since(sample.at_s - AHEAD_S)) is not None and early.at_s < sample.at_s:
                growth = (sample.backlog_s - early.delay_s) / (sample.at_s - early.at_s)
                delivered = max(0.0, given * (1 - growth))
        # Little data is no sign of a slow link: a slide stands still for minutes.
        under_way_s = sample.unsent_bytes * 8 / max(delivered, used / 2)
        if sample.rtt_ms is not None:
            self._least_rtt_ms = min(sample.rtt_ms, self._least_rtt_ms or sample.rtt_ms)
            under_way_s = max(under_way_s, (sample.rtt_ms - self._least_rtt_ms) / 1000)
        is_full = sample.unsent_bytes >= FULL_BYTES or self._has_queue(sample)
        delay_s = under_way_s + (0.0 if self._has_room(sample) else sample.backlog_s)
        is_pausing, before = self._is_draining(sample), self._was_draining
        self._was_draining = is_pausing
        # The delivered rate covers the time since the last report.
        self._points.append(_Point(sample.at_s, delay_s, delivered, is_full, is_pausing or before))
        while self._points[0].at_s < sample.at_s - USUAL_S:
            self._points.popleft()
        most_usual_s = MOST_USUAL_S + (self._least_rtt_ms or 0.0) / 1000  # unacknowledged data takes a round trip
        usual_s = min(most_usual_s, *(point.delay_s for point in self._points), delay_s)
        self.excess_s = self._least_delay_s(sample.at_s) - usual_s
        self._soon_s = self._least_delay_s(sample.at_s, SOON_S) - usual_s

    def _has_queue(self, sample: LinkSample) -> bool:
        """Return whether the round trip shows a queue."""
        least_ms = self._least_rtt_ms or 1
        return (sample.rtt_ms or 0) > max(FULL_RTT * least_ms, least_ms + 1000 * FULL_S)

    def _has_room(self, sample: LinkSample) -> bool:
        """Return whether the link would take more at once; then the backlog waits for this PC."""
        if sample.rtt_ms is None or sample.delivered_bps is None or self._has_queue(sample):
            return False
        on_its_way = sample.delivered_bps / 8 * (self._least_rtt_ms or 0.0) / 1000
        return sample.unsent_bytes - on_its_way < EMPTY * self._held_bytes

    def _is_draining(self, sample: LinkSample) -> bool:
        """Return whether BBR drains the link; on a full link few segments mean losses."""
        return sample.in_flight is not None and sample.in_flight <= PAUSING and not self._has_queue(sample)

    def _least_delay_s(self, at_s: float, over_s: float = STANDING_S) -> float:
        """Return the least delay over a while until `at_s`."""
        return min(point.delay_s for point in self._points if at_s - over_s <= point.at_s <= at_s)

    def _is_congested(self, used: float) -> bool:
        """Return whether the link carries less than it gets: the delay is too long, or soon will be."""
        if self._is_narrower(used):
            return True
        return self.excess_s > CLEAR_S and self.excess_s + max(0.0, self._rise()) * AHEAD_S > CONGESTED_S

    def _is_narrower(self, used: float) -> bool:
        """Return whether a full link delivers far less than it gets."""
        newest = self._points[-1]
        is_late = self._soon_s > CLEAR_S and newest.is_full and self._delivered_rate(NEWEST_S) < NARROWER * used
        return is_late and not any(point.is_pausing for point in self._since(newest.at_s - PAUSED_S))

    def _rise(self) -> float:
        now_s = self._points[-1].at_s
        early = self._first_since(now_s - AHEAD_S)
        if early is None or early.at_s >= now_s:
            return 0.0
        return (self._least_delay_s(now_s) - self._least_delay_s(early.at_s)) / (now_s - early.at_s)

    def _since(self, at_s: float) -> Iterator[_Point]:
        return takewhile(lambda point: point.at_s > at_s, reversed(self._points))

    def _first_since(self, at_s: float) -> _Point | None:
        return next((point for point in self._points if point.at_s >= at_s), None)

    def _delivered_rate(self, over_s: float = MEASURED_S, beside: int | None = None) -> float:
        """Return the delivered rate of late, in bits of video a second, without the rate `beside`."""
        recent = list(self._since(self._points[-1].at_s - over_s))
        able = [point.delivered_bps for point in recent if not point.is_pausing]
        recent_bps = able or [point.delivered_bps for point in recent]
        return max(0.0, sum(recent_bps) / len(recent_bps) / OVERHEAD - (self._beside if beside is None else beside))

    def _cut(self, now_s: float, carried: float, used: float) -> None:
        """Cut below the carried rate so far that the delay drains."""
        least_cut = LEAST_CUT
        if self._is_narrower(used):  # its earlier rate says nothing
            carried = max((1 - MOST_CUT) * carried, min(carried, self._delivered_rate(NEWEST_S)))
            least_cut = ABRUPT_CUT
        cut = min(MOST_CUT, max(least_cut, self.excess_s / DRAIN_S))
        target = max(float(self._least), carried * (1 - cut))
        enough = FAR if now_s - self._cut_s < AGAIN_S else 1.0
        if target < enough * min(self.rate, used):
            self._cut_s = now_s
            self._ceiling = carried
            self.rate = target

    def _grow(self, passed_s: float, used: float) -> None:
        """Raise the rate a little, faster below a known limit. An unused rate proves nothing."""
        if used < SURE * self.rate or self._delivered_rate(PROVED_S) < PROVED * used:
            return
        growth, limit = (GROW if self.excess_s < CLEAR_S / 2 else FEEL), float(self._most)
        if self._ceiling is not None and self.rate < SURE * self._ceiling:
            growth, limit = RETURN, SURE * self._ceiling
        elif self._ceiling is not None and self.rate < AROUND * self._ceiling:
            growth = FEEL
        self.rate = min(limit, self._most, self.rate * (1 + growth * passed_s))

    def _judge(self, now_s: float, carried: float) -> None:
        """Judge whether the link carries the least rate; others do not wait for one that fails."""
        if self.following is LinkState.TOO_SLOW:
            if self.excess_s > CONGESTED_S and self._delivered_rate(ABLE_S) < self._least:
                self._able_since_s = now_s
            if now_s - self._able_since_s >= ABLE_S:
                self.following = LinkState.YES
                self.rate = max(float(self._least), min(self.rate, SURE * carried))
            return
        is_at_its_end = self.rate <= self._least and now_s - self._cut_s >= AGAIN_S and self.excess_s > CONGESTED_S
        if is_at_its_end and self._delivered_rate(DRAIN_S) < SURE * self._least:
            self.following, self._able_since_s = LinkState.TOO_SLOW, now_s


STEP = 0.03
FORGIVEN_S = 1.5  # a rate of this time ago returns at once if the link that cut it is not followed any more
UNIT = 1000  # bits a second: x264 counts in thousands


class RateControl:
    """The rate for all destinations; for one thread."""

    def __init__(self, *, least: int, most: int, beside: int = 0) -> None:
        """Begin with `most` bits of video a second; `beside` is the audio's rate."""
        self._least = least
        self._most = most
        self._beside = beside
        self._links: dict[str, LinkEstimator] = {}
        self._rate = float(most)
        self.bit_rate = most  # the rate in force, bits of video a second
        self._at_s: float | None = None
        self._sample_times: dict[str, float] = {}
        self._recent_rates: list[tuple[float, float]] = []

    @property
    def following(self) -> Mapping[str, LinkState]:
        return {name: link.following for name, link in self._links.items()}

    def update(self, samples: Mapping[str, LinkSample]) -> str:
        """Take the newest sample of each destination; return the name of the slowest, or ""."""
        new = partial(LinkEstimator, self._least, self._most, self._beside)
        self._links = {name: self._links.get(name) or new() for name in samples}
        for name, sample in samples.items():
            if self._sample_times.get(name) != sample.at_s:
                self._links[name].update(sample, self.bit_rate)
        self._sample_times = {name: sample.at_s for name, sample in samples.items()}
        at_s = max((sample.at_s for sample in samples.values()), default=self._at_s or 0.0)
        passed_s = 0.0 if self._at_s is None else at_s - self._at_s
        self._at_s = at_s
        name, wanted = self._slowest()
        # A stall looks like a narrow link for a moment; the others recover soon.
        recent = [(at, rate) for at, rate in self._recent_rates if at >= at_s - FORGIVEN_S]
        self._recent_rates = [*recent, (at_s, self._rate)]
        at_once = max(rate for _, rate in self._recent_rates)
        self._rate = min(wanted, max(at_once, self._rate * (1 + RETURN * passed_s)))
        self._round()
        return name

    def _slowest(self) -> tuple[str, float]:
        followed = {name: link.rate for name, link in self._links.items() if link.following is LinkState.YES}
        if followed:
            name = min(followed, key=lambda name: followed[name])
            return name, followed[name]
        slow = [name for name, link in self._links.items() if link.following is LinkState.TOO_SLOW]
        return (slow[0], float(self._least)) if slow else ("", self._rate)

    def _round(self) -> None:
        """Round; and skip small steps upwards: each is a change of the encoder."""
        rate = min(self._most, max(self._least, int(self._rate) // UNIT * UNIT))
        if rate < self.bit_rate or rate >= self.bit_rate * (1 + STEP) or (rate == self._most and rate > self.bit_rate):
            self.bit_rate = rate
