"""Calendars that are read: from their servers, in time, and what of them is of this room."""

import io
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from agent.daemon.command_child import child_environment
from agent.schedule import child
from agent.schedule.calendar_messages import LARGEST_BYTES, CalendarEvent, CalendarRequest
from agent.schedule.feeds import UNTITLED, FeedReader, FeedStates, events_of_room, feed_states, is_here, read_now
from agent.schedule.plan import CalendarFields, CalendarSource, PlanMode, PlanState
from agent.schedule.store import Plans
from config.errors import LiputError, StateError
from config.settings.schema import GeneralSettings, Settings, read_settings
from config.settings.serving import FeedSettings, ScheduleSettings
from devices.host.child import python_module
from devices.host.clock import SystemClock
from devices.host.process import process_started
from devices.uplink.redirects import SameServerRedirects
from tests.support.processes import children
from tests.support.schedule import NINE, calendar, event
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
RAPAT = event(f"DTSTART:{TOMORROW:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "LOCATION:Aula 1")
LAIN = event(f"DTSTART:{TOMORROW:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "LOCATION:Aula 2", uid="b")


@dataclass
class Server:
    """Answers each path as it is told, where it is told something."""

    port: int = 0
    pages: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, content: bytes) -> str:
        self.pages[path] = (200, {}, content)
        return self.url(path)

    def fail(self, path: str, status: int, **headers: str) -> str:
        self.pages[path] = (status, headers, b"")
        return self.url(path)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            if self.path not in served.pages:
                served.over.wait(30)
                return
            status, headers, content = served.pages[self.path]
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            pass  # who asked was ended, as it should be

    with Quiet(("127.0.0.1", 0), Handler) as listening:
        served.port = listening.server_port
        thread = threading.Thread(target=listening.serve_forever, args=(0.05,))
        thread.start()
        yield served
        served.over.set()
        listening.shutdown()
        thread.join()


def wanted(address: str, timeout_s: float = 10.0) -> CalendarRequest:
    now = datetime.now(UTC)
    return CalendarRequest(
        address=address, zone="WIB", since=now - timedelta(days=1), until=now + timedelta(days=30), timeout_s=timeout_s
    )


def problem(address: str, timeout_s: float = 10.0) -> str:
    """Return what the child would answer with."""
    with pytest.raises(LiputError) as caught:
        child.read(wanted(address, timeout_s))
    assert "RAHASIA" not in caught.value.message + caught.value.hint
    return caught.value.message


def test_a_calendar_is_read_from_its_server(server: Server) -> None:
    found = read_now(wanted(server.serve("/a.ics", calendar(RAPAT))), SystemClock())
    assert [(each.uid, each.starts_at, each.location) for each in found.events] == [("a", TOMORROW, "Aula 1")]
    moved = read_now(wanted(server.fail("/old", 302, Location=server.url("/a.ics"))), SystemClock())
    assert moved.events == found.events


def test_a_calendar_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kalender aula.ics"
    path.write_bytes(calendar(RAPAT))
    assert child.read(wanted(path.as_uri())).events[0].uid == "a"
    assert problem((tmp_path / "RAHASIA.ics").as_uri()) == "its file cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("status", "headers", "why"),
    [
        (404, {}, "there is no such calendar on its server"),
        (401, {}, "its server wants a login"),
        (500, {}, "its server answers with 500"),
        (302, {"Location": "file:///etc/passwd"}, "its server redirects to another address"),
        (302, {"Location": "/RAHASIA"}, "its server redirects to another address"),
    ],
)
def test_what_a_server_says_instead(server: Server, status: int, headers: dict[str, str], why: str) -> None:
    assert problem(server.fail("/RAHASIA", status, **headers)) == why


@pytest.mark.parametrize(
    ("address", "there", "is_followed"),
    [
        ("https://kampus.ac.id/a", "https://kampus.ac.id/b", True),
        ("http://kampus.ac.id/a", "https://kampus.ac.id/a", True),
        ("https://kampus.ac.id/a", "http://kampus.ac.id/a", False),
        ("https://kampus.ac.id/a", "https://kampus.ac.id:8443/a", False),
        ("https://kampus.ac.id/a", "https://kampus.ac.id@lain.id/a", False),
    ],
)
def test_only_what_is_the_same_server_is_followed(address: str, there: str, is_followed: bool) -> None:
    asked = urllib.request.Request(address, headers={"Authorization": "Bearer x"})
    found = SameServerRedirects().redirect_request(asked, io.BytesIO(), 302, "Found", HTTPMessage(), there)
    assert (found is not None) is is_followed


def test_a_server_that_is_not_there_or_gives_no_calendar(server: Server) -> None:
    assert problem("http://127.0.0.1:1/RAHASIA") == "its server refuses the connection"
    assert problem("http://tidak-ada.invalid/RAHASIA").startswith("the name of its server is not known")
    assert problem(server.serve("/RAHASIA", b"<html>login</html>")) == "it is no calendar"
    assert problem(server.serve("/RAHASIA", b"x" * (LARGEST_BYTES + 1))) == "it is larger than 8 MB"


def test_one_that_says_nothing_and_a_rule_that_takes_for_ever_take_no_longer_than_they_may(server: Server) -> None:
    assert problem(server.url("/silent"), timeout_s=0.5) == "its server does not answer"
    bomb = event("DTSTART:20200101T000000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30")
    address = server.serve("/bomb", calendar(bomb))
    assert read_now(wanted(address), SystemClock(), 1.0).error == "it takes too long to read"


def test_without_the_libraries_it_is_said_how_to_install_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "icalendar", None)
    monkeypatch.delitem(sys.modules, "agent.schedule.ical", raising=False)
    (tmp_path / "a.ics").write_bytes(calendar(RAPAT))
    with pytest.raises(StateError, match="which are not installed") as caught:
        child.read(wanted((tmp_path / "a.ics").as_uri()))
    assert "liput[calendar]" in caught.value.hint


def test_a_reading_ends_with_a_daemon_that_is_killed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "wanted").write_bytes(msgspec.json.encode(wanted(server.url("/silent"), timeout_s=60.0)))
    words = ["sh", "-c", '"$@" < wanted & echo $!; wait', "sh", *python_module("agent.schedule.child")]
    with subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.PIPE, env=child_environment()) as daemon:
        assert daemon.stdout is not None
        reading = int(daemon.stdout.readline())
        wait_for(lambda: server.asked)
        daemon.kill()
    wait_for(lambda: process_started(reading) is None)


# What the daemon keeps of them


@dataclass
class Kept:
    feeds: FeedReader
    plans: Plans
    states: FeedStates
    told: list[str]

    def read_once(self, name: str) -> None:
        """Take other settings, so that it is read anew; wait until what it knows of the calendar is newer."""
        before, settings = self.states.read().get(name), self.feeds.settings
        longer = msgspec.structs.replace(settings.schedule, days_ahead=settings.schedule.days_ahead + 1)
        self.feeds.take(msgspec.structs.replace(settings, schedule=longer))

        def is_newer() -> bool:
            self.feeds.look()
            return self.states.read().get(name) != before

        wait_for(is_newer, 60.0, "a reading of the calendar")


def kept(tmp_path: Path, url: str) -> Kept:
    text = f'general.room = "Aula 1"\noffice.time_zone = "WIB"\nschedule.mode = "arm"\nfeeds.aula.url = "{url}"\n'
    settings = read_settings(text, tmp_path / "liput.toml")
    plans, states, told = Plans(tmp_path), feed_states(tmp_path), list[str]()
    return Kept(FeedReader(settings, plans, states, SystemClock(), told.append), plans, states, told)


def test_a_calendar_that_cannot_be_had_keeps_what_was_known(server: Server, tmp_path: Path) -> None:
    own = kept(tmp_path, server.serve("/a.ics", calendar(RAPAT, LAIN)))
    own.read_once("aula")
    (plan,) = own.plans.read()
    assert (plan.title, plan.room, plan.mode, plan.starts_at) == ("Rapat", "Aula 1", "arm", TOMORROW)
    first = own.states.read()["aula"]
    assert (first.events, first.problem) == (1, "")
    own.feeds.look()
    assert not children("agent.schedule.child"), "no more often than is set"
    for _ in range(2):
        server.fail("/a.ics", 503)
        own.read_once("aula")
        assert own.plans.read() == [plan]
    state = own.states.read()["aula"]
    assert (state.read_at, state.problem, state.events) == (first.read_at, "its server answers with 503", 1)
    server.serve("/a.ics", calendar(LAIN))
    own.read_once("aula")
    assert [each.state for each in own.plans.read()] == [PlanState.CANCELLED]
    assert len(own.told) == 4, "each once: a change, a failure, that it is read again, a change"


def test_settings_that_change_are_taken_and_what_is_read_of_a_calendar_that_is_gone_is_let_go(
    server: Server, tmp_path: Path
) -> None:
    own = kept(tmp_path, server.url("/silent"))
    own.feeds.look()
    wait_for(lambda: server.asked)
    text = own.feeds.settings
    url = server.serve("/b.ics", calendar(RAPAT))
    feed = msgspec.structs.replace(text.feeds["aula"], url=url)
    assert children("agent.schedule.child")
    own.feeds.take(msgspec.structs.replace(text, feeds={"hall": feed}))
    assert not children("agent.schedule.child")

    def is_read() -> bool:
        own.feeds.look()
        return bool(own.plans.read())

    wait_for(is_read, 60.0, "a reading of the new calendar")
    assert own.states.read().keys() == {"hall"}
    own.feeds.take(msgspec.structs.replace(own.feeds.settings, feeds={"hall": feed}))
    own.feeds.look()
    assert not children("agent.schedule.child"), "what is as it was is not read again"


def test_what_is_planned_of_a_calendar_that_the_settings_have_no_more_is_cancelled(tmp_path: Path) -> None:
    own = kept(tmp_path, "http://127.0.0.1:1/a.ics")

    def states() -> dict[str, PlanState]:
        return {each.title: each.state for each in own.plans.read()}

    for name in ("aula", "lama"):
        ends_at = TOMORROW + timedelta(hours=1)
        said = CalendarFields(title=name, starts_at=TOMORROW, ends_at=ends_at, mode=PlanMode.RECORD)
        own.plans.take_events(name, [CalendarSource(feed=name, uid="a", said=said)], None)
    settings, planned = own.feeds.settings, dict.fromkeys(("aula", "lama"), PlanState.PLANNED)
    own.feeds.take(Settings())  # there is no file of settings
    own.feeds.look()
    assert states() == planned
    own.feeds.take(settings)
    text = own.plans.path.read_text()
    own.plans.path.write_text("[damaged")
    with pytest.raises(StateError):
        own.feeds.look()
    own.plans.path.write_text(text)
    own.feeds.look()
    own.feeds.close()
    assert states() == planned | {"lama": PlanState.CANCELLED}, "the other cannot be had, and is set"
    assert own.told == ['the settings have no calendar "lama" any more: 1 planned sessions are cancelled']


# Which events are of this room, and what is done for them


EVENT = CalendarEvent(
    uid="a", title="Rapat", location="Gedung Rektorat, Aula 1", categories=("Siaran",), starts_at=NINE,
    ends_at=NINE + timedelta(hours=1),
)  # fmt: skip
ROOM = Settings(general=GeneralSettings(room="Aula 1"), schedule=ScheduleSettings(mode="record"))


@pytest.mark.parametrize(
    ("location", "feed", "expected"),
    [
        ("Gedung Rektorat, AULA  1", FeedSettings(), True),
        ("Aula 10", FeedSettings(), False),
        ("Aula 11, Aula 1", FeedSettings(), True),
        ("", FeedSettings(), False),
        ("", FeedSettings(locations=("*",)), True),
        ("Main Hall", FeedSettings(locations=("Aula 2", "main hall")), True),
        ("Aula 1", FeedSettings(categories=("siaran",)), True),
        ("Aula 1", FeedSettings(categories=("Kuliah",)), False),
        ("Aula (Lt. 2)", FeedSettings(locations=("Aula (Lt. 2)",)), True),
    ],
)
def test_an_event_is_of_this_room_by_place_and_category(location: str, feed: FeedSettings, expected: bool) -> None:
    assert is_here(msgspec.structs.replace(EVENT, location=location), feed, ROOM) is expected
    assert is_here(EVENT, FeedSettings(), Settings()), "where the room has no name every place counts"


def test_what_is_done_for_an_event() -> None:
    def mode(feed: FeedSettings, **more: object) -> PlanMode:
        return events_of_room("aula", feed, [msgspec.structs.replace(EVENT, **more)], ROOM)[0].said.mode

    assert mode(FeedSettings()) is PlanMode.RECORD
    assert mode(FeedSettings(mode="arm")) is PlanMode.ARM
    assert mode(FeedSettings(), all_day=True) is PlanMode.REMIND
    assert mode(FeedSettings(), has_end=False) is PlanMode.ARM, "nobody knows when to end it"
    assert mode(FeedSettings(mode="remind"), has_end=False) is PlanMode.REMIND


def test_what_an_event_becomes() -> None:
    cancelled = msgspec.structs.replace(EVENT, uid="b", title="", is_cancelled=True)
    first, second = events_of_room("aula", FeedSettings(), [EVENT, cancelled], ROOM)
    assert (first.key, first.said.title, first.said.room, first.said.state) == (
        ("aula", "a", ""), "Rapat", "Aula 1", PlanState.PLANNED,
    )  # fmt: skip
    assert (second.said.title, second.said.state) == (UNTITLED, PlanState.CANCELLED)
