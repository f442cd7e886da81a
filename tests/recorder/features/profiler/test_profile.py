"""A profile of this very process, against its own clock; all of it ratios within one run."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import msgspec
import pytest

from capture.cpu_stages import CpuStage
from recorder.features.conference import playback_child
from recorder.features.profiler.profile import StageTimers, stage_of_process, stage_of_thread
from recorder.features.report import printing
from recorder.model.status import StageFigures

MUCH_NS, BURNT_NS = 200_000_000, 30_000_000
ROOT = Path(__file__).parents[4]

STAGES_OF_PHASES = (CpuStage.START, CpuStage.OTHER, CpuStage.SEALING)


def burn(cpu_ns: int = BURNT_NS) -> None:
    """Take so much of the processor, however long that is by the clock."""
    end_ns = time.thread_time_ns() + cpu_ns
    while time.thread_time_ns() < end_ns:
        pass


def on_a_thread(name: str, work: object) -> None:
    thread = threading.Thread(target=work, name=name)  # type: ignore[arg-type] # a function
    thread.start()
    thread.join()


def stage(figures: StageFigures, name: CpuStage) -> float:
    return figures.stages.get(str(name), 0.0)


def all_of_it() -> float:
    """Return the CPU seconds of this process and its children, which have all ended."""
    waited_for = getrusage(RUSAGE_CHILDREN)
    return time.process_time() + waited_for.ru_utime + waited_for.ru_stime


PROFILED = """
import subprocess, sys, time
import msgspec
from capture.cpu_stages import CpuStage
from recorder.features.profiler.profile import StageProfile
from recorder.model.status import SessionResult, SessionState
from tests.recorder.features.profiler.test_profile import BURNT_NS, MUCH_NS, all_of_it, burn, on_a_thread
from tests.support.leftovers import event

BURN = "import time\\nwhile time.process_time() < 0.2: pass\\n"
told, profile = [], StageProfile()
profile.attach(lambda *words, **detail: told.append((words, detail)))

with subprocess.Popen([sys.executable, "-c", BURN + "input()"], stdin=subprocess.PIPE) as child:
    while profile.figures().children_s < 0.2:
        time.sleep(0.02)
    child.communicate(b"\\n")
with_child = profile.figures()

on_a_thread("track-audio", lambda: burn(MUCH_NS))
on_a_thread("track-video", profile.timing(CpuStage.DECODE, lambda: burn(MUCH_NS)))
on_a_thread("read-brief", burn)  # it may well be gone before anybody looks
subprocess.run([sys.executable, "-c", BURN], check=True)
figures, taken_s = profile.figures(), all_of_it()

for kinds in ("source-lost", "session-armed"), ("session-live", "session-ended"):
    for kind in kinds:
        profile.hear(event(0, kind))
    on_a_thread("whatever", lambda: burn(MUCH_NS + BURNT_NS))  # what is left after all others: to some ms
profile.end(SessionResult(state=SessionState.SEALED, package=None, duration_s=1.0, frames=30, degraded=[]))
sys.stdout.buffer.write(msgspec.json.encode((with_child, figures, taken_s, told)))
"""
type Profiled = tuple[StageFigures, StageFigures, float, list[tuple[tuple[str, str, str], dict[str, object]]]]


@pytest.fixture(scope="module")
def profiled() -> Profiled:
    """Profile a process of its own: this one has children and threads of tests before."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-P", "-c", PROFILED], env=environment, capture_output=True, check=True)
    return msgspec.json.decode(done.stdout, type=Profiled)


def test_all_stages_together_are_what_the_process_took(profiled: Profiled) -> None:
    _, figures, taken_s, _ = profiled
    assert figures.cpu_s == pytest.approx(taken_s, rel=0.02)
    assert sum(figures.stages.values()) == pytest.approx(figures.cpu_s, rel=0.02)
    assert figures.children_s >= 0.4
    assert stage(figures, CpuStage.DECODE) >= 0.2
    assert stage(figures, CpuStage.PICTURE) < 0.1, "what the timers count of it is not its thread's too"


def test_a_child_is_found_with_all_that_it_took(profiled: Profiled) -> None:
    figures, *_ = profiled
    (found,) = figures.processes
    assert found.cpu_s == pytest.approx(figures.children_s, abs=0.02)
    assert stage(figures, CpuStage.START) >= found.cpu_s


def test_what_is_none_of_anybodys_is_the_phases(profiled: Profiled) -> None:
    *_, told = profiled
    assert {(kind, subject) for (kind, subject, _), _ in told} == {("cpu-measured", "recorder")}
    assert [detail["until"] for _, detail in told] == ["recorded", "sealed"]
    recorded, sealed = (msgspec.convert(detail, StageFigures) for _, detail in told)
    assert 0.2 <= stage(recorded, CpuStage.OTHER) < 0.45
    assert stage(recorded, CpuStage.SEALING) == 0.0
    assert stage(sealed, CpuStage.SEALING) >= 0.2
    assert stage(sealed, CpuStage.OTHER) == pytest.approx(stage(recorded, CpuStage.OTHER), abs=0.02)


def test_names_have_their_stages() -> None:
    named = ("x264 (library)", "x264-live (library)", "live-youtube")
    assert [stage_of_thread(name, CpuStage.OTHER) for name in named] == [
        CpuStage.ENCODE_VIDEO, CpuStage.LIVE_ENCODE, CpuStage.DESTINATIONS,
    ]  # fmt: skip
    assert [stage_of_thread("av:h264:df0 (library)", phase) for phase in STAGES_OF_PHASES] == [
        CpuStage.DECODE, CpuStage.DECODE, CpuStage.SLIDES,
    ]  # fmt: skip
    assert [stage_of_thread("session", phase) for phase in STAGES_OF_PHASES] == [*STAGES_OF_PHASES]
    assert stage_of_process("capture.sound.child", CpuStage.OTHER) is CpuStage.CAPTURE
    assert stage_of_process("recorder.live.child", CpuStage.OTHER) is CpuStage.DESTINATIONS
    assert stage_of_process(playback_child.__name__, CpuStage.OTHER) is CpuStage.CONFERENCE
    assert stage_of_process(printing.__name__, CpuStage.SEALING) is CpuStage.REPORT


# What timers count, against the clock of the thread itself: shares within one run, no seconds.


def test_what_is_called_through_does_as_before() -> None:
    timers = StageTimers()
    divide = timers(CpuStage.DECODE, divmod)
    assert divide(7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        divide(7, 0)
    assert set(timers.spent()[threading.get_native_id()]) == {CpuStage.DECODE}


def test_a_stage_within_another_is_not_counted_twice() -> None:
    timers = StageTimers()
    inner = timers(CpuStage.WATCHES, burn)

    def outer() -> None:
        burn()
        inner()
        threading.Event().wait(0.1)  # sleeping is not working
        burn()

    before_ns = time.thread_time_ns()
    timers(CpuStage.DECODE, outer)()
    burn()  # of no stage
    taken_ns = time.thread_time_ns() - before_ns
    spent = timers.spent()[threading.get_native_id()]
    assert BURNT_NS <= spent[CpuStage.WATCHES] < 1.5 * BURNT_NS
    assert 2 * BURNT_NS <= spent[CpuStage.DECODE] < 2.5 * BURNT_NS
    assert sum(spent.values()) <= taken_ns - BURNT_NS
