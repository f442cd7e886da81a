"""Plans on disk, in files that can be read without Liput.

STATE/schedule/plans.json    all plans, in the order of their beginnings
STATE/schedule/done.json     the acts done for each plan
STATE/schedule/feeds.json    the last reading of each calendar (agent/schedule/feeds.py)
"""

import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec

from agent.schedule.plan import CalendarSource, Moment, Plan, PlanState, from_calendar, updated_from_calendar
from config.errors import UsageError
from config.files import file_stamp
from config.state import StateFile, state_folder
from recorder.model.names import slug
from recorder.running.runtime_directory import is_process_alive

KEEP_AFTER_END = timedelta(days=60)
"""How long a calendar's plan stays after its end; one made by hand stays until it is removed."""
MOST_PLANS = 5000
_FILE = "file "
type Key = tuple[str, str, str]


def schedule_folder() -> Path:
    return state_folder() / "schedule"


def schedule_version() -> int:
    """Return a number that changes with the plans and their records."""
    return zlib.crc32(repr([file_stamp(schedule_folder() / name) for name in ("plans.json", "done.json")]).encode())


class Plans:
    def __init__(self, folder: Path | None = None) -> None:
        self.path = (folder or schedule_folder()) / "plans.json"
        self._store: StateFile[list[Plan]] = StateFile(self.path, list[Plan], [])

    def read(self) -> list[Plan]:
        """Return the plans, earliest first; raises StateError."""
        return sorted(self._store.read(), key=_sort_key)

    def add(self, plan: Plan) -> None:
        """Add a plan; raises StateError, and UsageError for too many."""
        self._change(lambda plans: [*plans, plan])

    def replace(self, plan_id: str, change: Callable[[Plan], Plan]) -> Plan:
        """Change a plan and return it; raises StateError, and UsageError for an unknown id."""
        _, after = self._change(lambda plans: [change(plan) if plan.id == plan_id else plan for plan in plans])
        return _plan_with(after, plan_id)

    def remove(self, plan_id: str, *, forgets: bool = True) -> None:
        """Mark a plan as removed; with `forgets`, delete a removed one made by hand. Raises StateError."""

        def removed(plan: Plan) -> list[Plan]:
            if plan.id != plan_id:
                return [plan]
            is_forgotten = forgets and plan.source is None and plan.state is PlanState.REMOVED
            return [] if is_forgotten else [msgspec.structs.replace(plan, state=PlanState.REMOVED)]

        self._change(lambda plans: [kept for plan in plans for kept in removed(plan)])

    def take_events(
        self, feed: str, events: Sequence[CalendarSource], window: tuple[datetime, datetime] | None
    ) -> list[Plan]:
        """Take in the events of calendar `feed`; return its new and changed plans. Raises StateError.

        A plan in `window` without an event is cancelled; with None, none is. Fields edited by hand stay.
        """
        before, after = self._change(lambda plans: merge_events(plans, feed, events, window))
        return _changed_plans(before, after)

    def cancel_other_feeds(self, feeds: Collection[str], now: datetime) -> list[Plan]:
        """Cancel and return future plans of calendars not in `feeds`. Raises StateError."""

        def without(plans: list[Plan]) -> list[Plan]:
            return [_cancelled_without_feed(plan, feeds, now) for plan in plans]

        if (plans := self.read()) == without(plans):  # nothing to write
            return []
        before, after = self._change(without)
        return [plan for plan in _changed_plans(before, after) if plan.state is PlanState.CANCELLED]

    def find(self, key: str) -> Plan:
        """Return the plan with an id, or the 8 last digits of one, that begins with `key`. Raises LiputError."""
        plans = self.read()
        exact = [plan for plan in plans if plan.id == key]
        found = exact or [plan for plan in plans if key and matches_key(plan, key.casefold())]
        if len(found) == 1:
            return found[0]
        if found:
            named = ", ".join(plan.id for plan in found[:3]) + (" ..." if len(found) > 3 else "")
            raise UsageError(f"{len(found)} plans match {key!r}: {named}", hint="write more of its id")
        raise _no_plan_error(key)

    def get(self, plan_id: str) -> Plan:
        """Return the plan with exactly this id, for programs. Raises StateError, UsageError."""
        return _plan_with(self.read(), plan_id)

    def _change(self, change: Callable[[list[Plan]], list[Plan]]) -> tuple[list[Plan], list[Plan]]:
        before: list[Plan] = []
        after: list[Plan] = []

        def sorted_plans(plans: list[Plan]) -> list[Plan]:
            before[:], after[:] = plans, change(plans)
            if len(after) > max(MOST_PLANS, len(plans)):
                raise UsageError(
                    f"more than {MOST_PLANS} sessions would be planned",
                    hint="name `locations` of the calendar, or fewer `days_ahead`",
                )
            return sorted(after, key=_sort_key)

        self._store.change(sorted_plans)
        return before, after


def plan_keys() -> Iterator[tuple[str, str]]:
    """Yield the ids of all plans and their digits with the titles, for completion."""
    for plan in Plans().read():
        yield plan.id, plan.title
        yield plan.id.rpartition("_")[2], plan.title


def _plan_with(plans: Sequence[Plan], plan_id: str) -> Plan:
    for plan in plans:
        if plan.id == plan_id:
            return plan
    raise _no_plan_error(plan_id)


def _changed_plans(before: Sequence[Plan], after: Sequence[Plan]) -> list[Plan]:
    known = {plan.id: plan for plan in before}
    return [plan for plan in after if known.get(plan.id) != plan]


def _no_plan_error(key: str) -> UsageError:
    return UsageError(f"there is no plan {key!r}", hint="liput schedule list --all shows them", why="no-plan")


def matches_key(plan: Plan, key: str) -> bool:
    """Return whether `key` begins a plan's id, or the digits at its end."""
    return plan.id.startswith(key) or plan.id.rpartition("_")[2].startswith(key)


def new_id(title: str, starts_at: datetime) -> str:
    """Return a new id: day, title, 8 random digits."""
    return f"{starts_at:%Y-%m-%d}_{slug(title)}_{uuid4().hex[:8]}"


def merge_events(
    plans: Sequence[Plan], feed: str, events: Sequence[CalendarSource], window: tuple[datetime, datetime] | None
) -> list[Plan]:
    """Return `plans` with the events of calendar `feed`; see `Plans.take_events`."""
    new = {event.key: event for event in events}
    again = {source.key: new.pop(source.key) for source in _sources(plans, feed) if source.key in new}
    again |= _moved_occurrences(_sources(plans, feed), again, new)
    merged: list[Plan] = []
    for plan in plans:
        source = plan.source
        if source is None or source.feed != feed:
            merged.append(plan)
        elif source.key in again:
            merged.append(updated_from_calendar(plan, again[source.key]))
        elif window is not None and window[0] <= source.said.starts_at < window[1]:
            merged.append(_cancelled(plan, source))
        elif window is None or plan.ends_at > window[0] - KEEP_AFTER_END:
            merged.append(plan)
    merged += [from_calendar(new_id(event.said.title, event.said.starts_at), event) for event in new.values()]
    return merged


def _sources(plans: Sequence[Plan], feed: str) -> list[CalendarSource]:
    return [plan.source for plan in plans if plan.source is not None and plan.source.feed == feed]


def _moved_occurrences(
    sources: Sequence[CalendarSource], again: Mapping[Key, CalendarSource], new: dict[Key, CalendarSource]
) -> dict[Key, CalendarSource]:
    """Take from `new`, and return by old key, occurrences of series that moved within their day."""
    moved = {}
    for source in sources:
        if source.recurrence_id and source.key not in again:
            same_day = [
                event for event in new.values()
                if event.uid == source.uid and event.said.starts_at.date() == source.said.starts_at.date()
            ]  # fmt: skip
            if len(same_day) == 1:
                moved[source.key] = new.pop(same_day[0].key)
    return moved


def imported_feed(name: str) -> str:
    """Return the calendar name for plans of an imported file."""
    return f"{_FILE}{name}"


def _cancelled_without_feed(plan: Plan, feeds: Collection[str], now: datetime) -> Plan:
    source = plan.source
    if source is None or source.feed in feeds or source.feed.startswith(_FILE):
        return plan
    return _cancelled(plan, source) if plan.starts_at > now else plan


def _cancelled(plan: Plan, source: CalendarSource) -> Plan:
    said = msgspec.structs.replace(source.said, state=PlanState.CANCELLED)
    return updated_from_calendar(plan, msgspec.structs.replace(source, said=said))


def _sort_key(plan: Plan) -> tuple[datetime, str]:
    return plan.starts_at, plan.id


class RecorderAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """A process that was started as a plan's recorder, noted before it got its spec."""

    pid: int
    pid_started: int
    boot_id: str

    @property
    def is_alive(self) -> bool:
        return is_process_alive(self.pid, self.pid_started, self.boot_id)


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The acts already done for a plan, with the plan's times of then.

    `reminded` has seconds before the beginning, `told` the notices sent. `recorder` is its recorder in the boot
    `boot_id`; after `ended_at` none begins again. `begun_as` and `begun_for` are the plan's hash and beginning when the
    recorder began, `records_until` the end of the recording before the plan moved behind it. `changing` is the recorder
    that closes its devices because the plan changed.
    """

    starts_at: Moment
    ends_at: Moment
    reminded: tuple[float, ...] = ()
    told: tuple[str, ...] = ()
    checked: bool = False
    attempt: RecorderAttempt | None = None
    recorder: str | None = None
    boot_id: str = ""
    ended_at: Moment | None = None
    begun_as: str = ""
    begun_for: Moment | None = None
    records_until: Moment | None = None
    changing: str = ""

    def without_recorder(self) -> "PlanRecord":
        """Return the record without a recorder: one begins when it is due."""
        return msgspec.structs.replace(self, recorder=None, attempt=None, records_until=None, changing="")


type PlanRecords = Mapping[str, PlanRecord]


type PlanRecordStore = StateFile[dict[str, PlanRecord]]


def plan_record_store(folder: Path | None = None) -> PlanRecordStore:
    return StateFile((folder or schedule_folder()) / "done.json", dict[str, PlanRecord], {})


def change_record(store: PlanRecordStore, plan: Plan, change: Callable[[PlanRecord], PlanRecord]) -> None:
    """Change the record of a plan; raises StateError."""
    store.change(lambda ledger: {**ledger, plan.id: change(record_of(plan, ledger))})


def forget_other_records(store: PlanRecordStore, plans: Collection[Plan]) -> None:
    """Delete records of deleted plans; raises StateError."""
    known = {plan.id for plan in plans}
    if not store.read().keys() <= known:
        store.change(lambda ledger: {key: done for key, done in ledger.items() if key in known})


def record_of(plan: Plan, ledger: PlanRecords) -> PlanRecord:
    """Return the record of a plan as it stands now.

    A plan moved behind its ended session is another session; if it moved before it began, people are reminded again.
    """
    done = ledger.get(plan.id)
    fresh = PlanRecord(starts_at=plan.starts_at, ends_at=plan.ends_at)
    if done is None:
        return fresh
    if done.ended_at is not None:
        is_another = plan.starts_at > done.starts_at and plan.starts_at >= done.ended_at
        return fresh if is_another else done
    if done.starts_at != plan.starts_at:
        times = {"starts_at": plan.starts_at, "ends_at": plan.ends_at}
        return msgspec.structs.replace(done, reminded=(), told=(), checked=False, **times)
    return done if done.ends_at == plan.ends_at else msgspec.structs.replace(done, ends_at=plan.ends_at)
