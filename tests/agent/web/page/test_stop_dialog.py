"""Which session the dialog that ends one ends, whatever else is shown by the time of the answer."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.browser import Visit, press, say
from tests.support.made_up import TELL, made_line, made_up, with_states_of_ours

pytestmark = [pytest.mark.server, pytest.mark.slow]


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
