"""The schedule in a real browser, on a real daemon: planned and removed with the keyboard, told to whoever looks."""

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from config.locale.lookup import LANGUAGES
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import ROOM, SOON_MS, Served, Visit, say, tab_to

pytestmark = [pytest.mark.server, pytest.mark.slow]

TOMORROW = datetime.now().astimezone().date() + timedelta(days=1)
WIDTHS = (360, 768, 1366, 1920, 3840)


def cli(served: Served, *words: str) -> Any:
    done = command.liput(served.room.home, "schedule", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def day_that_is_written_alike_everywhere() -> date:
    """Return a day of the next year whose number is its month's: a browser may ask for either first."""
    days = (TOMORROW + timedelta(days=number) for number in range(400))
    return next(day for day in days if day.day == day.month)


def hours(starts: str, ends: str) -> str:
    """Return from when to when, as Indonesian has it."""
    return f"{starts}\N{EN DASH}{ends}"


def row(page: Page, title: str) -> Locator:
    return page.locator("#days li").filter(has_text=title).filter(has=page.get_by_role("button"))


def test_a_session_is_planned_and_removed_with_the_keyboard_and_two_browsers_agree(
    chromium: Browser, looked: Visit
) -> None:
    served, page, day = looked.served, looked.open("/schedule"), day_that_is_written_alike_everywhere()
    expect(page.locator("#nothing")).to_have_text(say("schedule.none"), timeout=SOON_MS)
    with browsers.visit(chromium, served) as visit:
        other = visit.open("/schedule")
        page.evaluate("window.isNotReloaded = true")
        _plan(page, "Rapat Senat", f"{day:%d%m%Y}")
        for each in (page, other):
            expect(row(each, "Rapat Senat")).to_contain_text(hours("09.00", "11.00"), timeout=SOON_MS)
            expect(row(each, "Rapat Senat")).to_contain_text(say("schedule.mode.record"))
            expect(row(each, "Rapat Senat").locator("ol")).to_contain_text(f"09.00 {say('schedule.step.start')}")
        _is_in_the_schedule(served, day)
        cli(served, "add", "--title", "Wisuda", "--starts", f"{TOMORROW} 08:00", "--for", "4h")
        for each in (page, other):
            expect(row(each, "Wisuda")).to_contain_text(hours("08.00", "12.00"), timeout=SOON_MS)
            expect(each.locator("#days li .name")).to_have_count(2)
            expect(each.locator("#days .name").first).to_contain_text("Wisuda")  # the earliest comes first
        _remove(page, "Rapat Senat")
        for each in (page, other):
            expect(row(each, "Rapat Senat")).to_have_count(0, timeout=SOON_MS)
            expect(row(each, "Wisuda")).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_be_focused()
        assert page.evaluate("window.isNotReloaded")
    assert [one["plan"]["title"] for one in cli(served, "list")] == ["Wisuda"]


def _plan(page: Page, title: str, day: str) -> None:
    """Fill in the form, to be recorded and streamed, with the keyboard alone."""
    fields = {"start.title": title, "schedule.date": day, "schedule.starts": "0900A", "schedule.ends": "1100A"}
    for key, text in fields.items():  # A: in the morning, where a browser asks for that
        tab_to(page, page.get_by_label(say(key), exact=True))
        page.keyboard.type(text)
    tab_to(page, page.get_by_label(say("schedule.mode"), exact=True))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    tab_to(page, page.get_by_label("kampus"))
    page.keyboard.press("Space")
    page.keyboard.press("Enter")
    expect(page.locator("#done")).to_have_text(say("schedule.done", title=title), timeout=SOON_MS)
    expect(page.get_by_label(say("start.title"), exact=True)).to_have_value("")


def _is_in_the_schedule(served: Served, day: date) -> None:
    (one,) = cli(served, "list")
    plan = one["plan"]
    assert (plan["title"], plan["mode"], plan["streams"], plan["source"]) == ("Rapat Senat", "record", ["kampus"], None)
    starts_at, ends_at = (datetime.fromisoformat(plan[name]).astimezone() for name in ("starts_at", "ends_at"))
    assert (starts_at.date(), f"{starts_at:%H:%M}", f"{ends_at:%H:%M}") == (day, "09:00", "11:00")


def _remove(page: Page, title: str) -> None:
    """Change one's mind once, then do it, with the keyboard alone."""
    button = row(page, title).get_by_role("button")
    tab_to(page, button)
    page.keyboard.press("Enter")
    expect(page.locator("#sure-text")).to_contain_text(title)
    page.keyboard.press("Enter")  # what has the focus does no harm
    expect(page.locator("#sure")).to_be_hidden()
    expect(button).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def test_what_cannot_be_planned_is_said(looked: Visit) -> None:
    page = looked.open("/schedule")
    page.get_by_label(say("start.title"), exact=True).fill("Rapat")
    page.get_by_label(say("schedule.date"), exact=True).fill(f"{TOMORROW}")
    page.get_by_label(say("schedule.starts"), exact=True).fill("11:00")
    page.get_by_label(say("schedule.ends"), exact=True).fill("09:00")
    looked.complaints.clear()
    page.get_by_role("button", name=say("schedule.add"), exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("the session ends before it begins", timeout=SOON_MS)
    expect(page.get_by_label(say("start.title"), exact=True)).to_have_value("Rapat")
    assert cli(looked.served, "list") == []
    looked.complaints.clear()  # Chromium notes that a request was refused


def test_times_are_the_rooms_whatever_the_browsers_zone(chromium: Browser, served: Served) -> None:
    served.room.configure(f'{ROOM}\n[office]\ntime_zone = "WITA"\n', 'kampus = "abcd-1234"\n')
    cli(served, "add", "--title", "Rapat Senat", "--starts", f"{TOMORROW} 23:30", "--for", "2h", "--mode", "arm")
    with browsers.visit(chromium, served, timezone_id="America/New_York") as visit:
        page = visit.open("/schedule")
        expect(row(page, "Rapat Senat")).to_contain_text("23.30", timeout=SOON_MS)
        expect(row(page, "Rapat Senat")).to_contain_text("01.30")
        expect(row(page, "Rapat Senat")).to_contain_text("WITA")
        expect(row(page, "Rapat Senat").locator("ol")).to_contain_text(f"23.25 {say('schedule.step.arm')}")
        expect(page.locator("#days h2")).to_contain_text(f" {TOMORROW.day} ")


@pytest.mark.parametrize("language", LANGUAGES)
def test_notices_stand_above_and_axe_finds_nothing(looked: Visit, language: str) -> None:
    served = looked.served
    soon = datetime.now().astimezone() + timedelta(minutes=9)
    cli(served, "add", "--title", "Rapat Senat", "--starts", f"{soon:%Y-%m-%d %H:%M}", "--for", "2h")
    cli(served, "add", "--title", "Kuliah" * 30, "--starts", f"{TOMORROW} 09:00", "--for", "2h", "--mode", "record")
    page = looked.open(f"/schedule?lang={language}")
    expect(page.locator("#notices")).to_contain_text("Rapat Senat", timeout=SOON_MS)
    expect(row(page, "Kuliah")).to_be_visible()
    looked.has_no_violation()
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
    page.set_viewport_size({"width": 1366, "height": 900})
    row(page, "Rapat Senat").get_by_role("button").click()
    expect(page.locator("#sure")).to_be_visible()
    looked.has_no_violation()
