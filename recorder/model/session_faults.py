"""The faults of a session, now and so far, told from its events.

An event is harmless, begins a fault that another event ends (a lost source that returns), or reports a loss that is
over (dropped frames). Such a loss counts for HOLD_S.
"""

import threading
from collections.abc import Mapping

from config.events import Event
from devices.health.faults import LOSSLESS_FAULTS, PLUG_FAULTS, Fault
from devices.host.clock import NANOSECONDS, Clock

REPORTED_BY_TRACKS: Mapping[str, str] = {Fault.LOST: "source-lost", Fault.NO_DATA: "source-silent"}
"""Faults that the tracks report themselves, and their kinds of events."""


def kind_of_fault(fault: str) -> str:
    """Return the kind of event for the start of a fault."""
    return REPORTED_BY_TRACKS.get(fault, f"source-{fault}")


SOURCE_RECOVERED = "source-recovered"
WARNING_KINDS = frozenset(map(kind_of_fault, LOSSLESS_FAULTS - PLUG_FAULTS))
"""Faults without a loss in the recording. Detectors do not find faults of a place, so sessions do not report them."""

HARMLESS_KINDS = WARNING_KINDS | {
    "session-live", "session-ended", "destination-live", "destination-stopped", "source-returned", SOURCE_RECOVERED,
    "session-armed", "source-found", "mark", "layout-changed", "sound-muted", "sound-unmuted", "recording-resumed",
    "session-stopping", "session-recovered", "session-resumed", "meter-failed", "sound-measured", "cpu-measured",
    "priority-granted", "storage-switched", "disk-low", "disk-enough", "mounts-unknown", "stream-rate-changed",
    "stepped-up", "keeps-up", "conference-live", "destination-added", "destination-removed", "destination-restarted",
    "destination-keeps-up", "events-left-out", "title-changed", "end-moved",
}  # fmt: skip
"""Kinds that do not degrade a session; every other kind does."""
SESSION_LIVE = "session-live"
"""The session records. It ends faults of any subject."""
HOLD_S = 10.0  # a loss that is over degrades a session this long, so that people see it
ENDED_BY = {
    "source-lost": {"source-found", "source-returned"},  # a source found soon enough was never missed
    "source-silent": {"source-returned"},
    "source-missing": {"source-returned"},
    "destination-lost": {"destination-live", "destination-removed", "destination-restarted"},
    "conference-lost": {"conference-live"},
    "destination-forgotten": {"destination-added"},
    "destination-slow": {  # "live" is a new connection, beside the old one's end
        "destination-keeps-up", "destination-live", "destination-lost", "destination-removed", "destination-restarted",
    },
    "recording-stalled": {"recording-resumed"},
    "disk-critical": {  # or the recording leaves that disk
        "disk-enough", "storage-full", "storage-read-only", "storage-failed", "storage-vanished",
    },
    "stepped-down": {"keeps-up"},
    "start-failed": {SESSION_LIVE},
}  # fmt: skip
"""Kinds of events that end a fault of the same subject. RECOVERED ends faults of detectors."""

LASTING_KINDS = frozenset({
    "session-failed", "recording-failed", "sealing-failed", "sink-failed", "storage-full", "storage-read-only",
    "storage-refused", "storage-failed", "storage-vanished", "storage-stalled",
    "recording-gap", "parts-apart", "part-left", "guard-failed", "isolated-failed", "thread-failed", "wish-unknown",
    "file-broken",
})  # fmt: skip
"""Kinds that no event ends while the session runs."""
SOURCE_AWAY = "source-away"  # the common name of all faults of a source that gives nothing
REPLACED_KINDS = ("source-missing", "source-silent")  # a slate, the last frame or silence stands in for the source
AWAY_KINDS = frozenset({"source-lost", *REPLACED_KINDS})  # all kinds of one source outage
NOT_OPENED_KINDS = ("source-busy", "source-denied", "source-bus-full")
"""Reasons why a source did not open; each comes with a `source-missing`."""


def can_end(kind: str, detail: Mapping[str, object]) -> bool:
    """Return whether another event ends the fault."""
    return kind in ENDED_BY or "fault" in detail


def ends_fault(kind: str, subject: str, detail: Mapping[str, object], begun: tuple[str, str]) -> bool:
    """Return whether an event ends the fault `begun`, a kind and a subject."""
    begun_kind, begun_subject = begun
    is_well = kind == SOURCE_RECOVERED and begun_kind == kind_of_fault(str(detail.get("fault")))
    return (subject == begun_subject or kind == SESSION_LIVE) and (is_well or kind in ENDED_BY.get(begun_kind, ()))


def reason_of(kind: str, subject: str) -> str:
    """Return a fault as statuses and recording.json have it: `KIND: SUBJECT`."""
    return f"{kind}: {subject}"


def kind_and_subject(reason: str) -> tuple[str, str]:
    """Return kind and subject of a reason; the subject is "" in a reason without one."""
    kind, _, subject = reason.partition(": ")
    return kind, subject


class ActiveFaults:
    """The faults of one session, from its events. Thread-safe."""

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
            if event.kind in HARMLESS_KINDS:
                return
            self._all.setdefault(reason_of(*key))
            # It lasts until another event, or until the session is over.
            if event.kind in LASTING_KINDS or can_end(event.kind, event.detail):
                self._open[key] = event
                return
            # The event may come late, and the wall clock may be set back meanwhile.
            left_s = min(HOLD_S, HOLD_S - (self._clock.now() - event.at).total_seconds())
            self._held[key] = event, self._clock.now_ns() + round(left_s * NANOSECONDS)

    def _end(self, kind: str, subject: str, detail: Mapping[str, object]) -> None:
        for begun in [begun for begun in self._open if ends_fault(kind, subject, detail, begun)]:
            del self._open[begun]

    def begin(self) -> None:
        """Forget faults that are over: the recording begins here."""
        with self._lock:
            self._held.clear()
            self._end(SESSION_LIVE, "", {})
            self._all = dict.fromkeys(reason_of(*begun) for begun in self._open)

    def events(self) -> list[Event]:
        """Return the events of current faults: lasting ones first, then those within HOLD_S."""
        with self._lock:
            now_ns = self._clock.now_ns()
            self._held = {key: held for key, held in self._held.items() if held[1] > now_ns}
            return [*self._open.values(), *(event for event, _ in self._held.values())]

    @property
    def now(self) -> list[str]:
        """The current faults as `KIND: SUBJECT`."""
        return list(dict.fromkeys(reason_of(event.kind, event.subject) for event in self.events()))

    @property
    def all(self) -> list[str]:
        """All reasons why the session is degraded, in order, each once."""
        with self._lock:
            return list(self._all)
