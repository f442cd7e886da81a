"""The schedule by the API: the same objects, rules and files as `liput schedule`, in one page that several look at."""

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
from devices.host.clock import boot_id
from tests.support import command
from tests.support.room import Room
from tests.support.web import Page, is_kind, opened, until

pytestmark = pytest.mark.server
AT = "/api/v1/schedule"
WITA = ZoneInfo("Asia/Makassar")
TOMORROW = (datetime.now(WITA) + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
DAY = f"{TOMORROW:%Y-%m-%d}"
SENAT = {"title": "Rapat Senat", "starts": f"{DAY} 09:00", "ends": "11:00"}


@pytest.fixture
def room(tmp_path: Path) -> Room:
    made = Room(tmp_path / "home")
    made.home.mkdir()
    made.configure(
        '[general]\nroom = "Aula 1"\n[office]\ntime_zone = "WITA"\n[web]\nport = 0\n'
        f'[request]\npath = "{made.home}/dosir"\n[destinations.web]\nurl = "file:///srv/hls"\n'
    )
    return made


def cli(room: Room, *words: str) -> Any:
    """Return what the command answers with --json, for the state folder of this page."""
    done = command.liput(room.home, "schedule", *words, "--json", more={STATE_VARIABLE: os.environ[STATE_VARIABLE]})
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


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
    change_record(
        plan_record_store(),
        plan,
        lambda _: PlanRecord(starts_at=plan.starts_at, ends_at=plan.ends_at, reminded=(1800.0,)),
    )
    (again,) = page.get(AT).json["plans"]
    assert again["coming"] == one["coming"][1:]
    ended = {"recorder": "a1", "boot_id": boot_id(), "ended_at": plan.starts_at}
    change_record(plan_record_store(), plan, lambda done: msgspec.structs.replace(done, **ended))
    (over,) = page.get(AT).json["plans"]
    assert (over["status"], over["coming"]) == ("ended", [])
    moved = page.ask("PATCH", f"{AT}/{plan.id}", {"starts": "15:00"}).json
    assert (moved["status"], moved["coming"][-1]["what"]) == ("planned", "stop"), "another session"


def test_one_is_changed_removed_once_and_planned_again(page: Page, room: Room) -> None:
    at = f"{AT}/{made(page)['plan']['id']}"
    changed = page.ask("PATCH", at, {"starts": "10:30", "mode": "arm", "streams": ["web"]}).json
    assert (changed["plan"]["starts_at"], changed["plan"]["ends_at"]) == (
        f"{DAY}T10:30:00+08:00", f"{DAY}T12:30:00+08:00",
    )  # fmt: skip
    assert page.ask("PATCH", at, {"streams": []}).json["plan"]["streams"] == []
    removed = page.ask("DELETE", at)
    assert (removed.status, removed.json["status"], removed.json["coming"]) == (200, "removed", [])
    assert page.ask("DELETE", at).json == removed.json, "asked for twice, it is as after once"
    assert page.get(AT).json["plans"] == []
    assert [one["status"] for one in page.get(f"{AT}?all=true").json["plans"]] == ["removed"]
    assert page.ask("PATCH", at, {"title": "Rapat"}).json["status"] == "planned"
    assert [one["plan"]["title"] for one in cli(room, "list")] == ["Rapat"]


def test_days_are_counted_from_now(page: Page) -> None:
    made(page)
    made(page, title="Wisuda", starts=f"{TOMORROW + timedelta(days=9):%Y-%m-%d} 09:00")
    assert [one["plan"]["title"] for one in page.get(f"{AT}?days=5").json["plans"]] == ["Rapat Senat"]
    assert page.get(f"{AT}?days=0").status == 400


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"title": "a"}, "the session has no start"),
        ({"title": "a", "starts": "besok 09:00"}, "the session has no end"),
        (SENAT | {"title": " "}, "there is no title"),
        (SENAT | {"starts": "entah"}, "starts 'entah' must be a time"),
        (SENAT | {"ends": "08:00"}, "ends before it begins"),
        (SENAT | {"for_s": 60}, "both ends and for_s are given"),
        (SENAT | {"starts": "2020-01-01 09:00"}, "over already"),
        (SENAT | {"ends": f"{TOMORROW + timedelta(days=8):%Y-%m-%d} 09:00"}, "8 days long; 7 at most"),
        (SENAT | {"streams": ["wab"]}, 'did you mean "web"'),
        (SENAT | {"streams": ["rtmp://a.example/key"]}, "no destination of the settings"),
        (SENAT | {"videos": ["/home/me/surat.mp4"]}, "no device"),
        (SENAT | {"audios": ["@/etc/passwd"]}, "no device"),
        (SENAT | {"profile": "x"}, 'no profile "x"'),
        (SENAT | {"layout": "x"}, 'no layout "x"'),
        (SENAT | {"mode": "x"}, "mode"),
        (SENAT | {"state": "planned"}, "state"),
        (SENAT | {"for_s": -1, "ends": None}, "for_s"),
    ],
)
def test_what_cannot_be_is_a_400_with_the_line_of_the_command(page: Page, body: object, problem: str) -> None:
    answer = page.post(AT, body)
    assert answer.status == 400, answer.body
    assert problem in answer.json["message"]
    assert "--" not in answer.json["hint"], "options are the command line's"
    assert Plans().read() == []


def test_what_is_not_there_is_a_404(page: Page) -> None:
    for method, body in (("GET", None), ("PATCH", {"title": "a"}), ("DELETE", None)):
        answer = page.ask(method, f"{AT}/ffffffff", body)
        assert (answer.status, answer.json["message"]) == (404, "there is no plan 'ffffffff'")
    for request in ("tidak-ada", "/etc", "../dosir"):
        assert page.post(AT, SENAT | {"request": request}).status == 404
    assert page.ask("PATCH", f"{AT}/{made(page)['plan']['id']}", {}).status == 400, "nothing is to be changed"


def test_title_and_times_are_the_requests(page: Page, room: Room) -> None:
    done = command.liput(
        room.home, "request", "new", "--event", "Seminar Nasional", "--starts", f"{DAY} 13:00", "--ends",
        f"{DAY} 15:00", "--json",
    )  # fmt: skip
    request = json.loads(done.stdout)["id"]
    plan = page.post(AT, {"request": request}).json["plan"]
    assert (plan["title"], plan["request"], plan["starts_at"][11:16]) == ("Seminar Nasional", request, "13:00")


def test_asked_for_twice_with_the_same_key_one_is_planned(page: Page) -> None:
    first, second = (page.post(AT, SENAT, Idempotency_Key="k-1") for _ in range(2))
    assert first.body == second.body
    assert len(Plans().read()) == 1
    assert page.post(AT, SENAT | {"title": "b"}, Idempotency_Key="k-1").status == 409


def test_damage_is_a_409_and_stays_as_it_is(page: Page) -> None:
    made(page)
    Plans().path.write_text("{")
    assert page.get(AT).status == 409
    assert page.post(AT, SENAT).status == 409
    assert Plans().path.read_text() == "{"


def test_every_page_is_told_of_what_anybody_plans_and_of_what_was_done(page: Page, room: Room) -> None:
    def changed(said: Any) -> bool:
        return is_kind("state")(said) and said["schedule"] not in numbers

    with opened(page) as looking, opened(page) as other:
        numbers = [until(looking, is_kind("state"))["schedule"]]
        assert until(other, is_kind("state"))["schedule"] == numbers[0]
        made(page)
        for each in (looking, other):
            number = until(each, changed, 5.0)["schedule"]
        numbers.append(number)
        cli(room, "add", "--title", "Wisuda", "--starts", f"{DAY} 13:00", "--for", "1h")
        numbers.append(until(looking, changed, 10.0)["schedule"])
        change_record(plan_record_store(), Plans().read()[0], lambda done: done)
        until(looking, changed, 5.0)
