"""A link of a given speed in place of a destination's child process, on a clock that moves when told."""

import threading
import time
from collections.abc import Callable, Sequence

from devices.host.clock import NANOSECONDS
from recorder.live.kind import AttemptOutcome, ChildReport, LinkReport
from tests.support.simulated import SimulatedClock

FLV_HEADER, TAG_HEADER, TAG_END = 13, 11, 4
VIDEO_TAG = 9


class Tags:
    """Reads the tags of an FLV stream as its bytes come."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._to_skip = FLV_HEADER

    def take(self, data: bytes) -> list[tuple[float, bool]]:
        """Return (time in seconds, whether it is a keyframe of pictures) of each tag that is whole now."""
        self._bytes += data
        if self._to_skip:
            if len(self._bytes) < self._to_skip:
                return []
            del self._bytes[: self._to_skip]
            self._to_skip = 0
        found = []
        while len(self._bytes) >= TAG_HEADER:
            size = TAG_HEADER + int.from_bytes(self._bytes[1:4]) + TAG_END
            if len(self._bytes) < size:
                break
            at_ms = int.from_bytes(bytes([self._bytes[7]]) + self._bytes[4:7])
            found.append((at_ms / 1000, self._bytes[0] == VIDEO_TAG and self._bytes[TAG_HEADER] >> 4 == 1))
            del self._bytes[:size]
        return found


class ThrottledChild:
    """Stands for a LiveChild; `tick` is called with each turn, `bps` says what the link takes then."""

    def __init__(
        self, clock: SimulatedClock, bps: Callable[[float], float], tick: Callable[[], None], until_s: float, held: int
    ) -> None:
        self._clock, self._bps, self._tick, self._until_s = clock, bps, tick, until_s
        self._held = held
        self._began_ns = clock.now_ns()
        self._inside = bytearray()
        self._tags = Tags()
        self._request: bytes | None = None
        self._has_begun = False
        self._allowance = 0.0
        self._sent_s: float | None = None
        self.is_deaf = False
        self.closed = False
        self.over = threading.Event()
        self.arrivals: list[tuple[float, float]] = []
        """(when, time in the stream), in seconds: of what has reached the network."""

    @property
    def now_s(self) -> float:
        return (self._clock.now_ns() - self._began_ns) / NANOSECONDS

    def exchange(self, outbound: bytearray, timeout_s: float) -> Sequence[ChildReport] | None:
        if self.now_s >= self._until_s:
            self.over.set()
            time.sleep(0.01)
            outbound.clear()
            return [AttemptOutcome()] if self.closed else []
        self._clock.advance_to(self._clock.now_ns() + round(timeout_s * NANOSECONDS))
        self._tick()
        if self._request is None:
            line, _, rest = bytes(outbound).partition(b"\n")
            self._request, outbound[:] = line, rest
        room = max(0, self._held - len(self._inside))
        self._inside += outbound[:room]
        del outbound[:room]
        return [*self._begin(), *self._send(timeout_s)]

    def _begin(self) -> list[ChildReport]:
        if self._has_begun or self._request is None:
            return []
        self._has_begun = True
        return ["connect", "live"]

    def _send(self, passed_s: float) -> list[ChildReport]:
        self._allowance = min(self._allowance + self._bps(self.now_s) / 8 * passed_s, float(len(self._inside)))
        data = bytes(self._inside[: int(self._allowance)])
        del self._inside[: len(data)]
        self._allowance -= len(data)
        tags = self._tags.take(data)
        self.arrivals += [(self.now_s, at_s) for at_s, _ in tags]
        return [LinkReport(tags[-1][0])] if tags else []

    def close_input(self) -> None:
        self.closed = True

    def end(self, patience_s: float) -> None:
        self.closed = True
