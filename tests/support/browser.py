"""A real browser on the page of a real daemon, and session screens that show made-up states."""

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # it has no types
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from agent.sessions.control import SessionLine
from agent.web.api.state import troubles_of
from agent.web.page import texts
from tests.support import command
from tests.support.room import Room
from tests.support.waiting import PATIENCE_S, wait_for

CHROMIUM = Path("/usr/bin/chromium-headless-shell")
ROOM = """
[general]
room = "Aula Lantai 2"

[web]
port = 0

[destinations.kampus]
url = "rtmp://127.0.0.1:9/live"
"""
"""Settings of a room with a page, and a destination where nobody listens."""
_BRIGHT = """canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let most = 0;
  for (let i = 0; i < data.length; i += 4) most = Math.max(most, data[i] + data[i + 1] + data[i + 2]);
  return most;
}"""
expect.set_options(timeout=1000 * PATIENCE_S)
RULES = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
EXPERIMENTAL = {"label-content-name-mismatch": {"enabled": True}}
"""Who speaks to the page says what stands on a button: that has to be in its name."""
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""Those of them that other colours may break."""
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def say(key: str, language: str = "id", **facts: object) -> str:
    """Return a sentence of the page."""
    return texts.text(language, key, **facts)


@dataclass
class Served:
    """A daemon that runs in a room, and where its page is."""

    room: Room
    daemon: command.Running
    url: str
    runtime: Path

    @property
    def token(self) -> str:
        return (self.room.home / ".local/state/liput/web-token").read_text().strip()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the API as a program does."""
        content = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api/v1{path}", content, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def ticket(self) -> str:
        """Return an address that lets a browser in."""
        return str(self.ask("POST", "/tickets", {})["url"])


@contextlib.contextmanager
def served(room: Room, runtime: Path) -> Iterator[Served]:
    """Run the daemon of a room while the body runs; its recorders outlive it, and are the caller's."""
    room.archive.mkdir(exist_ok=True)
    with command.running(room.home, "serve", "--json", "--archive", room.archive) as daemon:
        yield Served(room, daemon, place(runtime, daemon.pid), runtime)


def place(runtime: Path, pid: int) -> str:
    """Wait until the daemon `pid` serves its page, and return its address."""

    def found() -> str | None:
        with contextlib.suppress(OSError, ValueError):
            said = json.loads((runtime / "web.json").read_text())
            return str(said["url"]).rstrip("/") if said["pid"] == pid else None
        return None

    url = wait_for(found, what="the page")
    assert url
    return url


def arm(served: Served, title: str = "Rapat Senat", *more: str) -> str:
    """Arm a session of synthetic sources from the command line; return its id."""
    words = ("arm", "--title", title, "--video", "synthetic", "--archive", served.room.archive)
    done = command.liput(served.room.home, *words, "--consent", "not-asked", *more, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["id"])


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page that somebody looks at, and what its console complained of."""

    page: Page
    served: Served
    complaints: list[str]

    def open(self, path: str = "/") -> Page:
        """Go to one of the pages."""
        self.page.goto(f"{self.served.url}{path}")
        return self.page

    def has_no_violation(self) -> None:
        """Let axe look at the page as it is, in light and in dark colours."""
        has_no_violation(self.page)


def has_no_violation(page: Page) -> None:
    """Let axe look at a page as it is, in light and in dark colours; it is left in those of its context."""
    all_rules = Axe(), {"type": "tag", "values": list(RULES)}
    of_colours = Axe(""), {"type": "rule", "values": list(OF_COLOURS)}  # axe is in the page by then
    for theme, (axe, rules) in zip(THEMES, (all_rules, of_colours), strict=True):
        page.emulate_media(color_scheme=theme)
        options = {"runOnly": rules, "rules": EXPERIMENTAL, "resultTypes": ["violations"]}
        found = axe.run(page, options=options)
        assert found.violations_count == 0, f"{theme}: {found.generate_report()}"
    page.emulate_media(color_scheme="null")


@contextlib.contextmanager
def visit(browser: Browser, served: Served, **options: Any) -> Iterator[Visit]:
    """Look at the page, let in as `liput` does; at the end nothing may have been complained of."""
    with browsing(browser, served.ticket(), **options) as (page, complaints):
        yield Visit(page, served, complaints)


@contextlib.contextmanager
def browsing(browser: Browser, ticket: str, **options: Any) -> Iterator[tuple[Page, list[str]]]:
    """Yield a browser that is let in by an address, and what its console complains of: nothing is left at the end."""
    options = {"viewport": {"width": 1366, "height": 900}, "locale": "id-ID", "reduced_motion": "reduce"} | options
    context = browser.new_context(**options)
    page, complaints = context.new_page(), list[str]()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    assert context.request.get(ticket).ok
    try:
        yield page, complaints
    finally:
        context.close()
    assert complaints == []


def sees_a_picture(canvas: Locator) -> None:
    """Wait until something is drawn on a canvas that is not dark."""
    wait_for(lambda: canvas.evaluate(_BRIGHT) > 300, what="a picture")


def light(page: Page) -> Locator:
    """Return where the session screen says what the session does."""
    return page.locator("#light")


def press(page: Page, key: str) -> None:
    """Click the button that is called like a sentence of the page."""
    page.get_by_role("button", name=say(key), exact=True).click()


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus."""
    expect(wanted).to_be_visible()
    for _ in range(90):
        if wanted.evaluate("found => found === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{wanted} is not reached by Tab")


TELL = """state => Promise.all([...document.querySelectorAll("script[src]")].map(({src}) => import(src)))
  .then(() => import("/static/live.js"))
  .then(({live}) => live.dispatchEvent(new CustomEvent("state", {detail: state})))"""


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
    return shown.open(path)
