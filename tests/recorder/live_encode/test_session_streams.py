"""A whole session, in real time, that streams an encode of its own to a real server beside its recording."""

import dataclasses
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
from config.settings.secrets import Secret, StreamTarget
from recorder.encode.encoder import Encoder
from recorder.features.conference import camera as in_camera
from recorder.features.conference import sound as in_sound
from recorder.features.conference.camera import ConferenceCamera
from recorder.features.conference.conference_hook import ConferenceHook
from recorder.features.conference.sound import ConferenceSound
from recorder.live_encode import headroom, live_encode_control
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
from tests.support.streams import PROFILE, SEPARATE, Streamed
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


def video_bits(path: Path) -> float:
    """Return the bits of picture for each picture."""
    with av.open(str(path)) as container:
        sizes = [packet.size for packet in container.demux(video=0) if packet.size]
    return sum(sizes) * 8 / len(sizes)


def test_the_server_gets_another_encode_and_the_recording_is_what_it_was(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server)
    streamed.start()
    begun = streamed.until("session-live")
    streamed.until("destination-live")
    streamed.until_frames(8 * 15)
    line = streamed.session.status().stream
    result = streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("separate", "set")
    assert line
    assert (line.encode, line.least, line.most) == ("separate", 60_000, 120_000)
    assert 60_000 <= line.bitrate <= 120_000
    assert result.frames == media.decoded(program(result), "v").frames
    assert set(result.degraded) <= {"stream-encode-late: live picture"}, "this PC may be busy"
    server.stop()
    (received,) = server.recordings()
    media.decodes_cleanly(received)
    sent = media.decoded(received, "v")
    assert sent.frames > 4 * 15
    assert video_bits(received) * 15 < 1.3 * 120_000
    assert video_bits(program(result)) > 1.5 * video_bits(received)


def test_its_pictures_have_the_recordings_times_also_after_a_pre_roll(tmp_path: Path, server: NginxRtmp) -> None:
    """The live side counts in the recording's media time, with the sound that it shares."""
    packets: list[EncodedPacket] = []
    streamed = Streamed(tmp_path, server)
    put = streamed.session.destinations.put

    def spy(packet: EncodedPacket) -> None:
        packets.append(packet)
        put(packet)

    streamed.session.destinations.put = spy  # type: ignore[method-assign] # to see what goes there
    streamed.start(at_once=False)
    wait_for(lambda: streamed.session.status().pre_roll_s > 5)
    streamed.session.start(pre_roll_s=1.0)
    streamed.until("session-live")
    streamed.until_frames(6 * 15)
    result = streamed.end()

    shown = media.shown(program(result), "v")
    pictures = [float(packet.pts * packet.time_base) for packet in packets if packet.track == "video"]
    assert len(pictures) > 15
    assert min(pictures) > 0.5, "nothing of the pre-roll is encoded again"
    assert max(pictures) <= max(shown) + 0.001, "media time begins seconds after program time"
    known = {round(at * 1000) for at in shown}
    assert all(round(at * 1000) in known for at in pictures), "each is a picture of the recording, at its time"
    sound = [packet.dts_s for packet in packets if packet.track == "audio"]
    assert abs(max(sound) - max(pictures)) < 1.5


def test_nothing_is_encoded_while_it_is_armed_or_nobody_streams(
    tmp_path: Path, server: NginxRtmp, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = Streamed(tmp_path, server)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    wait_for(lambda: streamed.session.status().pre_roll_s > 0.5)
    assert not any(thread.name == "stream-encode" for thread in threading.enumerate())
    streamed.session.start()
    streamed.until("destination-live")
    assert any(thread.name == "stream-encode" for thread in threading.enumerate())
    streamed.session.destinations.remove("kampus")
    offered: list[object] = []
    monkeypatch.setattr(LiveEncoder, "offer", lambda *given: offered.append(given))  # to see whether it is asked
    streamed.until_frames(streamed.session.status().frames + 15)
    streamed.end()

    assert offered == []


def test_one_that_is_added_to_a_session_without_destinations_gets_the_encode_of_the_settings(
    tmp_path: Path, server: NginxRtmp
) -> None:
    streamed = Streamed(tmp_path, None)
    streamed.start()
    begun = streamed.until("session-live")
    streamed.until_frames(5)
    before = streamed.session.status().stream
    streamed.session.destinations.add(StreamTarget("kampus", Secret(server.url("good-key"))))
    streamed.until("destination-live")
    streamed.until_frames(streamed.session.status().frames + 45)
    line = streamed.session.status().stream
    result = streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("separate", "set")
    assert before is None
    assert line
    assert (line.encode, line.why) == ("separate", "set")
    server.stop()
    (received,) = server.recordings()
    media.decodes_cleanly(received)
    assert video_bits(program(result)) > 1.5 * video_bits(received)


def test_a_pc_that_stands_still_again_and_again_is_no_link_that_carries_less(tmp_path: Path, server: NginxRtmp) -> None:
    """What streams is stopped for 0.7 s, five times; the way is a loopback on which nothing else goes."""
    streamed = Streamed(tmp_path, server)
    streamed.start()
    streamed.until("destination-live")
    streamed.until_frames(3 * 15)
    (child,) = children()
    for _ in range(5):
        child.suspend()
        streamed.until_frames(streamed.session.status().frames + 11)
        child.resume()
        streamed.until_frames(streamed.session.status().frames + 15)
    line = streamed.session.status().stream
    streamed.end()

    assert line
    assert line.bitrate == line.most
    assert not [event for event in streamed.events if event.kind == "stream-rate-changed"]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))


AUTO = dataclasses.replace(SEPARATE, encode="auto")


@pytest.mark.usefixtures("state")
def test_auto_measures_while_it_is_armed_and_uses_what_was_found(tmp_path: Path, server: NginxRtmp) -> None:
    asked = AUTO.question
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    found = wait_for(lambda: headroom.remembered(asked), 120.0, "the figure")
    streamed.session.start()
    begun = streamed.until("session-live")
    streamed.until_frames(15)
    streamed.end()

    assert found
    expected = ("separate", "headroom") if found.affords_two else ("shared", "no-headroom")
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == expected


@pytest.mark.usefixtures("state")
def test_auto_measures_nothing_at_a_start_at_once(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start()
    begun = streamed.until("session-live")
    assert not any(thread.name == "headroom" for thread in threading.enumerate())
    streamed.until_frames(15)
    streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
    assert headroom.remembered(AUTO.question) is None


class Failing(Encoder):
    """Fails at every picture from the 30th on."""

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        if pts > 2 * 90_000:
            raise EncoderError("the test broke it")
        return super().encode_video(picture, pts)


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
