"""What the schedule says to people, in both languages."""

from dataclasses import dataclass
from datetime import datetime

from agent.schedule.decide import Act, Kind
from agent.schedule.plan import Mode, Plan
from config.locale.lookup import NOTHING, Words, words
from config.quantities import brief_duration
from recorder.archive.names import one_line


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should hear about a plan. `kind` is a stable word."""

    kind: str
    plan: Plan
    words: Words


WORDS = words("schedule")
"""By kind of notice; some follow another one."""


def notice(kind: str, plan: Plan, now: datetime, *, other: str = "", why: str = "", late_s: float = 0.0) -> Notice:
    """Return what is said; times are those of the zone of `now`, the room's."""
    left = brief_duration(max(0.0, (plan.starts_at - now).total_seconds()))
    zone = now.tzinfo
    facts = {
        "title": one_line(plan.title),
        "other": one_line(other),
        "why": one_line(why),
        "left": left,
        "starts": f"{plan.starts_at.astimezone(zone):%H:%M}",
        "ends": f"{plan.ends_at.astimezone(zone):%H:%M}",
    }
    then = NOTHING if plan.mode is Mode.REMIND else WORDS[f"then-{plan.mode}"]
    late = brief_duration(late_s)
    joined = WORDS["late"].filled({"late": late}) if late_s else NOTHING
    return Notice(
        kind,
        plan,
        Words(
            WORDS[kind].indonesian.format_map(facts | {"then": then.indonesian, "late": joined.indonesian}),
            WORDS[kind].english.format_map(facts | {"then": then.english, "late": joined.english}),
        ),
    )


def notice_of(act: Act, now: datetime) -> Notice:
    """Return what is said of an act that only says something."""
    return notice("reminder" if act.kind is Kind.REMIND else act.word, act.plan, now, other=act.other)
