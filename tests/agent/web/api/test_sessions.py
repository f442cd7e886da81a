"""Sessions by the API, with real recorders of synthetic sources."""

import json
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from starlette.requests import Request

from agent.daemon import presence
from agent.daemon.presence import SUCCESSOR_WAIT_S
from agent.sessions import control
from agent.sessions.control import NOTHING_RUNS, line_of
from agent.web.api import sessions
from agent.web.api.sessions import Begun, NewSession
from agent.web.http.endpoint import ApiCall
from devices.host.process import process_started
from recorder.model.status import SessionResult, SessionState
from recorder.running.client import RunningRecorder
from recorder.running.protocol import RecorderFailure, RecorderRefused, encode
from recorder.running.runtime_directory import RecorderFolder, make_recorder_folder, new_recorder_info
from tests.support import media
from tests.support.recorders import recorders
from tests.support.room import Room, program
from tests.support.situations import session
from tests.support.waiting import wait_for
from tests.support.web import Answer, Page, house

pytestmark = pytest.mark.server
SESSIONS = "/api/v1/sessions"
AT = datetime.now(UTC)
SYNTHETIC: dict[str, Any] = {"title": "Rapat Senat", "videos": ["synthetic"], "audios": ["synthetic"]}


def begun(page: Page, **more: object) -> str:
    answer = page.post(SESSIONS, SYNTHETIC | more)
    assert answer.status == 200, answer.body
    identity: str = answer.json["id"]
    return identity


def the_state(page: Page) -> Any:
    answer = page.get("/api/v1/state")
    assert answer.status == 200
    return answer.json


def test_of_one_that_has_failed_it_is_said_why(page: Page) -> None:
    failed = make_recorder_folder(new_recorder_info("Rapat", Path("/arsip"), AT), b"{}")
    assert page.get(f"{SESSIONS}/{failed.id}").status == 200, "it runs: it is this very process"
    failed.end(encode(RecorderFailure(message="the disk is gone")))
    answer = page.get(f"{SESSIONS}/{failed.id}")
    assert (answer.status, answer.json["message"]) == (409, "the disk is gone")


def test_of_one_that_does_not_answer_any_more_because_it_ends_is_told_how_it_ended(page: Page) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        it_is = {"pid": process.pid, "pid_started": process_started(process.pid) or 0}
        info = msgspec.structs.replace(new_recorder_info("Rapat", Path("/arsip"), AT), **it_is)
        ending = make_recorder_folder(info, b"{}")
        end = SessionResult(state=SessionState.SEALED, package=None, duration_s=3.0, frames=90, degraded=[])
        threading.Timer(0.5, ending.end, [encode(end)]).start()
        stopped = page.post(f"{SESSIONS}/{info.id}/stop").json
        process.kill()
    assert (stopped["type"], stopped["state"], stopped["frames"]) == ("result", "sealed", 90)


def at_once(page: Page, count: int, path: str, body: object = None, **headers: str) -> list[Answer]:
    """Post the same several times at once."""
    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(lambda _: page.post(path, body, **headers), range(count))]


@pytest.mark.slow
def test_a_session_is_armed_started_steered_and_becomes_a_package(page: Page, room: Room) -> None:
    key = {"Idempotency_Key": "press-1"}
    wishes = {"streams": ["youtube"], "consent": "refused", "although_refused": True}
    body = {"title": " ", "arm_only": True, "alone": True, "practice": True, "for_s": 60} | wishes
    with ThreadPoolExecutor(1) as another_browser:
        pressed_too = another_browser.submit(page.post, SESSIONS, body)
        answers = at_once(page, 3, SESSIONS, body, **key)
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 2
    answers.append(pressed_too.result())
    assert page.post(SESSIONS, SYNTHETIC | {"title": "Lain"}, **key).status == 409
    (session,) = {answer.json["id"] for answer in answers}
    at = f"{SESSIONS}/{session}"
    line = page.get(at).json
    assert (line["type"], line["id"], line["state"], line["practice"]) == ("session", session, "armed", True)
    assert re.fullmatch(r"Rekaman \d{1,2} [A-Z][a-z]+ 20\d\d, \d\d\.\d\d", line["title"])
    assert page.post(f"{SESSIONS}/{session[:1]}/disarm").status == 404, "only its whole id means it"
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["pre_roll_s"] > 1)
    assert page.post(f"{at}/start", {"pre_roll_s": 1}).json["state"] in {"live", "degraded"}
    pressed = at_once(page, 4, "/api/v1/recording/start")
    assert [(answer.status, answer.json["id"]) for answer in pressed] == [(200, session)] * 4
    (lacks,) = (one["text"] for one in the_state(page)["troubles"] if one["kind"] == "destination-forgotten")
    assert lacks["en"].startswith("There is no stream to youtube: its address or key is missing"), "yet it records"
    assert page.post(f"{at}/mark", {"text": "Tanya jawab"}).json["text"] == "Tanya jawab"
    assert page.post(f"{at}/title", {"title": "Rapat Terbuka"}).json["title"] == "Rapat Terbuka"
    assert page.post(f"{at}/title", {"title": " "}).status == 400
    assert 899 < page.post(f"{at}/end", {"ends_in_s": 900}).json["status"]["ends_in_s"] <= 900
    listener = urllib.request.Request(f"{page.origin}{at}/sound", headers={"Authorization": f"Bearer {page.token}"})
    with urllib.request.urlopen(listener) as heard:
        sound = np.frombuffer(heard.read(44 + 4 * 48_000)[44:], "<i2")
    assert 1000 < np.abs(sound.astype(int)).max() < 32_767, "it is the speech of the test source"
    assert page.post(f"{at}/mute", {"on": True}).json == {"type": "mute", "name": None, "on": True}
    assert page.post(f"{at}/layout", {"name": "pause"}).json == {"type": "layout", "name": "pause"}
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["layout"] == "pause")
    assert [line["muted"] for line in the_state(page)["sessions"][0]["status"]["sounds"]] == [True]
    assert page.post(f"{at}/layout", {"name": "nowhere"}).status == 400
    assert page.post(f"{at}/disarm").status == 409
    picture = page.get(f"{at}/preview/program.jpg?width=160")
    assert (picture.status, picture.headers["content-type"], picture.body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert page.get(f"{at}/preview/nowhere.jpg").status == 400
    destinations_change(page, f"{at}/destinations")
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["media_time_s"] > 2)
    result = page.post("/api/v1/recording/stop", {"wait": True}).json
    assert (result["type"], result["state"]) == ("result", "sealed")
    assert page.post("/api/v1/recording/stop").json["state"] == "idle"
    assert page.post(f"{at}/stop").json == page.get(at).json == result, "how it ended is known afterwards too"
    package = room.only_package()
    assert str(package) == result["package"]
    media.decodes_cleanly(program(package))
    recorded = json.loads((package / "metadata/recording.json").read_text())
    assert (recorded["marks"][0]["text"], recorded["practice"]) == ("Tanya jawab", True)
    assert len(json.loads((package / "metadata/devices.json").read_text())) == 0


def destinations_change(page: Page, at: str) -> None:
    """Stream a session that its speakers refuse, which has to be said; then no more."""
    refused = page.post(at, {"name": "web"})
    assert (refused.status, refused.json["is_of_consent"]) == (400, True)
    assert page.post(at, {"name": "web", "although_refused": True}).json["change"] == "added"
    wait_for(lambda: [line["name"] for line in the_state(page)["sessions"][0]["status"]["destinations"]] == ["web"])
    assert page.post(f"{at}/web/restart").json["change"] == "restarted"
    assert page.ask("DELETE", f"{at}/web").json["change"] == "removed"
    assert page.ask("DELETE", f"{at}/nowhere").status == 404
    assert page.post(at, {"name": "@/etc/passwd"}).status == 400


def test_what_cannot_be_meant_is_refused_and_no_recorder_is_left(page: Page, runtime: Path) -> None:
    wrong: list[dict[str, Any]] = [{"archive": "/tmp"}, {"for_s": -1}, {"profile": "nowhere"}]
    wrong.append({"practice": True, "request": "x"})
    videos = ("/etc/passwd", "/dev/../etc/passwd", "/dev/v4l/by-id/../../shm", "a\0")
    wrong += [{"videos": [name]} for name in videos]
    streams = ("@/root/key", "rtmp://evil.example/live/key", "nowhere", "-x")
    wrong += [{"streams": [name]} for name in streams]
    for body in (*(SYNTHETIC | one for one in wrong), SYNTHETIC | {"consent": "refused", "streams": ["web"]}, []):
        answer = page.post(SESSIONS, body)
        assert (answer.status, answer.json["type"]) == (400, "error"), body
        assert "rtmp://" not in answer.json["message"]
    for sent in (b"{", b"\xff", b"[" * 10_000, b'{"title": "\xed\xa0\x80"}', b"null"):
        assert page.ask("POST", SESSIONS, sent).status == 400
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert page.ask("POST", SESSIONS, b"{}", Content_Type=kind).status == 415
    wait_for(lambda: recorders(runtime) == [])


def test_no_file_of_this_pc_is_taken_for_a_device_or_a_request(page: Page, room: Room) -> None:
    plan = {"title": "Rapat", "starts": "besok 09:00", "for_s": 60}
    with tempfile.NamedTemporaryFile(dir="/dev/shm", suffix=".mp4") as secret:
        for at, body in ((SESSIONS, SYNTHETIC), ("/api/v1/schedule", plan)):
            for given in ("videos", "audios"):
                answer = page.post(at, body | {given: [secret.name]})
                assert (answer.status, "no device" in str(answer.json.get("message"))) == (400, True), answer.body
    (room.home / "request.json").write_text("{}")
    for at, body in ((SESSIONS, SYNTHETIC), ("/api/v1/checks", {})):
        assert page.post(at, body | {"request": str(room.home)}).status == 404


def test_a_device_that_is_not_there_is_told_of_as_such(page: Page) -> None:
    answer = page.post(SESSIONS, {"title": "Rapat", "videos": ["podium"], "audios": ["none"], "arm_only": True})
    assert answer.status in {404, 409}
    assert answer.json["is_of_device"] is True


def test_an_id_that_is_none_names_nothing(page: Page) -> None:
    for identity in ("abc123", "..", "%2e%2e%2fetc", "A", "a" * 40, "%00", "a%20b"):
        assert page.get(f"{SESSIONS}/{identity}").status == 404, identity
        for does, body in (("stop", None), ("start", None), ("mark", {"text": "x"})):
            assert page.post(f"{SESSIONS}/{identity}/{does}", body).status == 404, identity


# The one button, pressed just when the recorder of a session was killed


def press() -> Begun:
    return sessions.start_recording(ApiCall(house([]), {}, Request({"type": "http"})))


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the titles of sessions that are begun."""
    begun: list[str] = []

    def begin(_call: ApiCall, new: NewSession) -> Begun:
        begun.append(new.title)
        return NOTHING_RUNS

    monkeypatch.setattr(sessions, "begin_session", begin)
    return begun


@pytest.mark.parametrize(("gone_after_s", "taken_up_s"), [(0.3, 3600.0), (3600.0, 0.5)])
def test_the_button_does_not_wait_long_for_a_session_that_nobody_goes_on_with(
    another: list[str], monkeypatch: pytest.MonkeyPatch, gone_after_s: float, taken_up_s: float
) -> None:
    """The daemon has given it up and takes its folder away; or its disk is gone, and it is tried again and again."""
    info = msgspec.structs.replace(new_recorder_info("Rapat", Path("/arsip"), AT), work="/arsip/rapat", pid_started=1)
    killed = make_recorder_folder(info, b"{}")
    monkeypatch.setattr(sessions, "TAKEN_UP_S", taken_up_s)
    giving_up = threading.Timer(gone_after_s, killed.remove)
    began_s = time.monotonic()
    with presence.daemon_lock():
        giving_up.start()
        press()
        giving_up.cancel()
    assert len(another) == 1
    assert time.monotonic() - began_s < SUCCESSOR_WAIT_S


def test_where_the_next_recorder_says_why_it_cannot_another_session_is_begun(
    another: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_key: object, **_how: object) -> RunningRecorder:
        raise RecorderRefused(RecorderFailure(message="the disk is full"))

    monkeypatch.setattr(control, "successor_of", refuse)
    assert (press(), len(another)) == (NOTHING_RUNS, 1)


@pytest.mark.parametrize(("key", "is_found"), [(None, True), ("AB", True), ("abc123", True), ("c", False), ("", False)])
def test_a_session_that_was_taken_over_between_two_looks_is_found(
    runtime: Path, key: str | None, *, is_found: bool
) -> None:
    info = msgspec.structs.replace(new_recorder_info("Rapat", Path("/arsip"), AT), replaces="abc123")
    folder = make_recorder_folder(info, b"{}")
    assert folder.path.parent == runtime
    found = control.successor_of(key)
    assert (found and found.info.id) == (info.id if is_found else None)
    folder.remove()


@pytest.mark.parametrize(("state", "goes_on"), [(SessionState.LIVE, True), (SessionState.SEALING, False)])
def test_a_session_that_was_gone_on_with_and_has_ended_since_is_no_recording(
    another: list[str], monkeypatch: pytest.MonkeyPatch, state: SessionState, goes_on: bool
) -> None:
    info = new_recorder_info("Rapat", Path("/arsip"), AT)
    following = RunningRecorder(RecorderFolder(Path("/r1")), info, session(state))
    monkeypatch.setattr(control, "successor_of", lambda *_key, **_how: following)
    assert press() == (line_of(following) if goes_on else NOTHING_RUNS)
    assert len(another) == int(not goes_on)
