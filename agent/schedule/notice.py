"""What the schedule says to people, in both languages."""

from datetime import datetime

from agent.schedule.plan import Mode, Plan
from config.locale.lookup import NOTHING, Words, words
from config.settings.quantities import brief_duration
from recorder.model.names import one_line

WORDS = words("schedule")
"""By kind of notice; some follow another one."""


def notice(kind: str, plan: Plan, now: datetime, *, other: str = "", why: str = "", late_s: float = 0.0) -> Words:
    """Return what is said of a plan, by the stable word `kind`; times are those of the zone of `now`, the room's."""
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
    return Words(
        WORDS[kind].indonesian.format_map(facts | {"then": then.indonesian, "late": joined.indonesian}),
        WORDS[kind].english.format_map(facts | {"then": then.english, "late": joined.english}),
    )
