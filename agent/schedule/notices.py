"""Notices about planned sessions, in two languages."""

from collections.abc import Callable
from datetime import datetime

from agent.health.alarm import NoticeBoard
from agent.schedule.plan import Plan, PlanMode
from config.locale.lookup import NO_TEXT, WRITTEN, BilingualText, LocalizedText, words
from config.settings.quantities import brief_duration
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
        "left": brief_duration(max(0.0, (plan.starts_at - now).total_seconds())),
        "starts": f"{plan.starts_at.astimezone(zone):%H:%M}",
        "ends": f"{plan.ends_at.astimezone(zone):%H:%M}",
    }
    then = NO_TEXT if plan.mode is PlanMode.REMIND else WORDS[f"then-{plan.mode}"]
    late = WORDS["late"].filled({"late": brief_duration(late_s)}) if late_s else NO_TEXT

    def said(language: str) -> str:
        parts = {"then": then.of(language), "late": late.of(language), "why": why.of(language)}
        return WORDS[kind].of(language).format_map(facts | parts)

    return LocalizedText(*map(said, WRITTEN))


def board_notifier(board: NoticeBoard, tell: Callable[[str], None]) -> Notify:
    """Return a function that shows notices on the board and writes them into the log, in English."""

    def notify(kind: str, plan: Plan, words: LocalizedText) -> None:
        board.put(kind, plan.id, plan.title, BilingualText(words.indonesian, words.english))
        tell(words.english)

    return notify
