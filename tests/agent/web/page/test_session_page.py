"""The session screen in a real browser, on a real daemon: from armed to archive, and what is lost on the way."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from agent.health.alarm import trouble_sentence
from recorder.model.status import STATES_RECORDING
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import (
    SOON_MS,
    TELL,
    Served,
    Visit,
    arm,
    light,
    made_line,
    made_trouble,
    made_up,
    press,
    say,
    with_states_of_ours,
)
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb

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


# What the session screen shows, of states that a test makes up: in both languages, at every size, and to whom


@pytest.mark.parametrize("language", ["id", "en"])
def test_a_lost_camera_is_worded_where_the_operator_looks_and_its_return_too(shown: Visit, language: str) -> None:
    page = with_states_of_ours(shown, f"/?lang={language}")
    page.evaluate(TELL, made_up(state="degraded", troubles=["source-lost: podium"]))
    expect(page.locator("#alarms li")).to_have_text(trouble_sentence("source-lost", "podium").of(language))
    assert page.locator("#alarms li").bounding_box()["y"] < page.locator("#program").bounding_box()["y"]  # type: ignore[index]
    expect(light(page)).to_have_text(say("light.degraded", language))
    page.evaluate(TELL, made_up())
    back = "Kamera podium kembali." if language == "id" else "Podium camera is back."
    expect(page.locator("#alarms li")).to_have_text(back)


@pytest.mark.parametrize("language", ["id", "en"])
def test_notices_of_planned_sessions_are_shown_beside_what_is_wrong(shown: Visit, language: str) -> None:
    page = with_states_of_ours(shown, f"/?lang={language}")
    notices = [
        {"type": "notice", "kind": kind, "plan": kind, "title": "Rapat", "at": "2026-11-26T09:00:00+07:00",
         "urgent": kind == "waits", "text": {"id": f"id {kind}", "en": f"en {kind}"}}
        for kind in ("reminder", "waits")
    ]  # fmt: skip
    page.evaluate(TELL, made_up() | {"notices": notices})
    expect(page.locator("#alarms li")).to_have_text([f"{language} reminder", f"{language} waits"])
    expect(page.locator("#alarms li.note")).to_have_text([f"{language} reminder"])
    shown.has_no_violation()  # in seconds, on a slow PC: more has been recorded by then, or it would stand still
    page.evaluate(TELL, made_up(elapsed_s=69.0, bytes=41_000_000))
    expect(page.locator("#alarms li")).to_have_count(0)


def test_the_light_does_not_say_recording_when_nothing_reaches_the_disk(shown: Visit) -> None:
    page = with_states_of_ours(shown, "/")
    page.evaluate(TELL, made_up())
    expect(light(page)).to_have_text(say("light.recording"))
    page.evaluate("window.later = 1500")
    page.evaluate(TELL, made_up(elapsed_s=68.0))
    expect(light(page)).to_have_text(say("light.recording"))
    page.evaluate("window.later = 3100")
    page.evaluate(TELL, made_up(elapsed_s=68.2))
    expect(light(page)).to_have_text(say("light.stalled"))
    expect(page.locator("#alarms li")).to_have_text(say("alarm.stalled"))
    page.evaluate(TELL, made_up(elapsed_s=69.0, bytes=41_000_000))
    expect(light(page)).to_have_text(say("light.recording"))


@pytest.mark.parametrize("language", ["id", "en"])
def test_of_a_recorder_that_does_not_answer_one_thing_is_said(shown: Visit, language: str) -> None:
    page = with_states_of_ours(shown, f"/?lang={language}")
    state = made_up() | {"sessions": [made_line() | {"state": None, "status": None}]}
    told = made_trouble("recorder-silent")
    page.evaluate(TELL, state | {"troubles": [told | {"session": "bbbbbb"}]})
    expect(page.locator("#alarms li.bad")).to_have_count(2)
    expect(page.locator("#alarms")).to_contain_text(say("alarm.silent-recorder", language))
    page.evaluate(TELL, state | {"troubles": [told]})
    expect(page.locator("#alarms li")).to_have_text("Perekam berhenti" if language == "id" else "It was killed")


def test_one_that_is_being_let_go_of_does_not_hide_the_one_that_records(shown: Visit) -> None:
    """A recorder is there until all who watch it know how it ended."""
    page = with_states_of_ours(shown, "/")
    now, (recorded, ended) = made_up(), (made_line(), made_line(state="sealed"))
    for sessions in ([ended, recorded], [recorded, ended]):
        page.evaluate(TELL, now | {"sessions": sessions})
        expect(light(page)).to_have_text(say("light.recording"))
        expect(page.locator("#stop")).to_be_visible()


def test_the_last_picture_of_a_source_that_is_gone_is_not_shown_as_if_it_were_live(shown: Visit) -> None:
    page = with_states_of_ours(shown, "/")
    figure = page.locator("#sources figure").first
    for state in ("ok", "lost", "frozen", "degraded", "ok"):
        sources = [
            {"id": name, "name": name, "role": name,
             "health": {"state": state if name == "podium" else "ok", "reason": None, "since": None, "fault": None}}
            for name in ("podium", "slides")
        ]  # fmt: skip
        page.evaluate(TELL, made_up(sources=sources))
        expect(figure.locator("figcaption")).to_contain_text("" if state == "ok" else say(f"health.{state}"))
        is_gone = bool(page.evaluate("document.querySelector('#sources figure').classList.contains('gone')"))
        assert is_gone == (state in {"lost", "frozen"})
        assert float(page.evaluate("getComputedStyle(document.querySelector('#sources canvas')).opacity")) == (
            0.3 if is_gone else 1.0
        )
        shown.has_no_violation()


@pytest.mark.parametrize("language", ["id", "en"])
def test_axe_finds_nothing_to_complain_of(shown: Visit, language: str) -> None:
    page = with_states_of_ours(shown, f"/?lang={language}")
    shown.has_no_violation()
    destinations = [
        {"name": "kampus", "state": "waiting", "reason": "rejected", "dropped": 12, "reconnects": 1,
         "backlog_s": 0.0, "message": "...", "since": None},
        {"name": "youtube", "state": "live", "reason": "too-slow", "dropped": 0, "reconnects": 0,
         "backlog_s": 7.0, "message": "...", "since": None},
    ]  # fmt: skip
    troubles = ["source-lost: podium", "storage-vanished: /mnt/arsip", "destination-lost: kampus"]
    page.evaluate(TELL, made_up(state="degraded", troubles=troubles, destinations=destinations, disk_left_s=600.0))
    expect(page.locator("#alarms li")).to_have_count(3)
    shown.has_no_violation()
    page.locator("#stop").click()
    shown.has_no_violation()
    page.keyboard.press("Escape")
    page.evaluate(TELL, made_up() | {"sessions": []})
    expect(page.locator("#new")).to_be_visible()
    shown.has_no_violation()


@pytest.mark.parametrize("language", ["id", "en"])
def test_what_stands_on_a_button_is_in_its_name(shown: Visit, language: str) -> None:
    page = with_states_of_ours(shown, f"/?lang={language}")
    names = ("microphone", "podium", "Meja 1 (USB)", "pulse:alsa_input.usb-Blue_Yeti", "a - b")
    sounds = [{"name": name, "muted": name == "podium", "levels_dbfs": [-18.0, -20.0], "ppm": None} for name in names]
    page.evaluate(TELL, made_up(sounds=sounds))
    expect(page.locator("#sounds li")).to_have_count(len(names))
    shown.has_no_violation()


@pytest.mark.parametrize("width", [360, 768, 1366, 1920, 3840])
def test_nothing_hangs_over_the_edge_from_a_telephone_to_4k(shown: Visit, width: int) -> None:
    shown.page.set_viewport_size({"width": width, "height": max(640, width * 9 // 16)})
    page = with_states_of_ours(shown, "/")
    page.evaluate(TELL, made_up(state="degraded", troubles=["source-lost: podium"]))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    stop = page.locator("#stop").bounding_box()
    assert stop
    assert stop["height"] >= 44
    assert stop["x"] + stop["width"] <= width


def test_the_appearance_that_was_chosen_is_there_from_the_first_moment(shown: Visit) -> None:
    page = shown.open()
    page.get_by_label(say("shell.theme")).select_option("dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 23)"
    page.route("**/*.js", lambda route: route.abort())
    shown.open()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    shown.complaints.clear()  # of the scripts that were not loaded


def test_who_was_not_let_in_sees_no_page(chromium: Browser, standing: Served) -> None:
    context = chromium.new_context()
    try:
        answer = context.new_page().goto(standing.url)
        assert answer
        assert answer.status == 401
        assert wait_for(lambda: "Rapat" not in answer.text())
    finally:
        context.close()


# How a session ended is said on its screen, as soon as that is known, and no sooner


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


# In the middle of a session: another browser, a reload, a daemon that is killed, a source that is lost


SEALED_MS = 60_000


def records(looked: Visit) -> Page:
    """Begin to record the session that is armed."""
    page = looked.open()
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
    return page


def ends(page: Page, title: str) -> None:
    press(page, "stop.button")
    press(page, "stop.confirm")
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title=title), timeout=SEALED_MS)


def mark(page: Page, text: str) -> None:
    page.get_by_label(say("mark.note")).fill(text)
    press(page, "mark.button")


def sees_marks(page: Page, *texts: str) -> None:
    """Look at the marks, the newest first."""
    expect(page.locator("#marks li")).to_have_count(len(texts), timeout=SOON_MS)
    for row, text in zip(page.locator("#marks li").all(), texts, strict=True):
        expect(row).to_contain_text(text)


def recording(served: Served) -> dict[str, Any]:
    """Return what the only package says of itself."""
    found: dict[str, Any] = json.loads((served.room.only_package() / "metadata/recording.json").read_text())
    return found


def test_two_browsers_see_the_same_session_begin_and_end_whoever_does_it(
    chromium: Browser, served: Served, looked: Visit
) -> None:
    arm(served)
    with browsers.visit(chromium, served, viewport={"width": 390, "height": 844}) as other:
        here, there = looked.open(), other.open()
        for page in (here, there):
            expect(light(page)).to_have_text(say("light.armed"), timeout=SOON_MS)
        press(here, "start.record")
        for page in (here, there):
            expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
            browsers.sees_a_picture(page.locator("#program"))
        mark(there, "Pembukaan")
        for page in (here, there):
            sees_marks(page, "Pembukaan")
        mark(here, "Tanya jawab")
        for page in (here, there):
            sees_marks(page, "Tanya jawab", "Pembukaan")
        there.get_by_role("button", name=say("layout.pause")).click()
        expect(here.get_by_role("button", name=say("layout.pause"))).to_have_attribute(
            "aria-pressed", "true", timeout=SOON_MS
        )
        press(there, "stop.button")
        press(there, "stop.confirm")
        for page in (here, there):
            expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat Senat"), timeout=SEALED_MS)
            sees_marks(page)
    assert [one["text"] for one in recording(served)["marks"]] == ["Pembukaan", "Tanya jawab"]


def test_a_page_that_is_loaded_again_has_everything_it_had(looked: Visit) -> None:
    session = arm(looked.served, "Rapat Senat", "--stream", "kampus")
    page = looked.open()
    press(page, "start.record")
    expect(light(page)).to_contain_text(say("light.recording"), timeout=SOON_MS)  # the destination is not there
    mark(page, "Pembukaan")
    sees_marks(page, "Pembukaan")
    page.locator("#sounds button").first.click()
    wait_for(lambda: seconds(page) >= 3, what="three seconds")
    before = seconds(page)
    page.reload()
    expect(light(page)).to_contain_text(say("light.recording"), timeout=SOON_MS)
    expect(page.get_by_role("heading", name="Rapat Senat")).to_be_visible()
    assert seconds(page) >= before, "the time goes on"
    sees_marks(page, "Pembukaan")
    expect(page.locator("#sounds button").first).to_have_attribute("aria-pressed", "true", timeout=SOON_MS)
    expect(page.locator("#destinations li")).to_contain_text("kampus", timeout=SOON_MS)
    browsers.sees_a_picture(page.locator("#program"))
    (line,) = looked.served.ask("GET", "/state")["sessions"]
    assert line["id"] == session


def seconds(page: Page) -> int:
    """Return for how long it has recorded, as the page says."""
    hours, minutes, rest = (page.locator("#elapsed").text_content() or "0:0:0").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(rest)


def test_a_daemon_that_is_killed_and_begun_anew_is_said_and_costs_the_session_nothing(looked: Visit) -> None:
    served = looked.served
    session = arm(served)
    page = records(looked)
    mark(page, "Sebelum")
    sees_marks(page, "Sebelum")
    port = served.url.rpartition(":")[2]
    served.room.settings.write_text(served.room.settings.read_text().replace("port = 0", f"port = {port}"))
    served.daemon.signal(signal.SIGKILL)
    expect(page.locator("#connection")).to_have_text(say("live.lost"), timeout=SOON_MS)
    expect(light(page)).to_have_text(say("light.unknown"))
    killed_s = elapsed_s(served)
    wait_for(lambda: elapsed_s(served) > killed_s + 1, what="the recording to go on without the daemon")
    with browsers.served(served.room, served.runtime) as again:
        expect(page.locator("#connection")).to_have_text(say("live.back"), timeout=SOON_MS)
        expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
        sees_marks(page, "Sebelum")
        mark(page, "Sesudah")
        page.reload()
        expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
        sees_marks(page, "Sesudah", "Sebelum")
        assert [one["id"] for one in again.ask("GET", "/state")["sessions"]] == [session], "the recorder is the same"
        done = command.liput(served.room.home, "stop", "--session", session, "--json")
        page.close()
        looked.complaints.clear()  # a browser complains of a server that is away
    assert done.returncode == 0, done.stderr
    said = recording(served)
    assert [one["text"] for one in said["marks"]] == ["Sebelum", "Sesudah"]
    assert said["parts"] == [], "it is in one piece"
    assert said["marks"][1]["media_s"] > killed_s + 1, "and knows the time without a daemon"


def test_a_daemon_that_hangs_is_said_and_the_light_does_not_stay_red(looked: Visit) -> None:
    """Its port still takes connections, and nothing is answered there."""
    served = looked.served
    arm(served)
    page = records(looked)
    served.daemon.signal(signal.SIGSTOP)
    try:
        expect(light(page)).to_have_text(say("light.unknown"), timeout=SOON_MS)
        expect(page.locator("#connection")).to_have_text(say("live.lost"))
    finally:
        served.daemon.signal(signal.SIGCONT)
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
    looked.complaints.clear()  # of a server that does not answer


def test_a_session_whose_recorder_is_killed_is_not_said_to_have_ended_and_then_is_in_the_archive(
    looked: Visit,
) -> None:
    served = looked.served
    session = arm(served)
    page = records(looked)
    wait_for(lambda: seconds(page) >= 2, what="two seconds")
    page.evaluate("""() => {
      window.saidOfEnds = [];
      const ended = document.getElementById("ended");
      const look = () => ended.textContent && saidOfEnds.push(ended.textContent);
      new MutationObserver(look).observe(ended, { childList: true, subtree: true });
    }""")
    (line,) = served.ask("GET", "/state")["sessions"]
    os.kill(line["pid"], signal.SIGKILL)
    wait_for(
        lambda: (
            [one["id"] for one in served.ask("GET", "/state")["sessions"] if one["state"] in STATES_RECORDING]
            not in ([], [session])
        ),
        what="another recorder",
    )  # fmt: skip
    before = seconds(page)
    wait_for(lambda: seconds(page) > before + 1, what="the recording to go on")
    ends(page, "Rapat Senat")
    said = page.evaluate("window.saidOfEnds")
    assert all(say("sealed.done", title="Rapat Senat") in one for one in said), said
    assert len(recording(served)["parts"]) == 2
    looked.complaints.clear()  # a browser complains of what is not there


def elapsed_s(served: Served) -> float:
    """Return for how long it has recorded, as its recorder says to the command line: no daemon is asked."""
    done = command.liput(served.room.home, "status", "--json")
    (line,) = json.loads(done.stdout)
    return float(line["status"]["elapsed_s"])


def test_a_screen_that_is_lost_is_worded_over_the_picture_and_the_recording_goes_on(
    looked: Visit, tmp_path: Path
) -> None:
    served = looked.served
    with Xvfb(tmp_path, 320, 200) as screen:
        words = ("arm", "--title", "Rapat", "--video", "screen", "--audio", "synthetic", "--profile", "240p15")
        more = ("--archive", str(served.room.archive), "--consent", "not-asked", "--json")
        done = command.liput(served.room.home, *words, *more, more={"DISPLAY": screen.display})
        assert done.returncode == 0, done.stderr
        page = records(looked)
    lost = trouble_sentence("source-lost", f"Screen {screen.display}").indonesian
    alarm = page.locator("#alarms li").filter(has_text=lost)
    expect(alarm).to_be_visible(timeout=SOON_MS)
    place, picture = alarm.bounding_box(), page.locator("#program").bounding_box()
    assert place
    assert picture
    assert place["y"] < picture["y"], "over the picture"
    expect(light(page)).to_have_text(say("light.degraded"), timeout=SOON_MS)
    before = seconds(page)
    wait_for(lambda: seconds(page) > before + 1, what="the recording to go on")
    with Xvfb(tmp_path, 320, 200, display=screen.display):
        expect(alarm).to_have_count(0, timeout=SOON_MS)
        expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
        ends(page, "Rapat")
    assert f"source-lost: Screen {screen.display}" in recording(served)["degraded"]
