"""What a session holds while it is sealed: its encoder, which has hundreds of megabytes of pictures, is gone."""

import gc
import threading
from pathlib import Path

import av
import pytest

from capture.pacing import FastPace
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.settings.schema import BUILT_IN_PROFILES
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.program.mixer import SoundInput
from recorder.session.session import Session
from tests.support.plans import session_plan

PROFILE = BUILT_IN_PROFILES["240p15"]


def encoders() -> int:
    """Return how many encoders of pictures are open in this process."""
    return sum(
        isinstance(one, av.CodecContext) and one.is_encoder and one.is_open and one.name == "libx264"
        for one in gc.get_objects()
    )


@pytest.mark.parametrize("streams", [False, True])
def test_the_encoder_is_gone_when_its_recording_is_sealed(tmp_path: Path, *, streams: bool) -> None:
    clock, stop = SystemClock(), threading.Event()
    pace = FastPace(("video", "audio"))
    nowhere = StreamTarget("nowhere", Secret("rtmp://127.0.0.1:1/live/key"))
    plan = session_plan(
        title="Rapat",
        profile=PROFILE,
        pictures=[ChosenSource("Podium", SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop))],
        sounds=[SoundInput("Mikrofon", SyntheticAudio(pace, stop))],
        archives=[Archive(tmp_path / "arsip", clock, 0)],
        pace=pace,
        stop=stop,
        live=False,
        duration_s=1.0,
        targets=[nowhere] if streams else [],
    )
    gc.collect()
    before, during = encoders(), []
    session = Session(
        plan,
        clock=clock,
        listener=lambda event: during.append(encoders()) if event.kind == "session-live" else None,
        progress=lambda done, total: during.append(encoders()),
    )
    session.start()
    assert session.run().state == "sealed"
    assert during[0] > before
    assert set(during[1:]) == {before}
