"""A link of a given speed, and the live stream that fills it."""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from recorder.live_encode.rate_control import LinkSample

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
