"""For how long this PC has not been started anew: what runs for weeks forgets things."""

from collections.abc import Iterable
from pathlib import Path

from agent.checks.check import Check, Situation, Tell
from agent.checks.result import Code, Result, Verdict, found
from config.locale.lookup import Words

NAME = "uptime"
UPTIME = Path("/proc/uptime")
MOST_DAYS = 14

CODES = {
    "ok": Code(Verdict.OK, Words("Dinyalakan {days:.0f} hari yang lalu", "Started {days:.0f} days ago")),
    "long": Code(
        Verdict.WARNING,
        Words("Sudah {days:.0f} hari tidak dinyalakan ulang", "Not restarted for {days:.0f} days"),
        Words("Nyalakan ulang PC ini sebelum acara.", "Restart this PC before the event."),
    ),
}


def look(_situation: Situation, _tell: Tell) -> Iterable[Result]:
    """Return the one result."""
    seconds = float(UPTIME.read_text().split()[0])
    days = seconds / 86_400
    yield found(CODES, "ok" if days < MOST_DAYS else "long", NAME, {"uptime_s": seconds}, days=days)


CHECKS = [Check(NAME, Words("Lama menyala", "Uptime"), look, CODES, place=75)]
