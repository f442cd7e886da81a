"""A whole session, in real time, that streams an encode of its own to a real server beside its recording."""

import threading
from functools import partial
from pathlib import Path

import av
import pytest

from config.errors import EncoderError
from config.events import Event
from config.settings.secrets import Secret, StreamTarget
from recorder.encode.encoder import Encoder
from recorder.live_encode import live_encode_control
from recorder.live_encode.headroom import HeadroomQuery, StreamPlan
from recorder.live_encode.live_encoder import LiveEncoder
from recorder.model.packet import EncodedPacket
from tests.support import media
from tests.support.rtmp_server import NginxRtmp
from tests.support.sessions import PROFILE, Armed, faults, program
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("sessions in real time", lane="sessions"), pytest.mark.server]


class Streamed(Armed):
    """A session that streams an encode of its own."""

    def __init__(self, folder: Path, server: NginxRtmp) -> None:
        stream = StreamPlan("separate", 60_000, HeadroomQuery(PROFILE, 120_000))
        target = StreamTarget("kampus", Secret(server.url("good-key")))
        super().__init__(folder, stream=stream, targets=[target])

    def told(self, kind: str, times: int = 1) -> Event:
        return wait_for(lambda: [event for event in self.heard if event.kind == kind][times - 1 :], what=kind)[0]


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
    with streamed:
        wait_for(lambda: streamed.session.status().pre_roll_s > PROFILE.keyframe_s + 1)
        assert not is_encoding(), "while it is only armed"
        streamed.session.start(pre_roll_s=1.0)
        begun = streamed.told("session-live")
        streamed.told("destination-live")
        assert is_encoding()
        wait_for(lambda: streamed.session.status().frames >= 8 * 15)
        line = streamed.session.status().stream
        result = streamed.end()
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("separate", "set")
    assert line
    assert (line.encode, line.least, line.most) == ("separate", 60_000, 120_000)
    assert 60_000 <= line.bitrate <= 120_000
    assert faults(result) == []
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
    with Streamed(tmp_path, server) as streamed:
        streamed.session.start()
        streamed.told("destination-live")
        failed = streamed.told("stream-encode-failed", 2)
        streamed.told("destination-live", 2)
        enough = streamed.session.status().frames + 45
        wait_for(lambda: streamed.session.status().frames >= enough)
        line = streamed.session.status().stream
        result = streamed.end()
    assert failed.detail["goes_on"] == "shared"
    assert line
    assert (line.encode, line.why, line.bitrate) == ("shared", "failed", PROFILE.video_bitrate)
    assert result.frames == media.decoded(program(result), "v").frames
    assert faults(result) == ["stream-encode-failed: live picture"]
    server.stop()
    first, second = server.recordings()
    for received in (first, second):
        media.decodes_cleanly(received)
    assert media.decoded(second, "v").frames > 15
