"""Troubles, and messages about them, for tests of whatever tells them."""

from datetime import UTC, datetime

from agent.alarms.message import Message
from agent.health.alarm import URGENT, Alarm, PlanNotice, new_alarm
from config.locale.lookup import BilingualText

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def alarm(kind: str = "source-lost", subject: str = "podium", session: str = "a1b2c3", title: str = "Rapat") -> Alarm:
    """Return a trouble of a session."""
    return new_alarm(session, title, kind, subject, AT, f"{subject}: {kind}")


def message(*alarms: Alarm) -> Message:
    """Return the message that tells of them."""
    told = alarms or (alarm(),)
    return Message(at=AT, began=told, present=told)


def over(*alarms: Alarm) -> Message:
    """Return the message that they are over."""
    return Message(at=AT, over=alarms or (alarm(),))


def notice(kind: str = "reminder", plan: str = "rapat", text: str = "Rapat dimulai 10 min lagi") -> PlanNotice:
    """Return a notice of a planned session."""
    return PlanNotice(
        kind=kind, plan=plan, title="Rapat", at=AT, urgent=kind in URGENT, text=BilingualText(text, f"en: {text}")
    )
