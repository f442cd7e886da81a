"""The bit rate of the live side: down at once when a link carries less, up slowly, as the slowest link allows.

Destinations that are not live, stalled, or too slow for the least rate cost the others nothing; where all are like
that, the rate stays, or is the least (too slow).
"""

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import takewhile

from recorder.live.attempt import half_a_second

CONGESTED_S = 0.6
"""Seconds of delay beyond the usual at which a link carries less than it is given."""
CLEAR_S = 0.3
"""Below so much it carries what it is given. Between the two nothing is changed."""
AHEAD_S = 0.5
"""How far ahead the delay is looked at: one that rises as fast as it can is not waited for."""
STANDING_S, SOON_S = 0.35, 0.2
"""The least delay over so long is what stands: what a keyframe or a late report adds is gone again. The shorter time is
enough where what is delivered says the same."""
USUAL_S = 30.0
"""The least delay in this time is the usual one: what reports, pipes and the link itself take."""
MOST_USUAL_S = 0.6
"""Beside the shortest round trip: by satellite that alone may take longer."""
MEASURED_S, NEWEST_S = 1.0, 0.25
"""Over how long what is delivered is averaged; and where only the newest counts."""
ABLE_S = 5.0
"""For how long a link that was too slow has to carry the least rate to be followed again."""
AGAIN_S, FAR = 1.0, 0.75
"""From one cut to the next, since the first does not show at once; but not if it turns out to be far too little."""
HOLD_S = 2.0
"""How long after a cut nothing goes up."""
DRAIN_S = 4.0
"""In how many seconds a cut is to work off the delay."""
NARROWER = 0.75
"""Of the rate: where so little of it was delivered just now, and the way is full, the link has become much narrower."""
FULL_BYTES, FULL_RTT, FULL_S = 120_000, 1.7, 0.05
"""What the kernel holds, and the round trip as a multiple of the shortest and beyond it, from which on the way is full:
else it is this PC that has stood still."""
EMPTY = 0.5
"""Of what the kernel may hold unsent: with less than that beside what is on its way, it waits for this PC. On a link
that carries too little, it holds all of it."""
PAUSING, PAUSED_S = 5, 0.5
"""Segments on their way, and for how long fewer count: every 10 s BBR lets the way run empty, down to four for 0.2 s,
to measure it. What is delivered then is its own doing."""
LEAST_CUT, ABRUPT_CUT, MOST_CUT = 0.1, 0.3, 0.5
RETURN = 0.25
"""A second: the growth up to SURE of what the link has carried."""
SURE = 0.9
FEEL = 0.03
"""A second: the growth around the rate that was too much the last time; a link's limit is found, not run into."""
AROUND = 1.1
GROW = 0.1
"""A second: the growth where no limit is known."""
PROVED, PROVED_S = 0.6, 2.5
"""Of the rate in use, over so long: a link that was not given more has not shown that it carries more."""
OVERHEAD = 1.04
"""What FLV, RTMP and the like add to the bits of picture and sound."""
NOTHING = 0.05
"""Of the least rate: who is delivered less than that is delivered nothing, which says nothing of the link's rate."""
REVIVED = 0.75
"""Of the rate that a link carried last: what it is given when it is back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How a destination is at `at_s` (any clock, in seconds).

    `backlog_s`: seconds of media that were not given to the network yet. `unsent_bytes`: what the kernel holds because
    nobody has acknowledged it; `in_flight`: how many segments of it are on their way. `delivered_bps`: what the far end
    takes; that, `rtt_ms` and `in_flight` are None where nobody knows. `dropped`: pictures so far.
    """

    at_s: float
    is_live: bool
    backlog_s: float = 0.0
    delivered_bps: float | None = None
    rtt_ms: float | None = None
    unsent_bytes: int = 0
    in_flight: int | None = None
    dropped: int = 0


class Following(StrEnum):
    """Whether the rate follows a link, or why not."""

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


class Link:
    """One destination: what it carries, from `least` to `most` bits a second of picture; `beside` it is the sound's."""

    def __init__(self, least: int, most: int, beside: int) -> None:
        self.rate = float(most)
        self.following = Following.NOT_LIVE
        self.excess_s = 0.0
        """Seconds of delay beyond the usual."""
        self._soon_s = 0.0
        self._least = least
        self._most = most
        self._beside = beside
        self._held_bytes = half_a_second(most + beside)
        self._ceiling: float | None = None
        self._carried = float(most)
        self._cut_s = self._clear_since_s = self._able_since_s = -1e9
        self._dropped = 0
        self._points: deque[_Point] = deque()
        self._least_rtt_ms: float | None = None
        self._has_paused = False

    def update(self, sample: Sample, used: float) -> None:
        """Take a sample, `used` being the rate that is encoded with now."""
        if not sample.is_live:
            self.following = Following.NOT_LIVE
            return
        if self.following is Following.NOT_LIVE:
            self._revive(sample)
        now_s, before_s = sample.at_s, self._points[-1].at_s if self._points else sample.at_s
        self._take(sample, used)
        carried = self._carries()
        has_dropped, self._dropped = sample.dropped > self._dropped, sample.dropped
        if self.following is not Following.TOO_SLOW:
            has_stalled = self._carries(NEWEST_S, 0) < NOTHING * self._least and self.excess_s > CLEAR_S
            self.following = Following.STALLED if has_stalled else Following.YES
            if has_stalled:
                return
        if self._ceiling is not None and self.excess_s > CLEAR_S:  # what waits goes as fast as the link lets it
            self._ceiling = max(self._ceiling, self._carries(AHEAD_S))
        if self._is_congested(used) or (has_dropped and not self._is_empty(sample)):
            self._clear_since_s = now_s
            self._cut(now_s, carried, used)
        elif self.excess_s < CLEAR_S and now_s - self._cut_s >= HOLD_S:
            self._grow(now_s - before_s, used)
        if now_s - self._clear_since_s >= ABLE_S:
            self._carried = min(self.rate, used)
        self._judge(now_s, carried)

    def _revive(self, sample: Sample) -> None:
        """Begin anew with what it carried before: a connection was lost, or is new."""
        self.following = Following.YES
        self._points.clear()
        self._least_rtt_ms = None
        self._dropped = sample.dropped
        self._clear_since_s = self._able_since_s = sample.at_s
        if self._cut_s > -1e9:
            self.rate = max(self._least, min(self.rate, REVIVED * self._carried))

    def _take(self, sample: Sample, used: float) -> None:
        given = (used + self._beside) * OVERHEAD
        delivered = sample.delivered_bps
        if delivered is None:
            delivered = given
            if (early := self._ago(sample.at_s - AHEAD_S)) is not None and early.at_s < sample.at_s:
                growth = (sample.backlog_s - early.delay_s) / (sample.at_s - early.at_s)
                delivered = max(0.0, given * (1 - growth))
        # What is small because little was to be sent is no sign of a slow link: a slide stands still for minutes.
        under_way_s = sample.unsent_bytes * 8 / max(delivered, used / 2)
        if sample.rtt_ms is not None:
            self._least_rtt_ms = min(sample.rtt_ms, self._least_rtt_ms or sample.rtt_ms)
            under_way_s = max(under_way_s, (sample.rtt_ms - self._least_rtt_ms) / 1000)
        is_full = sample.unsent_bytes >= FULL_BYTES or self._is_long(sample)
        delay_s = under_way_s + (0.0 if self._is_empty(sample) else sample.backlog_s)
        is_pausing, before = self._has_few_on_the_way(sample), self._has_paused
        self._has_paused = is_pausing
        # What is told to have been delivered is of the time since the report before.
        self._points.append(_Point(sample.at_s, delay_s, delivered, is_full, is_pausing or before))
        while self._points[0].at_s < sample.at_s - USUAL_S:
            self._points.popleft()
        most_usual_s = (
            MOST_USUAL_S + (self._least_rtt_ms or 0.0) / 1000
        )  # what is not acknowledged yet takes that anyway
        usual_s = min(most_usual_s, *(point.delay_s for point in self._points), delay_s)
        self.excess_s = self._standing(sample.at_s) - usual_s
        self._soon_s = self._standing(sample.at_s, SOON_S) - usual_s

    def _is_long(self, sample: Sample) -> bool:
        """Return whether the round trip says that much waits on the way."""
        least_ms = self._least_rtt_ms or 1
        return (sample.rtt_ms or 0) > max(FULL_RTT * least_ms, least_ms + 1000 * FULL_S)

    def _is_empty(self, sample: Sample) -> bool:
        """Return whether the way would take more at once: then what waits in this PC waits for this PC."""
        if sample.rtt_ms is None or sample.delivered_bps is None or self._is_long(sample):
            return False
        on_its_way = sample.delivered_bps / 8 * (self._least_rtt_ms or 0.0) / 1000
        return sample.unsent_bytes - on_its_way < EMPTY * self._held_bytes

    def _has_few_on_the_way(self, sample: Sample) -> bool:
        """Return whether the kernel lets the way run empty. Where it is full, few are left because many were lost."""
        return sample.in_flight is not None and sample.in_flight <= PAUSING and not self._is_long(sample)

    def _standing(self, at_s: float, over_s: float = STANDING_S) -> float:
        """Return the delay that there was at least until `at_s`, for a while."""
        return min(point.delay_s for point in self._points if at_s - over_s <= point.at_s <= at_s)

    def _is_congested(self, used: float) -> bool:
        """Return whether the link carries less than it is given: there is too much delay, or is about to be."""
        if self._is_narrower(used):
            return True
        return self.excess_s > CLEAR_S and self.excess_s + max(0.0, self._rise()) * AHEAD_S > CONGESTED_S

    def _is_narrower(self, used: float) -> bool:
        """Return whether the newest that was delivered is far less than what is given, for want of room on the way."""
        newest = self._points[-1]
        is_late = self._soon_s > CLEAR_S and newest.is_full and self._carries(NEWEST_S) < NARROWER * used
        return is_late and not any(point.is_pausing for point in self._since(newest.at_s - PAUSED_S))

    def _rise(self) -> float:
        now_s = self._points[-1].at_s
        early = self._ago(now_s - AHEAD_S)
        if early is None or early.at_s >= now_s:
            return 0.0
        return (self._standing(now_s) - self._standing(early.at_s)) / (now_s - early.at_s)

    def _since(self, at_s: float) -> Iterator[_Point]:
        return takewhile(lambda point: point.at_s > at_s, reversed(self._points))

    def _ago(self, at_s: float) -> _Point | None:
        return next((point for point in self._points if point.at_s >= at_s), None)

    def _carries(self, over_s: float = MEASURED_S, beside: int | None = None) -> float:
        """Return what was delivered of late, in bits of picture a second: less what is `beside`, else the sound."""
        recent = list(self._since(self._points[-1].at_s - over_s))
        able = [point.delivered_bps for point in recent if not point.is_pausing]
        recent_bps = able or [point.delivered_bps for point in recent]
        return max(0.0, sum(recent_bps) / len(recent_bps) / OVERHEAD - (self._beside if beside is None else beside))

    def _cut(self, now_s: float, carried: float, used: float) -> None:
        """Go below what the link carries, by so much that the delay is worked off."""
        least_cut = LEAST_CUT
        if self._is_narrower(used):  # what it carried before is no measure
            carried = max((1 - MOST_CUT) * carried, min(carried, self._carries(NEWEST_S)))
            least_cut = ABRUPT_CUT
        cut = min(MOST_CUT, max(least_cut, self.excess_s / DRAIN_S))
        target = max(float(self._least), carried * (1 - cut))
        enough = FAR if now_s - self._cut_s < AGAIN_S else 1.0
        if target < enough * min(self.rate, used):
            self._cut_s = now_s
            self._ceiling = carried
            self.rate = target

    def _grow(self, passed_s: float, used: float) -> None:
        """Go up a little: how fast depends on what is known of the link. A rate that is not used proves nothing."""
        if used < SURE * self.rate or self._carries(PROVED_S) < PROVED * used:
            return
        growth, limit = (GROW if self.excess_s < CLEAR_S / 2 else FEEL), float(self._most)
        if self._ceiling is not None and self.rate < SURE * self._ceiling:
            growth, limit = RETURN, SURE * self._ceiling
        elif self._ceiling is not None and self.rate < AROUND * self._ceiling:
            growth = FEEL
        self.rate = min(limit, self._most, self.rate * (1 + growth * passed_s))

    def _judge(self, now_s: float, carried: float) -> None:
        """Find out whether it carries the least rate: nobody else is to suffer for one that does not."""
        if self.following is Following.TOO_SLOW:
            if self.excess_s > CONGESTED_S and self._carries(ABLE_S) < self._least:
                self._able_since_s = now_s
            if now_s - self._able_since_s >= ABLE_S:
                self.following = Following.YES
                self.rate = max(float(self._least), min(self.rate, SURE * carried))
            return
        is_at_its_end = self.rate <= self._least and now_s - self._cut_s >= AGAIN_S and self.excess_s > CONGESTED_S
        if is_at_its_end and self._carries(DRAIN_S) < SURE * self._least:
            self.following, self._able_since_s = Following.TOO_SLOW, now_s


STEP = 0.03
FORGIVEN_S = 1.5
"""Within so long it goes back at once to what it was, where whoever pulled it down is not followed any more."""
UNIT = 1000
"""Bits a second: x264 counts in thousands."""


class RateControl:
    """Give it samples of all destinations, whenever there is a new one; from one thread."""

    def __init__(self, *, least: int, most: int, beside: int = 0) -> None:
        """Begin with `most` bits a second of picture; `beside` are those of the sound."""
        self._least = least
        self._most = most
        self._beside = beside
        self._links: dict[str, Link] = {}
        self._rate = float(most)
        self.bit_rate = most
        """The rate in force: the bits a second to encode pictures with."""
        self._at_s: float | None = None
        self._seen: dict[str, float] = {}
        self._lately: list[tuple[float, float]] = []

    @property
    def following(self) -> Mapping[str, Following]:
        """Each destination: whether it is followed, or why not."""
        return {name: link.following for name, link in self._links.items()}

    def update(self, samples: Mapping[str, Sample]) -> str:
        """Take the newest sample of each destination, by name; return which one decides the rate, or ""."""
        self._links = {name: self._links.get(name) or self._new() for name in samples}
        for name, sample in samples.items():
            if self._seen.get(name) != sample.at_s:
                self._links[name].update(sample, self.bit_rate)
        self._seen = {name: sample.at_s for name, sample in samples.items()}
        at_s = max((sample.at_s for sample in samples.values()), default=self._at_s or 0.0)
        passed_s = 0.0 if self._at_s is None else at_s - self._at_s
        self._at_s = at_s
        name, wanted = self._slowest()
        # One that has stalled looks like a narrow link for a moment; the others do not pay for long.
        self._lately = [(at, rate) for at, rate in self._lately if at >= at_s - FORGIVEN_S] + [(at_s, self._rate)]
        at_once = max(rate for _, rate in self._lately)
        self._rate = min(wanted, max(at_once, self._rate * (1 + RETURN * passed_s)))
        self._settle()
        return name

    def _new(self) -> Link:
        return Link(self._least, self._most, self._beside)

    def _slowest(self) -> tuple[str, float]:
        followed = {name: link.rate for name, link in self._links.items() if link.following is Following.YES}
        if followed:
            name = min(followed, key=lambda name: followed[name])
            return name, followed[name]
        slow = [name for name, link in self._links.items() if link.following is Following.TOO_SLOW]
        return (slow[0], float(self._least)) if slow else ("", self._rate)

    def _settle(self) -> None:
        """Round; and leave out small steps upwards, each of which the encoder would have to be told."""
        rate = min(self._most, max(self._least, int(self._rate) // UNIT * UNIT))
        if rate < self.bit_rate or rate >= self.bit_rate * (1 + STEP) or (rate == self._most and rate > self.bit_rate):
            self.bit_rate = rate
