"""The page of the schedule."""

from pathlib import Path

from agent.web.page.pages import Page
from config.settings.schema import Settings
from config.settings.serving import MODES


def _facts(settings: Settings) -> dict[str, object]:
    return {"modes": MODES, "mode": settings.schedule.mode, "destinations": list(settings.destinations)}


PAGES = [Page("/schedule", "schedule.html.j2", "nav.schedule", 20, _facts, Path(__file__).parent / "page")]
