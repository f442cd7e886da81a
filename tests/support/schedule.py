"""Calendars and plans as offices export them."""

from datetime import UTC, datetime, timedelta

from agent.schedule.plan import Plan, PlanMode

NINE = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(*lines: str, uid: str = "a", summary: str = "Rapat") -> str:
    """Return a VEVENT with some lines of its own."""
    return "\r\n".join(("BEGIN:VEVENT", f"UID:{uid}", f"SUMMARY:{summary}", *lines, "END:VEVENT"))


def calendar(*parts: str) -> bytes:
    """Return a calendar of these parts."""
    return "\r\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//uji//ID", *parts, "END:VCALENDAR", "")).encode()


def plan(
    name: str = "rapat",
    starts_at: datetime = NINE,
    length: timedelta = timedelta(hours=2),
    mode: PlanMode = PlanMode.RECORD,
) -> Plan:
    """Return a plan that was made by hand."""
    return Plan(
        id=f"2026-12-01_{name}_00000000", title=name, starts_at=starts_at, ends_at=starts_at + length, mode=mode
    )
