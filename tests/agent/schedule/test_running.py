"""Which sessions the schedule sees: also those whose recorder was killed, as long as somebody may go on with them."""

import os
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.daemon.presence import RESUME_WITHIN_S, SUCCESSOR_WAIT_S, recently_killed
from agent.schedule import running as looking
from agent.schedule.running import TAKEOVER_S, running_sessions
from devices.host.clock import SystemClock
from recorder.control.spec import RecorderSpec, encode_spec_for_disk
from recorder.model.status import SessionState
from recorder.running import runtime_directory
from recorder.running.client import RunningRecorder
from recorder.running.runtime_directory import RecorderFolder
from recorder.session.request import SessionRequest
from tests.support.situations import session


def killed(spec: RecorderSpec, *, work: str | None = "/arsip/.incoming/rapat", ago_s: float = 0.0) -> RecorderFolder:
    """Leave the folder of a recorder that was killed so long ago."""
    info = runtime_directory.new_recorder_info(
        spec.asked.title, Path("/arsip"), SystemClock().now() - timedelta(hours=2)
    )
    folder = runtime_directory.make_recorder_folder(
        msgspec.structs.replace(info, work=work, pid_started=1), encode_spec_for_disk(spec)
    )
    then_s = folder.last_beat_s - ago_s
    for path in (folder.path, *folder.path.iterdir()):
        os.utime(path, (then_s, then_s))
    return folder


BY_HAND = RecorderSpec(asked=SessionRequest(title="Rapat"))


@pytest.mark.usefixtures("runtime")
def test_one_that_people_began_counts_as_long_as_going_on_with_it_takes() -> None:
    just_now = killed(BY_HAND)
    killed(BY_HAND, ago_s=SUCCESSOR_WAIT_S + 5)
    killed(BY_HAND, work=None)
    planned = killed(msgspec.structs.replace(BY_HAND, plan="senat"), ago_s=SUCCESSOR_WAIT_S + 5)
    found = {run.recorder: (run.plan, run.state, run.is_open) for run in running_sessions()}
    assert found == {just_now.id: (None, None, True), planned.id: ("senat", None, True)}


@pytest.mark.usefixtures("runtime")
def test_how_long_ago_one_was_killed_counts_for_who_waits_for_the_next() -> None:
    killed(BY_HAND, ago_s=RESUME_WITHIN_S + 5)
    before, just_now = killed(BY_HAND, ago_s=SUCCESSOR_WAIT_S + 5), killed(BY_HAND)
    assert {folder.id for folder, _ in recently_killed()} == {before.id, just_now.id}
    assert [folder.id for folder, _ in recently_killed(SUCCESSOR_WAIT_S)] == [just_now.id]


@pytest.mark.usefixtures("runtime")
def test_one_that_is_gone_on_with_is_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = killed(BY_HAND)
    info = msgspec.structs.replace(
        runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now()), replaces=before.id
    )
    after = runtime_directory.make_recorder_folder(info, encode_spec_for_disk(BY_HAND))
    assert [run.recorder for run in running_sessions()] == [after.id]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("work", "ago_s", "records", "state"),
    [
        ("/arsip/.incoming/rapat", 0.0, False, None),  # disarmed, it would end as one that has recorded nothing
        ("/arsip/.incoming/rapat", 0.0, True, SessionState.ARMED),
        ("/arsip/.incoming/rapat", TAKEOVER_S + 5, False, SessionState.ARMED),  # its disk is full: it waits for ever
        (None, 0.0, False, SessionState.ARMED),
    ],
)
def test_one_that_is_about_to_go_on_with_what_was_recorded_is_not_armed(
    monkeypatch: pytest.MonkeyPatch, work: str | None, ago_s: float, records: bool, state: SessionState | None
) -> None:
    planned = msgspec.structs.replace(BY_HAND, plan="senat")
    before = killed(planned, work=work)
    info = runtime_directory.new_recorder_info("Rapat", Path("/arsip"), SystemClock().now() - timedelta(seconds=ago_s))
    info = msgspec.structs.replace(info, replaces=before.id, work="/arsip/.incoming/rapat" if records else None)
    after = runtime_directory.make_recorder_folder(info, encode_spec_for_disk(planned))
    monkeypatch.setattr(
        looking, "running_recorders", lambda: [RunningRecorder(after, info, session(SessionState.ARMED))]
    )
    assert [(run.recorder, run.plan, run.state) for run in running_sessions()] == [(after.id, "senat", state)]
