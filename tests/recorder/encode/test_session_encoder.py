"""A hardware encoder fails in a session: x264 goes on, no frame is missing, and the failure is told."""

import dataclasses
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import ColorMatrix, VideoFormat
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import StorageError
from config.events import Event
from config.settings.schema import BUILT_IN_PROFILES
from config.settings.schema import StorageSettings as StorageSettings
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.hardware_kinds import HARDWARE, EncoderFailure, EncoderKind, EncoderVerdict
from recorder.encode.hardware_process import EncoderProcess
from recorder.encode.session_encoder import (
    EncoderPlan,
    SessionEncoder,
    choose_encoder,
    remember,
    remembered,
    verdict_of,
    verdicts,
)
from recorder.encode.x264 import VideoSettings
from recorder.features.load_shedding.load_shedder import CHEAP
from recorder.live_encode.headroom import HeadroomQuery, StreamPlan
from recorder.model.packet import EncodedPacket, Track
from recorder.model.status import SessionResult, SessionState
from recorder.package.work_folder import WorkFolder
from recorder.program.mixer import SoundInput
from recorder.recording.failover import Failover
from recorder.session.session import Session, encoder_settings
from tests.recorder.encode.test_x264_stream import SETTINGS, draw, number_of, times
from tests.support import markers, media
from tests.support.fake_hardware import WELL, command
from tests.support.plans import session_plan
from tests.support.rtmp_server import NginxRtmp
from tests.support.waiting import wait_for

PICTURES = 75


def good(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
    return EncoderVerdict(kind=kind)


class Opened:
    """An encoder in hardware as a session has it, and what is told of it."""

    def __init__(self, way: str, at: int = 0, wish: str = "nvenc") -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []
        self.pictures = SessionEncoder(EncoderPlan(wish, good, command(way, at)), clock=SystemClock(), emit=self._emit)
        self.encoder = self.pictures.open(SETTINGS, AudioSettings(1, 64_000))

    def _emit(self, kind: str, subject: str, message: str, **detail: object) -> None:
        self.events.append((kind, subject, detail))

    def encode(self, shown: Sequence[int]) -> list[EncodedPacket]:
        packets: list[EncodedPacket] = []
        for number, pts in enumerate(shown):
            packets += self.encoder.encode_video(draw(number), pts)
        return [*packets, *self.encoder.flush(Track.VIDEO)]


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow computer be no reason to give an encoder up."""
    monkeypatch.setattr(EncoderProcess.__init__, "__kwdefaults__", {
        **(EncoderProcess.__init__.__kwdefaults__ or {}), "patience_s": 30.0, "open_s": 60.0,
    })  # fmt: skip


def played(encoder: Encoder, packets: Sequence[EncodedPacket]) -> list[tuple[int, int]]:
    """Return when each picture is shown, and its number, as a decoder has it that is told of each form."""
    found: list[tuple[int, int]] = []
    for form in sorted({packet.form for packet in packets}):
        decoder = av.CodecContext.create("h264", "r")
        decoder.extradata = encoder.templates_of(form)[Track.VIDEO].codec_context.extradata
        for packet in packets:
            if packet.form == form:
                raw = av.Packet(packet.data)
                raw.pts, raw.dts = packet.pts, packet.dts
                found += [(picture.pts or 0, number_of(picture)) for picture in decoder.decode(raw)]
        found += [(picture.pts or 0, number_of(picture)) for picture in decoder.decode(None)]
    return sorted(found)


def check_whole(opened: Opened, shown: Sequence[int], packets: Sequence[EncodedPacket]) -> None:
    """Every picture is there, at its time; decoding goes on without a gap, whoever encodes."""
    assert played(opened.encoder, packets) == [(pts, number) for number, pts in enumerate(shown)]
    assert all(packet.dts <= packet.pts for packet in packets)
    for before, after in pairwise(packets):
        assert before.dts < after.dts
        assert before.dts + before.duration == after.dts
        assert after.form >= before.form
        assert after.is_keyframe or after.form == before.form


@pytest.mark.usefixtures("patience")
def test_one_that_works_encodes_all_of_it() -> None:
    opened, shown = Opened(WELL), times((), random.Random(3), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [round(packet.pts / 90_000, 1) for packet in packets if packet.is_keyframe] == [0.0, 2.0]
    assert (opened.events, remembered(EncoderKind.NVENC, SETTINGS), opened.encoder.is_external) == ([], None, True)
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("raise", EncoderFailure.FAILED), ("crash", EncoderFailure.CRASHED), ("exit", EncoderFailure.CRASHED),
        ("lose", EncoderFailure.WRONG_STREAM), ("noise", EncoderFailure.WRONG_STREAM),
        ("empty", EncoderFailure.WRONG_STREAM), ("huge", EncoderFailure.WRONG_STREAM),
        ("backwards", EncoderFailure.WRONG_STREAM), ("other", EncoderFailure.WRONG_STREAM),
    ],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 40, PICTURES - 1])
def test_x264_goes_on_and_no_picture_is_missing(way: str, reason: EncoderFailure, at: int) -> None:
    if (way, at) == ("backwards", 0):
        at = 1  # a first decoding time of 0 is none that goes back
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    if (way, at) not in {("lose", PICTURES - 1), ("huge", PICTURES - 1)}:  # it has not gone wrong by then
        assert [(kind, subject) for kind, subject, _ in opened.events] == [("encoder-failed", "NVENC")]
        assert opened.events[0][2]["reason"] == reason.value
        wait_for(lambda: (known := remembered(EncoderKind.NVENC, SETTINGS)) is not None and known.reason is reason)
        assert {packet.form for packet in packets} <= {0, 1}
        assert packets[-1].form == 1
        assert not opened.encoder.is_external
    check_whole(opened, shown, packets)
    opened.encoder.close()


@pytest.mark.parametrize("way", ["hang", "swallow"])
@pytest.mark.parametrize("at", [0, 30])
def test_one_that_gives_nothing_is_given_up(way: str, at: int) -> None:
    """With the session's own patience: whatever it has swallowed by then is encoded again."""
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    ((_, _, detail),) = opened.events
    assert detail["reason"] == EncoderFailure.SILENT.value
    again = detail["encoded_again"]
    assert isinstance(again, int)
    assert again > 13  # what may wait anyway
    assert (detail["encoder"], detail["goes_on"]) == ("nvenc", "x264")
    line = opened.pictures.line()
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")
    assert line.reason is not None
    assert line.reason.startswith("NVENC: it gives no output (nothing for ")
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize("way", ["refuse", "crash-open"])
def test_one_that_cannot_be_opened_is_none(way: str) -> None:
    opened, shown = Opened(way), times((), random.Random(1), 20)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [kind for kind, _, _ in opened.events] == ["encoder-failed"]
    assert opened.pictures.facts()["encoder"] == "x264"
    assert opened.encoder.is_external is False
    opened.encoder.close()


@pytest.mark.usefixtures("patience")
def test_a_step_down_is_taken_by_the_x264_that_comes_later() -> None:
    """Hardware is not relieved by looking for less; x264 begins with that, and goes back in the same stream."""
    opened, shown = Opened("crash", 40), times((), random.Random(2), 100)
    packets: list[EncodedPacket] = []
    for number, pts in enumerate(shown):
        if number == 20:
            opened.encoder.change_video(replace(SETTINGS, more_params=CHEAP))
        if number == 60:  # it is noticed with the next picture
            wait_for(lambda: "hardware-encoder" not in [thread.name for thread in threading.enumerate()])
        if number == 80:
            assert not opened.encoder.is_external
            opened.encoder.change_video(SETTINGS)
        packets += opened.encoder.encode_video(draw(number), pts)
    packets += opened.encoder.flush(Track.VIDEO)
    check_whole(opened, shown, packets)
    sizes = {packet.pts for packet in packets if packet.is_keyframe and packet.form == 1}
    assert shown[80] in sizes
    opened.encoder.close()


def test_its_process_ends_with_it() -> None:
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command(WELL), open_s=60.0)
    process.give(draw(0), 0, is_key=True)
    process.wait(60.0)
    assert [packet.is_keyframe for packet in process.take()] == [True]
    process.close()
    assert process.child.status == 0
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command("hang"), open_s=60.0)
    process.give(draw(0), 0, is_key=True)
    process.close()
    wait_for(lambda: process.child.status == -9)


def test_memory_is_touched_as_far_as_it_is_used() -> None:
    """A picture's place is used again as soon as it has come out."""
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command(WELL), open_s=60.0, patience_s=60.0)
    for number in range(40):
        assert process.give(draw(number), number * 3000, is_key=number == 0)
        process.wait(60.0)
        process.take()
    mapping = Path("/proc/self/smaps").read_text().rpartition("liput-pictures")[2]
    touched = next(line for line in mapping.splitlines() if line.startswith("Rss:"))
    assert int(touched.split()[1]) * 1024 < 4 * SETTINGS.picture_bytes
    process.close()


# What is chosen


def test_what_is_wished_for_is_asked_about_in_order_until_one_is_good() -> None:
    asked: list[EncoderKind] = []

    def judge(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
        asked.append(kind)
        return EncoderVerdict(
            kind=kind, reason=None if kind is EncoderKind.VAAPI else EncoderFailure.NO_DEVICE, detail="/dev/x"
        )

    choice = choose_encoder("auto", SETTINGS, judge)
    assert (choice.kind, choice.why, asked) == (EncoderKind.VAAPI, "tried", list(HARDWARE[:3]))
    assert choice.reason == ("NVENC: there is no such device (/dev/x); Quick Sync: there is no such device (/dev/x)")
    choice = choose_encoder("qsv", SETTINGS, judge)
    assert (choice.kind, choice.why) == (EncoderKind.X264, "refused")
    asked.clear()
    choice = choose_encoder("x264", SETTINGS, judge)
    assert (choice.kind, choice.why, choice.reason, asked) == (EncoderKind.X264, "set", None, [])


def test_a_comparison_with_other_encoders_defaults_is_x264() -> None:
    pictures = SessionEncoder(EncoderPlan("nvenc", good), clock=SystemClock(), emit=lambda *_, **__: None)
    encoder = pictures.open(replace(SETTINGS, x264_params="bframes=0"), None)
    assert not encoder.is_external
    encoder.close()


def test_what_was_found_is_remembered_until_the_pc_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[EncoderKind] = []

    def probe(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
        tries.append(kind)
        return EncoderVerdict(kind=kind, psnr_db=40.0)

    monkeypatch.setattr("recorder.encode.hardware_probe.probe", probe)
    other = VideoSettings(640, 360, Fraction(30), SETTINGS.matrix, 900_000, 900_000)
    assert remembered(EncoderKind.QSV, SETTINGS) is None
    assert (
        verdict_of(EncoderKind.QSV, SETTINGS)
        == verdict_of(EncoderKind.QSV, SETTINGS)
        == EncoderVerdict(kind=EncoderKind.QSV, psnr_db=40.0)
    )
    assert tries == [EncoderKind.QSV]
    assert remembered(EncoderKind.QSV, other) is None
    remember(EncoderVerdict(kind=EncoderKind.QSV, reason=EncoderFailure.CRASHED, detail="SIGSEGV"), SETTINGS)
    assert verdict_of(EncoderKind.QSV, SETTINGS).reason is EncoderFailure.CRASHED
    assert tries == [EncoderKind.QSV]
    remember(
        EncoderVerdict(kind=EncoderKind.QSV, reason=EncoderFailure.CANNOT_OPEN, detail="out of memory (10)"), SETTINGS
    )
    assert verdict_of(EncoderKind.QSV, SETTINGS).reason is None, "by now another program may have let go of it"
    assert tries == [EncoderKind.QSV] * 2
    monkeypatch.setattr("recorder.encode.session_encoder.boot_id", lambda: "another")
    assert remembered(EncoderKind.QSV, SETTINGS) is None
    remember(EncoderVerdict(kind=EncoderKind.QSV), SETTINGS)
    assert len(verdicts().read()) == 1


PROFILE = BUILT_IN_PROFILES["240p15"]
SESSION_PICTURES = 90
HARDWARE_S = 1.5
"""More than all that an encoder gives which fails with its picture number 15."""


class Room:
    """A session of SESSION_PICTURES pictures."""

    def __init__(
        self, folder: Path, way: str, at: int = 45, *, live: bool = True, mirror: bool = False, spare: bool = False
    ) -> None:
        clock, stop = SystemClock(), threading.Event()
        pace = RealPace(clock, stop) if live else FastPace(("video", "audio"))
        picture = SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop)
        sound = SyntheticAudio(pace, stop)
        self.events: list[Event] = []
        further = [Archive(folder / "lain", clock, reserve_bytes=1)] if mirror or spare else []
        self.plan = session_plan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[ChosenSource(picture.name, picture)],
            sounds=[SoundInput(sound.name, sound)],
            archives=[Archive(folder / "arsip", clock, reserve_bytes=1), *further],
            pace=pace,
            stop=stop,
            live=live,
            duration_s=float(SESSION_PICTURES / PROFILE.fps),
            storage=StorageSettings(mirror=mirror),
            encoder=EncoderPlan("nvenc", good, command(way, at)),
        )
        self.session = Session(self.plan, clock=clock, listener=self.events.append)

    def change(self, **said: Any) -> None:
        """Plan it anew; with a `duration_s` of None it lasts until it is stopped."""
        self.plan = dataclasses.replace(self.plan, **said)
        self.session = Session(self.plan, clock=SystemClock(), listener=self.events.append)

    def run(self) -> SessionResult:
        self.session.start()
        return self.session.run()

    @contextmanager
    def running(self) -> Iterator[list[SessionResult]]:
        """Run it on a thread of its own until its end, which gives the list its result."""
        results: list[SessionResult] = []
        thread = threading.Thread(target=lambda: results.append(self.session.run()))
        thread.start()
        yield results
        thread.join()

    def told(self, kind: str) -> list[Event]:
        return [event for event in self.events if event.kind == kind]


def numbers(path: Path) -> list[int]:
    """Return which pictures of the synthetic camera a recording shows."""
    with av.open(str(path)) as container:
        found = [markers.frame_number(plane_views(picture)[0]) for picture in container.decode(video=0)]
    assert None not in found
    return [number for number in found if number is not None]


def program(result: SessionResult) -> Path:
    """Return the only file of a recording."""
    folder = Path(result.package or "") / "data/media"
    assert [path.name for path in folder.glob("program*")] == ["program.mp4"]
    return folder / "program.mp4"


def check(result: SessionResult, room: Room) -> None:
    """All pictures are there, in two files that each play alone; sound goes through both."""
    assert result.state is SessionState.SEALED
    assert result.package is not None
    folder = Path(result.package) / "data/media"
    assert sorted(path.name for path in folder.glob("program*")) == ["program-2.mp4", "program.mp4"]
    first, second = folder / "program.mp4", folder / "program-2.mp4"
    seen = [*numbers(first), *numbers(second)]
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) == result.frames
    for path in (first, second):
        video, audio = media.decoded(path, "v"), media.decoded(path, "a")
        assert audio.end_s >= video.end_s - 0.1
    with av.open(str(second)) as container:
        sound = next(container.decode(audio=0))
        assert sound.time is not None
        assert sound.time < 0.06  # it begins where the picture does
    assert result.degraded == ["encoder-failed: NVENC"]


@pytest.mark.parametrize("way", ["crash", "hang", "other"])
def test_a_recording_goes_on_in_a_second_file(way: str, tmp_path: Path) -> None:
    room = Room(tmp_path, way)
    result = room.run()
    check(result, room)
    (begun,), (failed,) = room.told("session-live"), room.told("encoder-failed")
    assert (begun.detail["encoder"], begun.detail["encoder_why"]) == ("nvenc", "tried")
    assert failed.detail["goes_on"] == "x264"
    line = room.session.status().encoder
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")
    form = VideoFormat(PROFILE.width, PROFILE.height, PROFILE.fps, ColorMatrix[str(begun.detail["matrix"])])
    settings = encoder_settings(room.plan, form)[0]
    wait_for(lambda: (known := remembered(EncoderKind.NVENC, settings)) is not None and known.reason is not None)


def test_a_session_without_a_clock_misses_nothing_either(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", live=False)
    check(room.run(), room)


def test_both_files_of_a_mirrored_session_go_on(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", mirror=True)
    check(room.run(), room)
    (other,) = (tmp_path / "lain").glob("*/*/*/data/media")
    seen = [*numbers(other / "program.mp4"), *numbers(other / "program-2.mp4")]
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_one_that_works_makes_one_file_with_all_in_it(tmp_path: Path) -> None:
    room = Room(tmp_path, WELL)
    result = room.run()
    assert (result.state, result.degraded) == (SessionState.SEALED, [])
    seen = numbers(program(result))
    assert seen == list(range(seen[0], seen[0] + result.frames))
    assert room.session.status().encoder is not None


def test_one_that_fails_while_armed_costs_the_pre_roll_only(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 15)
    room.change(duration_s=None)
    with room.running() as results:
        wait_for(lambda: bool(room.told("encoder-failed")))
        wait_for(lambda: room.session.status().pre_roll_s > HARDWARE_S)  # so it is x264's
        room.session.start(30.0)
        wait_for(lambda: bool(room.told("session-live")))
        wait_for(lambda: room.session.status().media_time_s > 1)
        room.session.stop()
    seen = numbers(program(results[0]))
    assert seen[0] >= 15
    assert seen == list(range(seen[0], seen[0] + len(seen)))


def test_a_recording_that_begins_while_x264_is_opened_has_both_files(tmp_path: Path) -> None:
    """What is kept is the hardware's by then, what comes is x264's."""
    room = Room(tmp_path, "crash", 15)
    with room.running() as results:
        wait_for(lambda: bool(room.told("encoder-failed")))
        room.session.start(30.0)
    (result,) = results
    folder = Path(result.package or "") / "data/media"
    seen = [number for path in sorted(folder.glob("program*"), reverse=True) for number in numbers(path)]
    assert len(list((tmp_path / "arsip").glob("2*/*/*"))) == 1
    assert seen == list(range(seen[0], seen[0] + result.frames))


def test_one_that_fails_with_its_first_picture_leaves_one_file(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 0)
    result = room.run()
    assert result.degraded == ["encoder-failed: NVENC"]
    assert numbers(program(result)) == list(range(result.frames))


def test_one_that_fails_just_as_the_recording_begins_costs_nothing(tmp_path: Path) -> None:
    """The files are opened for one form, and all packets are of the other by then."""
    room = Room(tmp_path, "crash", 15)

    def late(*given: Any, **more: Any) -> Failover:
        wait_for(lambda: room.session.status().pre_roll_s > HARDWARE_S)  # so it is x264's
        return Failover(*given, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recorder.session.session.Failover", late)  # so that it fails in between
        result = room.run()
    assert result.state is SessionState.SEALED
    seen = numbers(program(result))
    assert seen[0] >= 15
    assert seen == list(range(seen[0], seen[0] + len(seen)))
    assert len(seen) > 45


def test_what_cannot_be_used_is_told_and_x264_records(tmp_path: Path) -> None:
    room = Room(tmp_path, WELL)
    refused = EncoderVerdict(kind=EncoderKind.NVENC, reason=EncoderFailure.NO_DEVICE, detail="/dev/nvidia[0-9]*")
    room.change(encoder=EncoderPlan("nvenc", lambda *_: refused), duration_s=1.0)
    result = room.run()
    assert result.degraded == []
    (begun,) = room.told("session-live")
    assert (begun.detail["encoder"], begun.detail["encoder_why"]) == ("x264", "refused")
    assert begun.detail["encoder_reason"] == "NVENC: there is no such device (/dev/nvidia[0-9]*)"


@pytest.mark.server
def test_viewers_get_the_next_keyframe_with_its_parameter_sets(tmp_path: Path, server: NginxRtmp) -> None:
    room = Room(tmp_path, "crash", 90)
    room.change(duration_s=None)
    room.session.destinations.add(StreamTarget("kampus", Secret(server.url("good-key"))))
    room.session.start()
    with room.running() as results:
        wait_for(lambda: len(room.told("destination-live")) == 2)
        wait_for(lambda: room.session.status().frames > 90 + 60)
        room.session.stop()
    server.stop()
    first, second = server.recordings()
    for received in (first, second):
        media.decodes_cleanly(received)
    before, after = numbers(first), numbers(second)
    assert before == list(range(before[0], before[0] + len(before)))
    assert after == list(range(after[0], after[0] + len(after)))
    assert 90 <= after[0] < 150, "from the keyframe on with which x264 began, or the next one"
    assert results[0].state is SessionState.SEALED


@pytest.mark.server
def test_an_encode_of_their_own_goes_on_for_viewers(tmp_path: Path, server: NginxRtmp) -> None:
    room = Room(tmp_path, "crash", 60)
    room.change(duration_s=None, stream=StreamPlan("separate", 60_000, HeadroomQuery(PROFILE, 120_000)))
    room.session.destinations.add(StreamTarget("kampus", Secret(server.url("good-key"))))
    room.session.start()
    with room.running():
        wait_for(lambda: bool(room.told("encoder-failed")))
        wait_for(lambda: room.session.status().frames > 60 + 45)
        room.session.stop()
    server.stop()
    (received,) = server.recordings()
    media.decodes_cleanly(received)
    assert len(room.told("destination-live")) == 1
    seen = numbers(received)
    assert seen[0] < 60 < seen[-1]


def test_a_disk_that_takes_no_further_file_is_left_for_the_next(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 45, spare=True)

    begin = Archive.begin

    def begin_but_not_again(archive: Archive, *given: object, **named: object) -> WorkFolder:
        if named.get("part") == 2 and archive.root == tmp_path / "arsip":
            raise StorageError("Input/output error")
        return begin(archive, *given, **named)  # type: ignore[arg-type] # as it was called

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Archive, "begin", begin_but_not_again)
        result = room.run()
    assert result.state is SessionState.SEALED
    assert "storage-switched" in [event.kind for event in room.events]
    folder = Path(result.package or "") / "data/media"
    seen = [*numbers(folder / "program.mp4"), *numbers(folder / "program-2.mp4")]
    assert seen == list(range(seen[0], seen[0] + result.frames))
