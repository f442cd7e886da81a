"""What the settings say of a session is in its plan."""

from pathlib import Path

import msgspec
import pytest

from config.errors import StorageFull
from config.program import Program
from config.schema import General, Recording, Settings
from devices.clock import SystemClock
from recorder.asked import Asked
from recorder.planning import plan_session
from tests.support import archives, leftovers


def test_a_session_that_is_gone_on_with_takes_what_a_session_that_runs_takes(tmp_path: Path) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    folder = leftovers.leave(archive, {"program.mp4": archives.make_program(tmp_path / "a.mp4")})
    asked = Asked(title="Rapat", videos=("synthetic",), archive=archive.root, reserve=10**18)
    with pytest.raises(StorageFull):
        plan_session(asked, Settings(), SystemClock())
    planned = plan_session(msgspec.structs.replace(asked, resume=folder), Settings(), SystemClock())
    assert planned.archive.reserve_bytes == Settings().storage.keep_free
    assert planned.plan.resume
    planned.plan.resume.release()


def test_what_is_set_for_the_program_and_the_recording_is_planned(tmp_path: Path) -> None:
    settings = Settings(
        general=General(language="en"),
        program=Program(layout="pip", title_line=True),
        recording=Recording(pre_roll_s=12.0, sync_s=0.25),
    )
    asked = Asked(
        title="Rapat", videos=("synthetic", "synthetic"), audios=("synthetic",), archive=tmp_path / "arsip", reserve=1,
        isolate=True, allow_missing=True,
    )  # fmt: skip
    plan = plan_session(asked, settings, SystemClock()).plan
    assert (plan.pre_roll_s, plan.recording.sync_s, plan.language) == (12.0, 0.25, "en")
    assert (plan.layout, plan.program.title_line, plan.isolate, plan.allow_missing) == ("pip", True, True, True)
    assert [picture.name for picture in plan.pictures] == ["synthetic picture", "synthetic picture 2"]
