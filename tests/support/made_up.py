"""States that a test makes up, and a session screen that shows them and no others: no daemon tells them."""

import msgspec
from playwright.sync_api import Page

from agent.sessions.control import SessionLine
from agent.web.api.state import troubles_of
from tests.support.browser import Visit

TELL = """state => import("/static/live.js").then(
  ({live}) => live.dispatchEvent(new CustomEvent("state", {detail: state})))"""


def made_line(**status: object) -> dict[str, object]:
    """Return a session that nobody records, as the state lists it."""
    known = {
        "type": "status", "state": "live", "elapsed_s": 65.0, "media_time_s": 64.5, "bytes": 40_000_000, "frames": 1950,
        "dropped": 0, "repeated": 0, "fps": 30.0, "levels_dbfs": [-18.0, -20.0], "disk_left_s": 86_400.0,
        "destinations": [],
        "pre_roll_s": 0.0, "troubles": [], "layout": "single", "abandoned": 0, "conference": None, "stream": None,
        "loudness": {"momentary_lufs": None, "short_term_lufs": -23.0, "integrated_lufs": None, "range_lu": None},
        "sources": [{"id": "046d:0825:CAM0001", "name": "Rig Webcam", "role": "podium",
                     "health": {"state": "ok", "reason": None, "since": None, "fault": None}}],
        "sounds": [{"name": "microphone", "muted": False, "levels_dbfs": [-18.0], "ppm": None}],
    }  # fmt: skip
    found = known | status
    return {
        "type": "session", "id": "aaaaaa", "title": "Rapat", "state": found["state"], "archive": "/srv", "work": None,
        "started_at": "2026-11-26T09:00:00+07:00", "pid": 1, "folder": "/run", "status": found,
    }  # fmt: skip


def made_trouble(kind: str) -> dict[str, object]:
    """Return something that is wrong with that session."""
    words = {"id": "Perekam berhenti", "en": "It was killed"}
    return {"id": kind, "session": "aaaaaa", "kind": kind, "subject": "Rapat", "is_grave": True, "text": words,
            "over": None}  # fmt: skip


def made_up(**status: object) -> dict[str, object]:
    """Return a state as the daemon tells it, with that session."""
    session = made_line(**status)
    told = msgspec.to_builtins(troubles_of([msgspec.convert(session, SessionLine)], []))
    return {"type": "state", "room": "Aula", "language": "id", "version": "0", "at": "2026-11-26T09:01:05+07:00",
            "sessions": [session], "troubles": told, "standing": []}  # fmt: skip


def with_states_of_ours(shown: Visit, path: str) -> Page:
    """Open the page with a WebSocket that nobody answers, and without its patience: it shows the test's states only."""
    shown.page.add_init_script("""
        window.setInterval = () => 0;
        window.later = 0;
        const now = performance.now.bind(performance);
        performance.now = () => now() + window.later;
    """)
    shown.page.route_web_socket("**/api/v1/live", lambda _socket: None)
    page = shown.open(path)
    page.wait_for_function("document.getElementById('program') !== null")
    return page
