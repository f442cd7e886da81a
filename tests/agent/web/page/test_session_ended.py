"""How a session ended is said on its screen, as soon as that is known, and no sooner."""

import re

import pytest
from playwright.sync_api import Route, expect

from tests.support.browser import TELL, Visit, made_line, made_trouble, made_up, say, with_states_of_ours

pytestmark = [pytest.mark.server, pytest.mark.slow]

SEALED = {"type": "result", "state": "sealed", "package": "/lain/2026/11/rapat"}


@pytest.mark.parametrize(
    ("ended", "archive", "trouble", "said"),
    [
        pytest.param((200, SEALED), (200, {"state": "sealed"}), "", "sealed.done", id="sealed"),
        pytest.param((200, SEALED), (404, {}), "", "sealed.done", id="in-another-archive"),
        pytest.param((409, {"message": "no disk"}), (404, {}), "", "sealed.failed", id="failed"),
        pytest.param((404, {}), (404, {}), "", "sealed.failed", id="nobody-knows"),
        pytest.param((404, {}), (404, {}), "recorder-killed", None, id="killed"),
        pytest.param((404, {}), (200, {"state": "sealed"}), "recorder-killed", "sealed.done", id="recovered"),
        pytest.param((200, SEALED | {"state": "idle"}), (404, {}), "", None, id="nothing-recorded"),
        pytest.param((503, {}), (404, {}), "", None, id="asked-again"),
    ],
)
def test_how_a_session_ended_is_said_once_it_is_known(
    shown: Visit, ended: tuple[int, dict[str, str]], archive: tuple[int, dict[str, str]], trouble: str, said: str | None
) -> None:
    name = "2026-11-26_0900_rapat_0badcafe"
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url.rpartition("/api/v1")[2])
        status, body = ended if "/sessions/" in asked[-1] else archive
        route.fulfill(status=status, json=body)

    page = with_states_of_ours(shown, "/")
    for path in ("sessions", "archive"):
        page.route(f"**/api/v1/{path}/*", answer)
    state, line = made_up(), made_line() | {"work": f"/srv/.incoming/{name}.2"}
    page.evaluate(TELL, state | {"sessions": [line]})
    gone = state | {"sessions": [], "troubles": [made_trouble(trouble)] if trouble else []}
    page.evaluate(TELL, gone)
    for _ in range(500):
        page.wait_for_timeout(20)  # what a browser asks is answered meanwhile
        if len(asked) == 2:
            break
    assert set(asked) == {f"/sessions/{line['id']}", f"/archive/{name}"}
    if trouble or said == "sealed.failed":
        page.wait_for_timeout(200)
        page.evaluate("window.later = 30_000")
        page.evaluate(TELL, gone)
    if said is None:
        page.wait_for_timeout(200)
        expect(page.locator("#ended")).to_be_empty()
    else:
        expect(page.locator("#ended")).to_have_text(re.compile(re.escape(say(said, title="Rapat"))))
    expect(page.locator("#ended a")).to_have_count(int(archive[0] == 200))
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_a_recording_that_takes_long_to_be_recovered_is_found_in_the_archive_after_all(shown: Visit) -> None:
    answers: dict[str, tuple[int, dict[str, str]]] = {"sessions": (404, {}), "archive": (404, {})}
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        status, body = answers["sessions" if "/sessions/" in asked[-1] else "archive"]
        route.fulfill(status=status, json=body)

    def tell(later_s: int, **more: object) -> None:
        page.evaluate(f"window.later = {later_s * 1000}")
        page.evaluate(TELL, state | more)
        page.wait_for_timeout(200)  # what a browser asks is answered meanwhile

    page = with_states_of_ours(shown, "/")
    for path in answers:
        page.route(f"**/api/v1/{path}/*", answer)
    state, line = made_up(), made_line() | {"work": "/srv/.incoming/2026-11-26_0900_rapat_0badcafe"}
    tell(0, sessions=[line])
    for later_s in (0, 30):
        tell(later_s, sessions=[])
    expect(page.locator("#ended")).to_contain_text(say("sealed.failed", title="Rapat"))
    asked_before = len(asked)
    tell(31, sessions=[])
    assert len(asked) == asked_before, "it is asked every second"
    answers["archive"] = (200, {"state": "sealed"})
    tell(40, sessions=[])
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat"))
    tell(50, sessions=[])
    assert len(asked) == asked_before + 2
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_what_is_not_found_is_forgotten_where_another_session_records(shown: Visit) -> None:
    page = with_states_of_ours(shown, "/")
    asked: list[str] = []

    def answer(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=404, json={})

    for path in ("sessions", "archive"):
        page.route(f"**/api/v1/{path}/*", answer)
    state, line = made_up(), made_line() | {"work": "/srv/.incoming/2026-11-26_0900_rapat_0badcafe"}
    other = made_line() | {"id": "bbbbbb", "work": "/srv/.incoming/2026-11-26_1000_lain_0badcafe"}
    for later_s, sessions in ((0, [line]), (0, []), (30, []), (40, [other]), (50, [other])):
        page.evaluate(f"window.later = {later_s * 1000}")
        page.evaluate(TELL, state | {"sessions": sessions})
        page.wait_for_timeout(200)
    assert len(asked) == 4
    expect(page.locator("#ended")).to_be_empty()
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_one_that_another_recorder_goes_on_with_has_not_ended(shown: Visit) -> None:
    page = with_states_of_ours(shown, "/")
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    for path in ("sessions", "archive"):
        page.route(f"**/api/v1/{path}/*", refuse)
    state, line = made_up(), made_line()
    for recorder, folder in (("aaaaaa", "rapat_0badcafe"), ("bbbbbb", "rapat_0badcafe.2")):
        page.evaluate(TELL, state | {"sessions": [line | {"id": recorder, "work": f"/srv/.incoming/{folder}"}]})
    page.wait_for_timeout(200)
    assert asked == []
