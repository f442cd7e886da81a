"""The pages of requests."""

from pathlib import Path

from agent.web.page.pages import Page

_FOLDER = Path(__file__).parent / "page"
PAGES = [
    Page("/requests", "requests.html.j2", "nav.requests", 60, folder=_FOLDER),
    Page("/requests/{id}", "request.html.j2", folder=_FOLDER),
]
