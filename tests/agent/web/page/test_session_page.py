"""The session screen in a real browser: real sessions from armed to archive, and states that a test makes up."""

import json
import re
import signal
from functools import partial
from typing import Any

import msgspec
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from agent.health.alarm import trouble_sentence
from config.locale.lookup import words
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import TELL, Served, Visit, arm, light, press, say
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.server, pytest.mark.slow]

SEALED_MS = 60_000
SPEAKERS = words("errors")["speakers"]


def ends(page: Page) -> None:
    press(page, "stop.button")
    press(page, "stop.confirm")


def mark(page: Page, text: str) -> None:
    page.get_by_label(say("mark.note")).fill(text)
    press(page, "mark.button")


def sees_marks(page: Page, *texts: str) -> None:
    """Look at the marks, the newest first."""
    expect(page.locator("#marks li")).to_have_text([re.compile(text) for text in texts])


def seconds(page: Page) -> int:
    """Return for how long it has recorded, as the page says."""
    hours, minutes, rest = (page.locator("#elapsed").text_content() or "0:0:0").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(rest)


def recording(served: Served) -> dict[str, Any]:
    """Return the only package's description of itself."""
    found: dict[str, Any] = json.loads((served.room.only_package() / "metadata/recording.json").read_text())
    return found


def test_a_session_goes_from_armed_to_archive_in_two_browsers(chromium: Browser, looked: Visit) -> None:
    served, here = looked.served, looked.open()
    browsers.sees_a_picture(here.locator("#program"))  # of the room, while nothing is recorded
    arm(served, "Rapat Senat", "--stream", "kampus")
    sealed = say("sealed.done", title="Rapat Senat Terbuka")
    with browsers.visit(chromium, served, viewport={"width": 390, "height": 844}) as phone:
        there = phone.open()
        for page in (here, there):
            expect(light(page)).to_have_text(say("light.armed"))
            expect(page.get_by_role("heading", name="Rapat Senat")).to_be_visible()
        meters_move(here)
        press(here, "start.record")
        loses_its_destination(here)
        for page in (here, there):
            expect(light(page)).to_have_text(say("light.recording"))
            browsers.sees_a_picture(page.locator("#program"))
        here.locator("#rename-box summary").click()
        expect(here.get_by_label(say("session.rename"), exact=True)).to_have_value("Rapat Senat")
        here.get_by_label(say("session.rename"), exact=True).fill("Rapat Senat Terbuka")
        here.locator("#rename button").click()
        expect(there.get_by_role("heading", name="Rapat Senat Terbuka")).to_be_visible()
        there.get_by_role("button", name=say("meters.listen")).click()
        wait_for(lambda: there.locator("#heard").evaluate("heard => heard.currentTime") > 0.5)
        mark(there, "Pembukaan")
        sees_marks(here, "Pembukaan")
        mark(here, "Tanya jawab")
        here.locator("#sounds button").first.click()
        expect(there.locator("#sounds button").first).to_have_attribute("aria-pressed", "true")
        there.get_by_role("button", name=say("layout.pause")).click()
        for page in (here, there):
            sees_marks(page, "Tanya jawab", "Pembukaan")
            for button in (page.get_by_role("button", name=say("layout.pause")), page.locator("#sounds button").first):
                expect(button).to_have_attribute("aria-pressed", "true")
        stop_is_taken_back(here)
        ends(there)
        for page in (here, there):
            expect(page.locator("#ended")).to_contain_text(sealed, timeout=SEALED_MS)
    assert recording(served)["title"] == "Rapat Senat Terbuka"
    assert [one["text"] for one in recording(served)["marks"]] == ["Pembukaan", "Tanya jawab"]


def meters_move(page: Page) -> None:
    meter, rest = page.get_by_role("meter").first, page.locator(".meter .rest").first
    expect(meter).to_be_visible()
    shown = set()
    for _ in range(100):
        shown.add(rest.get_attribute("style"))
        page.wait_for_timeout(20)  # in real time: so often it moves
    assert len(shown) >= 8, "ten times a second, where only the state would be twice"
    assert -60 <= int(meter.get_attribute("aria-valuenow") or 1) <= 0


def loses_its_destination(page: Page) -> None:
    """See in words that nobody listens there, and take it out."""
    expect(page.locator("#destinations")).to_contain_text(say("reason.refused"))
    lost = trouble_sentence("destination-lost", "kampus", "refused").indonesian
    expect(page.locator("#alarms")).to_contain_text(lost)
    page.get_by_role("button", name=say("dest.remove", name="kampus")).click()
    expect(page.locator("#destinations")).to_contain_text(say("dest.state.removed"))
    expect(page.locator("#alarms")).not_to_contain_text("kampus")


def stop_is_taken_back(page: Page) -> None:
    """Press stop by mistake: Escape takes it back, and so does the button that has the focus."""
    for way_back in ("Escape", "Enter"):
        press(page, "stop.button")
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press(way_back)
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(light(page)).to_have_text(say("light.recording"))


def test_a_daemon_that_is_killed_or_hangs_is_said_and_costs_the_session_nothing(looked: Visit) -> None:
    served, page = looked.served, looked.open()
    session = arm(served)
    expect(light(page)).to_have_text(say("light.armed"))  # before, another button is called so
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"))
    mark(page, "Sebelum")
    sees_marks(page, "Sebelum")
    muted = page.locator("#sounds button").first
    muted.click()
    expect(muted).to_have_attribute("aria-pressed", "true")
    port = served.url.rpartition(":")[2]
    served.room.settings.write_text(served.room.settings.read_text().replace("port = 0", f"port = {port}"))
    served.daemon.signal(signal.SIGKILL)
    expect(page.locator("#connection")).to_have_text(say("live.lost"))
    expect(light(page)).to_have_text(say("light.unknown"))
    before = seconds(page)
    with browsers.served(served.room, served.runtime) as again:
        expect(page.locator("#connection")).to_have_text(say("live.back"))
        expect(light(page)).to_have_text(say("light.recording"))
        wait_for(lambda: seconds(page) > before + 1, what="the recording to go on")
        page.reload()
        expect(light(page)).to_have_text(say("light.recording"))
        assert seconds(page) > before, "the time goes on"
        sees_marks(page, "Sebelum")
        expect(muted).to_have_attribute("aria-pressed", "true")
        browsers.sees_a_picture(page.locator("#program"))
        assert [one["id"] for one in again.ask("GET", "/state")["sessions"]] == [session], "the recorder is the same"
        again.daemon.signal(signal.SIGSTOP)
        expect(light(page)).to_have_text(say("light.unknown"))
        expect(page.locator("#connection")).to_have_text(say("live.lost"))
        again.daemon.signal(signal.SIGCONT)
        expect(light(page)).to_have_text(say("light.recording"))
        mark(page, "Sesudah")
        sees_marks(page, "Sesudah", "Sebelum")
        done = command.liput(served.room.home, "stop", "--session", session, "--json")
        page.close()
    assert done.returncode == 0, done.stderr
    assert recording(served)["parts"] == [], "it is in one piece"
    looked.complaints.clear()  # a browser complains of a server that is away


# States that a test makes up


def test_what_the_speakers_refuse_is_streamed_only_after_a_further_press(shown: Visit) -> None:
    page, asked = browsers.with_states_of_ours(shown, "/"), list[Any]()

    def answer(route: Route) -> None:
        asked.append(route.request.post_data_json)
        refused = {"status": 400, "code": "speakers", "text": {"id": SPEAKERS.indonesian}, "message": "..."}
        is_agreed = "although_refused" in asked[-1]
        route.fulfill(status=200 if is_agreed else 400, json={} if is_agreed else refused)

    for path in ("sessions", "sessions/*/destinations"):
        page.route(f"**/api/v1/{path}", answer)
    page.evaluate(TELL, browsers.made_up() | {"sessions": []})
    page.get_by_label(say("start.title"), exact=True).fill("Rapat Senat")
    page.get_by_label(say("start.consent")).select_option("refused")
    page.get_by_label("kampus").check()
    press(page, "start.arm")
    expect(page.get_by_role("alert")).to_contain_text(SPEAKERS.indonesian)
    press(page, "consent.although")
    expect(page.get_by_role("alert")).to_have_count(0)
    page.evaluate(TELL, browsers.made_up())
    press(page, "dest.add.button")
    press(page, "consent.although")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert [one.get("although_refused", False) for one in asked] == [False, True, False, True]
    assert (asked[0]["consent"], asked[0]["streams"], asked[2]["name"]) == ("refused", ["kampus"], "kampus")
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_cameras_and_microphones_are_chosen_where_there_are_several(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/?lang=en")
    given = (("a", "camera", "podium"), ("b", "capture-card", None), ("c", "microphone", None))
    devices = [
        {"id": key, "name": f"Device {key}", "kind": kind, "role": role, "health": {"state": "ok"}}
        for key, kind, role in given
    ]
    page.route("**/api/v1/devices", lambda route: route.fulfill(json=devices))
    page.route("**/api/v1/sessions", lambda route: route.fulfill(json={}))
    page.evaluate(TELL, browsers.made_up() | {"sessions": [], "devices": 1})
    page.get_by_label("Podium camera (Device a)").check()
    expect(page.get_by_text("Device c")).to_have_count(1)
    expect(page.get_by_text("Device c")).to_be_hidden()  # there is no other microphone
    for is_practice in (False, True):
        page.get_by_label(say("start.practice", "en")).set_checked(is_practice)
        page.get_by_label("Podium camera (Device a)").check()
        with page.expect_request("**/api/v1/sessions") as asked:
            page.get_by_role("button", name=say("start.record", "en"), exact=True).click()
        sent = msgspec.json.decode(asked.value.post_data or "")
        assert (sent["videos"], sent.get("practice", False)) == (["a"], is_practice)
    page.evaluate(TELL, browsers.made_up() | {"sessions": [browsers.made_line() | {"practice": True}]})
    expect(page.get_by_role("heading", level=1)).to_have_text(say("practice.of", "en", title="Rapat"))


def test_a_planned_session_tells_its_end_and_is_given_a_quarter_of_an_hour_more(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    plan, done = {"id": "rapat-1", "ends_at": "2026-11-26T09:31:05+07:00"}, {"recorder": "aaaaaa"}
    page.route("**/api/v1/schedule", lambda route: route.fulfill(json={"plans": [{"plan": plan, "done": done}]}))
    later = {"ends_at": "2026-11-26T02:46:05.000Z"}

    def prolong(route: Route) -> None:
        assert route.request.post_data_json == {"ends": later["ends_at"]}
        route.fulfill(json={"plan": plan | later, "done": done})

    def is_told(at: str, minutes: int) -> bool:
        page.evaluate(TELL, browsers.made_up() | {"schedule": at})
        return say("unit.minutes", minutes=minutes) in (page.locator(at).text_content() or "")

    page.route("**/api/v1/schedule/rapat-1", prolong)
    for at, width in (("#elapsed + .end", 1280), ("#bar .end", 390)):
        page.set_viewport_size({"width": width, "height": 800})
        wait_for(partial(is_told, at, 30))
        page.locator(at).get_by_role("button").click()
        wait_for(partial(is_told, at, 45))
    one = browsers.made_line(ends_in_s=120.0) | {"id": "bbbbbb"}
    page.evaluate(TELL, browsers.made_up() | {"sessions": [one]})
    page.route("**/api/v1/sessions/bbbbbb/end", lambda route: route.fulfill(json=one))
    with page.expect_request("**/api/v1/sessions/bbbbbb/end") as asked:
        page.locator("#bar .end").get_by_role("button").click()
    assert asked.value.post_data_json == {"ends_in_s": 1020}


def test_the_dialog_ends_the_session_that_it_names_whichever_is_shown_by_then(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    state, named = browsers.made_up(), browsers.made_line()
    other = browsers.made_line() | {"id": "bbbbbb", "title": "Lain"}
    page.evaluate(TELL, state | {"sessions": [named, other]})
    press(page, "stop.button")
    page.evaluate(TELL, state | {"sessions": [named, other | {"state": "degraded"}]})
    expect(page.locator("#session-title")).to_have_text("Lain")
    expect(page.locator("#stop-text")).to_have_text(say("stop.body", title="Rapat"))
    page.route("**/api/v1/sessions/*/stop", lambda route: route.fulfill(json={}))
    with page.expect_request("**/api/v1/sessions/aaaaaa/stop"):
        press(page, "stop.confirm")
    press(page, "stop.button")
    page.evaluate(TELL, state | {"sessions": [named]})
    expect(page.get_by_role("dialog")).to_be_hidden()  # the session that it names is gone


def test_a_lost_camera_is_worded_where_the_operator_looks_and_its_return_too(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/?lang=en")
    page.evaluate(TELL, browsers.made_up(state="degraded", troubles=["source-lost: podium"]))
    expect(page.locator("#alarms li")).to_have_text(trouble_sentence("source-lost", "podium").english)
    assert page.locator("#alarms li").bounding_box()["y"] < page.locator("#program").bounding_box()["y"]  # type: ignore[index]
    expect(light(page)).to_have_text(say("light.degraded", "en"))
    page.evaluate(TELL, browsers.made_up())
    expect(page.locator("#alarms li")).to_have_text("Podium camera is back.")


def test_a_title_outlasts_another_language_and_a_mark_is_offered_only_while_recording(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/?lang=id")
    page.evaluate(TELL, browsers.made_up() | {"sessions": [], "room": "Aula Baru"})
    expect(page.locator(".room")).to_have_text("Aula Baru")
    page.get_by_label(say("start.title"), exact=True).fill("Rapat Senat")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_label(say("start.title", "en"), exact=True)).to_have_value("Rapat Senat")  # its scripts have run
    page.evaluate(TELL, browsers.made_up() | {"sessions": []})
    page.route("**/api/v1/sessions", lambda route: route.fulfill(json={}))
    with page.expect_response("**/api/v1/sessions"):
        page.get_by_role("button", name=say("start.record", "en")).press("Enter")
    page.evaluate(TELL, browsers.made_up(state="armed"))
    expect(page.get_by_label(say("mark.note", "en"))).to_be_hidden()
    expect(page.locator("#start")).to_be_focused()
    page.evaluate(TELL, browsers.made_up())
    expect(page.get_by_label(say("mark.note", "en"))).to_be_visible()


def test_a_session_without_sound_says_so_in_red(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    page.evaluate(TELL, browsers.made_up())
    expect(page.get_by_text(say("meters.none"))).to_be_hidden()
    for state in ("armed", "live"):
        page.evaluate(TELL, browsers.made_up(state=state, sounds=[], levels_dbfs=[]))
        expect(page.locator(".alarm.bad", has_text=say("meters.none"))).to_be_visible()


def test_the_light_does_not_say_recording_when_nothing_reaches_the_disk(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    page.evaluate(TELL, browsers.made_up())
    expect(light(page)).to_have_text(say("light.recording"))
    page.evaluate("window.later = 1500")
    page.evaluate(TELL, browsers.made_up(elapsed_s=68.0))
    expect(light(page)).to_have_text(say("light.recording"))
    page.evaluate("window.later = 3100")
    page.evaluate(TELL, browsers.made_up(elapsed_s=68.2))
    expect(light(page)).to_have_text(say("light.stalled"))
    expect(page.locator("#alarms li")).to_have_text(say("alarm.stalled"))
    page.evaluate(TELL, browsers.made_up(elapsed_s=69.0, bytes=41_000_000))
    expect(light(page)).to_have_text(say("light.recording"))


def test_of_a_recorder_that_does_not_answer_one_thing_is_said(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    state = browsers.made_up() | {"sessions": [browsers.made_line() | {"state": None, "status": None}]}
    told = browsers.made_trouble("recorder-silent")
    page.evaluate(TELL, state | {"troubles": [told | {"session": "bbbbbb"}]})
    expect(page.locator("#alarms li.bad")).to_have_count(2)
    expect(page.locator("#alarms")).to_contain_text(say("alarm.silent-recorder"))
    page.evaluate(TELL, state | {"troubles": [told]})
    expect(page.locator("#alarms li")).to_have_text("Perekam berhenti")


def test_one_that_is_being_let_go_of_does_not_hide_the_one_that_records(shown: Visit) -> None:
    """A recorder is there until all who watch it know how it ended."""
    page = browsers.with_states_of_ours(shown, "/")
    now, (recorded, ended) = browsers.made_up(), (browsers.made_line(), browsers.made_line(state="sealed"))
    for sessions in ([ended, recorded], [recorded, ended]):
        page.evaluate(TELL, now | {"sessions": sessions})
        expect(light(page)).to_have_text(say("light.recording"))
        expect(page.locator("#stop")).to_be_visible()


def sources(state: str) -> list[dict[str, object]]:
    """Return two sources, of which the first is in that state."""
    healths = {"podium": state, "slides": "ok"}
    return [
        {"id": name, "name": name, "role": name,
         "health": {"state": health, "reason": None, "since": None, "fault": None}}
        for name, health in healths.items()
    ]  # fmt: skip


def test_the_last_picture_of_a_source_that_is_gone_is_not_shown_as_if_it_were_live(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    figure = page.locator("#sources figure").first
    for state, opacity in (("ok", "1"), ("lost", "0.3"), ("degraded", "1"), ("frozen", "0.3")):
        page.evaluate(TELL, browsers.made_up(sources=sources(state)))
        expect(figure.locator("figcaption")).to_contain_text("" if state == "ok" else say(f"health.{state}"))
        expect(figure.locator("canvas")).to_have_css("opacity", opacity)


def test_axe_finds_nothing_to_complain_of(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/?lang=en")
    line = {"dropped": 12, "reconnects": 1, "backlog_s": 7.0, "message": "...", "since": None}
    destinations = [
        line | {"name": "kampus", "state": "waiting", "reason": "rejected"},
        line | {"name": "youtube", "state": "live", "reason": "too-slow"},
    ]
    troubles = ["source-lost: podium", "storage-vanished: /mnt/arsip", "destination-lost: kampus"]
    sounds = [
        {"name": name, "muted": name == "podium", "levels_dbfs": [-18.0, -20.0], "ppm": None}
        for name in ("microphone", "podium", "Meja 1 (USB)", "pulse:alsa_input.usb-Blue_Yeti", "a - b")
    ]
    notices = [
        {"type": "notice", "kind": kind, "plan": kind, "title": "Rapat", "at": "2026-11-26T09:00:00+07:00",
         "urgent": kind == "waits", "text": {"id": f"id {kind}", "en": f"en {kind}"}}
        for kind in ("reminder", "waits")
    ]  # fmt: skip
    state = browsers.made_up(
        state="degraded", troubles=troubles, destinations=destinations, disk_left_s=600.0, sounds=sounds,
        sources=sources("lost"),
    )  # fmt: skip
    page.evaluate(TELL, state | {"notices": notices})
    expect(page.locator("#alarms li")).to_have_count(5)
    expect(page.locator("#alarms li.note")).to_have_text("en reminder")
    shown.has_no_violation()
    page.locator("#stop").click()
    shown.has_no_violation()
    page.keyboard.press("Escape")
    page.evaluate(TELL, browsers.made_up() | {"sessions": []})
    expect(page.locator("#new")).to_be_visible()
    shown.has_no_violation()


def test_nothing_hangs_over_the_edge_from_a_telephone_to_4k(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/")
    page.evaluate(TELL, browsers.made_up(state="degraded", troubles=["source-lost: podium"]))
    for width in (360, 768, 1366, 3840):
        page.set_viewport_size({"width": width, "height": max(640, width * 9 // 16)})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
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


# How a session ended is said on its screen, as soon as that is known, and no sooner


type Answer = tuple[int, dict[str, str]]
MISSING: Answer = (404, {})
PACKAGE: Answer = (200, {"state": "sealed"})
RESULT = {"type": "result", "state": "sealed", "package": "/lain/2026/11/rapat"}
NAME = "2026-11-26_0900_rapat_0badcafe"


class Ending:
    """A page that showed one session; the test answers what it asks of that session's end and of the archive."""

    def __init__(self, shown: Visit, session: Answer = MISSING, archive: Answer = MISSING) -> None:
        self.page = browsers.with_states_of_ours(shown, "/")
        self.ended = self.page.locator("#ended")
        self.archive = archive
        self.asked: list[str] = []
        self.line = browsers.made_line() | {"work": f"/srv/.incoming/{NAME}.2"}

        def answer(route: Route) -> None:
            self.asked.append(route.request.url.rpartition("/api/v1")[2])
            status, body = session if "/sessions/" in self.asked[-1] else self.archive
            route.fulfill(status=status, json=body)

        for path in ("sessions", "archive"):
            self.page.route(f"**/api/v1/{path}/*", answer)
        self.tell(0, self.line)

    def tell(self, later_s: int, *sessions: dict[str, object], trouble: str = "") -> None:
        """Tell which sessions there are then, and have the browser ask what it wants to know."""
        self.page.evaluate(f"window.later = {later_s * 1000}")
        troubles = [browsers.made_trouble(trouble)] if trouble else []
        self.page.evaluate(TELL, browsers.made_up() | {"sessions": sessions, "troubles": troubles})
        self.page.wait_for_timeout(200)  # what a browser asks is answered meanwhile

    def tell_until(self, later_s: int, key: str) -> None:
        """Tell again and again, as the daemon does each second, until the end is said so."""
        for _ in range(100):
            self.tell(later_s)
            if say(key, title="Rapat") in (self.ended.text_content() or ""):
                return
        pytest.fail(f"{key} is not said")


@pytest.mark.parametrize(
    ("session", "archive", "trouble", "said"),
    [
        pytest.param((200, RESULT), PACKAGE, "", "sealed.done", id="sealed"),
        pytest.param((200, RESULT), MISSING, "", "sealed.done", id="in-another-archive"),
        pytest.param((409, {"message": "no disk"}), MISSING, "", "sealed.failed", id="failed"),
        pytest.param(MISSING, MISSING, "recorder-killed", None, id="killed"),
        pytest.param((200, RESULT | {"state": "idle"}), MISSING, "", None, id="nothing-recorded"),
        pytest.param((503, {}), MISSING, "", None, id="asked-again"),
    ],
)
def test_how_a_session_ended_is_said_once_it_is_known(
    shown: Visit, session: Answer, archive: Answer, trouble: str, said: str | None
) -> None:
    ending = Ending(shown, session, archive)
    ending.tell(0, trouble=trouble)
    for _ in range(100):
        if len(ending.asked) == 2:
            break
        ending.page.wait_for_timeout(50)
    assert ending.asked == [f"/sessions/{ending.line['id']}", f"/archive/{NAME}"]
    if trouble:
        ending.tell(30, trouble=trouble)
    if said is None:
        expect(ending.ended).to_be_empty()
    else:
        expect(ending.ended).to_contain_text(say(said, title="Rapat"))
    expect(ending.ended.locator("a")).to_have_count(int(archive == PACKAGE))
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_where_a_recording_is_stands_there_beside_another_session_until_a_new_one_records(shown: Visit) -> None:
    ending, other = Ending(shown, (200, RESULT), PACKAGE), browsers.made_line() | {"id": "bbbbbb", "title": "Lain"}
    ending.tell(0, ending.line, other)
    for _ in range(2):
        ending.tell(0, other)
        expect(ending.ended).to_contain_text(say("sealed.done", title="Rapat"))
    ending.tell(0, other, other | {"id": "cccccc"})
    expect(ending.ended).to_be_empty()


def test_sessions_stand_on_every_page_with_light_clock_and_stop(shown: Visit) -> None:
    page = browsers.with_states_of_ours(shown, "/archive")
    named, bar = page.title(), page.locator("#bar > li")
    page.evaluate(TELL, browsers.made_up())
    expect(bar.get_by_role("link")).to_have_text("Rapat")
    expect(bar.locator(".light")).to_have_text(say("light.recording"))
    expect(bar.locator(".number")).to_have_text("0:01:05")
    expect(page).to_have_title(f"\N{BLACK CIRCLE} {named}")
    page.route("**/api/v1/sessions/*/stop", lambda route: route.fulfill(json={}))
    with page.expect_request("**/api/v1/sessions/aaaaaa/stop"):
        bar.get_by_role("button", name=say("stop.of", title="Rapat")).click()
        press(page, "stop.confirm")
    browsers.has_no_violation(page)
    page.evaluate("import('/static/live.js').then(({live}) => live.dispatchEvent(new Event('lost')))")
    expect(bar.locator(".light")).to_have_text(say("light.unknown"))
    expect(page.locator("#main")).to_have_class("stale")
    page.evaluate(TELL, browsers.made_up() | {"sessions": []})
    expect(bar).to_have_count(0)
    expect(page).to_have_title(named)
    shown.open("/")
    page.evaluate(TELL, browsers.made_up())
    expect(bar).to_have_count(0)  # all of it stands in the page
    page.evaluate(TELL, browsers.made_up() | {"sessions": [browsers.made_line() | {"id": one} for one in ("a", "b")]})
    expect(bar).to_have_count(2)


def test_a_recording_that_takes_long_to_be_recovered_is_found_in_the_archive_after_all(shown: Visit) -> None:
    ending = Ending(shown)
    ending.tell(0)
    ending.tell_until(30, "sealed.failed")
    asked_before = len(ending.asked)
    ending.tell(31)
    assert len(ending.asked) == asked_before, "it is asked every second"
    ending.archive = PACKAGE
    ending.tell_until(40, "sealed.done")
    ending.tell(50)
    assert len(ending.asked) == asked_before + 2
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_what_is_not_found_is_forgotten_where_another_session_records(shown: Visit) -> None:
    ending = Ending(shown)
    other = ending.line | {"id": "bbbbbb", "work": "/srv/.incoming/2026-11-26_1000_lain_0badcafe"}
    ending.tell(0)
    ending.tell_until(30, "sealed.failed")
    asked_before = len(ending.asked)
    for later_s in (40, 50):
        ending.tell(later_s, other)
    assert len(ending.asked) == asked_before
    expect(ending.ended).to_be_empty()
    shown.complaints.clear()  # a browser complains of answers that refuse


def test_one_that_another_recorder_goes_on_with_has_not_ended(shown: Visit) -> None:
    ending = Ending(shown)
    ending.tell(0, ending.line | {"id": "bbbbbb", "work": f"/srv/.incoming/{NAME}.3"})
    assert ending.asked == []
