"""A whole session, in real time, that streams an encode of its own to a real server beside its recording."""

import dataclasses
import threading
from pathlib import Path

import av
import pytest

from config.settings.secrets import Secret, StreamTarget
from recorder.live_encode.live_encoder import LiveEncoder
from recorder.model.packet import EncodedPacket
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


def test_shared_is_what_is_recorded(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server, dataclasses.replace(SEPARATE, encode="shared"))
    streamed.start()
    streamed.until("destination-live")
    streamed.until_frames(30)
    line = streamed.session.status().stream
    streamed.end()

    assert line
    assert (line.encode, line.why, line.bitrate, line.least) == ("shared", "set", PROFILE.video_bitrate, None)
