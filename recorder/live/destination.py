"""A live destination: streams the session's packets to one server, reconnects, and reports its state.

A background task runs one attempt after the other, each with its own child process, and waits in between. The network
delays neither `put`, which takes microseconds, nor `stop`.
"""

import random
import threading
from collections.abc import Mapping

from av.stream import Stream

from config.errors import code_place
from config.events import Emit
from config.settings.secrets import StreamTarget
from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock
from recorder.live.attempt import Attempt, StopRequest
from recorder.live.kind import AttemptOutcome, DestinationFault, LinkReport, fault_sentence
from recorder.live.queue import PacketQueue
from recorder.live.url import parse_live_url
from recorder.model.packet import EncodedPacket, TrackId
from recorder.model.status import DestinationLine

KEEPS_UP_WITHIN_S = 1.5  # delay behind the session that still keeps up: an encoder, a round trip and a report or two
RECOVERED_AFTER_S = 10.0  # time of so little delay, without dropped frames, after which a slow one keeps up again


class LagDetector:
    """Judges whether a live stream keeps up; `begin` starts it."""

    def __init__(self) -> None:
        self.is_slow = False
        self.slow_s, self.frames = 0.0, 0  # duration of the last slow period, and the frames dropped in it
        self._dropped = 0
        self._before = 0
        self._since_ns = 0
        self._behind_ns = 0

    def begin(self, dropped: int) -> None:
        """Start judging; `dropped` frames were dropped before."""
        self.is_slow = False
        self._dropped = dropped

    def update(self, now_ns: int, dropped: int, delay_s: float) -> bool:
        """Return whether `is_slow` changed, by all frames `dropped` so far and the delay behind the session."""
        has_dropped, before, self._dropped = dropped > self._dropped, self._dropped, dropped
        if has_dropped or delay_s > KEEPS_UP_WITHIN_S:
            self._behind_ns = now_ns
        if has_dropped and not self.is_slow:
            self.is_slow, self._since_ns, self._before = True, now_ns, before
            return True
        if self.is_slow and now_ns - self._behind_ns >= RECOVERED_AFTER_S * NANOSECONDS:
            self.is_slow = False
            self.slow_s, self.frames = (now_ns - self._since_ns) / NANOSECONDS, dropped - self._before
            return True
        return False


FIRST_S = 1.0
GROWTH = 1.6
LONGEST_S = 2.0
SOON_S = (0.25, 0.5)  # shortest wait between two attempts: each costs 0.3 s of CPU

SLOW_S = 10.0  # wait where only a person can help: a wrong key, a certificate

SHORT_LIFE_S = 5.0  # a stream that ends sooner counts as a failed attempt

_NO_WAY_THERE = frozenset({DestinationFault.TIMEOUT, DestinationFault.UNREACHABLE, DestinationFault.UNKNOWN_HOST})
"""Faults of the network: the attempt's own duration counts as part of the wait."""
_A_PERSON_MUST_ACT = frozenset({DestinationFault.REJECTED, DestinationFault.CERTIFICATE})
_PATIENCE = 3
"""The long wait begins after so many refusals in a row by a server that accepted this stream before. The same holds for
early hang-ups by any server: some answer a wrong key so."""


class Backoff:
    """The waits between attempts: they grow while attempts fail in a row, and jitter keeps rooms out of step.

    Viewers should be back within 5 s of the network's return. The worst case is an attempt whose first packet was the
    last one lost. Linux 6.5 and later resend it each second: the stream is live after 1 s and the round trips. Older
    kernels resend it 1 s and 3 s after the first, at the attempt's deadline (3 s a step, recorder.live.attempt): 2 s
    are lost. The next attempt begins up to SOON_S[1] = 0.5 s later, and its process needs up to 0.5 s to its first
    packet. RTMP then takes seven round trips: 1.1 s at 150 ms. Together 4.1 s. A look-up adds 1 s at most: the child's
    resolver asks again each second (recorder.live.attempt). An immediate failure, as without a route, is tried again
    after at most LONGEST_S = 2 s: 2 + 0.5 + 1.1 = 3.6 s.
    """

    def __init__(self, random_source: random.Random) -> None:
        self._random = random_source
        self._failures = 0
        self._refusals = 0
        self._hang_ups = 0
        self._was_live = False

    def reset(self) -> None:
        """Forget all failures: a person changed something."""
        self._failures = self._refusals = self._hang_ups = 0

    def after(self, outcome: AttemptOutcome, took_s: float = 0.0) -> float:
        """Return the seconds to wait after an attempt with this outcome that took `took_s` seconds in all."""
        if outcome.live_s >= SHORT_LIFE_S:
            self._failures = self._refusals = self._hang_ups = 0
            self._was_live = True
        if outcome.reason is DestinationFault.CALLER_LEFT:
            return 0.0  # no failure: the next caller may connect at once
        self._failures += 1
        self._refusals = self._refusals + 1 if outcome.reason in _A_PERSON_MUST_ACT else 0
        self._hang_ups += outcome.live_s > 0 and outcome.reason is DestinationFault.CLOSED
        patience = _PATIENCE if self._was_live else 0
        if self._refusals > patience or self._hang_ups > _PATIENCE:
            return SLOW_S * self._random.uniform(0.9, 1.1)
        if outcome.reason is DestinationFault.ALREADY_PUBLISHING:  # usually this destination's own earlier stream
            return LONGEST_S * self._random.uniform(0.9, 1.0)
        wait_s = pause_s(self._failures, LONGEST_S, first_s=FIRST_S, growth=GROWTH) * self._random.uniform(0.75, 1.0)
        if outcome.reason in _NO_WAY_THERE or outcome.live_s >= SHORT_LIFE_S:
            return max(self._random.uniform(*SOON_S), wait_s - took_s)
        return wait_s


DROPPED_EVERY_S = 10.0

_TOO_SLOW = AttemptOutcome(DestinationFault.TOO_SLOW)

RESTART_S = 1.5  # time in which a restarted attempt may still send the rest and end the stream

_TO_REAP_S = 0.5  # part of `stop`'s time for killing a hung child


class LiveDestination:
    """Streams a session's packets to one server, caller or folder until it is stopped.

    `target` has the complete address; raises UsageError for an invalid one. `templates` are the encoder's open streams,
    and must stay open until `stop` has returned.
    """

    def __init__(
        self,
        target: StreamTarget,
        templates: Mapping[TrackId, Stream],
        *,
        emit: Emit,
        clock: Clock,
        earlier: "LiveDestination | None" = None,
    ) -> None:
        """Continue the counts of an `earlier` one of the same destination."""
        self.name = target.name
        self._target = target
        self._url = parse_live_url(target.url.reveal())
        self._templates = templates
        self._emit = emit
        self._clock = clock
        self._backoff = Backoff(random.Random())  # noqa: S311 - no secret depends on it
        self._queue = PacketQueue()
        self._lag = LagDetector()
        self._changing = threading.Lock()
        self._stop = StopRequest()
        self._after: LiveDestination | None = None
        self._pause_s = 0.0
        self._task = BackgroundTask(
            f"live-{self.name}",
            self._attempt_once,
            pause=lambda _failures: self._pause_s,
            failed=self._on_bug,
            over=self._on_end,
            clock=clock,
        )
        self._has_restarted = False
        self._reports_never_live = False
        self._attempt: Attempt | None = None
        self._state = "connecting"
        self._since = clock.now()
        self._fault: AttemptOutcome | None = None
        self._live_from_ns: int | None = None  # the time from which it counts as live, after an early hang-up
        self.times_live: int = earlier.times_live if earlier else 0
        self._dropped_earlier = self._reported_drops = earlier.dropped if earlier else 0
        # Frames dropped before the first viewers; None until it is live.
        self._dropped_before_live: int | None = 0 if self.times_live else None
        self._reported_drops_ns = 0

    def start(self, after: "LiveDestination | None" = None) -> None:
        """Begin to connect once `after` has ended; returns at once."""
        self._after = after
        self._task.start()

    def put(self, packet: EncodedPacket) -> None:
        """Queue a packet, in encoding order; never blocks, never fails."""
        if not self._task.stopped.is_set():
            self._queue.put(packet)

    def status(self) -> DestinationLine:
        """Return its current state. Thread-safe."""
        state, fault = self._state, self._fault
        if state == "live":
            fault = _TOO_SLOW if self._lag.is_slow else None
        behind_s = self._queue.delay_s
        if state == "connecting" and self._is_listening:
            state, behind_s = "listening", 0.0
        return DestinationLine(
            name=self.name,
            state=state,
            since=self._since,
            reason=None if fault is None or fault.reason is None else fault.reason.value,
            message=None if fault is None else self._sentence(fault),
            dropped=self.dropped,
            reconnects=max(0, self.times_live - 1),
            backlog_s=round(behind_s, 3),
        )

    @property
    def _is_listening(self) -> bool:
        attempt = self._attempt
        return attempt is not None and attempt.step == "listen"

    @property
    def where(self) -> str:
        """Its host or folder, without secrets."""
        return self._url.where

    @property
    def dropped(self) -> int:
        """The video frames that viewers missed since it was first live."""
        if self._dropped_before_live is None:
            return self._dropped_earlier
        return self._dropped_earlier + self._queue.dropped_frames - self._dropped_before_live

    @property
    def link(self) -> LinkReport | None:
        """The last report on the live connection; None while there is none."""
        attempt = self._attempt
        return attempt.link if attempt and self._state == "live" else None

    def restart(self, target: StreamTarget | None = None) -> None:
        """Reconnect at once, to `target` if given; does not block. Raises UsageError for an invalid address."""
        url = None if target is None else parse_live_url(target.url.reveal())
        with self._changing:
            goes_on = url is None or url == self._url
            if target is not None and url is not None:
                self._target, self._url = target, url
            self._stop.set(self._clock.now_ns() + round(RESTART_S * NANOSECONDS), goes_on=goes_on)
        self._task.wake()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Send the rest, end the stream, and stop within `timeout_s`. Idempotent; not from its own thread."""
        self.end(timeout_s)
        self.join(timeout_s)

    def end(self, timeout_s: float, *, is_over: bool = False, goes_on: bool = False) -> None:
        """Begin to stop, within `timeout_s` seconds; returns at once. A second call has no effect.

        Where the session `is_over`, it reports that it never was live, unless it listens for callers. With `goes_on`
        another destination continues the stream, so players are not told its end.
        """
        patience_s = max(0.0, timeout_s - _TO_REAP_S)
        with self._changing:
            if not self._task.stopped.is_set():
                self._reports_never_live = is_over and not (self.times_live or self._fault or self._is_listening)
            self._stop.set(self._clock.now_ns() + round(patience_s * NANOSECONDS), goes_on=goes_on)
            self._task.stop()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait at most `timeout_s` for its end."""
        self._task.join(timeout_s)

    # The task

    def _attempt_once(self) -> None:
        self._pause_s = 0.0
        if self._after:
            self._after.join()
            self._after = None
        if self._stop.event.is_set():
            self._reset()
        with self._changing:
            if self._task.stopped.is_set():
                return
            self._stop = stop = StopRequest()
        self._state, self._live_from_ns = "connecting", None
        began_ns = self._clock.now_ns()
        outcome = self._run_attempt(stop)
        if outcome.reason is not None and not stop.event.is_set():  # else the attempt was stopped on purpose
            self._on_failure(outcome)
            self._pause_s = self._backoff.after(outcome, (self._clock.now_ns() - began_ns) / NANOSECONDS)

    def _on_bug(self, error: Exception) -> None:
        """Report a bug in an attempt; the destination goes on."""
        self._pause_s = LONGEST_S
        self._on_failure(AttemptOutcome(DestinationFault.FAILED, type(error).__name__ + code_place(error)))

    def _reset(self) -> None:
        if self._state == "live":
            self._since = self._clock.now()
        self._fault = self._attempt = None
        self._has_restarted = True
        self._backoff.reset()

    def _run_attempt(self, stop: StopRequest) -> AttemptOutcome:
        if self._attempt is not None and self._attempt.is_child_alive:  # one process that cannot be killed is enough
            return self._fault or AttemptOutcome(DestinationFault.FAILED, "its process cannot be killed")
        attempt = self._attempt = Attempt(
            self._target,
            self._queue,
            self._templates,
            clock=self._clock,
            stop=stop,
            at_newest=self._has_restarted or self._fault is not None or self.times_live > 0,
            on_turn=self._on_turn,
        )
        try:
            return attempt.run()
        except Exception as error:  # the recording goes on, and the next attempt may work
            return AttemptOutcome(DestinationFault.FAILED, f"{attempt.step}: {type(error).__name__}{code_place(error)}")

    def _on_live(self) -> None:
        """Report it live; after an early hang-up of the server, only once the stream has lasted."""
        fault = self._fault
        if fault and fault.reason is DestinationFault.CLOSED and 0 < fault.live_s < SHORT_LIFE_S:
            self._live_from_ns = self._clock.now_ns() + round(SHORT_LIFE_S * NANOSECONDS)
        else:
            self._report_live()

    def _report_live(self) -> None:
        self._live_from_ns = None
        self.times_live += 1
        if self._dropped_before_live is None:
            self._dropped_before_live = self._queue.dropped_frames
        self._state, self._fault = "live", None
        self._since = self._clock.now()
        self._lag.begin(self._queue.dropped_frames)
        again = " again" if self.times_live > 1 else ""
        dropped = self._new_drops()
        missed = f"; viewers missed {dropped} frames" if dropped else ""
        self._emit(
            "destination-live",
            self.name,
            f"{self.name} is live{again} at {self.where}{missed}",
            reconnects=self.times_live - 1,
            dropped=dropped,
        )

    def _on_failure(self, outcome: AttemptOutcome) -> None:
        """Report the reason why it is not live, once until the reason changes or it is live."""
        before, self._fault = self._fault, outcome
        if self._state == "live" or before is None:
            self._since = self._clock.now()
        self._state = "waiting"
        if before and (before.reason, before.detail) == (outcome.reason, outcome.detail):
            return
        self._report_failure(outcome, "; trying again")

    def _report_failure(self, outcome: AttemptOutcome, what_next: str = "") -> None:
        self._emit(
            "destination-lost",
            self.name,
            f"{self.name} is not live: {self._sentence(outcome)}{what_next}",
            reason=outcome.reason,
            detail=outcome.detail,
            live_s=round(outcome.live_s, 3),
        )

    def _on_turn(self) -> None:
        """While it is live, report whether it keeps up, and now and then dropped frames."""
        now_ns = self._clock.now_ns()
        if self._live_from_ns is not None and now_ns >= self._live_from_ns:
            self._report_live()
        elif self._live_from_ns is None and self._state == "connecting" and self._attempt and self._attempt.has_begun:
            self._on_live()
        if self._state != "live" or self._stop.event.is_set():
            return
        if self._lag.update(now_ns, self._queue.dropped_frames, self._queue.delay_s):
            self._since = self._clock.now()
            self._report_lag()
        if self.dropped != self._reported_drops and now_ns - self._reported_drops_ns >= DROPPED_EVERY_S * NANOSECONDS:
            self._reported_drops_ns = now_ns
            frames = self._new_drops()
            self._emit(
                "destination-dropped",
                self.name,
                f"{self.name} fell behind and {frames} frames were not sent: the connection is too slow",
                frames=frames,
            )

    def _report_lag(self) -> None:
        lag = self._lag
        if lag.is_slow:
            self._emit(
                "destination-slow",
                self.name,
                f"{self.name} does not keep up: {self._sentence(_TOO_SLOW)}",
                reason=DestinationFault.TOO_SLOW,
                backlog_s=round(self._queue.delay_s, 3),
            )
        else:
            self._emit(
                "destination-keeps-up",
                self.name,
                f"{self.name} keeps up again; {lag.frames} frames were dropped in {lag.slow_s:.0f} s",
                slow_s=round(lag.slow_s, 3),
                frames=lag.frames,
            )

    def _new_drops(self) -> int:
        before, self._reported_drops = self._reported_drops, self.dropped
        return self._reported_drops - before

    def _on_end(self) -> None:
        self._reset()
        if self._reports_never_live and not self.times_live:
            self._report_failure(AttemptOutcome(DestinationFault.NOT_YET))
        self._queue.clear()
        self._templates = {}
        self._state, self._since = "stopped", self._clock.now()
        self._emit(
            "destination-stopped",
            self.name,
            f"{self.name} was stopped",
            dropped=self.dropped,
            unsent=self._new_drops(),
            reconnects=max(0, self.times_live - 1),
        )

    def _sentence(self, outcome: AttemptOutcome) -> str | None:
        return None if outcome.reason is None else fault_sentence(outcome.reason, self.where, outcome.detail)
