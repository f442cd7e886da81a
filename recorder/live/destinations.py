"""The live destinations of one session, which people add, remove and restart while it runs.

Encoding threads call `put`, which takes no lock and allocates nothing. All other methods are thread-safe and wait for
no network: threads of their own wait for a hung child process.
"""

import threading
from collections.abc import Mapping, Sequence

import msgspec
from av.stream import Stream

from config.errors import SessionError, UsageError, as_liput_error
from config.events import Emit
from config.settings.secrets import StreamTarget
from devices.host.clock import NANOSECONDS, Clock
from recorder.live.destination import LiveDestination
from recorder.live.url import parse_live_url
from recorder.model.packet import EncodedPacket, TrackId
from recorder.model.status import DestinationLine

MOST = 100  # most names in a session, earlier ones included
STOP_S = 4.0  # all have stopped this long after the stop request, even when something hangs
LEAST_S = 1.0  # least time for each to stop, even if the session's sources took longer to end

type Templates = Mapping[TrackId, Stream]


class Destinations:
    def __init__(self, targets: Sequence[StreamTarget] = (), *, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._lock = threading.Lock()
        self._targets = {target.name: target for target in targets}
        self._since = clock.now()
        self._streaming: dict[str, LiveDestination] = {}
        self._removed: dict[str, LiveDestination] = {}
        self._retiring: dict[str, LiveDestination] = {}
        self._stopped_by_ns: int | None = None
        self._templates: Templates | None = None
        self._is_over = False
        self._streamed: dict[str, None] = {}
        self._receiving: tuple[LiveDestination, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The current destinations, in the order they were added."""
        with self._lock:
            return tuple(self._targets)

    @property
    def all_names(self) -> tuple[str, ...]:
        """The current destinations and the removed ones."""
        with self._lock:
            return tuple(dict.fromkeys([*self._streamed, *self._targets]))

    # Requests of people

    def add(self, target: StreamTarget) -> None:
        """Add a destination; it begins with its next keyframe, or with the recording.

        Raises UsageError for a known name, for more than MOST names and for an invalid address, SessionError at the
        end.
        """
        parse_live_url(target.url.reveal())
        with self._lock:
            self._refuse_after_the_end()
            if len({*self._streamed, *self._targets, target.name}) > MOST:
                raise UsageError(
                    f"this session has had {MOST} destinations; more are not taken",
                    hint="add one of them again, under its name",
                )
            if target.name in self._targets:
                raise UsageError(
                    f'"{target.name}" is a destination of this session already',
                    hint=f"liput destination restart {target.name} connects it anew",
                    why="stream-there",
                    about=target.name,
                )
            if self._templates is not None:
                self._connect(target, self._templates, self._removed.get(target.name))
            self._targets[target.name] = target
            self._removed.pop(target.name, None)
        self._emit("destination-added", target.name, f"{target.name} is a destination from now on")

    def remove(self, name: str) -> None:
        """Remove a destination, and close it in the background.

        Raises UsageError for an unknown name, SessionError at the end.
        """
        with self._lock:
            self._refuse_after_the_end()
            self._refuse_unknown(name)
            del self._targets[name]
            if destination := self._streaming.pop(name, None):
                self._receiving = tuple(other for other in self._receiving if other is not destination)
                self._removed[name] = destination
                self._retire(destination)
        self._emit("destination-removed", name, f"{name} is not streamed to any more")

    def restart(self, name: str, target: StreamTarget | None = None) -> None:
        """Reconnect a destination at once, to the address of `target` if given.

        Raises UsageError for an unknown name or an invalid address, SessionError at the end.
        """
        if target is not None:
            parse_live_url(target.url.reveal())
        with self._lock:
            self._refuse_after_the_end()
            self._refuse_unknown(name)
            if target is not None:
                self._targets[name] = target
            destination = self._streaming.get(name)
            if destination is None and self._templates is not None:  # its start failed
                self._connect(self._targets[name], self._templates)
        self._emit("destination-restarted", name, f"{name} is connected anew")
        if destination:
            destination.restart(target)

    def _refuse_after_the_end(self) -> None:
        if self._is_over:
            raise SessionError("the recording has ended", hint="liput record begins another one", why="ended")

    def _refuse_unknown(self, name: str) -> None:
        if name not in self._targets:
            there = ", ".join(self._targets)
            raise UsageError(
                f'"{name}" is no destination of this session',
                hint=f"its destinations are {there}" if there else f"it has none; liput destination add {name} adds it",
                why="missing",
            )

    # From the start of the recording to its end

    def begin(self, templates: Templates) -> None:
        """Connect all, live ones again. The encoder's open streams `templates` stay open until `close` returns."""
        failed = []
        with self._lock:
            if self._is_over:
                return
            self._templates = templates
            before, self._streaming, self._receiving = self._streaming, {}, ()
            for destination in before.values():
                self._retire(destination, goes_on=True)
            for target in self._targets.values():
                try:
                    self._connect(target, templates, before.get(target.name))
                except Exception as error:  # such as no further thread; others go on
                    failed.append((target.name, as_liput_error(error).message))
        for name, why in failed:
            self._emit("sink-failed", name, f"{name} could not be started: {why}")

    def _retire(self, destination: LiveDestination, *, goes_on: bool = False) -> None:
        """Begin to stop it, after an earlier one of the same name."""
        destination.end(STOP_S, goes_on=goes_on)
        if not goes_on and (earlier := self._retiring.get(destination.name)):  # its stream ends for good
            earlier.end(STOP_S)
        self._retiring[destination.name] = destination

    def _connect(self, target: StreamTarget, templates: Templates, before: LiveDestination | None = None) -> None:
        destination = LiveDestination(target, templates, emit=self._emit, clock=self._clock, earlier=before)
        self._streamed[target.name] = None
        # A server that still has the former stream refuses the next one.
        destination.start(after=self._retiring.get(target.name))
        self._streaming[target.name] = destination
        self._receiving = (*self._receiving, destination)

    def put(self, packet: EncodedPacket) -> None:
        """Give a packet to each destination; an error ends that destination only. Returns at once."""
        for destination in self._receiving:
            try:
                destination.put(packet)
            except Exception as error:
                with self._lock:
                    self._receiving = tuple(other for other in self._receiving if other is not destination)
                why = as_liput_error(error).message
                self._emit("sink-failed", destination.name, f"{destination.name} failed and gets no more: {why}")

    @property
    def streaming(self) -> tuple[LiveDestination, ...]:
        """The destinations that get packets now."""
        return self._receiving

    def ending(self) -> None:
        """Start the time limit for stopping all."""
        with self._lock:
            if self._stopped_by_ns is None:
                self._stopped_by_ns = self._clock.now_ns() + round(STOP_S * NANOSECONDS)

    def stop(self) -> None:
        """Begin to stop all at once; none waits for another. Nothing can be added afterwards."""
        self.ending()
        with self._lock:
            if not self._is_over:
                self._is_over = True
                for destination in self._streaming.values():
                    destination.end(max(LEAST_S, self._remaining_s()), is_over=True)
                for destination in self._retiring.values():  # its stream ends for good
                    destination.end(STOP_S)

    def _remaining_s(self) -> float:
        by_ns = self._stopped_by_ns or 0
        return max(0.0, (by_ns - self._clock.now_ns()) / NANOSECONDS)

    def close(self) -> None:
        """Stop all, and wait: at most STOP_S seconds from `ending`, or LEAST_S from here."""
        self.stop()
        least_ns = self._clock.now_ns() + round(LEAST_S * NANOSECONDS)
        for destination in (*self._streaming.values(), *self._retiring.values()):
            destination.join(max(self._remaining_s(), (least_ns - self._clock.now_ns()) / NANOSECONDS, 0.0))
        self._templates = None

    # State

    def lines(self) -> list[DestinationLine]:
        """Return the state of each; last the removed ones, with their counts."""
        with self._lock:
            targets, streaming, removed = list(self._targets), dict(self._streaming), list(self._removed.values())
        now = [
            streaming[name].status()
            if name in streaming
            else DestinationLine(name=name, state="armed", since=self._since)
            for name in targets
        ]
        gone = (one.status() for one in removed)
        return [*now, *(msgspec.structs.replace(line, state="removed", reason=None, message=None) for line in gone)]
