"""Sessions that shed load."""

import pytest

from config.settings.schema import Settings, VideoDefaults
from recorder.features.load_shedding.load_hook import make_hook
from recorder.session.request import SessionRequest


@pytest.mark.parametrize(
    ("video", "live", "sheds"),
    [(VideoDefaults(), True, True), (VideoDefaults(), False, False), (VideoDefaults(step_down=False), True, False)],
)
def test_a_live_session_sheds_load_unless_that_is_switched_off(video: VideoDefaults, live: bool, sheds: bool) -> None:
    asked = SessionRequest(title="Rapat", live=live)
    assert (make_hook(asked, Settings(video=video)) is not None) is sheds
