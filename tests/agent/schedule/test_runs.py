"""Which sessions the schedule sees: also those whose recorder was killed, as long as somebody may go on with them."""

import os
import time
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from agent.daemon.serving import FOLLOWS_S, TRUST_S, killed_of_late
from agent.schedule import runs as looking
from agent.schedule.runs import TAKES_UP_S, runs
from devices.host.clock import SystemClock
from recorder.control.spec import Spec, saved_spec
from recorder.model.status import SessionState
from recorder.running import directory
from recorder.running.client import Running
from recorder.running.directory import RecorderFolder
from recorder.session.request import Asked
from tests.support.situations import session


def killed(spec: Spec, *, work: str | None = "/arsip/.incoming/rapat", ago_s: float = 0.0) -> RecorderFolder:
    """Leave the folder of a recorder that was killed so long ago."""
    info = directory.new_info(spec.asked.title, Path("/arsip"), SystemClock().now() - timedelta(hours=2))
    folder = directory.make_folder(msgspec.structs.replace(info, work=work, pid_started=1), saved_spec(spec))
    then_s = folder.last_beat_s - ago_s
    for path in (folder.path, *folder.path.iterdir()):
        os.utime(path, (then_s, then_s))
    return folder


BY_HAND = Spec(asked=Asked(title="Rapat"))


@pytest.mark.usefixtures("runtime")
def test_one_that_people_began_counts_as_long_as_going_on_with_it_takes() -> None:
    just_now = killed(BY_HAND)
    killed(BY_HAND, ago_s=FOLLOWS_S + 5)
    killed(BY_HAND, work=None)
    planned = killed(msgspec.structs.replace(BY_HAND, plan="senat"), ago_s=FOLLOWS_S + 5)
    found = {run.recorder: (run.plan, run.state, run.is_open) for run in runs()}
    assert found == {just_now.id: (None, None, True), planned.id: ("senat", None, True)}


@pytest.mark.usefixtures("runtime")
def test_how_long_ago_one_was_killed_counts_for_who_waits_for_the_next() -> None:
    now_s = time.time()
    killed(BY_HAND, ago_s=TRUST_S + 5)
    before, just_now = killed(BY_HAND, ago_s=FOLLOWS_S + 5), killed(BY_HAND)
    assert {folder.id for folder, _ in killed_of_late(now_s)} == {before.id, just_now.id}
    assert [folder.id for folder, _ in killed_of_late(now_s, FOLLOWS_S)] == [just_now.id]


@pytest.mark.usefixtures("runtime")
def test_one_that_is_gone_on_with_is_seen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    before = killed(BY_HAND)
    info = msgspec.structs.replace(directory.new_info("Rapat", Path("/arsip"), SystemClock().now()), replaces=before.id)
    after = directory.make_folder(info, saved_spec(BY_HAND))
    assert [run.recorder for run in runs()] == [after.id]


@pytest.mark.usefixtures("runtime")
@pytest.mark.parametrize(
    ("work", "ago_s", "records", "state"),
    [
        ("/arsip/.incoming/rapat", 0.0, False, None),  # disarmed, it would end as one that has recorded nothing
        ("/arsip/.incoming/rapat", 0.0, True, SessionState.ARMED),
        ("/arsip/.incoming/rapat", TAKES_UP_S + 5, False, SessionState.ARMED),  # its disk is full: it waits for ever
        (None, 0.0, False, SessionState.ARMED),
    ],
)
def test_one_that_is_about_to_go_on_with_what_was_recorded_is_not_armed(
    monkeypatch: pytest.MonkeyPatch, work: str | None, ago_s: float, records: bool, state: SessionState | None
) -> None:
    planned = msgspec.structs.replace(BY_HAND, plan="senat")
    before = killed(planned, work=work)
    info = directory.new_info("Rapat", Path("/arsip"), SystemClock().now() - timedelta(seconds=ago_s))
    info = msgspec.structs.replace(info, replaces=before.id, work="/arsip/.incoming/rapat" if records else None)
    after = directory.make_folder(info, saved_spec(planned))
    monkeypatch.setattr(looking, "running", lambda: [Running(after, info, session(SessionState.ARMED))])
    assert [(run.recorder, run.plan, run.state) for run in runs()] == [(after.id, "senat", state)]
