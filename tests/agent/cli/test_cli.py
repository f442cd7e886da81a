"""The command line: its end after a bug and at Ctrl-C, what a shell completes, and the page that it opens."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.cli import group
from agent.cli.desktop import has_desktop, open_there
from agent.cli.open_page import READY_S
from agent.web.server import PAGE_ADDRESS_FILE, listen, read_page_address
from recorder.running.runtime_directory import runtime_folder
from tests.support import archives, command, forked, web
from tests.support.room import Room
from tests.support.scripted_session import ServedRecorder
from tests.support.waiting import wait_for


def test_a_bug_ends_a_command_with_its_place_and_without_a_traceback_or_secret(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(**_: object) -> None:
        raise ValueError("no way with passphrase=rahasia123")

    monkeypatch.setattr(group.liput, "main", broken)
    for function in ("end_silently", "_make_output_printable"):
        monkeypatch.setattr(group, function, lambda: None)
    monkeypatch.setattr("sys.argv", ["liput", "status", "--json"])
    with pytest.raises(SystemExit) as ended:
        group.run()
    printed = capsys.readouterr()
    message = json.loads(printed.out)["message"]
    assert re.fullmatch(r"ValueError\('no way with passphrase=\(hidden\)'\) at agent/cli/group\.py:\d+", message)
    assert printed.err.splitlines() == [f"liput: {message}", "       please report this"]
    assert ended.value.code == 1


SLOW = """
import os, time
os.write(3, b"x")
time.sleep(60)
"""


@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize(("library", "words"), [("click", ("token",)), ("msgspec", ("archive", "list"))])
def test_while_its_libraries_are_loaded_it_ends_silently(
    tmp_path: Path, library: str, words: tuple[str, ...], *, ignored: bool
) -> None:
    """Libraries in C make errors of their own of an interrupt; what is ignored, as under nohup, stays so."""
    (tmp_path / f"{library}.py").write_text(
        SLOW if not ignored else SLOW.replace("60", "0.5") + "raise SystemExit(7)\n"
    )
    variables = command.environment(tmp_path)
    variables["PYTHONPATH"] = f"{tmp_path}:{variables['PYTHONPATH']}"
    here, there = os.pipe()

    def become() -> None:
        os.dup2(there, 3)
        os.set_inheritable(3, True)
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.default_int_handler)

    process = subprocess.Popen(
        [*command.LIPUT, *words], env=variables, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        preexec_fn=become, pass_fds=(3,) if there == 3 else (), close_fds=False,
    )  # fmt: skip
    os.close(there)
    assert os.read(here, 1) == b"x"
    process.send_signal(signal.SIGINT)
    written = process.communicate(timeout=30)
    os.close(here)
    assert (process.returncode, written) == (7 if ignored else -signal.SIGINT, (b"", b""))


def test_a_command_that_runs_can_clean_up_after_it(tmp_path: Path) -> None:
    code = """
import os, signal, click
from agent.commands import token
def interrupted():
    os.kill(os.getpid(), signal.SIGINT)
    raise AssertionError("it was not interrupted")
token.read_token = interrupted
from agent.cli import main
main.main()
"""
    done = command.run_python(tmp_path, code, "token")
    assert (done.returncode, "Traceback" in done.stderr, "AssertionError" in done.stderr) == (1, False, False)


def test_nothing_heavy_is_loaded_for_help_nor_to_talk_to_a_session(room: Room) -> None:
    room.settings.write_text("broken")
    listing = (
        "import sys, atexit; atexit.register(lambda: print(*sys.modules)); from agent.cli import main; main.main()"
    )
    with ServedRecorder():
        for words in (["--help"], ["status"], ["mark", "x"], ["stop", "--no-wait"]):
            done = command.run_python(room.home, listing, *words)
            loaded = {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split()}
            assert {"agent", "click"} <= loaded, done.stderr
            assert loaded.isdisjoint({"av", "cv2", "numpy", "rich", "psutil", "pyudev", "sounddevice"}), words
            assert ("msgspec" in loaded) == (words != ["--help"])


# What a shell completes after a press of Tab

type Complete = Callable[..., list[str]]


@pytest.fixture
def complete(room: Room) -> Complete:
    def complete(*words: str) -> list[str]:
        asked = {
            "_LIPUT_COMPLETE": "bash_complete",
            "COMP_WORDS": "liput " + " ".join(words),
            "COMP_CWORD": str(len(words)),
        }
        done = forked.liput([], room.home, command.environment(room.home, asked), 60)
        assert done.stderr == ""
        return [line.partition(",")[2] for line in done.stdout.splitlines() if line]

    return complete


def test_commands_options_and_names_of_the_settings_are_completed(room: Room, complete: Complete) -> None:
    destination = '[destinations.youtube]\nurl = "rtmps://a.example/live2"\n'
    room.configure(f'{destination}[copies.nas]\nurl = "file:///srv/nas"\n')
    assert complete("rec") == ["record", "recover"]
    assert complete("archive", "ver") == ["verify"]
    assert complete("record", "--tit") == ["--title"]
    assert complete("record", "--stream", "you") == complete("destination", "add", "you") == ["youtube"]
    assert complete("record", "--profile", "240") == ["240p15"]
    assert complete("layout", "sp") == complete("record", "--layout", "sp") != []
    assert complete("archive", "verify", "--at", "") == complete("archive", "copy", "--to", "") == ["nas"]
    room.settings.write_text("nonsense")
    assert complete("record", "--stream", "you") == complete("archive", "show", "2") == [], "it cannot be read"


def test_packages_requests_plans_and_sessions_are_completed(room: Room, complete: Complete, program: Path) -> None:
    room.settings.write_text(f'[archive]\npath = "{room.archive}"\n')
    package = archives.seal_one(archives.archive_at(room.archive), program)
    digits = package.uuid[:8]
    for words in (("archive", "show"), ("recover",), ("request", "link", "x")):
        assert complete(*words, package.id[:12]) == [package.id], words
        assert complete(*words, digits[:3]) == [digits], words
    command.liput(room.home, "request", "new", "--event", "Wisuda", "--received", "kemarin 08:10")
    (request,) = complete("request", "show", "")
    assert complete("record", "--request", request[:4]) == [request]
    command.liput(room.home, "schedule", "add", "--title", "Rapat", "--starts", "besok 09:00", "--for", "1h")
    name, digits = complete("schedule", "show", "")
    assert name.endswith(digits)
    with ServedRecorder() as recorder:
        assert complete("stop", "--session", "") == [recorder.info.id]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_lines_that_docs_name_are_printed(room: Room, shell: str) -> None:
    done = command.started(room.home, more={"_LIPUT_COMPLETE": f"{shell}_source"})
    assert "_LIPUT_COMPLETE" in done.stdout
    if shell == "bash":
        assert subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=False).returncode == 0


# `liput` without a command: the daemon is started, the page is there, and the browser is let in with a ticket


@pytest.fixture
def desktop(room: Room) -> Iterator[dict[str, str]]:
    """Return an environment with a desktop whose browser notes what it is to show; afterwards no daemon is left."""
    room.configure("[web]\nport = 0\n")
    tools = room.home / "tools"
    tools.mkdir()
    browser = tools / "xdg-open"
    browser.write_text(f'#!/bin/sh\necho "$1" > {room.home}/shown.new && mv {room.home}/shown.new {room.home}/shown\n')
    browser.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    yield {"LIPUT_STATE": os.environ["LIPUT_STATE"], "DISPLAY": ":9", "PATH": path}
    if (place := read_page_address()) is not None:
        os.kill(place.pid, signal.SIGTERM)
        wait_for(lambda: read_page_address() is None)


@pytest.mark.server
def test_it_starts_the_daemon_once_and_opens_the_page(room: Room, desktop: dict[str, str]) -> None:
    assert command.liput(room.home, "--no-browser", "status").returncode == 2, "before a command it does nothing"
    first = command.liput(room.home, more=desktop)
    assert first.returncode == 0, first.stderr
    place = read_page_address()
    assert place
    assert first.stdout == f"{place.url}\n"
    wait_for(lambda: (room.home / "shown").exists())
    shown = (room.home / "shown").read_text().strip()
    assert shown.startswith(f"{place.url}open?ticket=")
    page = web.found()
    assert page.token not in shown
    assert page.ask("GET", shown.removeprefix(page.origin), token=None).status == 303
    again = command.liput(room.home, more=desktop | {"DISPLAY": "", "WAYLAND_DISPLAY": ""})
    assert (again.returncode, again.stdout, "liput token" in again.stderr) == (0, first.stdout, True)
    found = read_page_address()
    assert found
    assert found.pid == place.pid


@pytest.mark.server
def test_a_page_that_is_switched_off_or_whose_port_is_taken_is_said(room: Room, desktop: dict[str, str]) -> None:
    room.configure("[web]\nenabled = false\n")
    done = command.liput(room.home, more=desktop)
    assert (done.returncode, "the page is switched off" in done.stderr) == (2, True)
    with listen(web.ANY_PORT) as other:
        room.configure(f"[web]\nport = {other.getsockname()[1]}\n")
        for _ in ("starts the daemon", "meets it"):
            began_s = time.monotonic()
            done = command.liput(room.home, "--no-browser", more=desktop)
            assert (done.returncode, "Address already in use" in done.stderr) == (1, True)
            assert time.monotonic() - began_s < READY_S * 2 / 3, "it is said at once"
    assert wait_for(read_page_address), "the daemon waits for it"


@pytest.mark.server
@pytest.mark.skipif(os.geteuid() != 0, reason="gives a folder to another user")
def test_the_page_of_a_service_is_opened_without_a_ticket_and_no_daemon_is_started(
    room: Room, desktop: dict[str, str]
) -> None:
    runtime = room.home / "run-liput"
    runtime.mkdir(mode=0o750)
    more = desktop | {"LIPUT_RUNTIME": str(runtime)}
    with web.serving() as page:
        place = runtime_folder() / PAGE_ADDRESS_FILE
        (runtime / PAGE_ADDRESS_FILE).write_bytes(place.read_bytes())
        os.chown(runtime, 65534, -1)
        done = command.liput(room.home, more=more)
        assert (done.returncode, done.stdout, done.stderr) == (0, f"{page.origin}/\n", "")
        wait_for(lambda: (room.home / "shown").exists())
        assert (room.home / "shown").read_text() == f"{page.origin}/\n", "it asks for the token"
    (runtime / PAGE_ADDRESS_FILE).unlink()
    done = command.liput(room.home, more=more)
    assert (done.returncode, "serves no page now" in done.stderr) == (1, True)
    assert [*runtime.iterdir()] == []


def test_the_first_program_that_is_there_opens_it_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", "")
    assert not has_desktop()
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert has_desktop()
    begun: list[list[str]] = []
    monkeypatch.setattr("agent.cli.desktop.subprocess.Popen", lambda command, **_: begun.append(command))
    for name in ("second", "third"):
        (tmp_path / name).touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not open_there("this", "first")
    assert open_there("this", "first", "second", "third")
    assert begun == [[str(tmp_path / "second"), "this"]]
