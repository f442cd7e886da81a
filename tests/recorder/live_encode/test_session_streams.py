"""A whole session, in real time, that streams an encode of its own to a real server beside its recording."""

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
from recorder.live_encode import live_encode_control
from recorder.live_encode.live_encoder import LiveEncoder
from recorder.model.packet import EncodedPacket
from recorder.session.hooks import SessionHooks
from recorder.session.request import SessionRequest
from tests.recorder.features.conference.test_camera import INFO, Node
from tests.recorder.features.conference.test_sound import NotingSpeaker
from tests.support import media
from tests.support.processes import children
from tests.support.rtmp_server import NginxRtmp
from tests.support.sessions import PROFILE, program
from tests.support.streams import Streamed
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server
LATE = "stream-encode-late: live picture"
"""A busy PC leaves pictures of the live side out, whatever else happens."""


def video_bits(path: Path) -> float:
    """Return the bits of picture for each picture."""
    with av.open(str(path)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    return sum(sizes) * 8 / len(sizes)


def is_encoding() -> bool:
    return any(thread.name == "stream-encode" for thread in threading.enumerate())


def test_the_server_gets_another_encode_of_the_recordings_pictures_at_their_times_also_after_a_pre_roll(
    tmp_path: Path, server: NginxRtmp
) -> None:
    """The live side counts in the recording's media time, with the sound that it shares."""
    packets: list[EncodedPacket] = []
    streamed = Streamed(tmp_path, server)
    put = streamed.session.destinations.put

    def spy(packet: EncodedPacket) -> None:
        packets.append(packet)
        put(packet)

    streamed.session.destinations.put = spy  # type: ignore[method-assign] # to see what goes there
    streamed.start(at_once=False)
    wait_for(lambda: streamed.session.status().pre_roll_s > PROFILE.keyframe_s + 1)
    assert not is_encoding(), "while it is only armed"
    streamed.session.start(pre_roll_s=1.0)
    begun = streamed.until("session-live")
    streamed.until("destination-live")
    assert is_encoding()
    streamed.until_frames(8 * 15)
    line = streamed.session.status().stream
    result = streamed.end()
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("separate", "set")
    assert line
    assert (line.encode, line.least, line.most) == ("separate", 60_000, 120_000)
    assert 60_000 <= line.bitrate <= 120_000
    assert set(result.degraded) <= {LATE}
    shown = media.shown(program(result), "v")
    assert result.frames == len(shown)
    pictures = [float(packet.pts * packet.time_base) for packet in packets if packet.track == "video"]
    assert len(pictures) > 15
    assert min(pictures) > 0.5, "nothing of the pre-roll is encoded again"
    known = {round(at * 1000) for at in shown}
    assert all(round(at * 1000) in known for at in pictures), "each is a picture of the recording, at its time"
    sound = [packet.dts_s for packet in packets if packet.track == "audio"]
    assert abs(max(sound) - max(pictures)) < 1.5
    server.stop()
    (received,) = server.recordings()
    media.decodes_cleanly(received)
    assert media.decoded(received, "v").frames > 3 * 15
    assert video_bits(received) * 15 < 1.3 * 120_000
    assert video_bits(program(result)) > 1.5 * video_bits(received)


class Failing(Encoder):
    """Fails at every picture from the 30th on."""

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        if pts > 2 * 90_000:
            raise EncoderError("the test broke it")
        return super().encode_video(picture, pts)


def test_an_encode_that_fails_costs_neither_the_recording_nor_the_viewers(
    tmp_path: Path, server: NginxRtmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are connected anew, and get what is recorded."""
    monkeypatch.setattr(live_encode_control, "LiveEncoder", partial(LiveEncoder, encoder=Failing))
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
    assert [what for what in result.degraded if what != LATE] == ["stream-encode-failed: live picture"]
    server.stop()
    first, second = server.recordings()
    for received in (first, second):
        media.decodes_cleanly(received)
    assert media.decoded(second, "v").frames > 15


def test_a_stop_takes_less_than_5_s_whatever_hangs_and_all_that_hangs_does_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    never = threading.Event()

    class HangingNode(Node):
        """Its driver takes no picture, and never says so."""

        def write(self, data: memoryview) -> bool:
            never.wait(120)
            return True

    class HangingSpeaker(NotingSpeaker):
        """What it asks never answers."""

        def poll(self) -> bool:
            return never.wait(120)

    halves: list[Callable[..., Any]] = [ConferenceCamera, ConferenceSound]
    node = partial(halves[0], find=lambda _: INFO, open_node=lambda *_: HangingNode())
    both: list[Any] = []

    def noting(make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*given: Any, **more: Any) -> Any:
            both.append(make(*given, **more))
            return both[-1]

        return made

    monkeypatch.setattr(in_camera, "ConferenceCamera", noting(node))
    monkeypatch.setattr(in_sound, "ConferenceSound", noting(partial(halves[1], speaker=HangingSpeaker)))
    hook = ConferenceHook(SessionRequest(title="Rapat", conference=True), Settings())
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
