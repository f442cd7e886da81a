"""The sources of a session: what the program is, by what they give."""

import threading
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest

from capture.source import ColorMatrix, VideoFormat
from config.settings.schema import Profile, Settings
from devices.host.clock import SystemClock
from recorder.session.inputs import SessionInputs
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from tests.support import media
from tests.support.simulated import EventList

SMALL = Profile(width=320, height=180, fps=Fraction(15), video_bitrate=300_000)


@pytest.fixture
def film(tmp_path: Path) -> str:
    """Return a film of 128x96 in BT.709."""
    path = tmp_path / "film.mp4"
    tags = ("-colorspace", "bt709", "-color_range", "tv")
    media.run(
        "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=128x96:r=15:d=0.3", "-pix_fmt", "yuv420p", *tags, path
    )
    return str(path)


def form_of(tmp_path: Path, *videos: str) -> VideoFormat:
    settings, clock = Settings(profiles={"small": SMALL}), SystemClock()
    asked = SessionRequest(
        title="T", videos=videos, audios=("none",), live=False, profile="small", archive=tmp_path / "archive"
    )
    inputs = SessionInputs(plan_session(asked, settings, clock).plan, clock=clock, emit=EventList())
    with ExitStack() as stack:
        inputs.open(stack, threading.Event())
        return inputs.form


def test_a_program_of_one_source_is_what_that_gives(tmp_path: Path, film: str) -> None:
    assert form_of(tmp_path, film) == VideoFormat(128, 96, Fraction(15), ColorMatrix.BT709)


def test_a_program_of_several_is_the_profiles_in_the_matrix_of_the_first(tmp_path: Path, film: str) -> None:
    assert form_of(tmp_path, "synthetic", film) == VideoFormat(320, 180, Fraction(15), ColorMatrix.BT601)
    assert form_of(tmp_path, film, "synthetic") == VideoFormat(320, 180, Fraction(15), ColorMatrix.BT709)
