"""What the settings say of a session is in its plan."""

from pathlib import Path

import msgspec
import pytest

from config.errors import StorageError, UsageError
from config.settings.layouts import LAYOUT_KINDS, SINGLE, ProgramSettings
from config.settings.schema import (
    GeneralSettings,
    RecordingSettings,
    ReportSettings,
    Settings,
    SlideSettings,
    StorageSettings,
    VideoDefaults,
)
from config.settings.secrets import StreamTarget, secret_url
from devices.host.clock import SystemClock
from recorder.package.metadata import FrameArea, ReportOptions, SlidesView
from recorder.session.planning import plan_session, wishes_of
from recorder.session.request import SessionRequest
from tests.support import archives, leftovers
from tests.support.errors import because


def test_a_session_that_is_gone_on_with_takes_what_a_session_that_runs_takes(tmp_path: Path) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    folder = leftovers.leave(archive, {"program.mp4": archives.make_program(tmp_path / "a.mp4")})
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=archive.root, reserve=10**18)
    with pytest.raises(StorageError, check=because("full")):
        plan_session(asked, Settings(), SystemClock())
    planned = plan_session(msgspec.structs.replace(asked, resume=folder), Settings(), SystemClock())
    assert planned.plan.archives[0].reserve_bytes == Settings().storage.keep_free
    assert planned.plan.resume
    planned.plan.resume.release()


def test_a_folder_that_is_named_twice_is_one_which_no_mirror_has_enough_in(tmp_path: Path) -> None:
    here, there = tmp_path / "arsip", tmp_path / "cadangan"
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=here, reserve=1)
    planned = plan_session(asked, Settings(storage=StorageSettings(paths=(here, there, there))), SystemClock())
    assert [archive.root for archive in planned.plan.archives] == [here, there]
    with pytest.raises(UsageError, match="a second folder"):
        plan_session(asked, Settings(storage=StorageSettings(paths=(here,), mirror=True)), SystemClock())


def test_what_is_set_for_the_program_and_the_recording_is_planned(tmp_path: Path) -> None:
    settings = Settings(
        general=GeneralSettings(language="en"),
        program=ProgramSettings(layout="pip", title_line=True),
        recording=RecordingSettings(pre_roll_s=12.0, sync_s=0.25),
    )
    asked = SessionRequest(
        title="Rapat", videos=("synthetic", "synthetic"), audios=("synthetic",), archive=tmp_path / "arsip", reserve=1,
        isolate=True,
    )  # fmt: skip
    plan = plan_session(asked, settings, SystemClock()).plan
    assert (plan.recording.pre_roll_s, plan.recording.sync_s, plan.appearance.language) == (12.0, 0.25, "en")
    assert (plan.layout, plan.appearance.program.title_line, plan.isolate) == ("pip", True, True)
    assert [picture.name for picture in plan.pictures] == ["synthetic picture", "synthetic picture 2"]


@pytest.mark.parametrize(
    ("video", "says"),
    [
        (VideoDefaults(adaptive_rate=True), "get every frame, or without an encode of their own 5 frames a second"),
        (
            VideoDefaults(adaptive_rate=True, stream_encode="shared"),
            "live destinations get 5 frames a second while nothing",
        ),
        (VideoDefaults(adaptive_rate=True, stream_encode="separate"), None),
        (VideoDefaults(stream_encode="shared"), None),
    ],
)
def test_with_an_adaptive_rate_it_is_said_what_live_destinations_get(
    video: VideoDefaults, says: str | None, tmp_path: Path
) -> None:
    target = StreamTarget("kampus", secret_url("rtmp://media.kampus.example/live/x"))
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), targets=(target,), archive=tmp_path / "arsip", reserve=1
    )
    planned = plan_session(asked, Settings(video=video), SystemClock())
    assert planned.plan.adaptive_rate is video.adaptive_rate
    told = [note for note in planned.notes if note.startswith("adaptive frame rate")]
    assert len(told) == (says is not None)
    assert all(says in note for note in told if says)
    alone = plan_session(msgspec.structs.replace(asked, targets=()), Settings(video=video), SystemClock())
    assert not [note for note in alone.notes if note.startswith("adaptive frame rate")]


def test_what_is_made_at_sealing_is_planned_with_where_slides_are(tmp_path: Path) -> None:
    settings = Settings(
        general=GeneralSettings(language="en"),
        slides=SlideSettings(inputs=("Synthetic picture 2",), least_s=8.0, languages=("eng",)),
        report=ReportSettings(address=("Jl. Contoh 1",), signers=("A", "B", "C", "D")),
    )
    asked = SessionRequest(
        title="Rapat", videos=("synthetic", "synthetic"), archive=tmp_path / "arsip", reserve=1, isolate=True,
        layout="pip",
    )  # fmt: skip
    wishes = plan_session(asked, settings, SystemClock()).plan.context.wishes
    assert wishes
    assert wishes.report == ReportOptions(address=("Jl. Contoh 1",), signers=("A", "B", "C"))
    slides = wishes.slides
    assert slides
    assert (wishes.language, slides.inputs, slides.isolated) == (
        "en",
        ("synthetic picture 2",),
        ("synthetic-picture-2",),
    )
    assert (slides.layout, slides.least_s, slides.languages) == ("pip", 8.0, ("eng",))
    assert set(slides.views) == set(LAYOUT_KINDS) - {SINGLE}, "not where the first is shown alone"
    inset = slides.views["pip"].area
    assert (inset.width, inset.height) == (0.25, 0.25)
    assert inset.x + inset.width <= 1


def test_a_slide_under_an_inset_is_covered_there() -> None:
    settings = Settings(slides=SlideSettings(inputs=("slides",)))
    wishes = wishes_of(settings, ["slides", "podium"], "pip", isolate=False)
    assert wishes
    assert wishes.slides
    view = wishes.slides.views["pip"]
    assert view.area == FrameArea()
    (cover,) = view.covered
    assert (cover.width, cover.height) == (0.25, 0.25)
    assert wishes.slides.views["single"] == SlidesView()


def test_without_slides_and_without_a_report_nothing_is_made() -> None:
    assert wishes_of(Settings(report=ReportSettings(made=False)), ["podium"], "single", isolate=False) is None
    off = Settings(report=ReportSettings(made=False), slides=SlideSettings(chapters=False))
    assert wishes_of(off, ["slides"], "single", isolate=False) is None


@pytest.mark.parametrize(("is_adaptive", "wish"), [(False, "auto"), (True, "x264")])
def test_with_an_adaptive_rate_no_hardware_encodes_and_that_is_said(
    is_adaptive: bool, wish: str, tmp_path: Path
) -> None:
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path / "arsip", reserve=1)
    video = VideoDefaults(encoder="auto", adaptive_rate=is_adaptive)
    planned = plan_session(asked, Settings(video=video), SystemClock())
    assert planned.plan.encoder.wish == wish
    assert any("x264 encodes" in note and "(auto)" in note for note in planned.notes) is is_adaptive
