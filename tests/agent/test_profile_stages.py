"""`liput record --profile-stages`: where the processor's time went, of a real session, and how it is shown."""

from resource import RUSAGE_CHILDREN, getrusage

import msgspec
import pytest

from agent.terminal.reporters import TextReporter, stages_text
from recorder.model.status import NamedCpu, StageFigures
from tests.support import command
from tests.support.leftovers import event
from tests.support.room import Room

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
