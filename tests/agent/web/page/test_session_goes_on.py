"""In the middle of a session: another browser, a reload, a daemon that is killed, a source that is lost."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from agent.health.alarm import trouble_sentence
from recorder.model.status import STATES_RECORDING
from tests.support import browser as browsers
from tests.support import command
from tests.support.browser import SOON_MS, Served, Visit, arm, light, press, say
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb

pytestmark = [pytest.mark.server, pytest.mark.slow]
SEALED_MS = 60_000


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
    page = looked.open()
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
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
    page = looked.open()
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
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
    page = looked.open()
    press(page, "start.record")
    expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
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
    press(page, "stop.button")
    press(page, "stop.confirm")
    expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat Senat"), timeout=SEALED_MS)
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
        page = looked.open()
        press(page, "start.record")
        expect(light(page)).to_have_text(say("light.recording"), timeout=SOON_MS)
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
        press(page, "stop.button")
        press(page, "stop.confirm")
        expect(page.locator("#ended")).to_contain_text(say("sealed.done", title="Rapat"), timeout=SEALED_MS)
    assert f"source-lost: Screen {screen.display}" in recording(served)["degraded"]
