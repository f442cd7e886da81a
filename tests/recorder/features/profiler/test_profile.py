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

from capture.cpu_stages import CpuStage, untimed
from recorder.features.conference import playback_child
from recorder.features.profiler.profile import StageProfile, StageTimers, stage_of_process, stage_of_thread
from recorder.features.report import printing
from recorder.model.status import StageFigures
from tests.support.waiting import wait_for

MUCH_NS, BURNT_NS = 300_000_000, 30_000_000
PATH = {"PYTHONPATH": str(Path(__file__).parents[4])}
BURN = "import time\nwhile time.process_time() < 0.5: pass"

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


def burn_all(profile: StageProfile) -> None:
    """Take the processor in all the ways there are: threads with a stage, timed ones, brief ones, a child."""
    on_a_thread("track-audio", lambda: burn(MUCH_NS))
    on_a_thread("track-video", profile.timing(CpuStage.DECODE, lambda: burn(MUCH_NS)))
    on_a_thread("read-brief", burn)  # it may well be gone before anybody looks
    subprocess.run([sys.executable, "-c", BURN], check=True)


ALL = """
import sys
import msgspec
from recorder.features.profiler.profile import StageProfile
from tests.recorder.features.profiler.test_profile import all_of_it, burn_all

profile = StageProfile()
burn_all(profile)
figures = profile.figures()
sys.stdout.buffer.write(msgspec.json.encode((figures, all_of_it())))
"""


def test_all_stages_together_are_what_the_process_took() -> None:
    # In a process of its own: this one has children of tests before, and theirs, which are nobody's once those end.
    done = subprocess.run([sys.executable, "-P", "-c", ALL], env=os.environ | PATH, capture_output=True, check=True)
    figures, taken_s = msgspec.json.decode(done.stdout, type=tuple[StageFigures, float])
    assert figures.cpu_s == pytest.approx(taken_s, rel=0.02)
    assert sum(figures.stages.values()) == pytest.approx(figures.cpu_s, rel=0.02)
    assert figures.children_s >= 0.5
    assert stage(figures, CpuStage.DECODE) >= 0.3
    assert stage(figures, CpuStage.PICTURE) < 0.1, "what the timers count of it is not its thread's too"


def test_a_thread_is_found_by_its_name_and_what_it_takes_is_its_stages() -> None:
    over = threading.Event()

    def work() -> None:
        burn(MUCH_NS)
        over.wait()

    thread = threading.Thread(target=work, name="recording-writer")
    profile = StageProfile()
    try:
        before = stage(profile.figures(), CpuStage.WRITE)
        thread.start()
        wait_for(lambda: stage(profile.figures(), CpuStage.WRITE) >= before + 0.3)
        (found,) = [one for one in profile.figures().threads if one.name == "recording-writer"]
        assert (found.count, found.cpu_s >= 0.3) == (1, True)
    finally:
        over.set()
        thread.join()
        profile.end(None)


ONE_CHILD = f"""
import subprocess, sys, time
import msgspec
from recorder.features.profiler.profile import StageProfile

profile = StageProfile()
with subprocess.Popen([sys.executable, "-c", {BURN + chr(10) + "input()"!r}], stdin=subprocess.PIPE) as child:
    while profile.figures().children_s < 0.4:
        time.sleep(0.02)
    child.communicate(b"\\n")
sys.stdout.buffer.write(msgspec.json.encode(profile.figures()))
"""


def test_a_child_is_found_with_all_that_it_took() -> None:
    # In a process of its own: this one has children of tests before.
    done = subprocess.run(
        [sys.executable, "-P", "-c", ONE_CHILD], env=os.environ | PATH, capture_output=True, check=True
    )
    figures = msgspec.json.decode(done.stdout, type=StageFigures)
    (found,) = figures.processes
    assert found.cpu_s == pytest.approx(figures.children_s, abs=0.02)
    assert stage(figures, CpuStage.START) >= found.cpu_s


PHASES = """
import sys
import msgspec
from recorder.features.profiler.profile import StageProfile
from tests.recorder.features.profiler.test_profile import MUCH_NS, burn, on_a_thread
from recorder.model.status import SessionResult, SessionState
from tests.support.leftovers import event

told = []
profile = StageProfile()
profile.attach(lambda *words, **detail: told.append((words, detail)))
for kinds in (), ("source-lost", "session-armed"), ("session-live", "session-ended"):
    for kind in kinds:
        profile.hear(event(0, kind))
    on_a_thread("whatever", lambda: burn(MUCH_NS))
profile.end(SessionResult(state=SessionState.SEALED, package=None, duration_s=1.0, frames=30, degraded=[]))
sys.stdout.buffer.write(msgspec.json.encode(told))
"""


def test_what_is_none_of_anybodys_is_the_phases() -> None:
    # In a process of its own: threads have their stages by their names, those that other tests have left included.
    done = subprocess.run([sys.executable, "-P", "-c", PHASES], env=os.environ | PATH, capture_output=True, check=True)
    told = msgspec.json.decode(done.stdout, type=list[tuple[tuple[str, str, str], dict[str, object]]])
    assert all(
        (kind, subject, bool(message)) == ("cpu-measured", "recorder", True) for (kind, subject, message), _ in told
    )
    assert [detail.pop("until") for _, detail in told] == ["recorded", "sealed"]
    recorded, sealed = (msgspec.convert(detail, StageFigures) for _, detail in told)
    assert 0.3 <= stage(recorded, CpuStage.OTHER) < 0.55
    assert stage(recorded, CpuStage.SEALING) == 0.0
    assert stage(sealed, CpuStage.SEALING) >= 0.3
    assert stage(sealed, CpuStage.OTHER) == pytest.approx(stage(recorded, CpuStage.OTHER), abs=0.02)


def test_names_have_their_stages() -> None:
    named = ("x264 (library)", "x264-live (library)", "live-youtube")
    assert [stage_of_thread(name, CpuStage.OTHER) for name in named] == [
        CpuStage.ENCODE_VIDEO, CpuStage.LIVE_ENCODE, CpuStage.DESTINATIONS,
    ]  # fmt: skip
    assert [stage_of_thread("av:h264:df0 (library)", phase) for phase in STAGES_OF_PHASES] == [
        CpuStage.DECODE, CpuStage.DECODE, CpuStage.SLIDES,
    ]  # fmt: skip
    assert [stage_of_thread("session", phase) for phase in STAGES_OF_PHASES] == [
        CpuStage.START,
        CpuStage.OTHER,
        CpuStage.SEALING,
    ]
    assert stage_of_process("capture.sound.child", CpuStage.OTHER) is CpuStage.CAPTURE
    assert stage_of_process("recorder.live.child", CpuStage.OTHER) is CpuStage.DESTINATIONS
    assert stage_of_process(playback_child.__name__, CpuStage.OTHER) is CpuStage.CONFERENCE
    assert stage_of_process(printing.__name__, CpuStage.SEALING) is CpuStage.REPORT


# What timers count, against the clock of the thread itself: shares within one run, no seconds.


def test_where_nobody_counts_nothing_is_called_through() -> None:
    assert untimed(CpuStage.DECODE, burn) is burn


def test_what_is_called_through_does_as_before() -> None:
    timers = StageTimers()
    divide = timers(CpuStage.DECODE, divmod)
    assert divide(7, 2) == (3, 1)
    try:
        divide(7, 0)
    except ZeroDivisionError:
        pass
    else:
        raise AssertionError("what it raises goes through")
    assert set(timers.spent()[threading.get_native_id()]) == {CpuStage.DECODE}


def test_a_stage_within_another_is_not_counted_twice() -> None:
    timers = StageTimers()
    inner = timers(CpuStage.WATCHES, burn)

    def outer() -> None:
        burn()
        inner()
        burn()

    before_ns = time.thread_time_ns()
    timers(CpuStage.DECODE, outer)()
    burn()  # of no stage
    taken_ns = time.thread_time_ns() - before_ns
    spent = timers.spent()[threading.get_native_id()]
    assert BURNT_NS <= spent[CpuStage.WATCHES] < 1.5 * BURNT_NS
    assert 2 * BURNT_NS <= spent[CpuStage.DECODE] < 2.5 * BURNT_NS
    assert sum(spent.values()) <= taken_ns - BURNT_NS


def test_sleeping_is_not_working() -> None:
    timers = StageTimers()
    timers(CpuStage.CAPTURE, lambda: threading.Event().wait(0.1))()
    assert timers.spent()[threading.get_native_id()][CpuStage.CAPTURE] < 0.05e9


def test_each_thread_has_its_own() -> None:
    timers = StageTimers()
    numbers: list[int] = []

    def work() -> None:
        timers(CpuStage.CAPTURE, burn)()
        numbers.append(threading.get_native_id())

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spent = timers.spent()
    assert len(set(numbers)) == 2
    assert all(spent[number][CpuStage.CAPTURE] >= BURNT_NS for number in numbers), "also of threads that have ended"
    assert threading.get_native_id() not in spent
