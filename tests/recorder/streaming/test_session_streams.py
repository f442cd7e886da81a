"""A whole session, in real time, that streams an encode of its own to a real server beside its recording."""

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from capture.pacing import RealPace
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.conference import Conference
from config.errors import EncoderError
from config.events import Event
from config.schema import BUILT_IN_PROFILES
from config.secrets import Secret, StreamTarget
from devices.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.conference import conference
from recorder.conference.bus import ConferenceSound
from recorder.conference.camera import ConferenceCamera
from recorder.conference.plan import ConferencePlan
from recorder.encoder import Encoder
from recorder.packet import EncodedPacket
from recorder.plan import PictureInput, SessionPlan
from recorder.session import Session
from recorder.sound.inputs import SoundInput
from recorder.status import SessionResult
from recorder.streaming import encode, figures, side
from recorder.streaming.encode import StreamEncode
from recorder.streaming.measure import Question
from recorder.streaming.wish import StreamPlan
from tests.recorder.conference.test_bus import NotingSpeaker
from tests.recorder.conference.test_camera import INFO, Node
from tests.support import media
from tests.support.children import children
from tests.support.nginx_rtmp import NginxRtmp
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

PROFILE = BUILT_IN_PROFILES["240p15"]
SEPARATE = StreamPlan("separate", 60_000, 120_000, PROFILE.audio_bitrate)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path / "nginx") as server:
        yield server


class Streamed:
    """A session that runs on a thread until `end`."""

    def __init__(
        self,
        folder: Path,
        server: NginxRtmp | None,
        stream: StreamPlan = SEPARATE,
        conference: ConferencePlan | None = None,
    ) -> None:
        clock, stop = SystemClock(), threading.Event()
        pace = RealPace(clock, stop)
        picture = SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop)
        sound = SyntheticAudio(pace, stop)
        self.events: list[Event] = []
        url = server.url("good-key") if server else ""
        plan = SessionPlan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[PictureInput(picture.name, picture)],
            sounds=[SoundInput(sound.name, sound)],
            pace=pace,
            live=True,
            stream=stream,
            conference=conference,
            targets=[StreamTarget("kampus", Secret(url))] if server else [],
        )
        archive = Archive(folder / "arsip", clock, reserve_bytes=1)
        self.session = Session(plan, archive, clock=clock, stop=stop, listener=self.events.append)
        self._results: list[SessionResult] = []
        self._thread = threading.Thread(target=lambda: self._results.append(self.session.run()))

    def start(self, *, at_once: bool = True) -> None:
        if at_once:
            self.session.start()
        self._thread.start()

    def until(self, kind: str, times: int = 1, timeout_s: float = 30.0) -> Event:
        def seen() -> list[Event]:
            return [event for event in self.events if event.kind == kind][times - 1 :]

        return wait_for(seen, timeout_s, kind)[0]

    def until_frames(self, count: int) -> None:
        wait_for(lambda: self.session.status().frames >= count)

    def end(self) -> SessionResult:
        self.session.stop()
        self._thread.join(60)
        (result,) = self._results
        return result


def program(result: SessionResult) -> Path:
    assert result.package
    return Path(result.package) / "data/media/program.mp4"


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


def test_nothing_is_encoded_while_it_is_armed_or_nobody_streams(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    wait_for(lambda: streamed.session.status().pre_roll_s > 0.5)
    assert not any(thread.name == "stream-encode" for thread in threading.enumerate())
    streamed.session.start()
    streamed.until("destination-live")
    assert any(thread.name == "stream-encode" for thread in threading.enumerate())
    streamed.session.destinations.remove("kampus")
    second = streamed.session._live and streamed.session._live._encode
    assert second
    offered: list[object] = []
    second.offer = lambda *given: offered.append(given)  # type: ignore[method-assign] # to see whether it is asked
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


class Failing(Encoder):
    """Fails at every picture from the 30th on."""

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        if pts > 2 * 90_000:
            raise EncoderError("the test broke it")
        return super().encode_video(picture, pts)


class Unopened(StreamEncode):
    """Its encoder cannot be opened."""

    def start(self) -> None:
        raise EncoderError("the test broke it")


class Unaffordable(StreamEncode):
    """There is no memory for it."""

    def __init__(self, *_: object, **__: object) -> None:
        raise MemoryError


def with_encoder(monkeypatch: pytest.MonkeyPatch, make: Callable[..., Encoder]) -> None:
    monkeypatch.setattr(side, "StreamEncode", partial(StreamEncode, encoder=make))


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
    tmp_path: Path, server: NginxRtmp, monkeypatch: pytest.MonkeyPatch, make: Callable[..., StreamEncode]
) -> None:
    monkeypatch.setattr(side, "StreamEncode", make)
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


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))


AUTO = dataclasses.replace(SEPARATE, encode="auto", question=Question(PROFILE, 120_000))


@pytest.mark.usefixtures("state")
def test_auto_measures_while_it_is_armed_and_uses_what_was_found(tmp_path: Path, server: NginxRtmp) -> None:
    assert AUTO.question
    asked = AUTO.question
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    found = wait_for(lambda: figures.remembered(asked), 120.0, "the figure")
    streamed.session.start()
    begun = streamed.until("session-live")
    streamed.until_frames(15)
    streamed.end()

    assert found
    expected = ("separate", "headroom") if found.affords_two else ("shared", "no-headroom")
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == expected


@pytest.mark.usefixtures("state")
def test_auto_measures_nothing_at_a_start_at_once(tmp_path: Path, server: NginxRtmp) -> None:
    assert AUTO.question
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start()
    begun = streamed.until("session-live")
    assert not any(thread.name == "headroom" for thread in threading.enumerate())
    streamed.until_frames(15)
    streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
    assert figures.remembered(AUTO.question) is None


@pytest.mark.usefixtures("state")
def test_a_start_does_not_wait_for_the_figure(tmp_path: Path, server: NginxRtmp) -> None:
    slow = dataclasses.replace(AUTO, question=Question(BUILT_IN_PROFILES["1080p60"], 7_000_000))
    assert slow.question
    streamed = Streamed(tmp_path, server, slow)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    assert any(thread.name == "headroom" for thread in threading.enumerate())
    streamed.session.start()
    begun = streamed.until("session-live")
    wait_for(lambda: not any(thread.name == "headroom" for thread in threading.enumerate()))
    streamed.until_frames(15)
    streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
    assert figures.remembered(slow.question) is None


def test_shared_is_what_is_recorded(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server, dataclasses.replace(SEPARATE, encode="shared"))
    streamed.start()
    streamed.until("destination-live")
    streamed.until_frames(30)
    line = streamed.session.status().stream
    streamed.end()

    assert line
    assert (line.encode, line.why, line.bitrate, line.least) == ("shared", "set", PROFILE.video_bitrate, None)


@pytest.mark.usefixtures("state")
def test_a_folder_that_hangs_delays_neither_arming_nor_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(figures, "remembered", lambda _: answers.wait(120) and None)
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    streamed.session.start()
    begun = streamed.until("session-live")
    streamed.until("destination-live")
    streamed.end()
    is_held_up = not answers.is_set()
    answers.set()

    assert is_held_up
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")


def test_an_encoder_that_takes_long_to_open_delays_the_live_side_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    opens = threading.Event()

    def slow(*given: Any) -> Encoder:
        opens.wait(120)
        return Encoder(*given)

    monkeypatch.setattr(encode, "OPEN_S", 120.0)
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

    def look(self) -> bool:
        return never.wait(120)


never = threading.Event()


def test_a_stop_takes_less_than_5_s_whatever_hangs_and_all_that_hangs_does_so_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    halves: list[Callable[..., Any]] = [ConferenceCamera, ConferenceSound]
    camera, sound = halves
    node = partial(camera, find=lambda _: INFO, open_node=lambda *_: HangingNode())
    monkeypatch.setattr(conference, "ConferenceCamera", node)
    monkeypatch.setattr(conference, "ConferenceSound", partial(sound, speaker=HangingSpeaker))
    never.clear()
    streamed = Streamed(tmp_path, server, conference=ConferencePlan(Conference()))
    streamed.start()
    streamed.until("destination-live")
    streamed.until_frames(15)
    (child,) = children()
    child.suspend()
    wished = time.monotonic()
    streamed.session.stop()
    both = streamed.session._program and streamed.session._program._conference
    begun = both and (both.camera._half.stopped.is_set(), both.sound._half.stopped.is_set())
    streamed.until("destination-stopped")
    took_s = time.monotonic() - wished
    result = streamed.end()
    never.set()

    assert begun == (True, True), "they begin to end before anything is waited for"
    assert took_s < 20
    assert not child.is_running()
    assert result.frames == media.decoded(program(result), "v").frames
