"""Pictures of every page, in both languages and appearances, for the guides: `python -m tests.screenshots [FOLDER]`.

The pages are those of a real daemon with synthetic sessions, in a home of its own; nothing of this PC is shown. The
devices are those of tests/support/hall.py.
"""

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, Page, ViewportSize

from config.locale.lookup import LANGUAGES
from tests.support import browser as browsers
from tests.support import command, hall, recorders
from tests.support.browser import ROOM, Served, arm
from tests.support.room import Room
from tests.support.waiting import wait_for

FOLDER = Path(__file__).parents[1] / "docs/pictures"
COLOURS = 160
SIZE: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 390, "height": 844}
TITLE = {"id": "Rapat Senat Terbuka", "en": "Open senate meeting"}
MARK = {"id": "Tanya jawab", "en": "Questions"}
REQUEST = (
    "--event", "Seminar Nasional", "--letter-number", "123/UN1/2026", "--applicant", "Dr. Siti Aminah",
    "--unit", "Fakultas Teknik", "--starts", "besok 09:00", "--received", "kemarin 08:10", "--force",
)  # fmt: skip
_TIMES = (
    ("--starts", "besok 09:00", "--for", "2h", "--mode", "record", "--stream", "kampus"),
    ("--starts", "besok 13:30", "--for", "90m", "--mode", "arm"),
    ("--starts", "besok 16:00", "--for", "1h", "--mode", "remind"),
)
PLANS = {
    "id": dict(zip(("Rapat Senat", "Kuliah Umum", "Rapat Rektorat"), _TIMES, strict=True)),
    "en": dict(zip(("Senate meeting", "Public lecture", "Rectorate meeting"), _TIMES, strict=True)),
}
SOON_MS = 30_000


@dataclass(frozen=True)
class Door:
    """Where a page is, and how a browser is let in."""

    origin: str
    ticket: Callable[[], str]


def main() -> int:
    """Take all pictures; return the exit status."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="liput-pictures-") as home,
        _served(Path(home)) as served,
        browsers.chromium() as browser,
    ):
        for language in LANGUAGES:
            for name, picture in _pictures(browser, served, language).items():
                (folder / f"{name}.png").write_bytes(picture)
                sys.stdout.write(f"{name}.png  {len(picture) / 1000:.0f} kB\n")
    return 0


@contextmanager
def _served(home: Path) -> Iterator[Served]:
    runtime = home / "runtime"
    os.environ["LIPUT_RUNTIME"] = str(runtime)
    room = Room(home / "home")
    room.home.mkdir()
    room.configure(ROOM.replace("[web]", 'office = "Universitas Contoh"\n\n[web]'), 'kampus = "abcd-1234"\n')
    try:
        with browsers.served(room, runtime) as served:
            yield served
    finally:
        recorders.kill_recorders(runtime)


def _pictures(browser: Browser, served: Served, language: str) -> Mapping[str, bytes]:
    """Return the pictures of one language by their names."""
    found: dict[str, bytes] = {}
    door = Door(served.url, served.ticket)

    def take(
        name: str, path: str, ready: Callable[[Page], None], viewport: ViewportSize = SIZE, door: Door = door
    ) -> None:
        is_phone = viewport is PHONE  # its scroll bars take no room
        with browsers.browsing(browser, door.ticket(), viewport=viewport, is_mobile=is_phone) as (page, _):
            address, _, step = path.partition("#")
            page.goto(f"{door.origin}{address}?lang={language}#{step}")
            for theme in browsers.THEMES:
                page.emulate_media(color_scheme=theme)
                ready(page)
                found[f"{name}-{language}-{theme}"] = _small(page.screenshot())

    take("session-new", "/", _has("#new"))
    served.ask("POST", "/rehearsals", {"practice": True, "for_s": 5})
    wait_for(lambda: not served.ask("GET", "/rehearsals")["running"], 120.0, "a rehearsal")
    take("setup", "/setup#rehearsal", _has("#found li"))
    session = arm(served, TITLE[language], "--stream", "kampus", "--profile", "480p15")
    take("session-armed", "/", _sees_picture)
    _run(served, "start", "--session", session)
    _run(served, "mark", "--session", session, MARK[language])
    take("session-live", "/", _sees_picture)
    take("session-phone", "/", _sees_picture, PHONE)
    package = Path(str(_run(served, "stop", "--session", session)["package"])).name
    request = _run(served, "request", "new", *REQUEST)["id"]
    command.liput(served.room.home, "check", "--quick", "--video", "synthetic")
    plans = [_run(served, "schedule", "add", "--title", title, *words) for title, words in PLANS[language].items()]
    take("schedule", "/schedule", _has("#days li"))
    take("schedule-phone", "/schedule", _has("#days li"), PHONE)
    for made in plans:
        _run(served, "schedule", "remove", made["plan"]["id"])
    take("check", "/check", _has("#problems li"))
    with hall.equipped(served.room.home.parent / f"hall-{language}", served.room.settings) as equipped:
        devices = Door(equipped.origin, equipped.ticket)
        take("devices", "/devices", _has_sliders, door=devices)
        take("devices-phone", "/devices", _has_sliders, PHONE, devices)
    take("archive", "/archive", _has("#found tr"))
    take("package", f"/archive/{package}", _has("#chapters li"))
    take("requests", "/requests", _has("#requests li"))
    take("request", f"/requests/{request}", _has("#steps tr"))
    take("health", "/health", _has("#lines tr"))
    _run(served, "request", "close", str(request))
    return found


def _has(place: str) -> Callable[[Page], None]:
    """Return what waits until there is something at a place, and nothing more is loaded."""

    def wait(page: Page) -> None:
        page.locator(place).first.wait_for(timeout=SOON_MS)
        page.wait_for_load_state("networkidle")

    return wait


def _has_sliders(page: Page) -> None:
    """Open the controls of the camera that has a role, and wait until they are there."""
    page.locator("#devices details").first.evaluate("box => { box.open = true; }")
    _has("#devices input[type=range]")(page)


def _sees_picture(page: Page) -> None:
    page.locator("#program + p").wait_for(state="detached", timeout=SOON_MS)
    page.get_by_role("meter").first.wait_for(timeout=SOON_MS)
    page.wait_for_function("document.querySelector('.meter .rest').style.transform !== ''", timeout=SOON_MS)


def _run(served: Served, *words: str) -> dict[str, Any]:
    done = command.liput(served.room.home, *words, "--json")
    assert done.returncode in {0, 3}, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def _small(picture: bytes) -> bytes:
    """Return a PNG of few colours: a page has not many."""
    out = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(out, "png", optimize=True)
    return out.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())
