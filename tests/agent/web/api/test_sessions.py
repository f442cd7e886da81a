"""Sessions by the API, with real recorders of synthetic sources."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.requests import Request

from agent.daemon import presence
from agent.daemon.presence import SUCCESSOR_WAIT_S
from agent.sessions import control
from agent.sessions.control import NOTHING_RUNS, line_of
from agent.web.api import sessions
from agent.web.api.sessions import TAKEN_UP_S, Begun, NewSession
from agent.web.http.endpoint import ApiCall
from devices.host.clock import SystemClock
from devices.host.process import process_started
from recorder.model.status import SessionResult, SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder, find_running
from recorder.running.protocol import RecorderFailure, RecorderRefused, encode
from recorder.running.runtime_directory import make_recorder_folder, new_recorder_info
from tests.support import archives, command, media
from tests.support.recorders import recorders
from tests.support.room import Room, program
from tests.support.situations import session
from tests.support.waiting import wait_for
from tests.support.web import Answer, Page, house

pytestmark = pytest.mark.server
SESSIONS = "/api/v1/sessions"
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


def test_nothing_runs_at_first(page: Page) -> None:
    state = the_state(page)
    assert state["type"] == "state"
    assert (state["room"], state["language"], state["sessions"], state["standing"]) == ("Aula", "id", [], [])
    assert page.post("/api/v1/recording/stop").json["state"] == "idle"
    assert page.post(f"{SESSIONS}/abc123/stop").status == 404
    assert [page.get(f"{SESSIONS}/{key}").status for key in ("abc123", "..", "x" * 40)] == [404] * 3


def test_of_one_that_has_failed_it_is_said_why(page: Page) -> None:
    failed = make_recorder_folder(new_recorder_info("Rapat", Path("/arsip"), datetime.now(UTC)), b"{}")
    assert page.get(f"{SESSIONS}/{failed.id}").status == 200, "it runs: it is this very process"
    failed.end(encode(RecorderFailure(message="the disk is gone")))
    answer = page.get(f"{SESSIONS}/{failed.id}")
    assert (answer.status, answer.json["message"]) == (409, "the disk is gone")


def test_of_one_that_does_not_answer_any_more_because_it_ends_is_told_how_it_ended(page: Page) -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        info = msgspec.structs.replace(
            new_recorder_info("Rapat", Path("/arsip"), datetime.now(UTC)),
            pid=process.pid, pid_started=process_started(process.pid) or 0,
        )  # fmt: skip
        ending = make_recorder_folder(info, b"{}")
        end = SessionResult(state=SessionState.SEALED, package=None, duration_s=3.0, frames=90, degraded=[])
        threading.Timer(0.5, ending.end, [encode(end)]).start()
        stopped = page.post(f"{SESSIONS}/{info.id}/stop").json
        process.kill()
    assert (stopped["type"], stopped["state"], stopped["frames"]) == ("result", "sealed", 90)


@pytest.mark.slow
def test_a_session_is_armed_started_steered_and_becomes_a_package(page: Page, room: Room) -> None:
    session = begun(page, arm_only=True)
    assert the_state(page)["sessions"][0]["state"] == "armed"
    line = page.get(f"{SESSIONS}/{session}").json
    assert (line["type"], line["id"], line["state"]) == ("session", session, "armed")
    assert page.post(f"{SESSIONS}/{session[:1]}/disarm").status == 404, "only its whole id means it"
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["pre_roll_s"] > 1)
    assert page.post(f"{SESSIONS}/{session}/start", {"pre_roll_s": 1}).json["state"] in {"live", "degraded"}
    assert page.post(f"{SESSIONS}/{session}/start").json["id"] == session, "once more does no harm"
    assert page.post(f"{SESSIONS}/{session}/mark", {"text": "Tanya jawab"}).json["text"] == "Tanya jawab"
    assert page.post(f"{SESSIONS}/{session}/mute", {"on": True}).json == {"type": "mute", "name": None, "on": True}
    assert page.post(f"{SESSIONS}/{session}/layout", {"name": "pause"}).json == {"type": "layout", "name": "pause"}
    status = wait_for(lambda: _if_paused(the_state(page)))
    assert [line["muted"] for line in status["sounds"]] == [True]
    assert page.post(f"{SESSIONS}/{session}/disarm").status == 409
    assert page.post(f"{SESSIONS}/{session}/layout", {"name": "nowhere"}).status == 400
    picture = page.get(f"{SESSIONS}/{session}/preview/program.jpg?width=160")
    assert (picture.status, picture.headers["content-type"], picture.body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    assert page.get(f"{SESSIONS}/{session}/preview/nowhere.jpg").status == 400
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["media_time_s"] > 2)
    result = page.post(f"{SESSIONS}/{session}/stop", {"wait": True}).json
    assert (result["type"], result["state"]) == ("result", "sealed")
    again = page.post(f"{SESSIONS}/{session}/stop").json
    assert again == result, "how it ended is known afterwards too"
    assert page.get(f"{SESSIONS}/{session}").json == result
    package = room.only_package()
    assert str(package) == result["package"]
    media.decodes_cleanly(program(package))
    assert json.loads((package / "metadata/recording.json").read_text())["marks"][0]["text"] == "Tanya jawab"


def _if_paused(state: Any) -> Any:
    status = state["sessions"][0]["status"]
    return status if status["layout"] == "pause" else None


@pytest.mark.slow
def test_one_button_records_and_ends_it_however_often_it_is_pressed(page: Page, room: Room) -> None:
    room.configure('[devices]\npower_line_frequency = "50 Hz"\n\n[web]\nport = 0\n')
    armed = begun(page, arm_only=True)
    answers: list[Answer] = []
    presses = [threading.Thread(target=lambda: answers.append(page.post("/api/v1/recording/start"))) for _ in range(4)]
    for press in presses:
        press.start()
    for press in presses:
        press.join()
    assert [(answer.status, answer.json["id"]) for answer in answers] == [(200, armed)] * 4
    assert len(the_state(page)["sessions"]) == 1
    wait_for(lambda: the_state(page)["sessions"][0]["status"]["media_time_s"] > 1)
    assert page.post("/api/v1/recording/stop", {"wait": True}).json["state"] == "sealed"
    assert page.post("/api/v1/recording/stop").json["state"] == "idle"
    assert room.only_package()


@pytest.mark.slow
def test_the_button_begins_no_other_where_a_killed_session_is_just_gone_on_with(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = begun(page)
    following, asked = find_running(session), list[float]()

    def gone_on_with(_key: None, *, within_s: float, patience_s: float) -> RunningRecorder | None:
        asked.append(within_s)
        return following

    monkeypatch.setattr("agent.web.api.sessions.running_recorders", list)  # it is not there yet
    monkeypatch.setattr("agent.sessions.control.successor_of", gone_on_with)
    assert page.post("/api/v1/recording/start").json["id"] == session
    assert asked == [SUCCESSOR_WAIT_S], "one that nobody has gone on with for long keeps nobody from recording"
    assert [one["id"] for one in the_state(page)["sessions"]] == [session]


@pytest.mark.slow
def test_a_request_that_is_sent_again_with_its_key_begins_nothing_twice(page: Page) -> None:
    key = {"Idempotency_Key": "press-1"}
    answers: list[Answer] = []
    body = SYNTHETIC | {"arm_only": True}
    senders = [threading.Thread(target=lambda: answers.append(page.post(SESSIONS, body, **key))) for _ in range(3)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert len({answer.json["id"] for answer in answers}) == 1
    assert sum("idempotency-replayed" in answer.headers for answer in answers) == 2
    assert len(the_state(page)["sessions"]) == 1
    other = page.post(SESSIONS, SYNTHETIC | {"title": "Lain"}, **key)
    assert other.status == 409
    session = answers[0].json["id"]
    assert page.post(f"{SESSIONS}/{session}/disarm").json["state"] == "idle"
    assert page.post(f"{SESSIONS}/{session}/disarm").json["state"] == "idle"
    assert the_state(page)["sessions"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": "  "},
        SYNTHETIC | {"videos": ["/etc/passwd"]},
        SYNTHETIC | {"videos": ["../../etc/passwd"]},
        SYNTHETIC | {"videos": ["/dev/../etc/passwd"]},
        SYNTHETIC | {"videos": ["/dev/v4l/by-id/../../shm"]},
        SYNTHETIC | {"videos": ["vmlinuz\0"]},
        SYNTHETIC | {"streams": ["@/root/key"]},
        SYNTHETIC | {"streams": ["rtmp://evil.example/live/key"]},
        SYNTHETIC | {"streams": ["nowhere"]},
        SYNTHETIC | {"archive": "/tmp"},
        SYNTHETIC | {"for_s": -1},
        SYNTHETIC | {"for_s": "long"},
        SYNTHETIC | {"profile": "nowhere"},
        [],
        "x",
    ],
)
def test_what_cannot_be_meant_is_refused_and_no_recorder_is_left(page: Page, body: object) -> None:
    answer = page.post(SESSIONS, body)
    assert answer.status == 400, answer.body
    assert answer.json["type"] == "error"
    assert "rtmp://" not in answer.json["message"]
    runtime = Path(os.environ["LIPUT_RUNTIME"])
    wait_for(lambda: recorders(runtime) == [])


def test_no_file_of_this_pc_is_taken_for_a_device_or_a_request(page: Page, room: Room) -> None:
    plan = {"title": "Rapat", "starts": "besok 09:00", "for_s": 60}
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        secret = str(archives.make_program(Path(folder) / "rahasia.mp4"))
        for at, body in ((SESSIONS, SYNTHETIC), ("/api/v1/schedule", plan)):
            for given in ({"videos": [secret]}, {"audios": [secret]}):
                answer = page.post(at, body | given)
                assert (answer.status, "no device" in str(answer.json.get("message"))) == (400, True), answer.body
    new = ("request", "new", "--event", "Rapat", "--starts", "besok 09:00", "--ends", "besok 10:00", "--json")
    assert command.liput(room.home, *new).returncode == 0
    (request,) = room.home.rglob("request.json")
    for at, body in ((SESSIONS, SYNTHETIC), ("/api/v1/checks", {})):
        assert page.post(at, body | {"request": str(request.parent)}).status == 404


def test_a_device_that_is_not_there_is_told_of_as_such(page: Page) -> None:
    answer = page.post(SESSIONS, {"title": "Rapat", "videos": ["podium"], "audios": ["none"], "arm_only": True})
    assert answer.status in {404, 409}
    assert answer.json["is_of_device"] is True


def test_what_the_speakers_refuse_is_streamed_only_where_it_is_said(page: Page) -> None:
    refused = SYNTHETIC | {"consent": "refused", "arm_only": True}
    answer = page.post(SESSIONS, refused | {"streams": ["web"]})
    assert (answer.status, answer.json["is_of_consent"]) == (400, True)
    to = f"{SESSIONS}/{begun(page, **refused)}/destinations"
    answer = page.post(to, {"name": "web"})
    assert (answer.status, answer.json["is_of_consent"]) == (400, True)
    assert page.post(to, {"name": "web", "although_refused": True}).status == 200


@pytest.mark.parametrize("sent", [b"{", b"\xff", b"[" * 10_000, b'{"title": "\xed\xa0\x80"}', b"null", b"1"])
def test_what_is_no_json_is_refused(page: Page, sent: bytes) -> None:
    assert page.ask("POST", SESSIONS, sent).status == 400


def test_what_does_not_say_that_it_is_json_is_refused(page: Page) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
        assert page.ask("POST", SESSIONS, b"{}", Content_Type=kind).status == 415


@pytest.mark.parametrize("identity", ["..", "%2e%2e", "..%2f..%2fetc", "A", "g", "a" * 40, "%00", "%ff", "a%20b"])
def test_an_id_that_is_none_names_nothing(page: Page, identity: str) -> None:
    for path in (f"{SESSIONS}/{identity}/stop", f"{SESSIONS}/{identity}/start", f"{SESSIONS}/{identity}/mark"):
        assert page.post(path, {"text": "x"} if path.endswith("mark") else None).status == 404


@pytest.mark.slow
def test_destinations_are_added_restarted_and_removed(page: Page) -> None:
    session = begun(page)
    at = f"{SESSIONS}/{session}/destinations"
    assert page.post(at, {"name": "web"}).json["change"] == "added"
    assert wait_for(lambda: _destinations(page)) == ["web"]
    assert page.post(f"{at}/web/restart").json["change"] == "restarted"
    assert page.ask("DELETE", f"{at}/web").json["change"] == "removed"
    assert page.ask("DELETE", f"{at}/nowhere").status in {400, 409}
    assert page.post(at, {"name": "@/etc/passwd"}).status == 400
    page.post(f"{SESSIONS}/{session}/stop", {"wait": True})


def _destinations(page: Page) -> list[str]:
    return [line["name"] for line in the_state(page)["sessions"][0]["status"]["destinations"]]


# The one button, pressed just when the recorder of a session was killed


def press() -> Begun:
    """Press the button."""
    return sessions.start_recording(ApiCall(house([]), {}, Request({"type": "http"})))


@pytest.mark.slow
@pytest.mark.parametrize(("gone_after_s", "begun_within_s"), [(0.5, TAKEN_UP_S - 1), (60.0, SUCCESSOR_WAIT_S / 2)])
def test_the_button_does_not_wait_long_for_a_session_that_nobody_goes_on_with(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, gone_after_s: float, begun_within_s: float
) -> None:
    """The daemon has given it up and takes its folder away; or its disk is gone, and it is tried again and again."""
    begun: list[str] = []

    def begin(_call: ApiCall, new: NewSession) -> Begun:
        begun.append(new.title)
        return NOTHING_RUNS

    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    info = msgspec.structs.replace(info, work="/arsip/.incoming/rapat", pid_started=1)
    killed = runtime_directory.make_recorder_folder(info, b"{}")
    monkeypatch.setattr(sessions, "begin_session", begin)
    giving_up = threading.Timer(gone_after_s, killed.remove)
    began_s = time.monotonic()
    with presence.daemon_lock():
        giving_up.start()
        press()
        giving_up.cancel()
    assert len(begun) == 1
    assert time.monotonic() - began_s < begun_within_s


def test_where_the_next_recorder_says_why_it_cannot_another_session_is_begun(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_key: object, **_how: object) -> RunningRecorder:
        raise RecorderRefused("the disk is full")

    monkeypatch.setattr(control, "successor_of", refuse)
    monkeypatch.setattr(sessions, "begin_session", lambda _call, _new: NOTHING_RUNS)
    assert press() == NOTHING_RUNS


@pytest.mark.parametrize(("state", "goes_on"), [(SessionState.LIVE, True), (SessionState.SEALING, False)])
def test_a_session_that_was_gone_on_with_and_has_ended_since_is_no_recording(
    runtime: Path, monkeypatch: pytest.MonkeyPatch, state: SessionState, goes_on: bool
) -> None:
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now())
    following = RunningRecorder(runtime_directory.RecorderFolder(runtime / info.id), info, session(state))
    monkeypatch.setattr(control, "successor_of", lambda *_key, **_how: following)
    monkeypatch.setattr(sessions, "begin_session", lambda _call, _new: NOTHING_RUNS)
    assert press() == (line_of(following) if goes_on else NOTHING_RUNS)
