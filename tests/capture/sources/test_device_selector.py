"""Devices of a session, stand-ins for missing ones, and their arrival."""

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
from capture.sources.source_kind import ChosenSource, ChosenSources, SourceContext
from capture.sources.source_selector import SourceSelector
from capture.sources.worker import AudioWorker, SourceWorker, VideoWorker
from config.errors import DeviceError, DeviceNotFound
from config.settings.schema import PatienceSettings, Profile, Settings
from devices.host.clock import NANOSECONDS
from devices.model.device import Device, DeviceKind, Mode
from devices.roles.assignment import roles_store
from devices.roles.matching import binding_of
from tests.support.health import Recorded
from tests.support.simulated import SimulatedClock

NOW = datetime(2026, 11, 25, tzinfo=UTC)
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
        self, videos: Sequence[str] = (), audios: Sequence[str] = (), *, allow_missing: bool = True
    ) -> ChosenSources:
        context = SourceContext(
            SMALL, FastPace(("video", "audio")), self.clock,
            threading.Event(), live=True, watcher=DetectorFactory(self.settings, self.clock, self.record),
            allow_missing=allow_missing, listing=self,
        )  # fmt: skip
        return SourceSelector(context).choose(videos, audios)

    def picture(self, chosen: ChosenSource[VideoSource]) -> VideoWorker:
        return VideoWorker(chosen.source, self.clock, supervision=chosen.supervision)

    def sound(self, chosen: ChosenSource[AudioSource]) -> AudioWorker:
        return SourceWorker(chosen.source, self.clock, supervision=chosen.supervision)


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


def give(**devices: Device) -> None:
    given = {role: binding_of(device, NOW) for role, device in devices.items()}
    roles_store().change(lambda _: given)


def at_port(device: Device, port: str) -> Device:
    """Return a device without a serial number, of the same model at another port."""
    return msgspec.structs.replace(device, id=device.id.replace(device.port or "", port), port=port, place=f"p{port}")


def picture(room: Room, chosen: ChosenSources) -> VideoWorker:
    (one,) = chosen.pictures
    return room.picture(one)


def sound(room: Room, chosen: ChosenSources) -> AudioWorker:
    (one,) = chosen.sounds
    return room.sound(one)


def miss(worker: VideoWorker | AudioWorker, why: str) -> None:
    assert worker.supervision
    worker.supervision.missing = DeviceNotFound(why)


def read_for(worker: VideoWorker | AudioWorker, room: Room, seconds: float) -> None:
    """Read like the worker's thread."""
    until_ns = room.clock.now_ns() + round(seconds * NANOSECONDS)
    while room.clock.now_ns() < until_ns:
        worker.read(0.1)


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
    worker = sound(room, room.choose([CAMERA.id], [SERVER.id]))
    with pytest.raises(DeviceNotFound, match="no sound server answers"):
        worker.open()
    read_for(worker, room, 5)
    there.append(SERVER)
    room.refusals.extend([DeviceError("Mic cannot be opened", why="lost")] * 3)
    read_for(worker, room, 10)
    assert (room.opened, worker.outage) == ([SERVER.id], None)


def test_two_sticks_whose_hub_was_pulled_out_come_back_each_as_itself(room: Room) -> None:
    twin = at_port(STICK, "1-4")
    room.extend([STICK, twin])
    chosen = room.choose([STICK.id, twin.id], ["none"])
    one, other = (room.picture(one) for one in chosen.pictures)
    for worker in (one, other):
        worker.open()
        miss(worker, "the hub was pulled out")
        with pytest.raises(DeviceNotFound):
            worker.open()
    room.clear()
    for worker in (one, other):
        read_for(worker, room, 1)
    room.append(STICK)
    read_for(other, room, 2)
    read_for(one, room, 2)
    room.append(twin)
    read_for(other, room, 2)
    assert room.opened == [STICK.id, twin.id, STICK.id, twin.id]


def test_a_stick_that_has_a_role_is_not_taken_for_another_one_before_it_comes(room: Room) -> None:
    twin = at_port(STICK, "1-4")
    give(slides=STICK)
    room.append(twin)
    chosen = room.choose(["slides", twin.id], ["none"])
    slides, other = (room.picture(one) for one in chosen.pictures)
    other.open()
    for worker in (slides, other):
        miss(worker, "the hub was pulled out")
        with pytest.raises(DeviceNotFound):
            worker.open()
    room.clear()
    read_for(other, room, 1)
    room.append(STICK)
    read_for(other, room, 2)
    read_for(slides, room, 2)
    assert room.opened == [twin.id, STICK.id]
    assert other.outage


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
    worker = sound(room, chosen)
    with pytest.raises(DeviceNotFound, match=r"desk \(Desk\) is missing"):
        worker.open()
    picture(room, chosen).open()
    read_for(worker, room, 5)
    assert room.opened == [STICK.id]
    room.append(MICROPHONE)
    read_for(worker, room, 3)
    assert (room.opened, worker.outage) == ([STICK.id, MICROPHONE.id], None)


@pytest.mark.parametrize(("videos", "audios"), [(["podium"], []), ([], ["microphone"])], ids=["picture", "sound"])
def test_only_what_was_named_is_needed(room: Room, videos: list[str], audios: list[str]) -> None:
    give(podium=CAMERA, microphone=MICROPHONE)
    chosen = room.choose(allow_missing=False)
    assert (picture(room, chosen).may_miss, sound(room, chosen).may_miss) == (True, True)
    with pytest.raises(DeviceNotFound, match="is missing: it is not plugged in"):
        room.choose(videos, audios, allow_missing=False)
    room.extend([CAMERA, MICROPHONE])
    chosen = room.choose(videos, audios, allow_missing=False)
    assert (picture(room, chosen).may_miss, sound(room, chosen).may_miss) == (not videos, not audios)
    chosen = room.choose(videos, audios)
    assert (picture(room, chosen).may_miss, sound(room, chosen).may_miss) == (True, True)


@pytest.mark.parametrize("allow_missing", [False, True])
def test_in_a_room_without_sound_the_first_microphone_that_comes_is_heard(room: Room, *, allow_missing: bool) -> None:
    room.append(CAMERA)
    chosen = room.choose(allow_missing=allow_missing)
    worker = sound(room, chosen)
    assert worker.may_miss
    with pytest.raises(DeviceNotFound, match="no microphone and no capture card with sound is plugged in"):
        worker.open()
    room.append(MICROPHONE)
    read_for(worker, room, 1)
    assert room.opened == [MICROPHONE.id]


def test_a_session_that_is_to_have_no_sound_waits_for_none(room: Room) -> None:
    room.append(CAMERA)
    assert room.choose(audios=["none"]).sounds == []


def test_a_capture_card_with_a_role_that_is_missing_is_known_as_one_from_the_beginning(room: Room) -> None:
    give(slides=STICK, microphone=MICROPHONE)
    room.append(CAMERA)
    chosen = room.choose()
    (slides,), (microphone,) = chosen.pictures, chosen.sounds
    assert (slides.name, slides.word, microphone.word) == ("slides", "slides", "microphone")
    assert slides.device
    assert (slides.device.id, slides.device.kind, slides.device.role) == (STICK.id, DeviceKind.CAPTURE_CARD, "slides")
    worker = picture(room, chosen)
    with pytest.raises(DeviceNotFound, match=r"slides \(Stick\) is missing"):
        worker.open()
    room.extend([STICK, STICK_SOUND])
    read_for(worker, room, 10)  # of a slide
    assert room.opened == [STICK.id]
    assert room.record.faults() == []
    again = room.choose([slides.word], [microphone.word])
    assert again.devices[0].id == STICK.id


def test_without_any_role_the_first_picture_that_comes_is_taken(room: Room) -> None:
    chosen = room.choose([], ["none"])
    worker = picture(room, chosen)
    assert (chosen.known, chosen.notes) == ([], [])
    with pytest.raises(DeviceNotFound, match="no camera or capture card is plugged in"):
        worker.open()
    room.append(CAMERA)
    read_for(worker, room, 1)
    assert room.opened == [CAMERA.id]


# A device that arrives is judged by its own kind, not its stand-in's


def read_when_it_comes(worker: VideoWorker | AudioWorker, room: Room, *came: Device) -> None:
    """Open a missing device, plug it in, and read for ten seconds, with up to three of standstill."""
    with pytest.raises(DeviceNotFound):
        worker.open()
    room.extend(came)
    read_for(worker, room, 10)
    assert worker.outage is None


def silence_s(worker: AudioWorker) -> float:
    assert worker.supervision
    assert worker.supervision.health
    return worker.supervision.health.patience.silence_s


@pytest.mark.parametrize(("device", "faults"), [(STICK, []), (CAMERA, ["frozen"])], ids=["card", "camera"])
@pytest.mark.parametrize("words", [(), ("id",)], ids=["nobody named it", "named"])
def test_a_picture_that_was_missing_is_watched_as_what_came(
    room: Room, device: Device, faults: list[str], words: tuple[str, ...]
) -> None:
    worker = picture(room, room.choose([device.id for _ in words], ["none"]))
    read_when_it_comes(worker, room, device)
    assert [fault for _, _, fault in room.record.faults()] == faults


def test_a_capture_card_that_does_not_say_yet_what_it_offers_stays_one(room: Room) -> None:
    room.append(STICK)
    worker = picture(room, room.choose([STICK.id], ["none"]))
    worker.open()
    room.refusals.append(DeviceError("Stick does not answer", why="lost"))
    room[:] = [msgspec.structs.replace(STICK, kind=DeviceKind.CAMERA, modes=())]
    miss(worker, "Stick has gone")
    read_when_it_comes(worker, room)
    assert room.opened == [STICK.id] * 2
    assert "frozen" not in [fault for _, _, fault in room.record.faults()]


def test_the_patience_of_a_role_stays_where_its_device_comes_again(room: Room) -> None:
    room.settings = Settings(patience={"podium": PatienceSettings(frozen_s=60.0)})
    give(podium=CAMERA)
    worker = picture(room, room.choose([], ["none"]))
    read_when_it_comes(worker, room, CAMERA)
    miss(worker, "Webcam has gone")
    read_when_it_comes(worker, room)
    assert room.opened == [CAMERA.id] * 2
    assert room.record.faults() == []


def test_sound_that_was_missing_has_the_patience_of_the_capture_card_that_it_comes_with(room: Room) -> None:
    room.settings = Settings(patience={"capture-card": PatienceSettings(silence_s=77.0)})
    room.append(CAMERA)
    give(microphone=STICK_SOUND)
    worker = sound(room, room.choose([CAMERA.id]))
    assert silence_s(worker) == 20
    read_when_it_comes(worker, room, STICK, STICK_SOUND)
    assert silence_s(worker) == 77
    room[:] = [msgspec.structs.replace(STICK_SOUND, paired_with=None)]  # its picture takes a moment longer
    miss(worker, "Stick has gone")
    read_when_it_comes(worker, room)
    assert (room.opened, silence_s(worker)) == ([STICK_SOUND.id] * 2, 77)
