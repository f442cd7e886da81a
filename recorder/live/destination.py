"""A live destination: takes the session's packets, keeps streaming them to one server, and says how that goes.

One thread per destination supervises: it runs one attempt after the other, each with a child process of its own,
and waits in between. Whatever the network does, `put` takes microseconds and `stop` keeps its time.
"""

import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec
from av.stream import Stream

from config.events import Emit
from devices.clock import NANOSECONDS, Clock
from recorder.live.attempt import Attempt, Deadlines, Ending, Outcome
from recorder.live.backoff import Backoff
from recorder.live.queue import PacketQueue
from recorder.live.reason import Reason, sentence
from recorder.live.url import parse_live_url
from recorder.packet import EncodedPacket, TrackId

DROPPED_EVERY_S = 10.0
"""At most one event about dropped frames in this time."""

_TO_REAP_S = 0.5
"""What `stop` keeps of its time for killing a child that hangs."""


class DestinationStatus(msgspec.Struct, frozen=True):
    """How a destination is: `state` is connecting, listening (for a caller), live, waiting or stopped.

    `reason` is a stable code (recorder.live.reason) and `message` its sentence, both of what last went wrong, None
    while it is live. `dropped` counts video frames viewers did not get, `reconnects` how often it became live again;
    `backlog_s` is how many seconds viewers' newest picture is behind the session's.
    """

    name: str
    state: str
    reason: str | None = None
    message: str | None = None
    dropped: int = 0
    reconnects: int = 0
    backlog_s: float = 0.0


class LiveDestination:
    """Streams a session's packets to one server, caller or folder until it is stopped.

    `url` is the whole address, secrets included; raises UsageError where it cannot be one. `templates` are the
    encoder's open streams, and must stay open until `stop` has returned. `ca_file` holds the authorities to
    check an RTMPS server against instead of this system's.
    """

    def __init__(
        self,
        name: str,
        url: str,
        *,
        templates: Mapping[TrackId, Stream],
        emit: Emit,
        clock: Clock,
        ca_file: Path | None = None,
        deadlines: Deadlines | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        self.name = name
        self._url = parse_live_url(url)
        self._templates = templates
        self._emit = emit
        self._clock = clock
        self._ca_file = ca_file
        self._deadlines = deadlines or Deadlines()
        self._backoff = backoff or Backoff()
        self._queue = PacketQueue()
        self._ending = Ending()
        self._thread = threading.Thread(target=self._supervise, name=f"live-{name}", daemon=True)
        self._attempt: Attempt | None = None
        self._state = "connecting"
        self._trouble: Outcome | None = None
        self._times_live = 0
        self._told_dropped = 0
        self._told_dropped_ns = 0

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def put(self, packet: EncodedPacket) -> None:
        """Take a packet, in the order of encoding; never blocks and never fails."""
        if not self._ending.event.is_set():
            self._queue.put(packet)

    def status(self) -> DestinationStatus:
        """Return how it is now; from any thread."""
        state, trouble, attempt = self._state, self._trouble, self._attempt
        behind_s = self._queue.waiting_s
        if state == "connecting" and attempt and attempt.step == "listen":
            state, behind_s = "listening", 0.0
        if state == "live" and attempt and attempt.sent_s is not None:
            behind_s = max(0.0, self._queue.newest_s - attempt.sent_s)
        return DestinationStatus(
            name=self.name,
            state=state,
            reason=None if trouble is None or trouble.reason is None else trouble.reason.value,
            message=None if trouble is None else self._sentence(trouble),
            dropped=self._queue.dropped_frames,
            reconnects=max(0, self._times_live - 1),
            backlog_s=round(behind_s, 3),
        )

    def stop(self, timeout_s: float = 4.0) -> None:
        """Send what is left, tell the server, and end; after `timeout_s` seconds at most, whatever hangs.

        Idempotent, from any thread but the destination's own.
        """
        patience_s = max(0.0, timeout_s - _TO_REAP_S)
        self._ending.set(self._clock.now_ns() + round(patience_s * NANOSECONDS))
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    # The supervisor

    def _supervise(self) -> None:
        while not self._ending.event.is_set():
            self._state = "connecting"
            outcome = self._try_once()
            if outcome.reason is None:
                break
            self._lost(outcome)
            self._clock.wait(self._ending.event, self._backoff.after(outcome))
        self._finish()

    def _try_once(self) -> Outcome:
        attempt = self._attempt = Attempt(
            self._url,
            self._queue,
            self._templates,
            clock=self._clock,
            ending=self._ending,
            at_newest=self._trouble is not None or self._times_live > 0,
            on_live=self._is_live,
            on_turn=self._tell_dropped,
            ca_file=self._ca_file,
            deadlines=self._deadlines,
        )
        try:
            return attempt.run()
        except Exception as error:  # whatever it is, the recording goes on and the next attempt may work
            return Outcome(Reason.FAILED, f"{attempt.step}: {type(error).__name__}")

    def _is_live(self) -> None:
        self._times_live += 1
        self._state, self._trouble = "live", None
        again = " again" if self._times_live > 1 else ""
        dropped = self._new_drops()
        missed = f"; viewers missed {dropped} frames" if dropped else ""
        self._emit(
            "destination-live",
            self.name,
            f"{self.name} is live{again} at {self._url.where}{missed}",
            reconnects=self._times_live - 1,
            dropped=dropped,
        )

    def _lost(self, outcome: Outcome) -> None:
        """Say why it is not live, once for each reason until it is live again."""
        before, self._trouble = self._trouble, outcome
        self._state = "waiting"
        if before and (before.reason, before.detail) == (outcome.reason, outcome.detail):
            return
        self._emit(
            "destination-lost",
            self.name,
            f"{self.name} is not live: {self._sentence(outcome)}; trying again",
            reason=outcome.reason,
            detail=outcome.detail,
            live_s=round(outcome.live_s, 3),
        )

    def _tell_dropped(self) -> None:
        """Say that frames were dropped while it was live, now and then."""
        if self._state != "live" or self._queue.dropped_frames == self._told_dropped:
            return
        now_ns = self._clock.now_ns()
        if now_ns - self._told_dropped_ns >= DROPPED_EVERY_S * NANOSECONDS:
            self._told_dropped_ns = now_ns
            self._emit_dropped(self._new_drops())

    def _emit_dropped(self, frames: int) -> None:
        self._emit(
            "destination-dropped",
            self.name,
            f"{self.name} fell behind and {frames} frames were not sent: the connection is too slow",
            frames=frames,
        )

    def _new_drops(self) -> int:
        """Return how many frames were dropped since this was last asked."""
        before, self._told_dropped = self._told_dropped, self._queue.dropped_frames
        return self._told_dropped - before

    def _finish(self) -> None:
        self._queue.clear()
        self._state = "stopped"
        self._emit(
            "destination-stopped",
            self.name,
            f"{self.name} was stopped",
            dropped=self._queue.dropped_frames,
            unsent=self._new_drops(),
            reconnects=max(0, self._times_live - 1),
        )

    def _sentence(self, outcome: Outcome) -> str | None:
        return None if outcome.reason is None else sentence(outcome.reason, self._url.where, outcome.detail)
