"""`liput` without a command: the daemon is started, the page is there, and the browser is let in with a ticket."""

import grp
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.desktop import has_desktop, open_there
from agent.web.server import PAGE_ADDRESS_FILE, PageAddress, listen, read_page_address
from recorder.running.access import OPERATORS_VARIABLE as OPERATORS
from recorder.running.access import PRIVATE_FILE, SHARED_FILE
from recorder.running.runtime_directory import runtime_folder
from tests.support import command, web
from tests.support.room import Room
from tests.support.waiting import wait_for

NOBODY = 65534


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    room = Room(tmp_path)
    room.configure("[web]\nport = 0\n")
    yield room
    if (place := read_page_address()) is not None:
        os.kill(place.pid, signal.SIGTERM)
        wait_for(lambda: read_page_address() is None)


def variables(room: Room) -> dict[str, str]:
    """Return an environment with a desktop whose browser notes what it is to show."""
    tools = room.home / "tools"
    tools.mkdir()
    browser = tools / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" > {room.home}/shown.new && mv {room.home}/shown.new {room.home}/shown\n')
    browser.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    return {"LIPUT_STATE": os.environ["LIPUT_STATE"], "DISPLAY": ":9", "PATH": path}


def here() -> PageAddress:
    place = read_page_address()
    assert place
    return place


@pytest.mark.server
def test_it_starts_the_daemon_once_and_opens_the_page(room: Room) -> None:
    more = variables(room)
    first = command.liput(room.home, more=more)
    assert first.returncode == 0, first.stderr
    place = here()
    assert first.stdout == f"{place.url}\n"
    wait_for(lambda: (room.home / "shown").exists())
    shown = (room.home / "shown").read_text().strip()
    assert shown.startswith(f"{place.url}open?ticket=")
    page = web.found()
    assert page.token not in shown
    assert page.ask("GET", shown.removeprefix(page.origin), token=None).status == 303
    again = command.liput(room.home, "--no-browser", more=more)
    assert again.stdout == first.stdout
    assert here().pid == place.pid


@pytest.mark.server
def test_without_a_desktop_it_says_where_the_page_is(room: Room) -> None:
    done = command.liput(room.home, more=variables(room) | {"DISPLAY": "", "WAYLAND_DISPLAY": ""})
    assert (done.returncode, done.stdout) == (0, f"{here().url}\n")
    assert "liput token" in done.stderr


@pytest.mark.server
def test_a_page_that_is_switched_off_is_said(room: Room) -> None:
    room.configure("[web]\nenabled = false\n")
    done = command.liput(room.home, more=variables(room))
    assert done.returncode == 2
    assert "the page is switched off" in done.stderr


@pytest.mark.server
def test_a_port_that_is_taken_is_said_and_the_daemon_waits_for_it(room: Room) -> None:
    with listen(web.ANY_PORT) as other:
        room.configure(f"[web]\nport = {other.getsockname()[1]}\n")
        done = command.liput(room.home, "--no-browser", more=variables(room))
        assert done.returncode == 1
        assert "Address already in use" in done.stderr
    assert wait_for(read_page_address)


@pytest.mark.server
def test_words_before_a_command_do_nothing(room: Room) -> None:
    assert command.liput(room.home, "--no-browser", "status").returncode == 2
    assert command.liput(room.home, "nowhere").returncode == 2
    assert read_page_address() is None


@pytest.mark.server
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_the_page_of_a_service_is_opened_without_a_ticket_and_no_daemon_is_started(room: Room) -> None:
    runtime = room.home / "run-liput"
    runtime.mkdir(mode=0o750)
    more = variables(room) | {"LIPUT_RUNTIME": str(runtime)}
    with web.serving() as page:
        place = runtime_folder() / PAGE_ADDRESS_FILE
        (runtime / PAGE_ADDRESS_FILE).write_bytes(place.read_bytes())
        os.chown(runtime, NOBODY, -1)
        done = command.liput(room.home, more=more)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{page.origin}/\n", "")
        wait_for(lambda: (room.home / "shown").exists())
        assert (room.home / "shown").read_text() == f"{page.origin}/\n", "it asks for the token"
    (runtime / PAGE_ADDRESS_FILE).unlink()
    done = command.liput(room.home, more=more)
    assert done.returncode == 1
    assert "serves no page now" in done.stderr
    assert [*runtime.iterdir()] == []


@pytest.mark.server
def test_operators_of_a_service_may_read_where_its_page_is(monkeypatch: pytest.MonkeyPatch) -> None:
    with web.serving():
        assert stat.S_IMODE((runtime_folder() / PAGE_ADDRESS_FILE).stat().st_mode) == PRIVATE_FILE
    group = grp.getgrnam("audio") if os.geteuid() == 0 else grp.getgrgid(os.getegid())
    monkeypatch.setenv(OPERATORS, group.gr_name)
    with web.serving():
        found = (runtime_folder() / PAGE_ADDRESS_FILE).stat()
        assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (group.gr_gid, SHARED_FILE)


@pytest.mark.parametrize(
    ("screens", "there"),
    [({}, False), ({"DISPLAY": ""}, False), ({"DISPLAY": ":0"}, True), ({"WAYLAND_DISPLAY": "wayland-0"}, True)],
)
def test_a_desktop_is_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, screens: dict[str, str], *, there: bool
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in screens.items():
        monkeypatch.setenv(name, value)
    assert has_desktop() is there


def test_the_first_program_that_is_there_opens_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    begun: list[list[str]] = []
    monkeypatch.setattr("agent.cli.desktop.subprocess.Popen", lambda command, **_: begun.append(command))
    for name in ("second", "third"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not open_there("this", "first")
    assert begun == []
    assert open_there("this", "first", "second", "third")
    assert begun == [[str(tmp_path / "second"), "this"]]
