"""A session of the low-latency profile: what x264 is told, and what ffmpeg makes of the file."""

from pathlib import Path

import msgspec
import pytest

from config.settings.schema import BUILT_IN_PROFILES, Settings, VideoDefaults
from devices.host.clock import SystemClock
from recorder.encode.x264 import VideoSettings
from recorder.live_encode.live_encoder import live_settings
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session, encoder_settings
from tests.bench.peers import x264_options
from tests.support import media

NAME = "1080p30-low-latency"
SMALL = msgspec.structs.replace(BUILT_IN_PROFILES[NAME], width=320, height=240, video_bitrate=300_000)


def settings_of(profile: str, tmp_path: Path) -> VideoSettings:
    asked = SessionRequest(title="Rapat", videos=("synthetic",), profile=profile, archive=tmp_path / "arsip", reserve=1)
    plan = plan_session(asked, Settings(), SystemClock()).plan
    return encoder_settings(plan, plan.pictures[0].source.open())[0]


def test_the_profile_is_that_of_the_default_but_for_its_delay(tmp_path: Path) -> None:
    assert msgspec.structs.replace(BUILT_IN_PROFILES[NAME], low_latency=False) == Settings().profile()
    assert settings_of(NAME, tmp_path).low_latency
    assert not settings_of("1080p30", tmp_path).low_latency


def test_a_live_encode_of_its_own_has_no_delay_either(tmp_path: Path) -> None:
    assert live_settings(settings_of(NAME, tmp_path), 1_000_000).low_latency


@pytest.mark.parametrize("sound", ["synthetic", "none"])
def test_its_recording_is_whole_and_made_without_looking_ahead(tmp_path: Path, sound: str) -> None:
    settings = Settings(profiles={NAME: SMALL}, video=VideoDefaults(profile=NAME))
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), audios=(sound,), live=False, duration_s=10.0, archive=tmp_path / "arsip",
        reserve=1,
    )  # fmt: skip
    clock = SystemClock()
    planned = plan_session(asked, settings, clock)
    session = Session(planned.plan, clock=clock)
    session.start()
    result = session.run()
    assert (result.state, result.frames, result.degraded) == ("sealed", 300, [])
    assert result.package
    film = Path(result.package) / "data/media/program.mp4"
    media.decodes_cleanly(film)
    assert media.shown(film, "v") == pytest.approx([number / 30 for number in range(300)], abs=1e-4)
    assert media.decoded(film, "v").end_s == pytest.approx(10.0, abs=0.001)
    told = x264_options(film)
    assert [told[name] for name in ("rc_lookahead", "bframes", "sliced_threads", "mbtree")] == ["0", "0", "1", "0"]
