"""What fails, is late or hangs beside the recording of a session that streams costs it nothing, and a stop seconds."""

import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from capture.sources.source_kind import ChosenSources
from config.errors import EncoderError
from config.settings.schema import Settings
from recorder.encode.encoder import Encoder
from recorder.features.conference import camera as in_camera
from recorder.features.conference import sound as in_sound
from recorder.features.conference.camera import ConferenceCamera
from recorder.features.conference.conference_hook import ConferenceHook
from recorder.features.conference.sound import ConferenceSound
from recorder.live_encode import live_encode_control, live_encoder
from recorder.live_encode.live_encoder import LiveEncoder
from recorder.model.packet import EncodedPacket
from recorder.session.hooks import SessionHooks
from recorder.session.request import SessionRequest
from tests.recorder.features.conference.test_camera import INFO, Node
from tests.recorder.features.conference.test_sound import NotingSpeaker
from tests.support import media
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.sessions import program
from tests.support.streams import PROFILE, Streamed

pytestmark = pytest.mark.server


class Failing(Encoder):
    """Fails at every picture from the 30th on."""

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        if pts > 2 * 90_000:
            raise EncoderError("the test broke it")
        return super().encode_video(picture, pts)


class Unopened(LiveEncoder):
    """Its encoder cannot be opened."""

    def start(self) -> None:
        raise EncoderError("the test broke it")


class Unaffordable(LiveEncoder):
    """There is no memory for it."""

    def __init__(self, *_: object, **__: object) -> None:
        raise MemoryError


def with_encoder(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Encoder]) -> None:
    monkeypatch.setattr(live_encode_control, "LiveEncoder", partial(LiveEncoder, encoder=make))


def test_an_encode_that_fails_costs_neither_the_recording_nor_the_viewers(
    tmp_path: Path, server: NginxRtmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are connected anew, and get what is recorded."""
    with_encoder(monkeypatch, Failing)
    streamed = Streamed(tmp_path, server)
    streamed.start()
    streamed.until("destination-live")
    failed = streamed.until("stream-encode-failed", 2)
    streamed.until("destination-live", 2)
    streamed.until_frames(streamed.session.status().frames + 45)
    line = streamed.session.status().stream
    result = streamed.end()

    assert failed.detail["goes_on"] == "shared"
    assert line
    assert (line.encode, line.why, line.bitrate) == ("shared", "failed", PROFILE.video_bitrate)
    assert result.frames == media.decoded(program(result), "v").frames
    late = "stream-encode-late: live picture"  # a busy PC leaves pictures of the live side out, whatever else happens
    assert [what for what in result.degraded if what != late] == ["stream-encode-failed: live picture"]
    server.stop()
    first, second = server.recordings()
    for received in (first, second):
        media.decodes_cleanly(received)
    assert media.decoded(second, "v").frames > 15


@pytest.mark.parametrize("make", [Unopened, Unaffordable])
def test_an_encode_that_cannot_be_opened_is_shared(
    tmp_path: Path, server: NginxRtmp, monkeypatch: pytest.MonkeyPatch, make: Callable[..., LiveEncoder]
) -> None:
    monkeypatch.setattr(live_encode_control, "LiveEncoder", make)
    streamed = Streamed(tmp_path, server)
    streamed.start()
    failed = streamed.until("stream-encode-failed")
    streamed.until("destination-live")
    streamed.until_frames(30)
    line = streamed.session.status().stream
    result = streamed.end()

    assert failed.detail["goes_on"] == "shared"
    assert line
    assert (line.encode, line.why) == ("shared", "failed")
    assert [what for what in result.degraded if what.startswith("stream")] == ["stream-encode-failed: live picture"]
    server.stop()
    (received,) = server.recordings()
    assert media.decoded(received, "v").frames > 15


def test_an_encoder_that_takes_long_to_open_delays_the_live_side_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    opens = threading.Event()

    def slow(*given: Any) -> Encoder:
        opens.wait(120)
        return Encoder(*given)

    monkeypatch.setattr(live_encoder, "OPEN_S", 120.0)
    with_encoder(monkeypatch, slow)
    streamed = Streamed(tmp_path, server)
    streamed.start()
    streamed.until("session-live")
    streamed.until_frames(15)
    (waiting,) = streamed.session.status().destinations
    opens.set()
    streamed.until("destination-live")
    result = streamed.end()

    assert waiting.state == "armed"
    assert result.frames == media.decoded(program(result), "v").frames
    assert set(result.degraded) <= {"stream-encode-late: live picture"}


class HangingNode(Node):
    """Its driver takes no picture, and never says so."""

    def write(self, data: memoryview) -> bool:
        never.wait(120)
        return True


class HangingSpeaker(NotingSpeaker):
    """What it asks never answers."""

    def poll(self) -> bool:
        return never.wait(120)


never = threading.Event()


def test_a_stop_takes_less_than_5_s_whatever_hangs_and_all_that_hangs_does_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    halves: list[Callable[..., Any]] = [ConferenceCamera, ConferenceSound]
    camera, sound = halves
    node = partial(camera, find=lambda _: INFO, open_node=lambda *_: HangingNode())
    both: list[Any] = []

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **more: Any) -> Any:
            both.append(make(*given, **more))
            return both[-1]

        return made

    monkeypatch.setattr(in_camera, "ConferenceCamera", noting(node))
    monkeypatch.setattr(in_sound, "ConferenceSound", noting(partial(sound, speaker=HangingSpeaker)))
    never.clear()
    asked = SessionRequest(title="Rapat", conference=True)
    hook = ConferenceHook(asked, Settings())
    hook.plan(ChosenSources(), unattended=False)
    streamed = Streamed(tmp_path, server, hooks=SessionHooks([hook]))
    streamed.start()
    streamed.until("destination-live")
    streamed.until_frames(15)
    (child,) = children()
    child.suspend()
    wished = time.monotonic()
    streamed.session.stop()
    begun = [half.stopped.is_set() for half in both]
    streamed.until("destination-stopped")
    took_s = time.monotonic() - wished
    result = streamed.end()
    never.set()

    assert begun == [True, True], "they begin to end before anything is waited for"
    assert took_s < 20
    assert not child.is_running()
    assert result.frames == media.decoded(program(result), "v").frames
