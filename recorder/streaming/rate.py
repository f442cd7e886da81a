"""The bit rate of the live side: down at once when a link carries less, up slowly, as the slowest link allows.

It follows the slowest destination that is live and carries the least rate. One that is not live, that is delivered
nothing (stalled), or that does not carry even the least rate, costs the others nothing; where all are like that, the
rate stays (stalled, not live) or is the least (too slow).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from recorder.streaming.link import RETURN, Following, Link, Sample

STEP = 0.03
"""Smaller changes upwards are left out."""
FORGIVEN_S = 1.5
"""Within so long it goes back at once to what it was, where whoever pulled it down is not followed any more."""
UNIT = 1000
"""Bits a second: x264 counts in thousands."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The bits a second to encode pictures with; `why`: of whom (a destination's name, or ''), and how it changed."""

    bit_rate: int
    why: str = ""


class RateControl:
    """Give it samples of all destinations, whenever there is a new one; from one thread."""

    def __init__(self, *, least: int, most: int, beside: int = 0) -> None:
        """Begin with `most` bits a second of picture; `beside` are those of the sound."""
        self._least = least
        self._most = most
        self._beside = beside
        self._links: dict[str, Link] = {}
        self._rate = float(most)
        self._given = most
        self._at_s: float | None = None
        self._seen: dict[str, float] = {}
        self._lately: list[tuple[float, float]] = []

    @property
    def bit_rate(self) -> int:
        """The rate in force."""
        return self._given

    @property
    def following(self) -> Mapping[str, Following]:
        """Each destination: whether it is followed, or why not."""
        return {name: link.following for name, link in self._links.items()}

    def update(self, samples: Mapping[str, Sample]) -> Rate:
        """Take the newest sample of each destination there is, by name, and return the rate to use.

        One that was given before, of the same moment, counts once.
        """
        self._links = {name: self._links.get(name) or self._new() for name in samples}
        for name, sample in samples.items():
            if self._seen.get(name) != sample.at_s:
                self._links[name].update(sample, self._given)
        self._seen = {name: sample.at_s for name, sample in samples.items()}
        at_s = max((sample.at_s for sample in samples.values()), default=self._at_s or 0.0)
        passed_s = 0.0 if self._at_s is None else at_s - self._at_s
        self._at_s = at_s
        name, wanted = self._slowest()
        # One that has stalled looks like a narrow link for a moment; the others do not pay for long.
        self._lately = [(at, rate) for at, rate in self._lately if at >= at_s - FORGIVEN_S] + [(at_s, self._rate)]
        at_once = max(rate for _, rate in self._lately)
        self._rate = min(wanted, max(at_once, self._rate * (1 + RETURN * passed_s)))
        return self._settle(name)

    def _new(self) -> Link:
        return Link(self._least, self._most, self._beside)

    def _slowest(self) -> tuple[str, float]:
        followed = {name: link.rate for name, link in self._links.items() if link.following is Following.YES}
        if followed:
            name = min(followed, key=lambda name: followed[name])
            return name, followed[name]
        slow = [name for name, link in self._links.items() if link.following is Following.TOO_SLOW]
        return (slow[0], float(self._least)) if slow else ("", self._rate)

    def _settle(self, name: str) -> Rate:
        """Round; and leave out small steps upwards, each of which the encoder would have to be told."""
        rate = min(self._most, max(self._least, int(self._rate) // UNIT * UNIT))
        if rate < self._given or rate >= self._given * (1 + STEP) or (rate == self._most and rate > self._given):
            self._given = rate
        return Rate(self._given, name)
