"""How a session is shown in words."""

from datetime import UTC, datetime
from resource import RUSAGE_CHILDREN, getrusage
from typing import get_args

import msgspec
import pytest

from agent.terminal.reporters import NOT_MEASURED, SessionFollower, TextReporter, stages_text, status_text
from config.events import Event
from devices.model.device import Health, HealthState
from recorder.live_encode.headroom import EncodeReason
from recorder.model.status import (
    ConferenceLine,
    ConferenceOutput,
    LoadLine,
    Loudness,
    NamedCpu,
    SessionState,
    SourceLine,
    StageFigures,
)
from tests.support import command
from tests.support.leftovers import event
from tests.support.room import Room
from tests.support.situations import session


def test_a_source_that_is_not_well_stands_in_the_status_line_by_its_role() -> None:
    well = SourceLine(id="a", name="Webcam", role="podium", health=Health())
    frozen = SourceLine(id="b", name="Stick", role="slides", health=Health(HealthState.FROZEN, "still", None, "frozen"))
    nameless = SourceLine(id="c", name="Mic", role=None, health=Health(HealthState.SILENT, "quiet", None, "silence"))
    status = session(SessionState.DEGRADED, well, frozen, nameless)
    text = status_text(status)
    assert "slides: frozen  Mic: silence" in text
    assert "podium" not in text
    assert "LUFS" not in text


def test_how_loud_it_is_to_people_stands_behind_the_peaks() -> None:
    status = session(SessionState.LIVE, levels_dbfs=[-8.3, -9.7], loudness=Loudness(short_term_lufs=-22.6))
    assert "sound -8 -10 dBFS  -23 LUFS" in status_text(status)


@pytest.mark.parametrize(
    ("load", "shown"),
    [
        (LoadLine(steps=["encoder", "frame rate"], left_out=30), "  PC TOO SLOW (encoder, frame rate)  "),
        (LoadLine(behind_s=0.1, busy=0.7), ""),
    ],
)
def test_a_pc_that_does_not_keep_up_stands_in_the_status_line(load: LoadLine, shown: str) -> None:
    status = session(SessionState.LIVE, levels_dbfs=[-8.3], load=load)
    assert shown in status_text(status)
    assert ("TOO SLOW" in status_text(status)) == bool(shown)


def test_how_the_conference_is_stands_in_the_status_line_with_the_reason() -> None:
    conference = ConferenceLine(
        camera=ConferenceOutput(state="waiting", reason="no-node"), microphone=ConferenceOutput(state="live")
    )
    status = session(SessionState.LIVE, conference=conference)
    assert "conference camera: waiting (no-node)  microphone: live" in status_text(status)


@pytest.mark.parametrize("destinations", [["kampus"], []])
@pytest.mark.parametrize("why", [*get_args(EncodeReason.__value__), None])
def test_a_session_that_begins_with_a_pc_nobody_has_measured_says_what_to_do(
    why: str | None, destinations: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    detail: dict[str, object] = {"destinations": destinations} | ({"stream_why": why} if why else {})
    SessionFollower(TextReporter()).take(Event(datetime.now(UTC), "session-live", "paket", detail, "Recording."))
    shown = capsys.readouterr().out
    assert "Recording." in shown
    assert (NOT_MEASURED in shown) is (why == "not-measured" and bool(destinations)), (
        "who streams to nobody need not care"
    )
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
TABLE = """\
50.0% of a core: 10.0 s of processor time in 20 s, 1.5 s of it in child processes.
  stage              CPU  of a core
  encode-video    6.00 s      30.0%
  decode          4.00 s      20.0%
  thread                   CPU  of a core
  x264 (library) (4)    8.40 s      42.0%
  2 others              0.04 s       0.2%
  process                   CPU  of a core
  recorder.live.child    1.50 s       7.5%"""


def taken_by_children() -> float:
    taken = getrusage(RUSAGE_CHILDREN)
    return taken.ru_utime + taken.ru_stime


def test_all_that_a_session_took_is_told_by_stages_and_threads(room: Room) -> None:
    before_s = taken_by_children()
    done = room.record("--for", "3s", "--profile-stages")
    taken_s = taken_by_children() - before_s
    assert (done.status, done.result["degraded"]) == (0, [])
    measured = [line["detail"] for line in done.of("event") if line["kind"] == "cpu-measured"]
    recorded, sealed = (msgspec.convert(detail, StageFigures) for detail in measured)
    assert [detail["until"] for detail in measured] == ["recorded", "sealed"]  # type: ignore[index] # facts
    # The command that shows it all is in what the system says, and takes a fourth at most.
    assert 0.6 < sealed.cpu_s / taken_s <= 1.0
    assert sum(sealed.stages.values()) == pytest.approx(sealed.cpu_s, rel=0.02)
    assert sealed.cpu_s >= recorded.cpu_s
    assert "sealing" in sealed.stages
    assert "sealing" not in recorded.stages
    assert all(sealed.stages[name] > 0 for name in ("start", "capture", "decode", "encode-video", "encode-sound"))
    assert sealed.stages.get("other", 0.0) < sealed.cpu_s / 5
    named = {thread.name for thread in recorded.threads}
    assert named >= {
        "MainThread", "session", "control", "stages", "track-video", "track-audio", "recording-writer",
        "recording-sync", "storage-guard", "event-log", "read-synthetic picture", "read-synthetic sound",
        "x264 (library)",
    }  # fmt: skip
    logged = command.lines((room.only_package() / "metadata/events.jsonl").read_text())
    assert [line["detail"] for line in logged if line["kind"] == "cpu-measured"] == measured[:1]


def test_people_get_a_table_and_only_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    detail = msgspec.to_builtins(FIGURES)
    assert stages_text(event(0, "cpu-measured", until="sealed", **detail)) == TABLE
    assert stages_text(event(0, "cpu-measured", until="recorded", **detail)) == ""
    assert stages_text(event(0, "cpu-measured", until="sealed", wall_s="long")) == ""
    TextReporter().show(event(0, "cpu-measured", until="sealed", **detail))
    assert capsys.readouterr().out.endswith(f"cpu-measured happened.\n{TABLE}\n")
