"""From words to sources; the devices of a session, stand-ins for missing ones, and their arrival."""

import contextlib
import threading
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import pytest

from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import FastPace
from capture.source import AudioBlock, AudioSource, ColorMatrix, Frame, Size, VideoFormat, VideoSource
from capture.sources import device_selector
from capture.sources.file import FileAudioSource, FileVideoSource
from capture.sources.source_kind import ChosenSources, SourceContext
from capture.sources.source_selector import SourceSelector, as_file
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import AudioWorker, SourceWorker, VideoWorker
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError, DeviceNotFound, MediaError, StateError, UsageError
from config.settings.schema import PatienceSettings, Profile, Settings
from devices.controls import presets
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Mode
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support import media
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

RATE = 10
SMALL = Profile(width=320, height=240, fps=Fraction(RATE), video_bitrate=300_000)
CAMERA = Device(
    id="046d:0825:CAM1", kind=DeviceKind.CAMERA, name="Webcam", vid="046d", pid="0825", serial="CAM1", port="1-1",
    place="p1-1", node="/dev/video0", modes=(Mode("MJPG", 320, 240, (RATE,)),),
)  # fmt: skip
STICK = Device(
    id="534d:2109@1-2", kind=DeviceKind.CAPTURE_CARD, name="Stick", vid="534d", pid="2109", port="1-2", place="p1-2",
    node="/dev/video2", paired_with="534d:2109@1-2+sound", modes=CAMERA.modes,
)  # fmt: skip
STICK_SOUND = Device(
    id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick (sound)", vid="534d", pid="2109", port="1-2",
    place="p1-2", alsa="hw:CARD=S,DEV=0", paired_with=STICK.id,
)  # fmt: skip
MICROPHONE = Device(
    id="0d8c:0134:MIC1", kind=DeviceKind.MICROPHONE, name="Desk", vid="0d8c", pid="0134", serial="MIC1", port="1-3",
    place="p1-3", alsa="hw:CARD=M,DEV=0",
)  # fmt: skip
SERVER = Device(id="pulse:mic", kind=DeviceKind.MICROPHONE, name="Mic")


class Room(list[Device]):
    """The plugged devices; their sources open or refuse, and give the same picture forever."""

    def __init__(self) -> None:
        self.clock = SimulatedClock()
        self.record = Recorded(self.clock)
        self.opened: list[str] = []
        self.refusals: deque[Exception] = deque()
        self.settings = Settings()

    def __call__(self) -> list[Device]:
        return list(self)

    def choose(
        self,
        videos: Sequence[str] = (),
        audios: Sequence[str] = (),
        *,
        allow_missing: bool = True,
        known: Sequence[Device] = (),
        live: bool = True,
    ) -> ChosenSources:
        watcher = DetectorFactory(self.settings, self.clock, self.record)
        pace, stop = FastPace(("video", "audio")), threading.Event()
        context = SourceContext(
            SMALL, pace, self.clock, stop, live=live, watcher=watcher, allow_missing=allow_missing, listing=self
        )
        return SourceSelector(context, known).choose(videos, audios)

    def picture(self, chosen: ChosenSources) -> VideoWorker:
        (one,) = chosen.pictures
        return VideoWorker(one.source, self.clock, supervision=one.supervision)

    def sound(self, chosen: ChosenSources) -> AudioWorker:
        (one,) = chosen.sounds
        return SourceWorker(one.source, self.clock, supervision=one.supervision)

    def read(self, worker: VideoWorker | AudioWorker, seconds: float) -> None:
        """Read like the worker's thread."""
        until_ns = self.clock.now_ns() + round(seconds * NANOSECONDS)
        while self.clock.now_ns() < until_ns:
            worker.read(0.1)

    def read_when_it_comes(self, worker: VideoWorker | AudioWorker, *came: Device) -> None:
        """Open a missing device, plug it in, and read for ten seconds, with up to three of standstill."""
        with pytest.raises(DeviceNotFound):
            worker.open()
        self.extend(came)
        self.read(worker, 10)
        assert worker.outage is None


class FakeSource:
    """The common part of both fake sources."""

    channels = 2

    def __init__(self, room: Room, device: Device) -> None:
        self.name = device.name
        self._room = room
        self._device = device

    def relocate(self, device: Device) -> None:
        self._device = device

    def _open(self) -> None:
        if self._room.refusals:
            raise self._room.refusals.popleft()
        self._room.opened.append(self._device.id)

    def _wait(self, seconds: float) -> None:
        clock = self._room.clock
        clock.advance_to(clock.now_ns() + round(seconds * NANOSECONDS))

    def close(self) -> None:
        """Do nothing."""


class FakeCamera(FakeSource, VideoSource):
    """Stands for V4l2Source."""

    def open(self) -> VideoFormat:
        self._open()
        return VideoFormat(320, 240, Fraction(RATE), ColorMatrix.BT601)

    def read(self, _timeout_s: float) -> Frame | None:
        self._wait(1 / RATE)
        return Frame(self._room.clock.now_ns(), b"slide")

    def decode(self, _frame: Frame, _within: Size | None = None) -> av.VideoFrame:
        return av.VideoFrame(320, 240, "yuv420p")


class FakeSound(FakeSource, AudioSource):
    """Stands for SoundSource."""

    def open(self) -> None:
        self._open()

    def read(self, timeout_s: float) -> AudioBlock | None:
        self._wait(timeout_s)
        return None


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Room:
    """Return an empty room, on a PC without roles."""
    room = Room()
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    monkeypatch.setattr(device_selector, "list_devices", room)
    monkeypatch.setattr(device_selector, "V4l2Source", lambda device, **_wanted: FakeCamera(room, device))
    monkeypatch.setattr(device_selector, "SoundSource", lambda device, **_wanted: FakeSound(room, device))
    return room


def lose(worker: VideoWorker | AudioWorker) -> None:
    assert worker.supervision
    worker.supervision.missing = DeviceNotFound("it has gone")


def give(**devices: Device) -> None:
    given = {role: binding_of(device, datetime.now(UTC)) for role, device in devices.items()}
    roles_store().change(lambda _: given)


def test_an_input_of_a_sound_server_that_was_missing_is_tried_until_it_opens(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    there: list[Device] = []

    def find(_devices: Sequence[Device], name: str, _roles: object) -> Device:
        if not there:
            raise DeviceNotFound(f"no sound server answers, so there is no {name}")
        return there[0]

    monkeypatch.setattr(device_selector, "find_sound_input", find)
    room.append(CAMERA)
    worker = room.sound(room.choose([CAMERA.id], [SERVER.id]))
    with pytest.raises(DeviceNotFound, match="no sound server answers"):
        worker.open()
    room.read(worker, 5)
    there.append(SERVER)
    room.refusals.extend([DeviceError("Mic cannot be opened", why="lost")] * 3)
    room.read(worker, 10)
    assert (room.opened, worker.outage) == ([SERVER.id], None)


def test_a_stick_that_has_a_role_is_not_taken_for_another_one_before_it_comes(room: Room) -> None:
    twin = msgspec.structs.replace(STICK, id="534d:2109@1-4", port="1-4", place="p1-4")
    give(slides=STICK)
    room.append(twin)
    chosen = room.choose(["slides", twin.id], ["none"])
    slides, other = (VideoWorker(one.source, room.clock, supervision=one.supervision) for one in chosen.pictures)
    other.open()
    for worker in (slides, other):
        lose(worker)
        with pytest.raises(DeviceNotFound):
            worker.open()
    room.clear()
    room.read(other, 1)
    room.append(STICK)
    room.read(other, 2)
    room.read(slides, 2)
    assert room.opened == [twin.id, STICK.id]
    assert other.outage


def test_every_device_that_is_missing_is_named_at_once(room: Room) -> None:
    room.append(STICK)
    with pytest.raises(DeviceNotFound) as missing:
        room.choose(["podium", STICK.id, "audience"], ["lectern", "none"], allow_missing=False)
    assert missing.value.about == "podium, audience, lectern"
    assert missing.value.message.count(" is called ") == 3
    with pytest.raises(DeviceNotFound, match="'podium'"):
        room.choose(["podium"], allow_missing=False)


# No source was named, and the role's device is missing


def test_a_microphone_with_a_role_that_is_missing_costs_the_picture_nothing_and_comes_in_when_it_is_there(
    room: Room,
) -> None:
    give(desk=MICROPHONE)
    room.extend([CAMERA, STICK, STICK_SOUND])  # no other sound is taken silently
    chosen = room.choose()
    assert [one.name for one in (*chosen.pictures, *chosen.sounds)] == ["Stick", "desk"]
    assert chosen.sounds[0].word == "desk"
    assert (chosen.known, chosen.notes) == ([STICK], [f"Picture: Stick ({STICK.id})"])
    worker = room.sound(chosen)
    with pytest.raises(DeviceNotFound, match=r"desk \(Desk\) is missing"):
        worker.open()
    room.picture(chosen).open()
    room.read(worker, 5)
    assert room.opened == [STICK.id]
    room.append(MICROPHONE)
    room.read(worker, 3)
    assert (room.opened, worker.outage) == ([STICK.id, MICROPHONE.id], None)


@pytest.mark.parametrize(("videos", "audios"), [(["podium"], []), ([], ["microphone"])], ids=["picture", "sound"])
def test_only_what_was_named_is_needed(room: Room, videos: list[str], audios: list[str]) -> None:
    give(podium=CAMERA, microphone=MICROPHONE)
    chosen = room.choose(allow_missing=False)
    assert (room.picture(chosen).may_miss, room.sound(chosen).may_miss) == (True, True)
    with pytest.raises(DeviceNotFound, match="is missing: it is not plugged in"):
        room.choose(videos, audios, allow_missing=False)
    room.extend([CAMERA, MICROPHONE])
    chosen = room.choose(videos, audios, allow_missing=False)
    assert (room.picture(chosen).may_miss, room.sound(chosen).may_miss) == (not videos, not audios)
    chosen = room.choose(videos, audios)
    assert (room.picture(chosen).may_miss, room.sound(chosen).may_miss) == (True, True)


def test_in_a_room_without_sound_the_first_microphone_that_comes_is_heard(room: Room) -> None:
    room.append(CAMERA)
    chosen = room.choose(allow_missing=False)
    worker = room.sound(chosen)
    assert worker.may_miss
    with pytest.raises(DeviceNotFound, match="no microphone and no capture card with sound is plugged in"):
        worker.open()
    room.append(MICROPHONE)
    room.read(worker, 1)
    assert room.opened == [MICROPHONE.id]


def test_a_capture_card_with_a_role_that_is_missing_is_known_as_one_from_the_beginning(room: Room) -> None:
    give(slides=STICK, microphone=MICROPHONE)
    room.append(CAMERA)
    chosen = room.choose()
    (slides,), (microphone,) = chosen.pictures, chosen.sounds
    assert (slides.name, slides.word, microphone.word) == ("slides", "slides", "microphone")
    assert slides.device
    assert (slides.device.id, slides.device.kind, slides.device.role) == (STICK.id, DeviceKind.CAPTURE_CARD, "slides")
    worker = room.picture(chosen)
    with pytest.raises(DeviceNotFound, match=r"slides \(Stick\) is missing"):
        worker.open()
    room.extend([STICK, STICK_SOUND])
    room.read(worker, 10)  # of a slide
    assert room.opened == [STICK.id]
    assert room.record.faults() == []
    again = room.choose([slides.word], [microphone.word])
    assert again.devices[0].id == STICK.id


# A device that arrives is judged by its own kind, not its stand-in's


def silence_s(worker: AudioWorker) -> float:
    assert worker.supervision
    assert worker.supervision.health
    return worker.supervision.health.patience.silence_s


@pytest.mark.parametrize(("device", "faults"), [(STICK, []), (CAMERA, ["frozen"])], ids=["card", "camera"])
def test_a_picture_that_was_missing_is_watched_as_what_came(room: Room, device: Device, faults: list[str]) -> None:
    chosen = room.choose([], ["none"])
    assert (chosen.known, chosen.notes) == ([], [])
    room.read_when_it_comes(room.picture(chosen), device)
    assert room.opened == [device.id]
    assert [fault for _, _, fault in room.record.faults()] == faults


def test_the_patience_of_a_role_stays_where_its_device_comes_again(room: Room) -> None:
    room.settings = Settings(patience={"podium": PatienceSettings(frozen_s=60.0)})
    give(podium=CAMERA)
    worker = room.picture(room.choose([], ["none"]))
    room.read_when_it_comes(worker, CAMERA)
    lose(worker)
    room.read_when_it_comes(worker)
    assert room.opened == [CAMERA.id] * 2
    assert room.record.faults() == []


def test_sound_that_was_missing_has_the_patience_of_the_capture_card_that_it_comes_with(room: Room) -> None:
    room.settings = Settings(patience={"capture-card": PatienceSettings(silence_s=77.0)})
    room.append(CAMERA)
    give(microphone=STICK_SOUND)
    worker = room.sound(room.choose([CAMERA.id]))
    assert silence_s(worker) == 20
    room.read_when_it_comes(worker, STICK, STICK_SOUND)
    assert silence_s(worker) == 77
    room[:] = [msgspec.structs.replace(STICK_SOUND, paired_with=None)]  # its picture takes a moment longer
    lose(worker)
    room.read_when_it_comes(worker)
    assert (room.opened, silence_s(worker)) == ([STICK_SOUND.id] * 2, 77)


# Words


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a silent film, one with audio, and a text named like a film."""
    folder = tmp_path_factory.mktemp("films")
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=15:d=0.2"]
    media.run("ffmpeg", "-v", "error", *picture, folder / "silent.mkv")
    media.run("ffmpeg", "-v", "error", *picture, "-f", "lavfi", "-i", "sine=d=0.2", folder / "sound.mkv")
    (folder / "text.mkv").write_text("no film")  # nothing is said about its sound: it is not opened yet
    return folder


@pytest.mark.parametrize(
    ("video", "audio", "sources", "notes"),
    [
        ("synthetic", [], [SyntheticVideo, SyntheticAudio], []),
        ("sound.mkv", [], [FileVideoSource, FileAudioSource], []),
        ("silent.mkv", [], [FileVideoSource], ["Sound: none, silent.mkv has none"]),
        ("text.mkv", [], [FileVideoSource, FileAudioSource], []),
        ("silent.mkv", ["synthetic"], [FileVideoSource, SyntheticAudio], []),
        ("synthetic", ["sound.mkv"], [SyntheticVideo, FileAudioSource], []),
        ("sound.mkv", ["none"], [FileVideoSource], []),
    ],
)
def test_a_film_brings_its_sound_which_may_come_from_elsewhere_or_be_left_out(
    room: Room, films: Path, video: str, audio: list[str], sources: list[type], notes: list[str]
) -> None:
    with contextlib.chdir(films):
        chosen = room.choose([video], audio, live=False)
    found = (*chosen.pictures, *chosen.sounds)
    assert [type(one.source) for one in found] == sources
    assert [one.ends for one in found] == [kind in {FileVideoSource, FileAudioSource} for kind in sources]
    assert (chosen.devices, chosen.notes) == ([], notes)


@pytest.mark.parametrize(("video", "audio"), [("  ", "none"), ("synthetic", "")])
def test_an_empty_name_is_refused(room: Room, video: str, audio: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        room.choose([video], [audio])


def test_what_looks_like_a_file_and_is_none_is_called_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for word in ("/nowhere/kuliah.mp4", "kuliah.MKV", "rapat.wav", "folder/x"):
        with pytest.raises(MediaError, match="there is no file"):
            as_file(word)
    with pytest.raises(MediaError, match="is a folder"):
        as_file(str(tmp_path))
    assert [as_file(word) for word in ("1-2.3", "046d:0825:CAM0001", "podium", "/dev/video0")] == [None] * 4


@pytest.mark.parametrize(("video", "audio"), [("no-such-camera", "none"), ("synthetic", "no-such-microphone")])
def test_a_device_that_is_not_there_is_not_found(room: Room, video: str, audio: str) -> None:
    with pytest.raises(DeviceNotFound, match="no-such") as caught:
        room.choose([video], [audio], allow_missing=False)
    assert caught.value.hint


def test_a_camera_is_prepared_as_the_settings_have_it_before_it_is_opened(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = msgspec.structs.replace(CAMERA, node="/dev/no-such-node")
    prepared: list[tuple[Device, object]] = []
    monkeypatch.setattr(device_selector, "V4l2Source", V4l2Source)
    monkeypatch.setattr(
        presets, "restore_preset", lambda device, *, power_line, record: prepared.append((device, power_line))
    )
    room.append(camera)
    (picture,) = room.choose([camera.id], ["none"]).pictures
    assert prepared == []
    with pytest.raises(DeviceNotFound):
        picture.source.open()
    assert prepared == [(camera, "50 Hz")]


def test_roles_that_cannot_be_read_keep_nobody_from_recording(room: Room, tmp_path: Path) -> None:
    room.append(CAMERA)
    (tmp_path / "roles.json").write_text("{")
    for words in ([], [CAMERA.id]):
        chosen = room.choose(words, ["none"], allow_missing=False)
        assert chosen.devices == [CAMERA]
        assert chosen.notes[-1].startswith(f"Roles: none. {tmp_path / 'roles.json'} has unexpected content")
    with pytest.raises(StateError, match="has unexpected content"):
        room.choose(["podium"], allow_missing=False)


# Chosen again, by another recorder


def test_the_same_devices_are_chosen_again_also_when_they_are_not_there(room: Room) -> None:
    room.extend([STICK, STICK_SOUND])
    first = room.choose(allow_missing=False)
    words = [one.word for one in (*first.pictures, *first.sounds)]
    assert words == [STICK.id, STICK_SOUND.id]
    assert first.known == [STICK, STICK_SOUND]
    room[:] = [CAMERA]  # the best device plugged in now, not the recorded one
    again = room.choose(words[:1], words[1:], known=first.known)
    assert again.devices == again.known == first.known
    worker = room.picture(again)
    with pytest.raises(DeviceNotFound, match="Stick is missing"):
        worker.open()
    assert worker.outage


def test_a_screen_whose_display_is_not_known_may_be_missing(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "XDG_SESSION_TYPE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DeviceNotFound, match="DISPLAY is not set"):
        room.choose(["screen"], ["none"], allow_missing=False)
    (screen,) = room.choose(["screen"], ["none"]).pictures
    assert (screen.name, screen.word) == ("Screen", "screen")
    for _ in range(2):
        with pytest.raises(DeviceNotFound):
            screen.source.open()
