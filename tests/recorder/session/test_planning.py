"""What the settings say of a session is in its plan; and what the program is, by what its sources give."""

import threading
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from capture.source import ColorMatrix, VideoFormat
from config.errors import SecretError, StorageError, UsageError
from config.settings.layouts import LAYOUT_KINDS, SINGLE, ProgramSettings
from config.settings.schema import (
    DestinationSettings,
    GeneralSettings,
    Profile,
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
from recorder.session.inputs import SessionInputs
from recorder.session.planning import PreparedSession, plan_session, wishes_of
from recorder.session.request import SessionRequest
from tests.support import archives, leftovers, media
from tests.support.errors import because
from tests.support.simulated import EventList


@pytest.fixture
def asked(tmp_path: Path) -> SessionRequest:
    return SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path / "arsip", reserve=1)


def planned(asked: SessionRequest, settings: Settings, **more: object) -> PreparedSession:
    """Return the plan of `asked`, with `more` of the request changed."""
    return plan_session(msgspec.structs.replace(asked, **more), settings, SystemClock())


def test_a_session_that_is_gone_on_with_takes_what_a_session_that_runs_takes(
    tmp_path: Path, asked: SessionRequest
) -> None:
    archive = archives.archive_at(tmp_path / "arsip")
    folder = leftovers.leave(archive, {"program.mp4": archives.make_program(tmp_path / "a.mp4")})
    with pytest.raises(StorageError, check=because("full")):
        planned(asked, Settings(), reserve=10**18)
    plan = planned(asked, Settings(), reserve=10**18, resume=folder).plan
    assert plan.archives[0].reserve_bytes == Settings().storage.keep_free
    assert plan.resume
    plan.resume.release()


def test_a_folder_that_is_named_twice_is_one_which_no_mirror_has_enough_in(
    tmp_path: Path, asked: SessionRequest
) -> None:
    here, there = tmp_path / "arsip", tmp_path / "cadangan"
    plan = planned(asked, Settings(storage=StorageSettings(paths=(here, there, there)))).plan
    assert [archive.root for archive in plan.archives] == [here, there]
    with pytest.raises(UsageError, match="a second folder"):
        planned(asked, Settings(storage=StorageSettings(paths=(here,), mirror=True)))


def test_what_is_set_for_the_program_and_the_recording_is_planned(asked: SessionRequest) -> None:
    settings = Settings(
        general=GeneralSettings(language="en"),
        program=ProgramSettings(layout="pip", title_line=True),
        recording=RecordingSettings(pre_roll_s=12.0, sync_s=0.25),
    )
    plan = planned(asked, settings, videos=("synthetic", "synthetic"), audios=("synthetic",), isolate=True).plan
    assert (plan.recording.pre_roll_s, plan.recording.sync_s, plan.appearance.language) == (12.0, 0.25, "en")
    assert (plan.layout, plan.appearance.program.title_line, plan.isolate) == ("pip", True, True)
    assert [picture.name for picture in plan.pictures] == ["synthetic picture", "synthetic picture 2"]


@pytest.mark.parametrize(("encode", "targets", "notes"), [("auto", 1, 1), ("separate", 1, 0), ("auto", 0, 0)])
def test_with_an_adaptive_rate_it_is_said_what_live_destinations_get(
    encode: str, targets: int, notes: int, asked: SessionRequest
) -> None:
    video = VideoDefaults(adaptive_rate=True, stream_encode=encode)
    target = StreamTarget("kampus", secret_url("rtmp://media.kampus.example/live/x"))
    found = planned(asked, Settings(video=video), targets=targets * (target,))
    assert found.plan.adaptive_rate
    assert sum(note.startswith("adaptive frame rate") for note in found.notes) == notes


def test_a_stream_without_its_key_keeps_no_recording_from_beginning(asked: SessionRequest) -> None:
    settings = Settings(destinations={"youtube": DestinationSettings(url="rtmps://a.example/live2")})
    found = planned(asked, settings, streams=("youtube",))
    assert (found.plan.targets, found.plan.context.destinations) == ([], ())
    assert found.left_out.keys() == {"youtube"}
    assert "there is no key" in found.left_out["youtube"].message
    assert found.left_out["youtube"].hint
    for slip in ("yuotube", "@/nowhere"):
        with pytest.raises(UsageError if "@" not in slip else SecretError):
            planned(asked, settings, streams=(slip,))


@pytest.mark.parametrize(("is_adaptive", "wish"), [(False, "auto"), (True, "x264")])
def test_with_an_adaptive_rate_no_hardware_encodes_and_that_is_said(
    is_adaptive: bool, wish: str, asked: SessionRequest
) -> None:
    found = planned(asked, Settings(video=VideoDefaults(encoder="auto", adaptive_rate=is_adaptive)))
    assert found.plan.encoder.wish == wish
    assert any("x264 encodes" in note and "(auto)" in note for note in found.notes) is is_adaptive


def test_what_is_made_at_sealing_is_planned_with_where_slides_are(asked: SessionRequest) -> None:
    settings = Settings(
        general=GeneralSettings(language="en"),
        slides=SlideSettings(inputs=("Synthetic picture 2",), least_s=8.0, languages=("eng",)),
        report=ReportSettings(address=("Jl. Contoh 1",), signers=("A", "B", "C", "D")),
    )
    wishes = planned(asked, settings, videos=("synthetic", "synthetic"), isolate=True, layout="pip").plan.context.wishes
    assert wishes
    assert wishes.language == "en"
    assert wishes.report == ReportOptions(address=("Jl. Contoh 1",), signers=("A", "B", "C"))
    slides = wishes.slides
    assert slides
    assert (slides.inputs, slides.isolated) == (("synthetic picture 2",), ("synthetic-picture-2",))
    assert (slides.layout, slides.least_s, slides.languages) == ("pip", 8.0, ("eng",))
    assert set(slides.views) == set(LAYOUT_KINDS) - {SINGLE}, "not where the first is shown alone"
    inset = slides.views["pip"].area
    assert (inset.width, inset.height) == (0.25, 0.25)
    assert inset.x + inset.width <= 1


def test_a_slide_under_an_inset_is_covered_there() -> None:
    wishes = wishes_of(Settings(slides=SlideSettings(inputs=("slides",))), ["slides", "podium"], "pip", isolate=False)
    assert wishes
    assert wishes.slides
    view = wishes.slides.views["pip"]
    assert view.area == FrameArea()
    (cover,) = view.covered
    assert (cover.width, cover.height) == (0.25, 0.25)
    assert wishes.slides.views["single"] == SlidesView()


@pytest.mark.parametrize(("inputs", "chapters"), [("podium", True), ("slides", False)])
def test_without_slides_and_without_a_report_nothing_is_made(*, inputs: str, chapters: bool) -> None:
    settings = Settings(report=ReportSettings(made=False), slides=SlideSettings(chapters=chapters))
    assert wishes_of(settings, [inputs], "single", isolate=False) is None


def form_of(asked: SessionRequest, *videos: str) -> VideoFormat:
    small = Profile(width=320, height=180, fps=Fraction(15), video_bitrate=300_000)
    settings, given = Settings(profiles={"small": small}), {"videos": videos, "audios": ("none",), "profile": "small"}
    inputs = SessionInputs(planned(asked, settings, live=False, **given).plan, clock=SystemClock(), emit=EventList())
    with ExitStack() as stack:
        inputs.open(stack, threading.Event())
        return inputs.form


def test_a_program_of_one_source_is_what_that_gives_and_one_of_several_is_the_profiles_in_the_matrix_of_the_first(
    asked: SessionRequest, tmp_path: Path
) -> None:
    film = str(tmp_path / "film.mp4")
    words = ("-f", "lavfi", "-i", "testsrc=s=128x96:r=15:d=0.3", "-pix_fmt", "yuv420p", "-colorspace", "bt709")
    media.run("ffmpeg", "-v", "error", *words, "-color_range", "tv", film)
    assert form_of(asked, film) == VideoFormat(128, 96, Fraction(15), ColorMatrix.BT709)
    assert form_of(asked, "synthetic", film) == VideoFormat(320, 180, Fraction(15), ColorMatrix.BT601)
    assert form_of(asked, film, "synthetic") == VideoFormat(320, 180, Fraction(15), ColorMatrix.BT709)
