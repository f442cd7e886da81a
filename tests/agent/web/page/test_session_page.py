"""The session screen in a real browser, on a real daemon, with a synthetic session that a recorder really records."""

import json

import pytest
from playwright.sync_api import Page, expect

from agent.health.alarm import trouble_sentence
from tests.support import browser as browsers
from tests.support.browser import SOON_MS, TELL, Visit, arm, light, made_line, made_up, press, say, with_states_of_ours

pytestmark = [pytest.mark.server, pytest.mark.slow]


def test_from_armed_to_archive_with_the_mouse(looked: Visit) -> None:
    session = arm(looked.served)
    page = looked.open()
    expect(light(page)).to_have_text(say("light.armed"), timeout=SOON_MS)
    expect(page.get_by_role("heading", name="Rapat Senat")).to_be_visible()
    browsers.sees_a_picture(page.locator("#program"))
    _meters_move(page)
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
    _bytes_grow(page)
    page.get_by_role("button", name=say("layout.pause")).click()
    expect(page.get_by_role("button", name=say("layout.pause"))).to_have_attribute(
        "aria-pressed", "true", timeout=SOON_MS
    )
    page.get_by_label(say("mark.note")).fill("Tanya jawab")
    press(page, "mark.button")
    expect(page.locator("#marks li")).to_contain_text("Tanya jawab", timeout=SOON_MS)
    _mute(looked, session)
    _stop(page)
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat Senat"), timeout=60_000)
    description = json.loads((looked.served.room.only_package() / "metadata/recording.json").read_text())
    assert [mark["text"] for mark in description["marks"]] == ["Tanya jawab"]


def _meters_move(page: Page) -> None:
    meters = page.get_by_role("meter")
    expect(meters.first).to_be_visible(timeout=SOON_MS)
    shown = page.evaluate("""async () => {
      const rest = document.querySelector(".meter .rest");
      const seen = new Set();
      for (const end = performance.now() + 2000; performance.now() < end;) {
        await new Promise(requestAnimationFrame);
        seen.add(rest.style.transform);
      }
      return seen.size;
    }""")
    assert shown >= 8, "ten times a second, where only the state would be twice"
    assert -60 <= int(meters.first.get_attribute("aria-valuenow") or 1) <= 0


def _bytes_grow(page: Page) -> None:
    before = page.locator("#on-disk").inner_text()
    page.wait_for_function(
        "before => document.getElementById('on-disk').textContent !== before", arg=before, timeout=SOON_MS
    )


def _mute(looked: Visit, session: str) -> None:
    page = looked.page
    button = page.locator("#sounds button").first
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true", timeout=SOON_MS)
    (line,) = [one for one in looked.served.ask("GET", "/state")["sessions"] if one["id"] == session]
    assert [sound["muted"] for sound in line["status"]["sounds"]] == [True]


def _stop(page: Page) -> None:
    """Stop, but not at once: a press by mistake is taken back by Escape, and by the button that has the focus."""
    for way_back in ("Escape", "Enter"):
        press(page, "stop.button")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press(way_back)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(light(page)).to_have_text(say("light.recording"))
    press(page, "stop.button")
    press(page, "stop.confirm")


def test_what_the_speakers_refuse_is_streamed_only_after_a_further_press(looked: Visit) -> None:
    page = looked.open()
    page.get_by_label(say("start.title"), exact=True).fill("Rapat Senat")
    page.get_by_label(say("start.practice")).check()
    page.get_by_label(say("start.consent")).select_option("refused")
    page.get_by_label("kampus").check()
    press(page, "start.arm")
    expect(page.get_by_role("alert")).to_contain_text(say("consent.refused"), timeout=SOON_MS)
    page.get_by_label("kampus").uncheck()
    press(page, "start.arm")
    expect(light(page)).to_have_text(say("light.armed"), timeout=SOON_MS)
    press(page, "dest.add.button")
    expect(page.get_by_role("alert")).to_contain_text(say("consent.refused"), timeout=SOON_MS)
    expect(page.locator("#no-destination")).to_be_visible()
    press(page, "consent.although")
    expect(page.locator("#destinations")).to_contain_text("kampus", timeout=SOON_MS)
    looked.complaints.clear()  # a browser complains of answers that refuse


def test_the_same_with_the_keyboard_only(looked: Visit) -> None:
    arm(looked.served)
    page = looked.open()
    expect(light(page)).to_have_text(say("light.armed"), timeout=SOON_MS)
    _tab_to(page, say("start.record"))
    page.keyboard.press("Enter")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
    _tab_to(page, say("stop.button"))
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat Senat"), timeout=60_000)


def _tab_to(page: Page, name: str) -> None:
    """Press Tab until the button has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == name:
            return
    pytest.fail(f"{name} is not reached by Tab")


def test_a_destination_that_is_not_there_is_said_in_words(looked: Visit) -> None:
    arm(looked.served, "Rapat Senat", "--stream", "kampus")
    page = looked.open()
    expect(page.locator("#destinations")).to_contain_text(say("dest.state.armed"), timeout=SOON_MS)
    press(page, "start.record")
    expect(page.locator("#destinations")).to_contain_text(say("reason.refused"), timeout=SOON_MS)
    lost = trouble_sentence("destination-lost", "kampus", "refused").indonesian
    expect(page.locator("#alarms")).to_contain_text(lost, timeout=SOON_MS)
    page.get_by_role("button", name=say("dest.remove", name="kampus")).click()
    expect(page.locator("#destinations")).to_contain_text(say("dest.state.removed"), timeout=SOON_MS)
    expect(page.locator("#alarms")).not_to_contain_text("kampus", timeout=SOON_MS)


# The dialog that ends a session


def test_the_dialog_ends_the_session_that_it_names_whichever_is_shown_by_then(shown: Visit) -> None:
    page = with_states_of_ours(shown, "/")
    state, named = made_up(), made_line()
    other = made_line() | {"id": "bbbbbb", "title": "Lain"}
    page.evaluate(TELL, state | {"sessions": [named, other]})
    press(page, "stop.button")
    page.evaluate(TELL, state | {"sessions": [named, other | {"state": "degraded"}]})
    expect(page.locator("#session-title")).to_have_text("Lain")
    expect(page.locator("#stop-text")).to_have_text(say("stop.body", title="Rapat"))
    assert _stops(page) == "aaaaaa"


@pytest.mark.parametrize("work", ["/srv/.incoming/rapat_0badcafe.2", "/srv/.incoming/lain_0badcafe"])
def test_the_dialog_goes_with_the_session_that_it_names(shown: Visit, work: str) -> None:
    """As on a telephone that slept meanwhile: another session runs, or another recorder goes on with the same."""
    page = with_states_of_ours(shown, "/")
    state, named = made_up(), made_line() | {"work": "/srv/.incoming/rapat_0badcafe"}
    page.evaluate(TELL, state | {"sessions": [named]})
    press(page, "stop.button")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.evaluate(TELL, state | {"sessions": [named | {"id": "bbbbbb", "title": "Lain", "work": work}]})
    expect(page.get_by_role("dialog")).to_be_hidden()
    press(page, "stop.button")
    expect(page.locator("#stop-text")).to_have_text(say("stop.body", title="Lain"))
    assert _stops(page) == "bbbbbb"
    shown.complaints.clear()  # a browser complains of what is not there: the one that is gone


def _stops(page: Page) -> str:
    """Say yes in the dialog; return which session is asked to stop. The test answers in the daemon's place."""
    page.route("**/api/v1/sessions/*/stop", lambda route: route.fulfill(json={}))
    with page.expect_request("**/api/v1/sessions/*/stop") as asked:
        press(page, "stop.confirm")
    return asked.value.url.split("/")[-2]
