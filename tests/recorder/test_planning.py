"""What the settings say of a session is in its plan."""

from pathlib import Path

from config.program import Program
from config.schema import General, Recording, Settings
from devices.clock import SystemClock
from recorder.asked import Asked
from recorder.planning import plan_session


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
