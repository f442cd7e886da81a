"""Links of a given speed on a simulated clock: a whole live stream's, and one for a destination's child process."""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from devices.host.clock import NANOSECONDS
from recorder.live.kind import AttemptOutcome, ChildReport, LinkReport
from recorder.live_encode.rate_control import LinkSample
from tests.support.simulated import SimulatedClock

STEP_S = 0.05
KERNEL_BYTES = 131_072
LONGEST_S = 6.0
SOUND = 128_000


@dataclass
class Bottleneck:
    """`capacity(t)` is what the link carries, in bits a second.

    `jitter`: how much what it delivers goes up and down from one 0.25 s to the next. The encoder follows its
    rate within about 0.7 s, and gives a keyframe of five pictures' size every 2 s.
    """

    capacity: Callable[[float], float]
    rtt_ms: float = 40.0
    jitter: float = 0.0
    seed: int = 1
    tells_delivered: bool = True
    now_s: float = 0.0
    delay_s: float = 0.0
    dropped: int = 0
    delivered_bits: float = 0.0
    _output: float = 0.0
    _queue: deque[tuple[float, float]] = field(default_factory=deque)  # (when it was made, bits)
    _kernel: deque[tuple[float, float]] = field(default_factory=deque)
    _reported: deque[tuple[float, float]] = field(default_factory=deque)
    _factor: float = 1.0
    _told: LinkSample | None = None

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    def step(self, bit_rate: int) -> LinkSample:
        """Let STEP_S pass with the encoder told `bit_rate`; return the newest report, which comes every 0.15 s."""
        self.now_s += STEP_S
        steps = round(self.now_s / STEP_S)
        self._output += (bit_rate - self._output) * (STEP_S / 0.35 if self._output else 1.0)
        is_key = steps % round(2 / STEP_S) == 0
        shape = 3.0 if is_key else (1 - 3.0 / 40) / (1 - 1 / 40)
        self._queue.append((self.now_s, (self._output * shape + SOUND) * 1.03 * STEP_S))
        if self._queue[-1][0] - self._queue[0][0] > LONGEST_S:
            self.dropped += 30 * (len(self._queue) - 10) // 20
            self._queue = deque(list(self._queue)[-10:])
        if steps % 5 == 0:
            self._factor = 1 + self.jitter * (self._random.random() * 2 - 1)
        self._move(self.capacity(self.now_s) * self._factor * STEP_S)
        if steps % 3 == 0 or self._told is None:
            self._told = self._report()
        return self._told

    def _move(self, can_carry: float) -> None:
        self._fill()
        while can_carry > 0 and self._kernel:
            made_s, bits = self._kernel.popleft()
            moved = min(bits, can_carry)
            can_carry -= moved
            self.delivered_bits += moved
            if bits > moved:
                self._kernel.appendleft((made_s, bits - moved))
            self._fill()
        oldest = self._kernel[0][0] if self._kernel else self.now_s
        self.delay_s = self.now_s - oldest + self.rtt_ms / 2000

    def _fill(self) -> None:
        while self._queue and sum(bits for _, bits in self._kernel) < KERNEL_BYTES * 8:
            self._kernel.append(self._queue.popleft())

    def _report(self) -> LinkSample:
        self._reported.append((self.now_s, self.delivered_bits))
        while self._reported[0][0] < self.now_s - 0.16:
            self._reported.popleft()
        (first_s, first), (last_s, last) = self._reported[0], self._reported[-1]
        delivered = (last - first) / (last_s - first_s) if last_s > first_s else None
        held = sum(bits for _, bits in self._kernel) + (delivered or 0) * self.rtt_ms / 1000
        backlog_s = self.now_s - self._queue[0][0] if self._queue else 0.0
        return LinkSample(
            self.now_s,
            is_live=True,
            backlog_s=backlog_s + 0.1 + 0.1 * self._random.random(),  # what the encoder, the muxer and the pipes take
            delivered_bps=delivered if self.tells_delivered else None,
            rtt_ms=self.rtt_ms * self._factor if self.tells_delivered else None,
            unsent_bytes=round(held / 8) if self.tells_delivered else 0,
            dropped=self.dropped,
        )


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
