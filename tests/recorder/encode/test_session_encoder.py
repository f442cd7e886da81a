"""A hardware encoder is tried, or fails in a session: x264 goes on, no frame is missing, and the failure is told."""

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from capture.media.pictures import plane_views
from capture.pacing import FastPace, RealPace
from capture.source import ColorMatrix
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
from recorder.encode import hardware_probe as probing
from recorder.encode.encoder import AudioSettings, Encoder
from recorder.encode.hardware_kinds import (
    HARDWARE,
    MODELS,
    WORKER,
    EncoderFailure,
    EncoderKind,
    EncoderVerdict,
    failure_of_log,
    missing_node,
)
from recorder.encode.hardware_probe import probe, try_encoder
from recorder.encode.hardware_process import PATIENCE_S, EncoderProcess
from recorder.encode.session_encoder import (
    TRANSIENT_FAILURES,
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
from recorder.model.packet import EncodedPacket, Track
from recorder.model.status import SessionResult, SessionState
from recorder.package.work_folder import WorkFolder
from recorder.program.mixer import SoundInput
from recorder.session.session import Session
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


DEFAULTS = EncoderProcess.__init__.__kwdefaults__ or {}


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a slow computer be no reason to give an encoder up."""
    monkeypatch.setitem(DEFAULTS, "patience_s", 30.0)
    monkeypatch.setitem(DEFAULTS, "open_s", 60.0)


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


def test_one_that_works_encodes_all_of_it() -> None:
    opened, shown = Opened(WELL), times((), random.Random(3), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [round(packet.pts / 90_000, 1) for packet in packets if packet.is_keyframe] == [0.0, 2.0]
    assert (opened.events, remembered(EncoderKind.NVENC, SETTINGS), opened.encoder.is_external) == ([], None, True)
    opened.encoder.close()


@pytest.mark.parametrize(
    ("way", "at", "reason"),
    [
        ("crash", 0, EncoderFailure.CRASHED),
        ("raise", 40, EncoderFailure.FAILED),
        ("empty", PICTURES - 1, EncoderFailure.WRONG_STREAM),
    ],
)
def test_x264_goes_on_and_no_picture_is_missing(way: str, at: int, reason: EncoderFailure) -> None:
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    assert [(kind, subject) for kind, subject, _ in opened.events] == [("encoder-failed", "NVENC")]
    assert opened.events[0][2]["reason"] == reason.value
    wait_for(lambda: (known := remembered(EncoderKind.NVENC, SETTINGS)) is not None and known.reason is reason)
    assert {packet.form for packet in packets} <= {0, 1}
    assert packets[-1].form == 1
    assert not opened.encoder.is_external
    check_whole(opened, shown, packets)
    opened.encoder.close()


@pytest.mark.parametrize(("way", "at"), [("hang", 0), ("swallow", 30)])
def test_one_that_gives_nothing_is_given_up(way: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DEFAULTS, "patience_s", PATIENCE_S)
    opened, shown = Opened(way, at), times((), random.Random(at), PICTURES)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    ((_, _, detail),) = opened.events
    assert detail["reason"] == EncoderFailure.SILENT.value
    assert int(str(detail["encoded_again"])) > 13  # what may wait anyway
    assert (detail["encoder"], detail["goes_on"]) == ("nvenc", "x264")
    line = opened.pictures.line()
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")
    assert str(line.reason).startswith("NVENC: it gives no output (nothing for ")
    opened.encoder.close()


def test_one_that_cannot_be_opened_is_none() -> None:
    opened, shown = Opened("refuse"), times((), random.Random(1), 20)
    packets = opened.encode(shown)
    check_whole(opened, shown, packets)
    assert {packet.form for packet in packets} == {0}
    assert [kind for kind, _, _ in opened.events] == ["encoder-failed"]
    assert opened.pictures.facts()["encoder"] == "x264"
    assert opened.encoder.is_external is False
    opened.encoder.close()


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
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command(WELL))
    process.give(draw(0), 0, is_key=True)
    process.wait(60.0)
    assert [packet.is_keyframe for packet in process.take()] == [True]
    process.close()
    assert process.child.status == 0
    process = EncoderProcess(EncoderKind.NVENC, SETTINGS, command=command("hang"))
    process.give(draw(0), 0, is_key=True)
    process.close()
    wait_for(lambda: process.child.status == -9)


# Trying one

ASKED = VideoSettings(320, 180, Fraction(30), ColorMatrix.BT601, 600_000, 600_000)
LIMITS = {"open_s": 60.0, "patience_s": 60.0, "altogether_s": 90.0, "realtime": 60.0}
"""A shared computer may be slow at any moment."""


@pytest.mark.parametrize(("size", "rate", "bit_rate"), [((854, 480), 15, 800_000), ((320, 180), 1, 100_000)])
def test_x264_in_its_place_is_good(size: tuple[int, int], rate: int, bit_rate: int) -> None:
    settings = VideoSettings(*size, Fraction(rate), ColorMatrix.BT601, bit_rate, bit_rate)
    verdict = try_encoder(EncoderKind.X264, settings, command=WORKER, **LIMITS)
    assert (verdict.reason, verdict.detail) == (None, "")
    assert verdict.psnr_db is not None
    assert verdict.psnr_db > 35
    assert verdict.bit_rate is not None
    assert verdict.bit_rate < 2 * bit_rate


@pytest.mark.parametrize(
    ("way", "at", "reason", "detail"),
    [
        ("refuse", 0, EncoderFailure.CANNOT_OPEN, "out of memory"),
        ("hang-open", 0, EncoderFailure.SILENT, "not open after"),
        ("raise", 20, EncoderFailure.FAILED, "fallen off the bus"),
        ("crash", 20, EncoderFailure.CRASHED, "SIGSEGV"),
        ("hang", 20, EncoderFailure.SILENT, "nothing for"),
        ("swallow", 0, EncoderFailure.HOLDS_BACK, "more than"),
        ("lose", 20, EncoderFailure.WRONG_STREAM, "missing"),
        ("noise", 20, EncoderFailure.WRONG_STREAM, "picture"),
        ("empty", 20, EncoderFailure.WRONG_STREAM, "0 bytes"),
        ("huge", 2, EncoderFailure.WRONG_STREAM, "more bits"),
        ("backwards", 20, EncoderFailure.WRONG_STREAM, "times"),
        ("deaf", 1, EncoderFailure.WRONG_STREAM, "no keyframe"),
        ("other", 20, EncoderFailure.WRONG_STREAM, "parameter sets"),
        ("green", 5, EncoderFailure.WRONG_PICTURES, "dB"),
        ("damage", 5, EncoderFailure.WRONG_PICTURES, "dB"),
    ],
)
def test_each_way_of_going_wrong_is_told(way: str, at: int, reason: EncoderFailure, detail: str) -> None:
    limits = {"hang-open": {"open_s": 3.0}, "hang": {"patience_s": 3.0}, "swallow": {"patience_s": 1.0}}.get(way, {})
    verdict = try_encoder(EncoderKind.NVENC, ASKED, command=command(way, at), **LIMITS | limits)
    assert (verdict.kind, verdict.reason) == (EncoderKind.NVENC, reason)
    assert detail in verdict.detail


def test_one_that_is_slower_than_pictures_come_is_refused() -> None:
    verdict = try_encoder(EncoderKind.X264, ASKED, command=WORKER, **LIMITS | {"realtime": 0.0})
    assert verdict.reason is EncoderFailure.TOO_SLOW


def test_it_is_over_in_time_whatever_the_encoder_does() -> None:
    verdict = try_encoder(EncoderKind.NVENC, ASKED, command=command("hang", 20), **LIMITS | {"altogether_s": 2.0})
    assert (verdict.reason, verdict.detail) == (EncoderFailure.SILENT, "not done after 2 s")


def test_without_a_device_nothing_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "missing_node", lambda kind: "/dev/nvidia0" if kind is EncoderKind.NVENC else None)
    verdict = probe(EncoderKind.NVENC, ASKED, command=["/nowhere"])
    assert (verdict.reason, verdict.detail) == (EncoderFailure.NO_DEVICE, "/dev/nvidia0")
    verdict = probe(EncoderKind.X264, ASKED, command=["/nowhere"])
    assert verdict.reason is EncoderFailure.CANNOT_OPEN


@pytest.mark.parametrize("kind", HARDWARE)
def test_the_builds_own_encoders_say_why_they_cannot_be_opened_here(kind: EncoderKind) -> None:
    verdict = try_encoder(kind, ASKED, command=WORKER, **LIMITS)
    if missing_node(kind) is not None:  # where there is such hardware they are good, or have another reason
        assert verdict.reason in TRANSIENT_FAILURES
        assert verdict.detail


@pytest.mark.parametrize("kind", [kind for kind in EncoderKind if MODELS[kind].codec in av.codecs_available])
def test_the_build_knows_every_option(kind: EncoderKind) -> None:
    context = av.CodecContext.create(MODELS[kind].codec, "w")
    known = {option.name for option in context.supported_options.private}
    assert MODELS[kind].options.keys() <= known


def test_a_device_is_looked_for_below_the_root(tmp_path: Path) -> None:
    assert missing_node(EncoderKind.QSV, tmp_path) == "/dev/dri/renderD*"
    (tmp_path / "dev/dri").mkdir(parents=True)
    (tmp_path / "dev/dri/renderD128").touch()
    assert missing_node(EncoderKind.QSV, tmp_path) is None
    assert missing_node(EncoderKind.NVENC, tmp_path) == "/dev/nvidia[0-9]*"


@pytest.mark.parametrize(
    ("log", "reason"),
    [("No capable devices found", EncoderFailure.NO_DEVICE), ("", EncoderFailure.CANNOT_OPEN)],
)
def test_what_encoders_say_is_understood(log: str, reason: EncoderFailure) -> None:
    assert failure_of_log(log) is reason


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


def test_what_was_found_is_remembered_until_the_pc_is_started_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[EncoderKind] = []

    def probe(kind: EncoderKind, _settings: VideoSettings) -> EncoderVerdict:
        tries.append(kind)
        return EncoderVerdict(kind=kind, psnr_db=40.0)

    monkeypatch.setattr("recorder.encode.hardware_probe.probe", probe)
    other = VideoSettings(640, 360, Fraction(30), SETTINGS.matrix, 900_000, 900_000)
    assert remembered(EncoderKind.QSV, SETTINGS) is None
    for _ in range(2):
        assert verdict_of(EncoderKind.QSV, SETTINGS) == EncoderVerdict(kind=EncoderKind.QSV, psnr_db=40.0)
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


class Room:
    """A session on two disks: of 90 pictures as fast as they come, or `live` and until it is stopped."""

    def __init__(self, folder: Path, way: str, at: int = 45, *, live: bool = False, mirror: bool = False) -> None:
        clock, stop = SystemClock(), threading.Event()
        pace = RealPace(clock, stop) if live else FastPace(("video", "audio"))
        picture = SyntheticVideo(PROFILE.width, PROFILE.height, PROFILE.fps, pace, stop)
        sound = SyntheticAudio(pace, stop)
        self.events: list[Event] = []
        plan = session_plan(
            title="Rapat Senat",
            profile=PROFILE,
            pictures=[ChosenSource(picture.name, picture)],
            sounds=[SoundInput(sound.name, sound)],
            archives=[Archive(folder / name, clock, reserve_bytes=1) for name in ("arsip", "lain")],
            pace=pace,
            stop=stop,
            live=live,
            duration_s=None if live else float(90 / PROFILE.fps),
            storage=StorageSettings(mirror=mirror),
            encoder=EncoderPlan("nvenc", good, command(way, at)),
        )
        self.session = Session(plan, clock=clock, listener=self.events.append)

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


def shown(*paths: Path) -> list[int]:
    """Return which pictures of the synthetic camera the recordings show; a stalled machine repeats or misses some."""
    found: list[int] = []
    for path in paths:
        with av.open(str(path)) as container:
            for picture in container.decode(video=0):
                number = markers.frame_number(plane_views(picture)[0])
                assert number is not None
                found.append(number)
    assert found == sorted(found)
    return found


def numbers(*paths: Path) -> list[int]:
    """Return which pictures of the synthetic camera the recordings show: one after the other."""
    found = shown(*paths)
    assert found == list(range(found[0], found[0] + len(found)))
    return found


def program(result: SessionResult) -> Path:
    """Return the only file of a recording."""
    folder = Path(result.package or "") / "data/media"
    assert [path.name for path in folder.glob("program*")] == ["program.mp4"]
    return folder / "program.mp4"


def test_a_recording_goes_on_in_a_second_file_and_so_does_its_mirror(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", mirror=True)
    result = room.run()
    assert (result.state, result.degraded) == (SessionState.SEALED, ["encoder-failed: NVENC"])
    (mirror,) = (tmp_path / "lain").glob("*/*/*/data/media")
    for folder in (Path(result.package or "") / "data/media", mirror):
        first, second = folder / "program.mp4", folder / "program-2.mp4"
        assert sorted(folder.glob("program*")) == [second, first]
        assert len(numbers(first, second)) == result.frames
        changes_s, sound_s = (media.decoded(first, kind).end_s for kind in "va")
        assert sound_s > changes_s - 0.001, "sound ends where the picture changes, or later"
        assert media.decoded(second, "a").end_s >= media.decoded(second, "v").end_s - 0.1
        assert media.shown(second, "a")[0] < 0.06, "sound begins where the picture does"
    (begun,), (failed,) = room.told("session-live"), room.told("encoder-failed")
    assert (begun.detail["encoder"], begun.detail["encoder_why"]) == ("nvenc", "tried")
    assert failed.detail["goes_on"] == "x264"
    line = room.session.status().encoder
    assert line is not None
    assert (line.name, line.why) == ("x264", "failed")


def test_one_that_fails_while_armed_costs_the_pre_roll_only(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 15, live=True)
    with room.running() as results:
        wait_for(lambda: bool(room.told("encoder-failed")))
        wait_for(lambda: room.session.status().pre_roll_s > 1.5)  # more than hardware gave: so it is x264's
        room.session.start(30.0)
        wait_for(lambda: bool(room.told("session-live")))
        wait_for(lambda: room.session.status().media_time_s > 1)
        room.session.stop()
    assert shown(program(results[0]))[0] >= 15


def test_one_that_fails_with_its_first_picture_leaves_one_file(tmp_path: Path) -> None:
    room = Room(tmp_path, "crash", 0)
    result = room.run()
    assert result.degraded == ["encoder-failed: NVENC"]
    assert numbers(program(result)) == list(range(result.frames))


@pytest.mark.server
def test_viewers_get_the_next_keyframe_with_its_parameter_sets(tmp_path: Path, server: NginxRtmp) -> None:
    room = Room(tmp_path, "crash", live=True)
    room.session.destinations.add(StreamTarget("kampus", Secret(server.url("good-key"))))
    room.session.start()
    with room.running() as results:
        wait_for(lambda: len(room.told("destination-live")) == 2)
        wait_for(lambda: room.session.status().frames > 45 + 60)
        room.session.stop()
    server.stop()
    first, second = server.recordings()
    for received in (first, second):
        media.decodes_cleanly(received)
    assert shown(first)
    assert 45 <= shown(second)[0] < 105, "from the keyframe on with which x264 began, or the next one"
    assert results[0].state is SessionState.SEALED


def test_a_disk_that_takes_no_further_file_is_left_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = Room(tmp_path, "crash")
    begin = Archive.begin

    def begin_but_not_again(archive: Archive, *given: object, **named: object) -> WorkFolder:
        if named.get("part") == 2 and archive.root == tmp_path / "arsip":
            raise StorageError("Input/output error")
        return begin(archive, *given, **named)  # type: ignore[arg-type] # as it was called

    monkeypatch.setattr(Archive, "begin", begin_but_not_again)
    result = room.run()
    assert result.state is SessionState.SEALED
    assert room.told("storage-switched")
    folder = Path(result.package or "") / "data/media"
    assert len(numbers(folder / "program.mp4", folder / "program-2.mp4")) == result.frames
