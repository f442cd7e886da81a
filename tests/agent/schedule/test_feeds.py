"""Calendars that are read: from their servers, in time, and what of them is of this room."""

import io
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import psutil
import pytest

from agent.schedule import child
from agent.schedule.calendar_messages import LARGEST_BYTES, CalendarEvent, CalendarRequest
from agent.schedule.feeds import (
    UNTITLED,
    FeedReader,
    FeedStates,
    begin_reading,
    events_of_room,
    feed_states,
    is_here,
    read_now,
)
from agent.schedule.plan import CalendarFields, CalendarSource, PlanMode, PlanState
from agent.schedule.store import Plans, imported_feed
from config.errors import LiputError, StateError
from config.settings.schema import GeneralSettings, Settings, read_settings
from config.settings.serving import FeedSettings, ScheduleSettings
from devices.host.clock import SystemClock
from devices.host.process import process_started
from devices.uplink.redirects import SameServerRedirects
from tests.support.command import ROOT
from tests.support.schedule import NINE, calendar, event
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

TOMORROW = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
RAPAT = event(f"DTSTART:{TOMORROW:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "LOCATION:Aula 1")
LAIN = event(f"DTSTART:{TOMORROW:%Y%m%dT%H%M%SZ}", "DURATION:PT1H", "LOCATION:Aula 2", uid="b")


@dataclass
class Server:
    """Answers each path as it is told; `asked` are the paths that were asked for."""

    port: int = 0
    pages: dict[str, Callable[[BaseHTTPRequestHandler], object]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def serve(self, path: str, content: bytes) -> str:
        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(content)

        self.pages[path] = page
        return self.url(path)

    def hang(self, path: str) -> str:
        self.pages[path] = lambda _: self.over.wait(30)
        return self.url(path)

    def fail(self, path: str, status: int, **headers: str) -> str:
        def page(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in headers.items():
                handler.send_header(name, value)
            handler.end_headers()

        self.pages[path] = page
        return self.url(path)


@pytest.fixture
def server() -> Iterator[Server]:
    served = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.pages[self.path](self)

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


def problem_of_child(address: str, longest_s: float) -> str:
    return read_now(wanted(address), SystemClock(), longest_s).error


def test_a_calendar_is_read_from_its_server(server: Server) -> None:
    found = read_now(wanted(server.serve("/a.ics", calendar(RAPAT))), SystemClock())
    assert [(each.uid, each.starts_at, each.location) for each in found.events] == [("a", TOMORROW, "Aula 1")]
    moved = read_now(wanted(server.fail("/old", 302, Location=server.url("/a.ics"))), SystemClock())
    assert moved.events == found.events


def test_a_calendar_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "kalender aula.ics"
    path.write_bytes(calendar(RAPAT))
    assert read_now(wanted(path.as_uri()), SystemClock()).events[0].uid == "a"
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


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_server_sends_us_to_another_one(server: Server, status: int) -> None:
    """It could have this PC ask what only this PC may, and tell another one the address, which is a secret."""
    asked = []

    def inner(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Host"])
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(calendar(RAPAT))

    server.pages["/inner"] = inner
    elsewhere = server.url("/inner").replace("127.0.0.1", "localhost")
    said = problem(server.fail("/RAHASIA", status, Location=elsewhere))
    assert said == "its server redirects to another address"
    assert asked == []


@pytest.mark.parametrize(
    ("address", "there", "is_followed"),
    [
        ("https://kampus.ac.id/a", "https://kampus.ac.id/b", True),
        ("http://kampus.ac.id/a", "https://kampus.ac.id/a", True),
        ("https://kampus.ac.id/a", "http://kampus.ac.id/a", False),
        ("https://kampus.ac.id/a", "https://kampus.ac.id:8443/a", False),
        ("https://kampus.ac.id/a", "https://kampus.ac.id.lain.id/a", False),
        ("https://kampus.ac.id/a", "https://kampus.ac.id@lain.id/a", False),
    ],
)
def test_only_what_is_the_same_server_is_followed(address: str, there: str, is_followed: bool) -> None:
    asked = urllib.request.Request(address, headers={"Authorization": "Bearer x"})
    found = SameServerRedirects().redirect_request(asked, io.BytesIO(), 302, "Found", HTTPMessage(), there)
    assert (found is not None) is is_followed


def test_a_server_that_is_not_there_or_no_calendar(server: Server) -> None:
    assert problem("http://127.0.0.1:1/RAHASIA") == "its server refuses the connection"
    assert problem("http://tidak-ada.invalid/RAHASIA").startswith("the name of its server is not known")
    assert problem(server.serve("/RAHASIA", b"<html>login</html>")) == "it is no calendar"


def test_one_that_is_too_large_is_refused(server: Server) -> None:
    assert problem(server.serve("/RAHASIA", b"x" * (LARGEST_BYTES + 1))) == "it is larger than 8 MB"


def test_one_that_says_nothing_and_one_that_never_ends_take_no_longer_than_they_may(server: Server) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not server.over.wait(0.1):
            handler.wfile.write(b"BEGIN:VCALENDAR\r\n")

    server.pages["/endless"] = endless
    assert problem(server.hang("/silent"), timeout_s=0.5) == "its server does not answer"
    began = time.monotonic()
    assert problem_of_child(server.url("/endless"), 1.0) == "it takes too long to read"
    assert time.monotonic() - began < 15


def test_a_rule_that_takes_for_ever_is_ended(server: Server) -> None:
    bomb = event("DTSTART:20200101T000000Z", "DURATION:PT1H", "RRULE:FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30")
    assert problem_of_child(server.serve("/bomb", calendar(bomb)), 1.0) == "it takes too long to read"


def test_without_the_libraries_it_is_said_how_to_install_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "icalendar", None)
    monkeypatch.delitem(sys.modules, "agent.schedule.ical", raising=False)
    (tmp_path / "a.ics").write_bytes(calendar(RAPAT))
    with pytest.raises(StateError, match="which are not installed") as caught:
        child.read(wanted((tmp_path / "a.ics").as_uri()))
    assert "liput[calendar]" in caught.value.hint


# What the daemon keeps of them


@dataclass
class Kept:
    feeds: FeedReader
    plans: Plans
    states: FeedStates
    told: list[str]

    def read_once(self, name: str) -> None:
        """Let it read until what it knows of the calendar is newer."""
        before = self.states.read().get(name)

        def is_newer() -> bool:
            self.feeds.look()
            return self.states.read().get(name) != before

        self.feeds._next_ns.clear()
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
    for _ in range(2):
        server.fail("/a.ics", 503)
        own.read_once("aula")
        assert own.plans.read() == [plan]
    state = own.states.read()["aula"]
    assert (state.read_at, state.problem, state.events) == (first.read_at, "its server answers with 503", 1)
    server.serve("/a.ics", calendar(LAIN))
    own.read_once("aula")
    assert [each.state for each in own.plans.read()] == [PlanState.CANCELLED]
    assert own.told == [
        'the calendar "aula": 1 planned sessions are new or changed',
        'the calendar "aula" cannot be read: its server answers with 503; its plans stay',
        'the calendar "aula" is read again',
        'the calendar "aula": 1 planned sessions are new or changed',
    ]


def test_a_calendar_is_asked_no_more_often_than_is_set(server: Server, tmp_path: Path) -> None:
    own = kept(tmp_path, server.serve("/a.ics", calendar(RAPAT)))
    own.read_once("aula")
    for _ in range(20):
        own.feeds.look()
    assert server.asked == ["/a.ics"]


def test_settings_that_change_are_taken_and_what_is_read_of_a_calendar_that_is_gone_is_let_go(
    server: Server, tmp_path: Path
) -> None:
    own = kept(tmp_path, server.hang("/silent"))
    own.feeds.look()
    wait_for(lambda: server.asked)
    text = own.feeds.settings
    url = server.serve("/b.ics", calendar(RAPAT))
    feed = msgspec.structs.replace(text.feeds["aula"], url=url)
    own.feeds.take(msgspec.structs.replace(text, feeds={"hall": feed}))

    def is_read() -> bool:
        own.feeds.look()
        return bool(own.plans.read())

    wait_for(is_read, 60.0, "a reading of the new calendar")
    assert own.states.read().keys() == {"hall"}
    before = list(server.asked)
    own.feeds.take(msgspec.structs.replace(own.feeds.settings, feeds={"hall": feed}))
    for _ in range(5):
        own.feeds.look()
    assert server.asked == before, "what is as it was is not read again"


def test_what_is_planned_of_a_calendar_that_the_settings_have_no_more_is_cancelled(tmp_path: Path) -> None:
    own = kept(tmp_path, "http://127.0.0.1:1/a.ics")

    def sources(name: str) -> list[CalendarSource]:
        said = CalendarFields(
            title=name, starts_at=TOMORROW, ends_at=TOMORROW + timedelta(hours=1), mode=PlanMode.RECORD
        )
        return [CalendarSource(feed=name, uid="a", said=said)]

    def states() -> dict[str, PlanState]:
        return {each.title: each.state for each in own.plans.read()}

    for name in ("aula", "lama", imported_feed("a.ics")):
        own.plans.take_events(name, sources(name), None)
    planned = dict.fromkeys(("aula", "lama", imported_feed("a.ics")), PlanState.PLANNED)
    try:
        settings = own.feeds.settings
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
        assert states() == planned | {"lama": PlanState.CANCELLED}, "the other cannot be had, and is set"
        own.feeds.take(msgspec.structs.replace(settings, feeds={"hall": settings.feeds["aula"]}))
        own.feeds.look()
        assert states() == planned | dict.fromkeys(("lama", "aula"), PlanState.CANCELLED)
    finally:
        own.feeds.close()
    assert [text for text in own.told if "cancelled" in text] == [
        f'the settings have no calendar "{name}" any more: 1 planned sessions are cancelled'
        for name in ("lama", "aula")
    ]


def test_what_is_being_read_ends_with_the_daemon(server: Server) -> None:
    before = set(psutil.Process().children())
    reading = begin_reading(wanted(server.hang("/silent")), SystemClock())
    wait_for(lambda: server.asked)
    (child,) = set(psutil.Process().children()) - before
    reading.end()
    assert not child.is_running()


PARENT = """
import sys, time
import msgspec, psutil
from agent.schedule.calendar_messages import CalendarRequest
from agent.schedule.feeds import begin_reading
from devices.host.clock import SystemClock
reading = begin_reading(msgspec.json.decode(sys.argv[1], type=CalendarRequest), SystemClock())
print(psutil.Process().children()[0].pid, flush=True)
time.sleep(60)
"""


def test_what_is_being_read_ends_with_a_daemon_that_is_killed(server: Server) -> None:
    words = [sys.executable, "-c", PARENT, msgspec.json.encode(wanted(server.hang("/silent"), 60.0)).decode()]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as parent:
        assert parent.stdout
        pid = int(parent.stdout.readline())
        wait_for(lambda: server.asked)
        assert process_started(pid) is not None
        parent.kill()
        parent.wait()
        wait_for(lambda: process_started(pid) is None, what="the end of the reading")


# Which events are of this room, and what is done for them


EVENT = CalendarEvent(
    uid="a", title="Rapat", location="Gedung Rektorat, Aula 1", categories=("Siaran",), starts_at=NINE,
    ends_at=NINE + timedelta(hours=1),
)  # fmt: skip
ROOM = Settings(general=GeneralSettings(room="Aula 1"), schedule=ScheduleSettings(mode="record"))


@pytest.mark.parametrize(
    ("location", "feed", "expected"),
    [
        ("Gedung Rektorat, Aula 1", FeedSettings(), True),
        ("AULA  1", FeedSettings(), True),
        ("Aula 10", FeedSettings(), False),
        ("Aula 11, Aula 1", FeedSettings(), True),
        ("", FeedSettings(), False),
        ("", FeedSettings(locations=("*",)), True),
        ("Main Hall", FeedSettings(locations=("Aula 2", "main hall")), True),
        ("Aula 1", FeedSettings(locations=("Main Hall",)), False),
        ("Aula 1", FeedSettings(categories=("siaran",)), True),
        ("Aula 1", FeedSettings(categories=("Kuliah",)), False),
        ("Aula (Lt. 2)", FeedSettings(locations=("Aula (Lt. 2)",)), True),
    ],
)
def test_by_place_and_category(location: str, feed: FeedSettings, expected: bool) -> None:
    assert is_here(msgspec.structs.replace(EVENT, location=location), feed, ROOM) is expected


def test_where_the_room_has_no_name_every_place_counts() -> None:
    assert is_here(EVENT, FeedSettings(), Settings())


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
