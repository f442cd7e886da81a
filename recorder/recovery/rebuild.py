"""Rebuilds the facts of a killed recorder's session from its event log and media, and adds them to the log.

A *run* is one recorder from start to end, with one part or several. After a change of disk each log has every event.
Media times in events count from the start of the run.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from math import log10

import msgspec

from config.events import Event, encode_event
from config.settings.quantities import clock_text
from devices.host.clock import Clock, SystemClock
from recorder.model.eventlog import RECOVERED_KIND, event_number, read_events
from recorder.model.marks import Mark
from recorder.model.session_faults import ActiveFaults
from recorder.package.metadata import INTERRUPTED, Gap, PartFacts, RecordingFacts

SHORTEST_GAP_S = 0.1  # shorter gaps are a frame or two, or rounding of clocks
LONGEST_LOSS_S = 3600.0  # a longer loss at the end means that the PC's clock was set


class PartEvidence(PartFacts, frozen=True, kw_only=True):
    """The remains of one part: its facts, the time of its last write, and its events."""

    written_at: datetime | None
    events: Sequence[Event]

    @property
    def begun(self) -> Event | None:
        """Its recorder's `session-live` event."""
        return next((event for event in reversed(self.events) if event.kind == "session-live"), None)


class RecorderSpan:
    """One recorder: its ordered parts and events, its last write or event (`last_seen`), and its playable `seconds`."""

    def __init__(self, parts: Sequence[PartEvidence]) -> None:
        self.parts = parts
        first = parts[0]
        self.base_s = first.offset_s - run_offset_s(first.events, first.part)
        unique = {msgspec.json.encode(event): event for part in parts for event in part.events}
        self.events = [event for event in unique.values() if event.kind != RECOVERED_KIND]
        self.ended = next((event for event in reversed(self.events) if event.kind == "session-ended"), None)
        written = (part.written_at for part in parts if part.written_at)
        self.last_seen = max([*written, *(event.at for event in self.events)], default=None)
        self.killed_at = f" at {self.last_seen:%H:%M:%S}" if self.last_seen else ""
        self.seconds = sum(part.duration_s for part in parts)

    def last_measured(self, name: str) -> float | None:
        """Return its last measurement of `name`: at its end, or from a minute before."""
        for event in reversed(self.events):
            if event.kind in {"session-ended", "sound-measured"}:
                value = event.detail.get(name)
                return float(value) if isinstance(value, int | float) else None
        return None

    def of(self, kind: str) -> Iterator[Event]:
        return (event for event in self.events if event.kind == kind)


def live_events(log: bytes) -> list[Event]:
    """Return the `session-live` events: one for each run in the log."""
    return [event for event in read_events(log) if event.kind == "session-live"]


def run_offset_s(events: Iterable[Event], part: int) -> float:
    """Return the recorder's running time when it moved to `part`; 0 if it began there."""
    for event in events:
        if event.kind == "storage-switched" and event.detail.get("part") == part:
            return event_number(event, "offset_s")
    return 0.0


def rebuild_facts(
    parts: Sequence[PartEvidence],
    started_at: datetime,
    said: RecordingFacts | None = None,
    apart: Sequence[PartFacts] = (),
) -> RecordingFacts:
    """Return a session's facts from its parts, in order; at least one.

    `said` are the last recorder's own facts after an orderly end. Parts in `apart` are not lost.
    """
    runs = _runs(parts)
    gaps = tuple(_cut_by_parts(_gaps(runs, started_at), runs[-1].parts[-1].end_s, apart))
    before, last = runs[:-1], runs[-1]
    was_killed = said is None and last.ended is None
    said = said or _facts_of_last(last, started_at)
    measured = [(run.last_measured("loudness_lufs"), run.seconds) for run in before]
    reasons = dict.fromkeys([*(reason for run in before for reason in _reasons(run)), *said.degraded])
    if was_killed or any(gap.part is None for gap in gaps):
        reasons.setdefault(INTERRUPTED)
    titles = [event.subject for run in runs for event in run.of("title-changed")]
    return RecordingFacts(
        ended_at=said.ended_at,
        dropped=sum(map(_dropped, before)) + (said.dropped or 0),
        repeated=sum(map(_repeated, before)) + (said.repeated or 0),
        degraded=tuple(reasons),
        marks=tuple(
            Mark(at=event.at, media_s=round(run.base_s + event_number(event, "media_s"), 3), text=event.subject)
            for run in runs
            for event in run.of("mark")
        ),
        gaps=gaps,
        parts=_part_facts(parts, is_one_of_several=bool(apart)),
        loudness_lufs=_loudness([*measured, (said.loudness_lufs, last.seconds)]),
        loudness_range_lu=None if before else said.loudness_range_lu,
        destinations=tuple(dict.fromkeys([*(name for run in runs for name in _destinations(run)), *said.destinations])),
        title=said.title or "".join(titles[-1:]),
    )


def _facts_of_last(run: RecorderSpan, started_at: datetime) -> RecordingFacts:
    return RecordingFacts(
        ended_at=run.ended.at if run.ended else started_at + timedelta(seconds=run.parts[-1].end_s),
        dropped=_dropped(run),
        repeated=_repeated(run),
        degraded=tuple(_reasons(run)),
        loudness_lufs=run.last_measured("loudness_lufs"),
        loudness_range_lu=run.last_measured("loudness_range_lu"),
    )


def _destinations(run: RecorderSpan) -> Iterator[str]:
    has_begun = False
    for event in run.events:
        if event.kind == "session-live" and isinstance(names := event.detail.get("destinations"), list):
            has_begun = True
            yield from map(str, names)
        elif event.kind == "destination-added" and has_begun:
            yield event.subject


def _loudness(measured: Sequence[tuple[float | None, float]]) -> float | None:
    """Return the energy mean of loudnesses (LUFS) with their seconds, None without any."""
    known = [(10 ** (lufs / 10), seconds) for lufs, seconds in measured if lufs is not None and seconds > 0]
    if not known:
        return None
    energy = sum(power * seconds for power, seconds in known) / sum(seconds for _, seconds in known)
    return round(10 * log10(energy), 1)


def _dropped(run: RecorderSpan) -> int:
    """Return the number of dropped frames; each event counts those since the last one."""
    return sum(round(event_number(event, "count")) for event in run.of("frames-dropped"))


def _runs(parts: Sequence[PartEvidence]) -> list[RecorderSpan]:
    """Return the runs of a session; a part without a new `session-live` continues the run before it."""
    groups: list[list[PartEvidence]] = []
    for part in parts:
        before = groups[-1][-1] if groups else None
        if before is not None and (part.begun is None or part.begun == before.begun):
            groups[-1].append(part)
        else:
            groups.append([part])
    return [RecorderSpan(group) for group in groups]


def _part_facts(parts: Sequence[PartEvidence], *, is_one_of_several: bool) -> tuple[PartFacts, ...]:
    if len(parts) == 1 and parts[0].part == 1 and not is_one_of_several:
        return ()
    return tuple(
        PartFacts(
            part=part.part, offset_s=round(part.offset_s, 3), duration_s=round(part.duration_s, 3), copy=part.copy
        )
        for part in parts
    )


def _reasons(run: RecorderSpan) -> Iterable[str]:
    """Return the reasons to be degraded, as the recorder would have given them."""
    troubles = ActiveFaults(SystemClock())
    for event in run.events:
        troubles(event)
        if event.kind == "session-live":
            troubles.begin()
    return troubles.all


def _repeated(run: RecorderSpan) -> int:
    """Return about how many frames were repeated, by the silence of the picture's source."""
    live = next(run.of("session-live"), None)
    if live is None:
        return 0
    picture, rate = live.detail.get("picture"), event_number(live, "still_rate") or event_number(live, "rate")
    silent_s, since_s = 0.0, None
    for event in run.events:
        if event is live:
            silent_s, since_s = 0.0, None if since_s is None else 0.0  # earlier silence was not recorded
        elif event.subject == picture and event.kind == "source-silent" and since_s is None:
            since_s = event_number(event, "since_s")
        elif event.subject == picture and event.kind == "source-returned" and since_s is not None:
            silent_s, since_s = silent_s + max(0.0, event_number(event, "at_s") - since_s), None
    if since_s is not None:
        silent_s += max(0.0, run.parts[-1].end_s - run.base_s - since_s)
    return round(silent_s * rate)


def _gaps(runs: Sequence[RecorderSpan], started_at: datetime) -> Iterator[Gap]:
    first, last = runs[0].parts[0], runs[-1]
    if first.part > 1 and first.offset_s > SHORTEST_GAP_S:
        yield _gap(0.0, first.offset_s, f"the recording before part {first.part} was not found")
    placed = [(part, run) for run in runs for part in run.parts]
    for (before, run), (after, next_run) in pairwise(placed):
        missing_s = after.offset_s - before.end_s
        if missing_s > SHORTEST_GAP_S:
            yield _gap(before.end_s, missing_s, _reason_between(before, run, after, next_run))
    lost_s = _missing_end_s(last, started_at)
    if lost_s > SHORTEST_GAP_S:
        written = "it was recorded, and not written before the end"
        killed = f"at least so much of the end; the recorder was killed, or its disk failed{last.killed_at}"
        yield _gap(last.parts[-1].end_s, lost_s, written if last.ended else killed)


def _cut_by_parts(gaps: Iterable[Gap], end_s: float, apart: Sequence[PartFacts]) -> Iterator[Gap]:
    """Yield `gaps`, and the time behind `end_s`, split where an `apart` part holds them."""
    found = list(gaps)
    behind_s = max([end_s, *(gap.start_s + gap.duration_s for gap in found)])
    last_s = max((each.end_s for each in apart), default=0.0)
    if last_s > behind_s:
        found.append(_gap(behind_s, last_s - behind_s, "it was not found"))
    for gap in found:
        at_s, until_s = gap.start_s, gap.start_s + gap.duration_s
        for each in sorted(apart, key=lambda each: each.offset_s):
            start_s, stop_s = max(each.offset_s, at_s), min(each.end_s, until_s)
            if stop_s - start_s <= SHORTEST_GAP_S:
                continue
            if start_s - at_s > SHORTEST_GAP_S:
                yield _gap(at_s, start_s - at_s, gap.reason)
            yield _gap(start_s, stop_s - start_s, f"it is in part {each.part}, a package of its own", each.part)
            at_s = stop_s
        if until_s - at_s > SHORTEST_GAP_S:
            yield _gap(at_s, until_s - at_s, gap.reason)


def _gap(start_s: float, duration_s: float, reason: str, part: int | None = None) -> Gap:
    return Gap(start_s=round(start_s, 3), duration_s=round(duration_s, 3), reason=reason, part=part)


def _reason_between(before: PartEvidence, run: RecorderSpan, after: PartEvidence, next_run: RecorderSpan) -> str:
    between = f"between part {before.part} and part {after.part}"
    if run is next_run:
        return f"{between}, when the recording moved to another disk"
    if after.part > before.part + 1:
        return f"{between}; the recording there was not found"
    if run.ended:
        return f"{between}; the session was ended and taken up again"
    return f"{between}; the recorder was killed{run.killed_at}, and another one took its place"


def _missing_end_s(run: RecorderSpan, started_at: datetime) -> float:
    """Return the seconds missing at the end: up to the recorder's own figure, else to its last sign of life."""
    end_s = run.parts[-1].end_s
    if run.ended is not None:
        return max(0.0, run.base_s + event_number(run.ended, "media_time_s") - end_s)
    if run.last_seen is None:
        return 0.0
    lost_s = (run.last_seen - started_at).total_seconds() - end_s
    return lost_s if lost_s < LONGEST_LOSS_S else 0.0


def complete_lines(log: bytes) -> bytes:
    """Return a log without an incomplete last line."""
    return log[: log.rfind(b"\n") + 1]


def merge_logs(logs: Sequence[bytes]) -> bytes:
    """Merge the logs of all parts; a recorder that changes disks writes each event to both."""
    lines = (line for log in logs for line in complete_lines(log).splitlines(keepends=True))
    return b"".join(dict.fromkeys(lines))


RECOVERED = "Recovered after its recorder had ended without sealing it"
PUT_TOGETHER = "Put together of its parts, which were packages of their own"


def with_recovered_event(
    log: bytes, name: str, facts: RecordingFacts, parts: Sequence[int], clock: Clock, message: str
) -> bytes:
    """Append `session-recovered` to a log, unless it ends with it."""
    log = complete_lines(log)
    events = read_events(log)
    if events and events[-1].kind == RECOVERED_KIND:
        return log
    detail = {"parts": list(parts), "gaps": msgspec.to_builtins(facts.gaps)}
    told = f"{message}; {describe_missing(facts.gaps, facts.degraded)}."
    return log + encode_event(Event(clock.now(), RECOVERED_KIND, name, detail, told))


def describe_missing(gaps: Sequence[Gap], degraded: Sequence[str]) -> str:
    """Return a sentence on gaps and losses of a recording."""
    said = "the last second may be missing" if INTERRUPTED in degraded else "nothing is missing"
    if elsewhere := [gap for gap in gaps if gap.part is not None]:
        said = "not in this package: " + "; ".join(map(_gap_text, elsewhere))
    if gaps := [gap for gap in gaps if gap.part is None]:
        said = "missing: " + "; ".join(map(_gap_text, gaps)) + ("" if not elsewhere else f"; {said}")
    lost = [reason for reason in degraded if reason != INTERRUPTED]
    if not lost:
        return said
    told = f"while it was recorded: {', '.join(lost)}"
    return f"{said}; {told}" if gaps or elsewhere or INTERRUPTED in degraded else told


def _gap_text(gap: Gap) -> str:
    return f"{gap.duration_s:.1f} s from {clock_text(gap.start_s)} on ({gap.reason})"
