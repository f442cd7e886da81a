"""A live destination: takes the session's packets, keeps streaming them to one server, and says how that goes.

A background task runs one attempt after the other, each with a child process of its own, and waits in between.
Whatever the network does, `put` takes microseconds and `stop` keeps its time.
"""

import random
import threading
from collections.abc import Mapping

from av.stream import Stream

from config.events import Emit
from config.settings.secrets import StreamTarget
from devices.host.background import BackgroundTask, pause_s
from devices.host.clock import NANOSECONDS, Clock
from recorder.live.attempt import Attempt, StopRequest
from recorder.live.kind import Outcome, Sent
from recorder.live.queue import PacketQueue
from recorder.live.reason import Reason, sentence
from recorder.live.url import parse_live_url
from recorder.model.packet import EncodedPacket, TrackId
from recorder.model.status import DestinationLine

CLOSE_S = 1.5
"""How far behind the session one that keeps up may be: an encoder, a round trip and a report or two."""
FOR_S = 10.0
"""How long it must have been close, and have dropped nothing, to keep up again."""


class Lag:
    """Judges one stream while it is live; `begin` says that it is from now on."""

    def __init__(self) -> None:
        self.is_slow = False
        self.slow_s, self.frames = 0.0, 0
        """How long it was slow the last time, and how many frames that cost."""
        self._dropped = 0
        self._before = 0
        self._since_ns = 0
        self._behind_ns = 0

    def begin(self, dropped: int) -> None:
        """Judge what comes from now on; `dropped` frames had been dropped by then."""
        self.is_slow = False
        self._dropped = dropped

    def look(self, now_ns: int, dropped: int, delay_s: float) -> bool:
        """Return whether `is_slow` has changed.

        `dropped` frames were dropped so far, and it is `delay_s` seconds behind.
        """
        has_dropped, before, self._dropped = dropped > self._dropped, self._dropped, dropped
        if has_dropped or delay_s > CLOSE_S:
            self._behind_ns = now_ns
        if has_dropped and not self.is_slow:
            self.is_slow, self._since_ns, self._before = True, now_ns, before
            return True
        if self.is_slow and now_ns - self._behind_ns >= FOR_S * NANOSECONDS:
            self.is_slow = False
            self.slow_s, self.frames = (now_ns - self._since_ns) / NANOSECONDS, dropped - self._before
            return True
        return False


FIRST_S = 1.0
GROWTH = 1.6
LONGEST_S = 2.0
SOON_S = (0.25, 0.5)
"""The least there is between two attempts: each costs 0.3 s of CPU."""

SLOW_S = 10.0
"""Where nothing but a person will change the answer: a wrong key, a certificate."""

SHORT_LIFE_S = 5.0
"""A stream that lived shorter than this counts as a failed attempt."""

_NO_WAY_THERE = frozenset({Reason.TIMEOUT, Reason.UNREACHABLE, Reason.UNKNOWN_HOST})
"""The network is to blame: the wait is counted from the attempt's start, for it has waited long enough itself."""
_A_PERSON_MUST_ACT = frozenset({Reason.REJECTED, Reason.CERTIFICATE})
_PATIENCE = 3
"""How often in a row a server that has taken this stream before may turn it away, and how often any server may
take the stream and hang up at once (some do that with a wrong key), before we believe it."""


class Backoff:
    """The waits between attempts: they grow while attempts fail in a row, and jitter keeps rooms out of step.

    Viewers should be back within 5 s of the network's return. The worst case is an attempt whose first packet was the
    last to be lost. Since Linux 6.5 the kernel sends another each second: live after 1 s and the way there. Before, it
    sends them 1 s and 3 s after the first, and then the attempt's deadline (3 s a step, recorder.live.attempt) has
    passed: 2 s lost. The next attempt begins up to SOON_S[1] = 0.5 s later, and its process needs up to 0.5 s to its
    own first packet. RTMP takes seven round trips from there: 1.1 s at 150 ms. In all 4.1 s. A name that is looked up
    adds 1 s at most: the child's resolver asks again each second (recorder.live.attempt). What fails at once, as it
    does without a route, is tried again after LONGEST_S = 2 s at most: 2 + 0.5 + 1.1 = 3.6 s.
    """

    def __init__(self, random_source: random.Random | None = None) -> None:
        self._random = random_source or random.Random()  # noqa: S311 - no secret depends on it
        self._failures = 0
        self._turned_away = 0
        self._hung_up = 0
        self._was_live = False

    def forget(self) -> None:
        """Begin anew: somebody has changed something."""
        self._failures = self._turned_away = self._hung_up = 0

    def after(self, outcome: Outcome, took_s: float = 0.0) -> float:
        """Return how many seconds to wait after an attempt that ended so and took `took_s` seconds in all."""
        if outcome.live_s >= SHORT_LIFE_S:
            self._failures = self._turned_away = self._hung_up = 0
            self._was_live = True
        if outcome.reason is Reason.CALLER_LEFT:
            return 0.0  # nothing failed: the next may call at once
        self._failures += 1
        self._turned_away = self._turned_away + 1 if outcome.reason in _A_PERSON_MUST_ACT else 0
        self._hung_up += outcome.live_s > 0 and outcome.reason is Reason.CLOSED
        patience = _PATIENCE if self._was_live else 0
        if self._turned_away > patience or self._hung_up > _PATIENCE:
            return SLOW_S * self._random.uniform(0.9, 1.1)
        if outcome.reason is Reason.ALREADY_PUBLISHING:  # most often our own stream from before
            return LONGEST_S * self._random.uniform(0.9, 1.0)
        wait_s = pause_s(self._failures, LONGEST_S, first_s=FIRST_S, growth=GROWTH) * self._random.uniform(0.75, 1.0)
        if outcome.reason in _NO_WAY_THERE or outcome.live_s >= SHORT_LIFE_S:
            return max(self._random.uniform(*SOON_S), wait_s - took_s)
        return wait_s


DROPPED_EVERY_S = 10.0
"""At most one event about dropped frames in this time."""

_TOO_SLOW = Outcome(Reason.TOO_SLOW)

RESTART_S = 1.5
"""How long an attempt that is to begin anew may still send what it has, and tell the server so."""

_TO_REAP_S = 0.5
"""What `stop` keeps of its time for killing a child that hangs."""


class LiveDestination:
    """Streams a session's packets to one server, caller or folder until it is stopped.

    `target` has the whole address; raises UsageError where it cannot be one. `templates` are the encoder's open
    streams, and must stay open until `stop` has returned.
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
        """Count on from what an `earlier` one of the same destination has counted."""
        self.name = target.name
        self._target = target
        self._url = parse_live_url(target.url.reveal())
        self._templates = templates
        self._emit = emit
        self._clock = clock
        self._backoff = Backoff()
        self._queue = PacketQueue()
        self._lag = Lag()
        self._changing = threading.Lock()
        self._stop = StopRequest()
        self._after: LiveDestination | None = None
        self._pause_s = 0.0
        self._task = BackgroundTask(
            f"live-{self.name}",
            self._attend,
            pause=lambda _failures: self._pause_s,
            failed=self._broken,
            over=self._finish,
            clock=clock,
        )
        self._has_restarted = False
        self._is_missed = False
        self._attempt: Attempt | None = None
        self._state = "connecting"
        self._since = clock.now()
        self._trouble: Outcome | None = None
        self._believed_ns: int | None = None  # when it is live, where the server hung up soon before
        self.times_live: int = earlier.times_live if earlier else 0
        """How often it became live."""
        self._dropped_earlier = self._told_dropped = earlier.dropped if earlier else 0
        # What was dropped before there were any viewers; None until it is live, when nothing is counted.
        self._not_missed: int | None = 0 if self.times_live else None
        self._told_dropped_ns = 0

    def start(self, after: "LiveDestination | None" = None) -> None:
        """Begin to connect, once `after` has ended; returns at once."""
        self._after = after
        self._task.start()

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet, in the order of encoding; never blocks and never fails."""
        if not self._task.stopped.is_set():
            self._queue.put(packet)

    def status(self) -> DestinationLine:
        """Return how it is now; from any thread.

        `reason` is a stable code (recorder.live.reason) of what last went wrong, None while it is live and keeps up.
        """
        state, trouble = self._state, self._trouble
        if state == "live":
            trouble = _TOO_SLOW if self._lag.is_slow else None
        behind_s = self._queue.delay_s
        if state == "connecting" and self._is_listening:
            state, behind_s = "listening", 0.0
        return DestinationLine(
            name=self.name,
            state=state,
            since=self._since,
            reason=None if trouble is None or trouble.reason is None else trouble.reason.value,
            message=None if trouble is None else self._sentence(trouble),
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
        """Where it leads, fit to be shown."""
        return self._url.where

    @property
    def dropped(self) -> int:
        """Video frames that viewers did not get since it was live first."""
        if self._not_missed is None:
            return self._dropped_earlier
        return self._dropped_earlier + self._queue.dropped_frames - self._not_missed

    @property
    def link(self) -> Sent | None:
        """What is known of the connection of the attempt that is live; None while there is none."""
        attempt = self._attempt
        return attempt.link if attempt and self._state == "live" else None

    def restart(self, target: StreamTarget | None = None) -> None:
        """End the attempt there is, or the wait for the next, and begin anew at once; returns at once.

        `target` has the address to use from then on; raises UsageError where that cannot be one.
        """
        url = None if target is None else parse_live_url(target.url.reveal())
        with self._changing:
            goes_on = url is None or url == self._url
            if target is not None and url is not None:
                self._target, self._url = target, url
            self._stop.set(self._clock.now_ns() + round(RESTART_S * NANOSECONDS), goes_on=goes_on)
        self._task.wake()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Send what is left, tell the server, and end; after `timeout_s` seconds at most, whatever hangs.

        Idempotent, from any thread but the destination's own.
        """
        self.end(timeout_s)
        self.join(timeout_s)

    def end(self, timeout_s: float, *, is_over: bool = False, goes_on: bool = False) -> None:
        """Begin to stop, within `timeout_s` seconds; returns at once. A second wish changes nothing.

        Where the session `is_over`, that it never was live is told, unless it listens for callers: nobody need call.
        Where another destination `goes_on` with the stream, whoever plays it is not told that it has ended.
        """
        patience_s = max(0.0, timeout_s - _TO_REAP_S)
        with self._changing:
            if not self._task.stopped.is_set():
                self._is_missed = is_over and not (self.times_live or self._trouble or self._is_listening)
            self._stop.set(self._clock.now_ns() + round(patience_s * NANOSECONDS), goes_on=goes_on)
            self._task.stop()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until it has ended, not longer than `timeout_s`."""
        self._task.join(timeout_s)

    # The task

    def _attend(self) -> None:
        """Try once, and say how long it takes until the next attempt is worth it."""
        self._pause_s = 0.0
        if self._after:
            self._after.join()
            self._after = None
        if (stop := self._next_stop()) is None:
            return
        self._state, self._believed_ns = "connecting", None
        began_ns = self._clock.now_ns()
        outcome = self._try_once(stop)
        if outcome.reason is not None and not stop.event.is_set():  # else nobody wants it any more
            self._lost(outcome)
            took_s = (self._clock.now_ns() - began_ns) / NANOSECONDS
            self._pause_s = self._backoff.after(outcome, took_s)

    def _broken(self, error: Exception) -> None:
        """Take note of a mistake of ours; it must not leave viewers without anybody who tries again."""
        self._pause_s = LONGEST_S
        self._lost(Outcome(Reason.FAILED, type(error).__name__))

    def _next_stop(self) -> StopRequest | None:
        """Return the wish by which the next attempt is ended, or None when there is to be none."""
        if self._stop.event.is_set():
            self._begin_anew()
        with self._changing:
            if self._task.stopped.is_set():
                return None
            self._stop = StopRequest()
            return self._stop

    def _begin_anew(self) -> None:
        """Forget what went wrong: somebody wants it to be tried again."""
        if self._state == "live":
            self._since = self._clock.now()
        self._trouble = self._attempt = None
        self._has_restarted = True
        self._backoff.forget()

    def _try_once(self, stop: StopRequest) -> Outcome:
        if self._attempt is not None and self._attempt.is_left:  # one process that cannot be killed is enough
            return self._trouble or Outcome(Reason.FAILED, "its process cannot be killed")
        attempt = self._attempt = Attempt(
            self._target,
            self._queue,
            self._templates,
            clock=self._clock,
            stop=stop,
            at_newest=self._has_restarted or self._trouble is not None or self.times_live > 0,
            on_turn=self._look,
        )
        try:
            return attempt.run()
        except Exception as error:  # whatever it is, the recording goes on and the next attempt may work
            return Outcome(Reason.FAILED, f"{attempt.step}: {type(error).__name__}")

    def _is_live(self) -> None:
        """Tell that it is live; where the server took the stream and hung up the last time, once it has lasted."""
        trouble = self._trouble
        if trouble and trouble.reason is Reason.CLOSED and 0 < trouble.live_s < SHORT_LIFE_S:
            self._believed_ns = self._clock.now_ns() + round(SHORT_LIFE_S * NANOSECONDS)
        else:
            self._tell_live()

    def _tell_live(self) -> None:
        self._believed_ns = None
        self.times_live += 1
        if self._not_missed is None:
            self._not_missed = self._queue.dropped_frames
        self._state, self._trouble = "live", None
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

    def _lost(self, outcome: Outcome) -> None:
        """Say why it is not live, once for each reason until it is live again."""
        before, self._trouble = self._trouble, outcome
        if self._state == "live" or before is None:
            self._since = self._clock.now()
        self._state = "waiting"
        if before and (before.reason, before.detail) == (outcome.reason, outcome.detail):
            return
        self._tell_lost(outcome, "; trying again")

    def _tell_lost(self, outcome: Outcome, what_next: str = "") -> None:
        self._emit(
            "destination-lost",
            self.name,
            f"{self.name} is not live: {self._sentence(outcome)}{what_next}",
            reason=outcome.reason,
            detail=outcome.detail,
            live_s=round(outcome.live_s, 3),
        )

    def _look(self) -> None:
        """Say whether it keeps up while it is live and to go on, and now and then what was dropped."""
        now_ns = self._clock.now_ns()
        if self._believed_ns is not None and now_ns >= self._believed_ns:
            self._tell_live()
        elif self._believed_ns is None and self._state == "connecting" and self._attempt and self._attempt.has_begun:
            self._is_live()
        if self._state != "live" or self._stop.event.is_set():
            return
        if self._lag.look(now_ns, self._queue.dropped_frames, self._queue.delay_s):
            self._since = self._clock.now()
            self._tell_lag()
        if self.dropped != self._told_dropped and now_ns - self._told_dropped_ns >= DROPPED_EVERY_S * NANOSECONDS:
            self._told_dropped_ns = now_ns
            frames = self._new_drops()
            self._emit(
                "destination-dropped",
                self.name,
                f"{self.name} fell behind and {frames} frames were not sent: the connection is too slow",
                frames=frames,
            )

    def _tell_lag(self) -> None:
        lag = self._lag
        if lag.is_slow:
            self._emit(
                "destination-slow",
                self.name,
                f"{self.name} does not keep up: {self._sentence(_TOO_SLOW)}",
                reason=Reason.TOO_SLOW,
                backlog_s=round(self._queue.delay_s, 3),
            )
        else:
            self._emit(
                "destination-keeps-up",
                self.name,
                f"{self.name} keeps up again; {lag.frames} pictures were left out in {lag.slow_s:.0f} s",
                slow_s=round(lag.slow_s, 3),
                frames=lag.frames,
            )

    def _new_drops(self) -> int:
        """Return how many frames were dropped since this was last asked."""
        before, self._told_dropped = self._told_dropped, self.dropped
        return self._told_dropped - before

    def _finish(self) -> None:
        self._begin_anew()
        if self._is_missed and not self.times_live:
            self._tell_lost(Outcome(Reason.NOT_YET))
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

    def _sentence(self, outcome: Outcome) -> str | None:
        return None if outcome.reason is None else sentence(outcome.reason, self.where, outcome.detail)
