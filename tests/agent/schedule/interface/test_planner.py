"""The schedule by the command and by the API: the same objects, rules and files, in one page that several look at."""

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from agent.schedule.store import PlanRecord, Plans, change_record, plan_record_store
from config.state import STATE_VARIABLE
from devices.host.clock import SystemClock, boot_id
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.running import runtime_directory
from recorder.session.request import SessionRequest
from tests.support import command
from tests.support.room import Room
from tests.support.schedule import calendar, event
from tests.support.web import Page, is_kind, opened, until

pytestmark = pytest.mark.server
AT = "/api/v1/schedule"
TOMORROW = (datetime.now(ZoneInfo("Asia/Makassar")) + timedelta(days=1)).replace(
    hour=9, minute=0, second=0, microsecond=0
)
DAY = f"{TOMORROW:%Y-%m-%d}"
SENAT = {"title": "Rapat Senat", "starts": f"{DAY} 09:00", "ends": "11:00"}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path / "home")
    made.home.mkdir()
    made.configure(
        '[general]\nroom = "Aula 1"\n[office]\ntime_zone = "WITA"\n[web]\nport = 0\n'
        f'[request]\npath = "{made.home}/dosir"\n[destinations.web]\nurl = "file:///srv/hls"\n'
        f'[feeds.aula]\nurl = "{(made.home / "aula.ics").as_uri()}"\n[feeds.rahasia]\n'
    )
    return made


def ask(room: Room, *words: str, status: int = 0) -> str:
    done = command.liput(room.home, "schedule", *words, more={STATE_VARIABLE: os.environ[STATE_VARIABLE]})
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout or done.stderr


def cli(room: Room, *words: str, status: int = 0) -> Any:
    return json.loads(ask(room, *words, "--json", status=status))


def made(page: Page, **more: object) -> Any:
    answer = page.post(AT, SENAT | more)
    assert answer.status == 200, answer.body
    return answer.json


def test_what_is_planned_by_the_api_is_what_the_command_shows(page: Page, room: Room) -> None:
    one = made(page, mode="record", streams=["web"], videos=["podium"])
    plan = one["plan"]
    assert (plan["title"], plan["room"], plan["mode"], plan["streams"]) == ("Rapat Senat", "Aula 1", "record", ["web"])
    assert (plan["starts_at"], plan["ends_at"], plan["zone"]) == (
        f"{DAY}T09:00:00+08:00", f"{DAY}T11:00:00+08:00", "WITA",
    )  # fmt: skip
    assert cli(room, "list") == [one]
    assert cli(room, "show", plan["id"]) == one
    assert page.get(f"{AT}/{plan['id']}").json == one
    for method in ("GET", "PATCH", "DELETE"):
        body = {"mode": "arm"} if method == "PATCH" else None
        assert page.ask(method, f"{AT}/{plan['id'][:-4]}", body).status == 404, "programs say the whole id"
    assert page.get(AT).json == {"type": "schedule", "zone": "Asia/Makassar", "mode": "remind", "plans": [one]}


def test_what_is_done_already_is_not_to_come(page: Page) -> None:
    one = made(page, mode="record")
    (plan,) = Plans().read()
    reminded = PlanRecord(starts_at=plan.starts_at, ends_at=plan.ends_at, reminded=(1800.0,))
    change_record(plan_record_store(), plan, lambda _: reminded)
    (again,) = page.get(AT).json["plans"]
    assert again["coming"] == one["coming"][1:]
    ended = {"recorder": "a1", "boot_id": boot_id(), "ended_at": plan.starts_at}
    change_record(plan_record_store(), plan, lambda done: msgspec.structs.replace(done, **ended))
    (over,) = page.get(AT).json["plans"]
    assert (over["status"], over["coming"]) == ("ended", [])
    moved = page.ask("PATCH", f"{AT}/{plan.id}", {"starts": "15:00"}).json
    assert (moved["status"], moved["coming"][-1]["what"]) == ("planned", "stop"), "another session"


def test_one_is_changed_removed_once_and_planned_again_by_the_api(page: Page, room: Room) -> None:
    at = f"{AT}/{made(page)['plan']['id']}"
    changed = page.ask("PATCH", at, {"starts": "10:30", "mode": "arm", "streams": ["web"]}).json["plan"]
    assert (changed["starts_at"], changed["ends_at"]) == (f"{DAY}T10:30:00+08:00", f"{DAY}T12:30:00+08:00")
    assert page.ask("PATCH", at, {"streams": []}).json["plan"]["streams"] == []
    removed = page.ask("DELETE", at)
    assert (removed.status, removed.json["status"], removed.json["coming"]) == (200, "removed", [])
    assert page.ask("DELETE", at).json == removed.json, "asked for twice, it is as after once"
    assert page.get(AT).json["plans"] == []
    assert [one["status"] for one in page.get(f"{AT}?all=true").json["plans"]] == ["removed"]
    assert page.ask("PATCH", at, {"title": "Rapat"}).json["status"] == "planned"
    made(page, title="Wisuda", starts=f"{TOMORROW + timedelta(days=9):%Y-%m-%d} 09:00")
    assert [one["plan"]["title"] for one in page.get(f"{AT}?days=5").json["plans"]] == ["Rapat"]
    assert [one["plan"]["title"] for one in cli(room, "list")] == ["Rapat", "Wisuda"]


def test_one_is_planned_listed_changed_and_removed_by_the_command(room: Room) -> None:
    words = ("--title", "Rapat Senat", "--starts", f"{DAY} 09:00", "--for", "2h", "--stream", "web", "--mode", "arm")
    one = cli(room, "add", *words, "--video", "podium", "--profile", "720p30")
    plan = one["plan"]
    assert (plan["starts_at"], plan["ends_at"]) == (f"{DAY}T09:00:00+08:00", f"{DAY}T11:00:00+08:00")
    assert (plan["mode"], plan["room"], plan["streams"], plan["videos"]) == ("arm", "Aula 1", ["web"], ["podium"])
    assert cli(room, "list") == [one]
    film = room.home / "pembukaan.mkv"
    film.touch()
    with_film = cli(room, "edit", plan["id"], "--video", film.name, "--video", "podium")
    assert with_film["plan"]["videos"] == [str(film), "podium"], "it is begun elsewhere than here"
    assert f"{DAY} 09:00-11:00" in ask(room, "list")
    key = plan["id"][-8:-4]
    changed = cli(room, "edit", key, "--starts", "10:30", "--mode", "record")["plan"]
    assert (changed["starts_at"], changed["mode"], changed["streams"]) == (
        f"{DAY}T10:30:00+08:00", "record", ["web"],
    )  # fmt: skip
    assert cli(room, "remove", key)["status"] == "removed"
    assert cli(room, "list") == []
    assert [each["status"] for each in cli(room, "list", "--all")] == ["removed"]
    assert ask(room, "show", "ffff", status=2).startswith("liput: there is no plan 'ffff'")


@pytest.mark.usefixtures("runtime")
def test_what_is_removed_twice_while_it_is_recorded_is_not_forgotten(room: Room) -> None:
    """Else nobody would end its recording."""
    words = ("--title", "Rapat", "--starts", f"{DAY} 09:00", "--for", "2h", "--mode", "record")
    key = cli(room, "add", *words)["plan"]["id"]
    info = runtime_directory.new_recorder_info("Rapat", room.archive, SystemClock().now())
    recorder = runtime_directory.make_recorder_folder(
        info, encode_spec_for_disk(RecorderSpec(asked=SessionRequest(title="Rapat"), plan=key))
    )
    for _ in range(3):
        cli(room, "remove", key)
    assert [each["status"] for each in cli(room, "list", "--all")] == ["removed"]
    recorder.remove()
    cli(room, "remove", key)
    assert cli(room, "list", "--all") == []


def test_what_cannot_be_is_a_400_with_the_line_of_the_command(page: Page) -> None:
    problems: list[tuple[dict[str, object], str]] = [
        ({"starts": None}, "the session has no start"),
        ({"ends": None}, "the session has no end"),
        ({"title": " "}, "there is no title"),
        ({"starts": "entah"}, "starts 'entah' must be a time"),
        ({"ends": "08:00"}, "ends before it begins"),
        ({"for_s": 60}, "both ends and for_s are given"),
        ({"starts": "2020-01-01 09:00"}, "over already"),
        ({"ends": f"{TOMORROW + timedelta(days=8):%Y-%m-%d} 09:00"}, "8 days long; 7 at most"),
        ({"streams": ["wab"]}, 'did you mean "web"'),
        ({"streams": ["rtmp://a.example/key"]}, "no destination of the settings"),
        ({"videos": ["/home/me/surat.mp4"]}, "no device"),
        ({"profile": "x"}, 'no profile "x"'),
        ({"layout": "x"}, 'no layout "x"'),
        ({"mode": "x"}, "mode"),
        ({"state": "planned"}, "state"),
    ]
    for body, problem in problems:
        answer = page.post(AT, SENAT | body)
        assert answer.status == 400, answer.body
        assert problem in answer.json["message"]
        assert "--" not in answer.json["hint"], "options are the command line's"
    assert Plans().read() == []


def test_what_is_not_there_is_a_404_and_damage_a_409(page: Page) -> None:
    for method, body in (("GET", None), ("PATCH", {"title": "a"}), ("DELETE", None)):
        answer = page.ask(method, f"{AT}/ffffffff", body)
        assert (answer.status, answer.json["message"]) == (404, "there is no plan 'ffffffff'")
    for request in ("tidak-ada", "/etc", "../dosir"):
        assert page.post(AT, SENAT | {"request": request}).status == 404
    assert page.ask("PATCH", f"{AT}/{made(page)['plan']['id']}", {}).status == 400, "nothing is to be changed"
    Plans().path.write_text("{")
    assert page.get(AT).status == 409
    assert page.post(AT, SENAT).status == 409
    assert Plans().path.read_text() == "{"


def test_title_and_times_are_the_requests(page: Page, room: Room) -> None:
    words = ("--event", "Seminar Nasional", "--starts", f"{DAY} 13:00", "--ends", f"{DAY} 15:00", "--json")
    request = json.loads(command.liput(room.home, "request", "new", *words).stdout)["id"]
    plans = (page.post(AT, {"request": request}).json["plan"], cli(room, "add", "--request", request[-8:])["plan"])
    for plan in plans:
        assert (plan["title"], plan["request"]) == ("Seminar Nasional", request)
        assert (plan["starts_at"][11:16], plan["ends_at"][11:16]) == ("13:00", "15:00")


def test_every_page_is_told_of_what_anybody_plans_and_of_what_was_done(page: Page, room: Room) -> None:
    def changed(said: Any) -> bool:
        return is_kind("state")(said) and said["schedule"] not in numbers

    with opened(page) as looking, opened(page) as other:
        numbers = [until(looking, is_kind("state"))["schedule"]]
        assert until(other, is_kind("state"))["schedule"] == numbers[0]
        made(page)
        for each in (looking, other):
            number = until(each, changed)["schedule"]
        numbers.append(number)
        cli(room, "add", "--title", "Wisuda", "--starts", f"{DAY} 13:00", "--for", "1h")
        numbers.append(until(looking, changed)["schedule"])
        change_record(plan_record_store(), Plans().read()[0], lambda done: done)
        until(looking, changed)


# Calendars


def series() -> bytes:
    return calendar(
        event(
            f"DTSTART;TZID=WITA:{TOMORROW:%Y%m%d}T090000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY;COUNT=3",
            "LOCATION:Gedung A, Aula 1",
        ),
        event(f"DTSTART:{TOMORROW:%Y%m%d}T100000", "DURATION:PT1H", "LOCATION:Aula 2", uid="lain"),
    )  # fmt: skip


def test_an_event_of_another_zone_and_another_room_is_imported_where_all_are_wanted(room: Room) -> None:
    lines = f"DTSTART;TZID=Asia/Tokyo:{TOMORROW:%Y%m%d}T100000", "DURATION:PT2H", "LOCATION:Aula 2"
    (room.home / "tokyo.ics").write_bytes(calendar(event(*lines)))
    done = command.liput(room.home, "schedule", "import", "tokyo.ics")
    assert 'None is in "Aula 1"; --location "*" takes all.' in done.stderr
    (made,) = cli(room, "import", "tokyo.ics", "--location", "*")
    shown = ask(room, "show", made["plan"]["id"])
    assert f"{DAY} 09:00-11:00 WITA, 2h00m" in shown
    assert f"{DAY} 10:00-12:00 Asia/Tokyo" in shown
    assert cli(room, "edit", made["plan"]["id"], "--title", "Rapat Pleno")["changed"] == ["title"]
    cli(room, "import", "tokyo.ics", "--location", "*")
    assert [each["plan"]["title"] for each in cli(room, "list")] == ["Rapat Pleno"], "hands are not undone"


def test_calendars_are_read_and_shown_with_what_is_wrong(room: Room) -> None:
    assert [each["state"] for each in cli(room, "feeds")] == [None, None]
    (room.home / "aula.ics").write_bytes(series())
    aula, rahasia = cli(room, "feeds", "--read", status=1)
    assert (aula["name"], aula["state"]["events"], aula["state"]["problem"]) == ("aula", 3, "")
    assert rahasia["state"]["problem"] == 'the calendar "rahasia" has no address'
    (room.home / "aula.ics").unlink()
    assert "its file cannot be read: No such file or directory" in ask(room, "feeds", "--read", status=1)
    assert len(cli(room, "list")) == 3, "what was known of it stays"
