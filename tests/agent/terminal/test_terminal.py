"""Standard output: lines where nothing can be redrawn, and no text from outside that commands a terminal."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from rich.cells import cell_len

from agent.checks.display import check_display
from agent.devices.table import JsonDeviceView, TableDeviceView, device_view
from agent.terminal.columns import Column, fit_columns
from agent.terminal.reporters import (
    LIVE_EVERY_S,
    NOT_MEASURED,
    PLAIN_EVERY_S,
    SessionFollower,
    TextReporter,
    destination_text,
    reporter,
    stages_text,
    status_text,
)
from agent.terminal.signals_and_keys import set_on_signal
from agent.terminal.terminal import can_redraw
from config.events import Event
from devices.model.device import Health, HealthState
from recorder.model.status import (
    ConferenceLine,
    ConferenceOutput,
    DestinationLine,
    LoadLine,
    Loudness,
    NamedCpu,
    SessionState,
    SourceLine,
    StageFigures,
)
from tests.support import command
from tests.support.leftovers import event
from tests.support.processes import runs
from tests.support.room import Room
from tests.support.situations import session
from tests.support.terminal import Terminal


@pytest.mark.parametrize(
    ("is_terminal", "kind", "can"), [(True, "xterm-256color", True), (True, "dumb", False), (False, "xterm", False)]
)
def test_a_terminal_that_cannot_redraw_gets_lines(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, kind: str, can: bool
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: is_terminal)
    monkeypatch.setenv("TERM", kind)
    assert can_redraw() is can
    assert reporter(as_json=False).every_s == (LIVE_EVERY_S if can else PLAIN_EVERY_S)
    assert bool(check_display("en", as_json=False).bars) is can
    assert type(device_view(as_json=False)) is (TableDeviceView if can else JsonDeviceView)


ASKED = """
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    job = os.fork()
    if job == 0:
        if sys.argv[1] == "background":
            os.setpgid(0, 0)
        from agent.terminal.terminal import own_terminal, can_ask
        os._exit(2 * (own_terminal() is not None) + can_ask())
    os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.parametrize(("where", "found"), [("foreground", 3), ("background", 0)])
def test_in_the_background_of_a_shell_nobody_is_asked(where: str, found: int) -> None:
    """To read there would stop the whole command, and `liput record ... &` would wait for ever."""
    assert subprocess.run([sys.executable, "-c", ASKED, where], check=False).returncode == found


BELL = "\x1b]0;taken over\x07"
EVIL = f"{BELL}\x1b[2J\x1b[8mCam\x9b2J\rera\x08"
PLUGGED = f"""
import msgspec
from agent.devices import listing
from tests.support.hall import CAMERA
evil = msgspec.structs.replace(CAMERA, name={EVIL!r}, node=None, modes=())
listing.list_devices = lambda: [evil]
listing.server_inputs = list
from agent.cli import main
main.main()
"""
OURS = re.compile(r"\x1b\[(\?25[lh]|\?1049[lh]|[0-9;]*[mAKHJ])")
"""Colours and cursor movements of our own; of those of EVIL none may be left."""


def escapes_of(text: str) -> list[str]:
    """Return what of EVIL is in a text."""
    known = (BELL, "\x1b]", "\x07", "\x1b[8m", "\x08", "\x9b", "\x1b[2J")
    return [each for each in known if each in text]


@pytest.fixture
def plugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plug such a camera in for commands on a terminal."""
    monkeypatch.setattr("tests.support.terminal.LIPUT", (sys.executable, "-P", "-c", PLUGGED))


@pytest.mark.parametrize("words", [("devices",), ("archive", "show", EVIL)], ids=lambda words: words[0])
def test_no_escape_of_a_device_or_a_name_reaches_a_terminal(room: Room, plugged: None, words: tuple[str, ...]) -> None:
    with Terminal(room.home, *words) as terminal:
        terminal.wait()
        assert "taken over" in terminal.raw or "Cam" in terminal.raw, "it was shown"
        assert escapes_of(terminal.raw) == []
        assert "\x1b" not in OURS.sub("", terminal.raw)


@pytest.mark.parametrize("words", [("devices", "show", "Cam"), (EVIL,)], ids=["show", "mistyped"])
def test_no_escape_reaches_a_file_that_is_read_later(room: Room, words: tuple[str, ...]) -> None:
    done = command.run_python(room.home, PLUGGED, *words)
    shown = done.stdout + done.stderr
    assert "taken over" in shown or "Cam" in shown, "it was shown"
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_json_on_a_terminal_has_none_and_says_the_same(room: Room, plugged: None) -> None:
    with Terminal(room.home, "devices", "--json") as terminal:
        assert terminal.wait() == 0
        assert escapes_of(terminal.raw) == []
        (device,) = json.loads(terminal.raw)
    assert device["name"] == EVIL


def test_the_table_that_is_drawn_anew_has_none(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    code = PLUGGED.replace(
        "from agent.cli import main\nmain.main()",
        """
from datetime import UTC, datetime
from agent.devices.board import DeviceBoard
from agent.devices.table import TableDeviceView
from agent.cli import group
group._make_output_printable()
board = DeviceBoard(dict)
board.devices = (evil,)
with TableDeviceView() as shower:
    shower.begin(datetime.now(UTC), board)
    print(evil.name)
""",
    )
    monkeypatch.setattr("tests.support.terminal.LIPUT", (sys.executable, "-P", "-c", code))
    with Terminal(room.home) as terminal:
        assert terminal.wait() == 0, terminal.raw
        assert "Cam" in terminal.raw
        assert "\x1b" not in OURS.sub("", terminal.raw)
        assert "\x07" not in terminal.raw


# Signals


@pytest.mark.timeout(60, method="thread")
def test_a_signal_in_the_middle_of_the_events_own_wait_sets_it_all_the_same() -> None:
    before, stop = signal.getsignal(signal.SIGUSR1), threading.Event()
    with set_on_signal(stop, [signal.SIGUSR1]):
        with stop._cond:  # type: ignore[attr-defined] # where `wait` is when the signal comes
            os.kill(os.getpid(), signal.SIGUSR1)
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)
        assert stop.wait(30)
    assert signal.getsignal(signal.SIGUSR1) is before
    assert not runs("signals")


def test_nothing_is_left_where_no_signal_came() -> None:
    stop = threading.Event()
    with set_on_signal(stop, [signal.SIGUSR1]):
        pass
    assert not stop.is_set()
    assert not runs("signals")


# Lists that fit the terminal


LISTED = (Column("id"), Column("event", least=6), Column("unit", least=4, is_spare=True))
ROWS = [("3f2a91c0", "Seminar Nasional Teknologi Informasi", "Fakultas Teknik"), ("77b0c2e1", "学术会议", "Biro")]


def listed(monkeypatch: pytest.MonkeyPatch, width: int | None) -> list[str]:
    monkeypatch.setattr("sys.stdout.isatty", lambda: width is not None)
    monkeypatch.setattr(
        "shutil.get_terminal_size", lambda **_: os.terminal_size((width or 0, 24))
    )  # pytest asks as well
    return list(fit_columns(LISTED, ROWS))


def test_where_there_is_no_terminal_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    heading, first, second = listed(monkeypatch, None)
    assert heading.split() == ["id", "event", "unit"]
    assert first == "3f2a91c0  Seminar Nasional Teknologi Informasi  Fakultas Teknik"
    assert second.endswith("Biro")


@pytest.mark.parametrize("width", [60, 30])
def test_what_may_be_narrower_is_cut_where_it_is_wide(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    found = listed(monkeypatch, width)
    assert max(map(cell_len, found)) <= width
    assert "…" in found[1]
    assert found[1].startswith("3f2a91c0  Semi")


def test_where_that_is_not_enough_columns_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    found = listed(monkeypatch, 17)
    assert found == ["id        event", "3f2a91c0  Semin…", "77b0c2e1  学术 …"]


def test_an_empty_list_has_its_heading(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert list(fit_columns(LISTED, [])) == ["id  event  unit"]


# A session in words


CONFERENCE = ConferenceLine(
    camera=ConferenceOutput(state="waiting", reason="no-node"), microphone=ConferenceOutput(state="live")
)


def test_a_source_that_is_not_well_stands_in_the_status_line_by_its_role() -> None:
    well = SourceLine(id="a", name="Webcam", role="podium", health=Health())
    frozen = SourceLine(id="b", name="Stick", role="slides", health=Health(HealthState.FROZEN, "still", None, "frozen"))
    nameless = SourceLine(id="c", name="Mic", role=None, health=Health(HealthState.SILENT, "quiet", None, "silence"))
    text = status_text(session(SessionState.DEGRADED, well, frozen, nameless, load=LoadLine(behind_s=0.1, busy=0.7)))
    assert "slides: frozen  Mic: silence" in text
    assert "podium" not in text
    assert "LUFS" not in text
    assert "TOO SLOW" not in text


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"levels_dbfs": [-8.3, -9.7], "loudness": Loudness(short_term_lufs=-22.6)}, "sound -8 -10 dBFS  -23 LUFS"),
        ({"load": LoadLine(steps=["encoder", "frame rate"], left_out=30)}, "  PC TOO SLOW (encoder, frame rate)"),
        ({"conference": CONFERENCE}, "conference camera: waiting (no-node)  microphone: live"),
    ],
)
def test_what_is_loud_slow_or_missing_stands_in_the_status_line(more: dict[str, Any], shown: str) -> None:
    assert shown in status_text(session(SessionState.LIVE, **more))


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (
            DestinationLine(
                name="a", state="live", reason="too-slow", message="too slow", backlog_s=5.51, dropped=70, reconnects=1
            ),
            "a: LIVE, but TOO SLOW; too slow; 5.5 s behind; 70 frames dropped; connected again once",
        ),
        (
            DestinationLine(name="a", state="waiting", reason="refused", message="nobody listens", reconnects=2),
            "a: NOT LIVE, trying again; nobody listens; connected again 2 times",
        ),
        (DestinationLine(name="a", state="listening", backlog_s=0.4), "a: waits for somebody to call"),
    ],
)
def test_each_destination_is_said_in_plain_words(line: DestinationLine, text: str) -> None:
    assert destination_text(line) == text


@pytest.mark.parametrize(
    ("why", "destinations"), [("not-measured", ["kampus"]), ("not-measured", []), ("headroom", ["kampus"])]
)
def test_a_session_that_begins_with_a_pc_nobody_has_measured_says_what_to_do(
    why: str | None, destinations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    detail: dict[str, object] = {"destinations": destinations} | ({"stream_why": why} if why else {})
    SessionFollower(TextReporter()).take(Event(datetime.now(UTC), "session-live", "paket", detail, "Recording."))
    shown = capsys.readouterr().out
    assert "Recording." in shown
    assert (NOT_MEASURED in shown) is (why == "not-measured" and bool(destinations))
    assert "liput headroom" in NOT_MEASURED


FIGURES = StageFigures(
    wall_s=20.0,
    cpu_s=10.0,
    children_s=1.5,
    stages={"encode-video": 6.0, "decode": 4.0},
    threads=(
        NamedCpu(name="x264 (library)", count=4, cpu_s=8.4),
        NamedCpu(name="awake", count=1, cpu_s=0.03),
        NamedCpu(name="control", count=1, cpu_s=0.01),
    ),
    processes=(NamedCpu(name="recorder.live.child", count=1, cpu_s=1.5),),
)


def test_people_get_a_table_and_only_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    detail = msgspec.to_builtins(FIGURES)
    TextReporter().show(event(0, "cpu-measured", until="sealed", **detail))
    happened, whole, *table = capsys.readouterr().out.splitlines()
    assert happened.endswith("cpu-measured happened.")
    assert whole == "50.0% of a core: 10.0 s of processor time in 20 s, 1.5 s of it in child processes."
    assert {"  encode-video    6.00 s      30.0%", "  2 others              0.04 s       0.2%"} <= {*table}
    assert len(table) == 8
    assert stages_text(event(0, "cpu-measured", until="recorded", **detail)) == ""
    assert stages_text(event(0, "cpu-measured", until="sealed", wall_s="long")) == ""
