"""Notices about planned sessions, in two languages."""

from collections.abc import Callable
from datetime import datetime

from agent.health.alarm import NoticeBoard
from agent.schedule.plan import Plan, PlanMode
from config.locale.lookup import NO_TEXT, BilingualText, LocalizedText, words
from config.locale.number_format import in_each, span
from recorder.model.names import one_line

type Notify = Callable[[str, Plan, LocalizedText], None]
"""Takes a stable word, the plan and the notice for people, on the part's thread."""

WORDS = words("schedule")  # by kind of notice; `then-` and `late` are parts of other notices


def plan_notice(
    kind: str, plan: Plan, now: datetime, *, other: str = "", why: LocalizedText = NO_TEXT, late_s: float = 0.0
) -> LocalizedText:
    """Return the notice `kind` about a plan, with times in the zone of `now`, the room's."""
    zone = now.tzinfo
    facts = {
        "title": one_line(plan.title),
        "other": one_line(other),
        "left": in_each(span, max(0.0, (plan.starts_at - now).total_seconds())),
        "starts": f"{plan.starts_at.astimezone(zone):%H:%M}",
        "ends": f"{plan.ends_at.astimezone(zone):%H:%M}",
    }
    then = NO_TEXT if plan.mode is PlanMode.REMIND else WORDS[f"then-{plan.mode}"]
    late = WORDS["late"].filled({"late": in_each(span, late_s)}) if late_s else NO_TEXT
    return WORDS[kind].filled(facts | {"then": then, "late": late, "why": why})


def board_notifier(board: NoticeBoard, tell: Callable[[str], None]) -> Notify:
    """Return a function that shows notices on the board and writes them into the log, in English."""

    def notify(kind: str, plan: Plan, words: LocalizedText) -> None:
        board.put(kind, plan.id, plan.title, BilingualText(words.indonesian, words.english))
        tell(words.english)

    return notify
