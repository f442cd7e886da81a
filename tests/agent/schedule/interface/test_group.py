"""`liput schedule` as staff and scripts use it."""

import json
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from devices.host.clock import SystemClock
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.running import runtime_directory
from recorder.session.request import SessionRequest
from tests.support import command
from tests.support.room import Room
from tests.support.schedule import calendar, event

WITA = ZoneInfo("Asia/Makassar")
TOMORROW = (datetime.now(WITA) + timedelta(days=1)).replace(hour=9, minute=0, second=0, microsecond=0)
DAY = f"{TOMORROW:%Y-%m-%d}"


@pytest.fixture
def office(room: Room) -> Room:
    room.configure(
        f'[general]\nroom = "Aula 1"\n[office]\ntime_zone = "WITA"\n[schedule]\nmode = "arm"\n'
        f'[request]\npath = "{room.home}/dosir"\n[destinations.web]\nurl = "file:///srv/hls"\n'
        f'[feeds.aula]\nurl = "{(room.home / "aula.ics").as_uri()}"\n[feeds.rahasia]\n'
    )
    return room


def ask(office: Room, *words: str, status: int = 0) -> str:
    done = command.liput(office.home, "schedule", *words)
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    return done.stdout if status in (0, 1) else done.stderr


def document(office: Room, *words: str, status: int = 0) -> Any:
    return json.loads(ask(office, *words, "--json", status=status))


def test_a_session_is_planned_listed_changed_and_removed(office: Room) -> None:
    made = document(
        office, "add", "--title", "Rapat Senat", "--starts", f"{DAY} 09:00", "--for", "2h", "--stream", "web",
        "--video", "podium", "--profile", "720p30",
    )  # fmt: skip
    plan = made["plan"]
    assert (plan["starts_at"], plan["ends_at"]) == (f"{DAY}T09:00:00+08:00", f"{DAY}T11:00:00+08:00")
    assert (plan["mode"], plan["room"], plan["streams"], plan["videos"]) == ("arm", "Aula 1", ["web"], ["podium"])
    assert (made["status"], plan["source"], plan["zone"]) == ("planned", None, "WITA")
    assert document(office, "list") == [made]
    film = office.home / "pembukaan.mkv"
    film.touch()
    with_film = document(office, "edit", plan["id"], "--video", film.name, "--video", "podium")
    assert with_film["plan"]["videos"] == [str(film), "podium"], "it is begun elsewhere than here"
    table = ask(office, "list")
    assert f"{DAY} 09:00-11:00" in table
    assert "Rapat Senat" in table
    key = plan["id"][-8:-4]
    assert "nothing is to be changed" in command.liput(office.home, "schedule", "edit", key).stderr
    changed = document(office, "edit", key, "--starts", "10:30", "--mode", "record")
    assert (changed["plan"]["starts_at"], changed["plan"]["ends_at"], changed["plan"]["mode"]) == (
        f"{DAY}T10:30:00+08:00", f"{DAY}T12:30:00+08:00", "record",
    )  # fmt: skip
    assert changed["plan"]["streams"] == ["web"]
    assert f"{DAY} 10:30-12:30 WITA, 2h00m" in ask(office, "show", key)
    assert document(office, "remove", key)["status"] == "removed"
    assert document(office, "list") == []
    assert [each["status"] for each in document(office, "list", "--all")] == ["removed"]
    assert document(office, "edit", key, "--title", "Rapat")["status"] == "planned"
    for _ in range(2):
        document(office, "remove", key)
    assert document(office, "list", "--all") == []


@pytest.mark.usefixtures("runtime")
def test_what_is_removed_twice_while_it_is_recorded_is_not_forgotten(office: Room) -> None:
    """Else nobody would end its recording."""
    words = ("--title", "Rapat", "--starts", f"{DAY} 09:00", "--for", "2h", "--mode", "record")
    key = document(office, "add", *words)["plan"]["id"]
    info = runtime_directory.new_recorder_info("Rapat", office.archive, SystemClock().now())
    recorder = runtime_directory.make_recorder_folder(
        info, encode_spec_for_disk(RecorderSpec(asked=SessionRequest(title="Rapat"), plan=key))
    )
    for _ in range(3):
        document(office, "remove", key)
    assert [each["status"] for each in document(office, "list", "--all")] == ["removed"]
    recorder.remove()
    document(office, "remove", key)
    assert document(office, "list", "--all") == []


def test_title_and_times_are_the_requests(office: Room) -> None:
    made = command.liput(
        office.home, "request", "new", "--event", "Seminar Nasional", "--starts", f"{DAY} 13:00",
        "--ends", f"{DAY} 15:00", "--json",
    )  # fmt: skip
    request = json.loads(made.stdout)["id"]
    plan = document(office, "add", "--request", request[-8:])["plan"]
    assert (plan["title"], plan["request"], plan["starts_at"][11:16], plan["ends_at"][11:16]) == (
        "Seminar Nasional", request, "13:00", "15:00",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("add", "--title", "a"), "the session has no start"),
        (("add", "--title", " ", "--starts", "besok 09:00", "--for", "1h"), "there is no title"),
        (("add", "--title", "a", "--starts", "entah", "--for", "1h"), "--starts 'entah' must be a time"),
        (("add", "--title", "a", "--starts", "besok 09:00", "--ends", "10:00", "--for", "1h"), "both --ends and --for"),
        (("add", "--title", "a", "--starts", "besok 09:00", "--for", "1h", "--mode", "x"), "'x' is not one of"),
        (("show", "ffff"), "there is no plan 'ffff'"),
        (("remove", ""), "there is no plan ''"),
        (("import", "tidak-ada.ics"), "cannot be read: No such file"),
    ],
)
def test_what_cannot_be_is_refused_in_one_clear_line(office: Room, words: tuple[str, ...], problem: str) -> None:
    done = command.liput(office.home, "schedule", *words)
    assert done.returncode in (1, 2)
    first, *rest = done.stderr.splitlines()
    assert first.startswith("liput: ")
    assert problem in first
    assert len(rest) <= 1
    assert json.loads(command.liput(office.home, "schedule", "list", "--all", "--json").stdout) == []


def series(hour: int = 9, *more: str, summary: str = "Rapat Mingguan") -> bytes:
    return calendar(
        event(
            f"DTSTART;TZID=WITA:{TOMORROW:%Y%m%d}T{hour:02}0000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY;COUNT=3",
            "LOCATION:Gedung A, Aula 1", summary=summary,
        ),
        event(f"DTSTART:{TOMORROW:%Y%m%d}T100000", "DURATION:PT1H", "LOCATION:Aula 2", uid="lain"),
        *more,
    )  # fmt: skip


def test_a_file_is_imported_twice_and_hands_are_not_undone(office: Room) -> None:
    (office.home / "rapat.ics").write_bytes(series())
    made = document(office, "import", "rapat.ics")
    assert [each["plan"]["title"] for each in made] == ["Rapat Mingguan"] * 3
    assert made[0]["plan"]["starts_at"][:16] == f"{DAY}T09:00"
    first, second, _ = (each["plan"]["id"] for each in made)
    document(office, "edit", first, "--title", "Rapat Pleno")
    document(office, "remove", second)
    (office.home / "rapat.ics").write_bytes(series(10, summary="Rapat"))
    document(office, "import", "rapat.ics")
    after = document(office, "list", "--all")
    assert [(each["plan"]["title"], each["plan"]["starts_at"][11:13], each["status"]) for each in after] == [
        ("Rapat Pleno", "10", "planned"), ("Rapat", "10", "removed"), ("Rapat", "10", "planned"),
    ]  # fmt: skip
    assert after[0]["changed"] == ["title"]


def test_times_of_the_office_have_its_zone_beside_them_and_those_of_the_calendar_its_own(office: Room) -> None:
    lines = f"DTSTART;TZID=Asia/Tokyo:{TOMORROW:%Y%m%d}T100000", "DURATION:PT2H", "LOCATION:Aula 1"
    (office.home / "tokyo.ics").write_bytes(calendar(event(*lines)))
    (made,) = document(office, "import", "tokyo.ics")
    shown = ask(office, "show", made["plan"]["id"])
    assert f"{DAY} 09:00-11:00 WITA, 2h00m" in shown
    assert f"{DAY} 10:00-12:00 Asia/Tokyo" in shown


def test_where_nothing_is_of_this_room_it_is_said_how_to_take_all(office: Room) -> None:
    (office.home / "lain.ics").write_bytes(calendar(event(f"DTSTART:{TOMORROW:%Y%m%d}T100000", "LOCATION:Aula 2")))
    done = command.liput(office.home, "schedule", "import", "lain.ics")
    assert 'None is in "Aula 1"; --location "*" takes all.' in done.stderr
    assert len(document(office, "import", "lain.ics", "--location", "*")) == 1


def test_calendars_are_read_and_shown_with_what_is_wrong(office: Room) -> None:
    assert [each["state"] for each in document(office, "feeds")] == [None, None]
    (office.home / "aula.ics").write_bytes(series())
    aula, rahasia = document(office, "feeds", "--read", status=1)
    assert (aula["name"], aula["state"]["events"], aula["state"]["problem"]) == ("aula", 3, "")
    assert rahasia["state"]["problem"] == 'the calendar "rahasia" has no address'
    assert len(document(office, "list")) == 3
    (office.home / "aula.ics").unlink()
    table = ask(office, "feeds", "--read", status=1)
    assert "its file cannot be read: No such file or directory" in table
    assert len(document(office, "list")) == 3, "what was known of it stays"
