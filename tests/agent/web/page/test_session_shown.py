"""What the session screen shows, of states that a test makes up: in both languages, at every size, and to whom."""

import pytest
from playwright.sync_api import Browser, expect

from agent.health.alarm import trouble_sentence
from tests.support.browser import TELL, Served, Visit, light, made_line, made_trouble, made_up, say, with_states_of_ours
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]


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
