"""What is wrong with a session now, and what was: told from its events.

An event is harmless, or begins a trouble that another event ends (a source that was lost and returns), or tells of
something that is over already (pictures that were dropped): that one counts for HOLD_S.
"""

import threading
from collections.abc import Mapping

from config.events import Event
from devices.health.faults import LOSES_NOTHING, OF_ITS_PLACE, Fault
from devices.host.clock import NANOSECONDS, Clock

TOLD_BY_TRACKS: Mapping[str, str] = {Fault.LOST: "source-lost", Fault.NO_DATA: "source-silent"}
"""Faults that the tracks notice by themselves, and the kinds of their events: they say what stands in its place."""


def kind_of(fault: str) -> str:
    """Return the kind of event by which a session tells that a fault has begun."""
    return TOLD_BY_TRACKS.get(fault, f"source-{fault}")


RECOVERED = "source-recovered"
WARNINGS = frozenset(map(kind_of, LOSES_NOTHING - OF_ITS_PLACE))
"""Kinds of faults by which the recording loses nothing; those of its place no watch finds, so no session tells them."""


HARMLESS = WARNINGS | {
    "session-live", "session-ended", "destination-live", "destination-stopped", "source-returned", RECOVERED,
    "session-armed", "source-found", "mark", "layout-changed", "sound-muted", "sound-unmuted", "recording-resumed",
    "session-stopping", "session-recovered", "session-resumed", "meter-failed", "sound-measured", "cpu-measured",
    "priority-granted", "storage-switched", "disk-low", "disk-enough", "mounts-unknown", "stream-rate-changed",
    "stepped-up", "keeps-up", "conference-live", "destination-added", "destination-removed", "destination-restarted",
    "destination-keeps-up", "events-left-out",
}  # fmt: skip
"""Kinds that do not make a session less than it should be; every other kind degrades it."""

BEGUN = "session-live"
"""Tells that the session records: of all of it, whatever its subject."""

HOLD_S = 10.0
"""How long something that is over leaves a session degraded, so that people see it."""

ENDED_BY = {
    "source-lost": {"source-found", "source-returned"},  # what is found soon enough was never missed
    "source-silent": {"source-returned"},
    "source-missing": {"source-returned"},
    "destination-lost": {"destination-live", "destination-removed", "destination-restarted"},
    "conference-lost": {"conference-live"},
    "destination-forgotten": {"destination-added"},
    "destination-slow": {
        "destination-keeps-up",
        "destination-live",  # connected anew, beside its end
        "destination-lost",
        "destination-removed",
        "destination-restarted",
    },
    "recording-stalled": {"recording-resumed"},
    "disk-critical": {  # or that disk is left
        "disk-enough",
        "storage-full",
        "storage-read-only",
        "storage-failed",
        "storage-vanished",
    },
    "stepped-down": {"keeps-up"},
    "start-failed": {BEGUN},
}
"""Which kinds of events, of the same subject, end a trouble; faults of watches end with RECOVERED of the same fault."""

LASTING = frozenset({
    "session-failed", "recording-failed", "sealing-failed", "sink-failed", "storage-full", "storage-read-only",
    "storage-refused", "storage-failed", "storage-vanished", "storage-stalled",
    "recording-gap", "parts-apart", "part-left", "guard-failed", "isolated-failed", "thread-failed", "wish-unknown",
    "file-broken",
})  # fmt: skip
"""Kinds that nothing ends while the session runs."""

AWAY = "source-away"
"""What it is called, whatever it is told by, that a source gives nothing."""
REPLACED = ("source-missing", "source-silent")
"""Tell that a slate, a last picture or silence is in a source's place, until it is shown, or heard, again."""
AWAY_KINDS = frozenset({"source-lost", *REPLACED})
"""Tell that a source gives nothing any more; all of one absence."""
NOT_OPENED = ("source-busy", "source-denied", "source-bus-full")
"""Tell why a source was not opened, each with a `source-missing` that says the same."""


def may_end(kind: str, detail: Mapping[str, object]) -> bool:
    """Whether the trouble that an event tells of goes on until another event ends it."""
    return kind in ENDED_BY or "fault" in detail


def lasts(event: Event) -> bool:
    """Whether the trouble that an event tells of goes on, until another event ends it or the session is over."""
    return event.kind in LASTING or may_end(event.kind, event.detail)


def ends(kind: str, subject: str, detail: Mapping[str, object], begun: tuple[str, str]) -> bool:
    """Whether an event of `kind`, of `subject`, ends the trouble that one began with the kind and subject `begun`."""
    begun_kind, begun_subject = begun
    is_well = kind == RECOVERED and begun_kind == kind_of(str(detail.get("fault")))
    return (subject == begun_subject or kind == BEGUN) and (is_well or kind in ENDED_BY.get(begun_kind, ()))


def reason_of(kind: str, subject: str) -> str:
    """Return a trouble as statuses and recording.json have it: `KIND: SUBJECT`."""
    return f"{kind}: {subject}"


def kind_and_subject(reason: str) -> tuple[str, str]:
    """Return what `reason_of` was given; a reason that is a kind alone has the subject ""."""
    kind, _, subject = reason.partition(": ")
    return kind, subject


class ActiveFaults:
    """The troubles of a session, by its events; thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._open: dict[tuple[str, str], Event] = {}
        self._held: dict[tuple[str, str], tuple[Event, int]] = {}
        self._all: dict[str, None] = {}

    def __call__(self, event: Event) -> None:
        """Take note of an event."""
        key = event.kind, event.subject
        with self._lock:
            self._end(event.kind, event.subject, event.detail)
            if event.kind in HARMLESS:
                return
            self._all.setdefault(reason_of(*key))
            if lasts(event):
                self._open[key] = event
                return
            # An event may be told late, and the wall clock set back meanwhile.
            left_s = min(HOLD_S, HOLD_S - (self._clock.now() - event.at).total_seconds())
            self._held[key] = event, self._clock.now_ns() + round(left_s * NANOSECONDS)

    def _end(self, kind: str, subject: str, detail: Mapping[str, object]) -> None:
        for begun in [begun for begun in self._open if ends(kind, subject, detail, begun)]:
            del self._open[begun]

    def begin(self) -> None:
        """Forget what is over: the recording begins here."""
        with self._lock:
            self._held.clear()
            self._end(BEGUN, "", {})
            self._all = dict.fromkeys(reason_of(*begun) for begun in self._open)

    def events(self) -> list[Event]:
        """Return the events that began what is wrong now: first those that last, then those that are over."""
        with self._lock:
            now_ns = self._clock.now_ns()
            self._held = {key: held for key, held in self._held.items() if held[1] > now_ns}
            return [*self._open.values(), *(event for event, _ in self._held.values())]

    @property
    def now(self) -> list[str]:
        """What is wrong now, as `KIND: SUBJECT`."""
        return list(dict.fromkeys(reason_of(event.kind, event.subject) for event in self.events()))

    @property
    def all(self) -> list[str]:
        """Why the session is less than it should be, each reason once, in the order they came up."""
        with self._lock:
            return list(self._all)
