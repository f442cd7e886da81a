"""Plans as answers: JSON documents, lines of text and table rows."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from typing import Literal

import click
import msgspec

from agent.schedule.interface.planner import Planner
from agent.schedule.plan import Moment, Plan, PlanMode, PlanState, edited_fields
from agent.schedule.store import PlanRecord, plan_record_store, record_of
from config.locale.number_format import zone as zone_text
from config.settings.quantities import brief_duration
from config.settings.serving import ScheduleSettings
from devices.host.clock import boot_id
from recorder.model.names import one_line

LABEL = 12


type Step = Literal["remind", "check", "arm", "start", "stop"]


class ComingStep(msgspec.Struct, frozen=True, kw_only=True):
    """The time of a coming step; `remind` also marks the beginning of a plan that people start."""

    what: Step
    at: Moment


class PlanDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as `--json` prints it.

    `changed` names the fields of a calendar's plan that were edited by hand, `overlaps` the plans at the same time.
    """

    plan: Plan
    status: str
    changed: tuple[str, ...] = ()
    done: PlanRecord | None = None
    coming: tuple[ComingStep, ...] = ()
    overlaps: tuple[str, ...] = ()


def coming_steps(plan: Plan, done: PlanRecord, rules: ScheduleSettings, now: datetime) -> tuple[ComingStep, ...]:
    """Return a plan's coming steps, earliest first."""
    if not plan.holds or done.ended_at is not None:
        return ()
    found = [step for step in _all_steps(plan, done, rules) if step.at > now]
    return tuple(sorted(found, key=lambda step: step.at))


def _all_steps(plan: Plan, done: PlanRecord, rules: ScheduleSettings) -> Iterator[ComingStep]:
    def before(what: Step, seconds: float) -> ComingStep:
        return ComingStep(what=what, at=plan.starts_at - timedelta(seconds=seconds))

    yield from (before("remind", each) for each in rules.remind if each not in done.reminded)
    if plan.mode is PlanMode.REMIND:
        yield before("remind", 0)
        return
    if rules.check_before_s > rules.arm_ahead_s and not done.checked:
        yield before("check", rules.check_before_s)
    if rules.arm_ahead_s > 0 or plan.mode is PlanMode.ARM:
        yield before("arm", rules.arm_ahead_s)
    if plan.mode is PlanMode.ARM:
        yield before("remind", 0)
    else:
        yield before("start", 0)
        yield ComingStep(what="stop", at=plan.ends_at)


def plan_documents(plans: Iterable[Plan], desk: Planner) -> list[PlanDocument]:
    """Return plans with their status, past and coming steps, and their overlaps. Raises StateError."""
    ledger, overlapping = plan_record_store().read(), overlaps(desk.plans.read())
    records = [(plan, record_of(plan, ledger)) for plan in plans]
    return [
        PlanDocument(
            plan=plan,
            status=_status(plan, done, desk.now),
            changed=edited_fields(plan),
            done=ledger.get(plan.id),
            coming=coming_steps(plan, done, desk.settings.schedule, desk.now),
            overlaps=tuple(overlapping.get(plan.id, ())),
        )
        for plan, done in records
    ]


def overlaps(plans: Iterable[Plan]) -> Mapping[str, list[str]]:
    """Return, by id, the titles of the plans that are carried out at the same time: they want the same devices."""
    found: dict[str, list[str]] = defaultdict(list)
    running: list[Plan] = []
    for plan in sorted((plan for plan in plans if plan.holds), key=lambda plan: plan.starts_at):
        running = [other for other in running if other.ends_at > plan.starts_at]
        for other in running:
            found[plan.id].append(other.title)
            found[other.id].append(plan.title)
        running.append(plan)
    return found


def list_plans(desk: Planner, *, every: bool, days: int | None) -> list[PlanDocument]:
    """Return running and future plans, earliest first; `every`: all plans, `days`: the next days only."""
    plans = desk.plans.read()
    if not every:
        plans = [plan for plan in plans if plan.state is PlanState.PLANNED and plan.ends_at > desk.now]
    if days is not None:
        plans = [plan for plan in plans if plan.starts_at < desk.now + timedelta(days=days)]
    return plan_documents(plans, desk)


def _status(plan: Plan, done: PlanRecord, now: datetime) -> str:
    if plan.state is not PlanState.PLANNED:
        return str(plan.state)
    if done.ended_at is not None:
        return "ended"
    if done.recorder is not None and done.boot_id == boot_id():
        return "running"
    return "over" if now >= plan.ends_at else "planned"


def when_text(plan: Plan, zone: tzinfo) -> str:
    """Return the time of a plan in a zone: "Tue 2026-12-01 09:00-11:00"."""
    starts, ends = plan.starts_at.astimezone(zone), plan.ends_at.astimezone(zone)
    if plan.all_day:
        return f"{starts:%a %Y-%m-%d} all day"
    until = f"{ends:%H:%M}" if ends.date() == starts.date() else f"{ends:%Y-%m-%d %H:%M}"
    return f"{starts:%a %Y-%m-%d %H:%M}-{until}"


def text_lines(found: PlanDocument, zone: tzinfo) -> Iterator[str]:
    """Yield the lines of a plan, for people."""
    plan = found.plan
    length_s = (plan.ends_at - plan.starts_at).total_seconds()
    yield click.style(one_line(plan.title), bold=True)
    rows = {
        "id": plan.id,
        "when": f"{when_text(plan, zone)} {zone_text(plan.starts_at.astimezone(zone))}, {brief_duration(length_s)}",
        "there": _there_text(plan, zone),
        "room": one_line(plan.room),
        "mode": str(plan.mode),
        "status": found.status,
        "overlaps": ", ".join(map(one_line, found.overlaps)),
        "request": plan.request or "",
        "pictures": ", ".join(plan.videos),
        "sound": ", ".join(plan.audios),
        "streams": ", ".join(plan.streams),
        "layout": plan.layout or "",
        "profile": plan.profile or "",
        "calendar": one_line(plan.source.feed) if plan.source else "",
        "by hand": ", ".join(found.changed),
        "next": ", ".join(f"{step.what} {_time_text(step.at, plan, zone)}" for step in found.coming),
    }
    for label, text in rows.items():
        if text:
            yield f"{label:<{LABEL}}{text}"


def _there_text(plan: Plan, zone: tzinfo) -> str:
    """Return the time in the calendar's own zone; "" if the clocks agree."""
    there = plan.starts_at.tzinfo
    if there is None or plan.starts_at.utcoffset() == plan.starts_at.astimezone(zone).utcoffset():
        return ""
    return f"{when_text(plan, there)} {plan.zone or zone_text(plan.starts_at)}"


def _time_text(at: datetime, plan: Plan, zone: tzinfo) -> str:
    """Return the time of a step, with the date if it differs from the plan's first day."""
    at, starts = at.astimezone(zone), plan.starts_at.astimezone(zone)
    return f"{at:%H:%M}" if at.date() == starts.date() else f"{at:%Y-%m-%d %H:%M}"
