"""The part of the daemon, with processes that stand for recorders: what is kept, tried again, and told."""

import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec

from agent.schedule.notices import WORDS
from agent.schedule.store import Plans, change_record, plan_record_store
from config.errors import SessionError
from config.settings.schema import Settings
from config.settings.serving import ScheduleSettings
from recorder.model.status import SessionResult, SessionState
from recorder.running.protocol import RecorderFailure, encode
from recorder.running.runtime_directory import RecorderFolder, runtime_folder
from tests.support.schedule_bench import Bench, plan_in
from tests.support.simulated import BEGINNING


def test_what_is_begun_is_noted_before_it_is_told_anything_and_not_begun_twice(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    schedule = bench.schedule()
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only, spec.asked.title, spec.asked.allow_missing) == (
        plan_in(0).id,
        False,
        "rapat",
        True,
    )
    assert spec.folder == Path("/"), "a word that is no device is no file beside the daemon either"
    attempt = plan_record_store(bench.folder).read()[plan_in(0).id].attempt
    assert attempt
    assert attempt.pid == bench.spawned[0].pid
    assert attempt.is_alive
    for other in (schedule, bench.schedule()):  # the daemon is killed and begun anew meanwhile
        for _ in range(3):
            other.look()
    assert len(bench.specs) == 1
    bench.ready(schedule)
    assert plan_record_store(bench.folder).read()[plan_in(0).id].recorder == "r1"
    assert bench.kinds() == ["recording"]


def test_a_clock_that_may_be_hours_off_begins_nothing_and_one_that_was_begun_goes_on(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    is_doubtful = True
    schedule = bench.schedule()
    schedule.may_be_set_soon = lambda: is_doubtful
    for _ in range(3):
        schedule.look()
    assert bench.specs == []
    assert len(bench.told) == 1
    assert "clock" in bench.told[0]
    is_doubtful = False
    schedule.look()
    bench.ready(schedule)
    assert bench.kinds() == ["recording"]
    bench.runs = []
    done = plan_record_store(bench.folder)
    change_record(done, plan_in(0), lambda one: msgspec.structs.replace(one, boot_id="before the power cut"))
    later = bench.schedule()
    later.may_be_set_soon = lambda: True
    later.look()
    assert len(bench.specs) == 2, "what a power cut has ended goes on at once"


def test_a_process_that_died_before_it_was_a_recorder_is_replaced(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.schedule().look()
    bench.spawned[0].end()
    bench.schedule().look()
    assert len(bench.specs) == 2


def test_what_cannot_be_begun_is_told_once_and_tried_again_ever_more_seldom(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    bench.error = SessionError("no camera is plugged in")
    schedule, times = bench.schedule(), []
    bench.gate.set()
    for second in range(200):
        bench.at(second)
        before = len(bench.specs)
        schedule.look()
        if schedule._beginning:
            times += [second] * (len(bench.specs) - before)
            bench.ready(schedule)
    assert times == [0, 5, 20, 50, 110, 170]
    assert bench.kinds() == ["failed"]
    assert "no camera is plugged in" in bench.notices[0].english
    bench.error = None
    bench.at(400)
    schedule.look()
    bench.ready(schedule)
    assert bench.kinds() == ["failed", "recording"]
    assert "6m" in bench.notices[1].english or "7m" in bench.notices[1].english


def test_a_session_that_failed_by_itself_is_begun_again_and_one_that_people_ended_is_not(
    bench: Bench, runtime: Path
) -> None:
    runtime_folder(make=True)
    Plans(bench.folder).add(plan_in(0))
    schedule = bench.schedule()
    schedule.look()
    bench.ready(schedule)
    bench.runs = []
    RecorderFolder(runtime / "r1").end(encode(RecorderFailure(message="the camera is gone")))
    schedule.look()
    assert bench.kinds() == ["recording", "failed"]
    bench.at(10)
    schedule.look()
    bench.ready(schedule)
    assert len(bench.specs) == 2
    bench.runs = []
    bench.at(20)
    schedule.look()
    assert plan_record_store(bench.folder).read()[plan_in(0).id].ended_at == BEGINNING + timedelta(seconds=20)
    bench.at(60)
    schedule.look()
    assert len(bench.specs) == 2


def test_reminders_and_the_check_come_in_time_and_once_for_all_daemons(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(40))
    for minute in range(35):
        bench.at(minute * 60)
        bench.schedule().look()
        if minute == 20:
            same = bench.schedule()
            same.look()
    assert bench.kinds() == ["reminder", "reminder"]
    assert [one.title for one in bench.checked] == ["rapat"]
    assert bench.notices[0].indonesian == '"rapat" dimulai 30m lagi, pukul 09:40; perekaman dimulai sendiri'


def test_what_the_check_found_is_told(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(15))
    schedule = bench.schedule()
    for _ in range(2):
        schedule.look()
    assert bench.kinds() == ["reminder", "not-ready"]
    assert bench.notices[-1].english == 'checked before "rapat": not ready: camera: podium: not there'


def test_a_disk_that_takes_nothing_costs_no_session_and_says_so_once(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(0))
    (bench.folder / "done.json").write_text("[damaged")
    schedule = bench.schedule()
    for _ in range(4):
        schedule.look()
    bench.ready(schedule)
    schedule.look()
    assert len(bench.specs) == 1
    assert len(bench.told) == 1
    assert "are not kept" in bench.told[0]
    assert (bench.folder / "done.json").read_text() == "[damaged"


def test_plans_that_cannot_be_read_any_more_hold_as_they_were(bench: Bench) -> None:
    plans = Plans(bench.folder)
    plans.add(plan_in(1))
    schedule = bench.schedule()
    schedule.look()
    plans.path.write_text("[damaged")
    bench.at(90)
    schedule.look()
    assert [spec.plan for spec in bench.specs] == [plan_in(1).id]
    assert [text for text in bench.told if "earlier plans hold" in text] == bench.told != []


def test_it_ends_when_it_is_told_to_and_beats_meanwhile(bench: Bench) -> None:
    stop, beats = threading.Event(), []

    def beat() -> None:
        beats.append(bench.clock.now_ns())
        if len(beats) == 5:
            stop.set()

    bench.schedule().run(stop, beat)
    assert len(beats) == 5


def test_everything_that_is_said_is_said_in_both_languages_with_the_same_facts() -> None:
    for kind, words in WORDS.items():
        fields = [{part.split("}")[0] for part in text.split("{")[1:]} for text in words]
        assert fields[0] == fields[1], kind
        assert all(words)


def test_a_recording_that_broke_off_is_begun_again_ever_more_seldom_until_its_end(bench: Bench, runtime: Path) -> None:
    """As of a disk that fails: nobody may be in the room. One that people stopped stays so, whatever failed then."""
    runtime_folder(make=True)
    Plans(bench.folder).add(plan_in(0))
    schedule, begun = bench.schedule(), []
    bench.gate.set()

    def ended(*, broke_off: bool) -> None:
        bench.runs = []
        end = SessionResult(
            state=SessionState.SEALED, package="p", duration_s=1.0, frames=9, degraded=["recording-failed: session"],
            broke_off=broke_off,
        )  # fmt: skip
        RecorderFolder(runtime / f"r{len(bench.specs)}").end(encode(end))

    for second in range(700):
        bench.at(second)
        before = len(bench.specs)
        schedule.look()
        if schedule._beginning:
            begun += [second] * (len(bench.specs) - before)
            bench.ready(schedule)
        elif bench.runs and (len(begun) < 4 or second == 600):
            ended(broke_off=True)
    assert begun == [0, 7, 24, 56, 606], "5, 15, 30 s after it was seen; once it had been well for minutes, 5 s"
    assert bench.kinds()[:3] == ["recording", "failed", "recording"]
    assert "broke off after 1s" in bench.notices[1].english
    ended(broke_off=False)
    schedule.look()
    bench.at(900)
    schedule.look()
    assert len(bench.specs) == 5
    assert plan_record_store(bench.folder).read()[plan_in(0).id].ended_at


# Settings that change while it runs


def with_schedule(**own: Any) -> Settings:
    return Settings(schedule=ScheduleSettings(mode="record", **own))


def test_settings_that_are_new_hold_from_the_next_look_on(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(30))
    schedule = bench.schedule()
    bench.at(60)
    schedule.look()
    assert (bench.specs, bench.kinds()) == ([], ["reminder"])
    schedule.take(with_schedule(arm_ahead_s=1800.0, check_before_s=0.0))
    schedule.look()
    (spec,) = bench.specs
    assert (spec.plan, spec.arm_only) == (plan_in(30).id, True)


def test_what_is_armed_or_being_begun_goes_on_when_settings_change(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(4))
    schedule = bench.schedule()
    schedule.look()
    assert len(bench.specs) == 1
    schedule.take(with_schedule(arm_ahead_s=0.0, check_before_s=0.0, remind=()))
    for _ in range(3):
        schedule.look()
    bench.ready(schedule)
    schedule.look()
    assert (len(bench.specs), bench.kinds()) == (1, ["reminder", "armed"])
    assert plan_record_store(bench.folder).read()[plan_in(4).id].recorder == "r1"


def test_what_is_far_is_looked_at_by_the_new_times(bench: Bench) -> None:
    Plans(bench.folder).add(plan_in(55))
    schedule = bench.schedule()
    schedule.look()
    assert bench.kinds() == []
    schedule.take(with_schedule(remind=(3600.0,)))
    schedule.look()
    assert bench.kinds() == ["reminder"]
