"""From words on a command line to sources."""

import threading
from fractions import Fraction
from pathlib import Path

import pytest

from capture.detectors.detector_factory import DetectorFactory
from capture.pacing import FastPace
from capture.source import AudioSource, VideoSource
from capture.sources import device_selector
from capture.sources.file import FileAudioSource, FileVideoSource
from capture.sources.source_kind import ChosenSources, SourceContext
from capture.sources.source_selector import SourceSelector, as_file
from capture.sources.worker import VideoWorker
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceNotFound, LiputError, MediaError, StateError, UsageError
from config.settings.schema import PatienceSettings, Profile, Settings
from devices.controls import presets
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind, Mode
from tests.support import media

REQUIRED = Profile(width=320, height=240, fps=Fraction(15), video_bitrate=300_000)


def choose(video: str | None, audio: str | None, *, live: bool = False) -> ChosenSources:
    pace = FastPace(("video", "audio"))
    clock = SystemClock()
    context = SourceContext(
        REQUIRED, pace, clock, threading.Event(), live=live, watcher=DetectorFactory(Settings(), clock)
    )
    return SourceSelector(context).choose(() if video is None else (video,), () if audio is None else (audio,))


def picture(chosen: ChosenSources) -> VideoSource:
    (one,) = chosen.pictures
    return one.source


def sound(chosen: ChosenSources) -> AudioSource:
    (one,) = chosen.sounds
    return one.source


def ends(chosen: ChosenSources) -> list[bool]:
    return [one.ends for one in (*chosen.pictures, *chosen.sounds)]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a silent film, one with audio, and a text named like a film."""
    folder = tmp_path_factory.mktemp("films")
    picture = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=15:d=0.2"]
    media.run("ffmpeg", "-v", "error", *picture, folder / "silent.mkv")
    media.run("ffmpeg", "-v", "error", *picture, "-f", "lavfi", "-i", "sine=d=0.2", folder / "sound.mkv")
    (folder / "text.mkv").write_text("no film")
    return folder


def test_synthetic_pictures_bring_synthetic_sound() -> None:
    chosen = choose("synthetic", None)
    assert isinstance(picture(chosen), SyntheticVideo)
    assert isinstance(sound(chosen), SyntheticAudio)
    assert (ends(chosen), chosen.devices, chosen.notes) == ([False, False], [], [])


def test_a_film_brings_its_sound_and_ends(films: Path) -> None:
    chosen = choose(str(films / "sound.mkv"), None)
    assert isinstance(picture(chosen), FileVideoSource)
    assert isinstance(sound(chosen), FileAudioSource)
    assert ends(chosen) == [True, True]


def test_a_silent_film_is_recorded_without_sound_and_it_is_said(films: Path) -> None:
    chosen = choose(str(films / "silent.mkv"), None)
    assert chosen.sounds == []
    assert chosen.notes == [f"Sound: none, {films / 'silent.mkv'} has none"]


def test_sound_may_come_from_elsewhere_or_be_left_out(films: Path) -> None:
    silent = str(films / "silent.mkv")
    assert isinstance(sound(choose(silent, "synthetic")), SyntheticAudio)
    assert isinstance(sound(choose("synthetic", str(films / "sound.mkv"))), FileAudioSource)
    assert choose(str(films / "sound.mkv"), "none").sounds == []
    assert choose("synthetic", "none").sounds == []


def test_nothing_is_said_about_the_sound_of_what_is_no_film(films: Path) -> None:
    chosen = choose(str(films / "text.mkv"), None)
    assert chosen.notes == []
    with pytest.raises(MediaError, match=r"text\.mkv cannot be opened"):
        picture(chosen).open()


@pytest.mark.parametrize("word", ["", "  "])
def test_an_empty_name_is_refused(word: str) -> None:
    with pytest.raises(UsageError, match="empty"):
        choose(word, None)
    with pytest.raises(UsageError, match="empty"):
        choose("synthetic", word)


@pytest.mark.parametrize("word", ["/nowhere/kuliah.mp4", "kuliah.mp4", "kuliah.MKV", "rapat.wav", "folder/x"])
def test_what_looks_like_a_file_and_is_none_is_called_one(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MediaError, match="there is no file"):
        as_file(word)


@pytest.mark.parametrize("word", ["1-2", "1-2.3", "534d:2109@1-2.4", "046d:0825:CAM0001", "podium", "/dev/video0"])
def test_what_may_be_a_device_is_not_called_a_file(word: str) -> None:
    assert as_file(word) is None


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a folder"):
        as_file(str(tmp_path))


@pytest.mark.parametrize(("video", "audio"), [("no-such-camera", None), ("synthetic", "no-such-microphone")])
def test_a_device_that_is_not_there_is_not_found(video: str, audio: str | None) -> None:
    with pytest.raises(DeviceNotFound, match="no-such") as caught:
        choose(video, audio)
    assert isinstance(caught.value, LiputError)
    assert caught.value.hint


def test_a_camera_is_prepared_as_the_settings_have_it_before_it_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = (Mode("MJPG", 320, 240, (30,)),)
    camera = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/no-such-node", modes=modes)
    prepared: list[tuple[Device, object]] = []
    monkeypatch.setattr(device_selector, "list_devices", lambda: [camera])
    monkeypatch.setattr(
        presets, "restore_preset", lambda device, *, power_line, record: prepared.append((device, power_line))
    )
    chosen = choose(camera.id, "none", live=True)
    assert prepared == []
    with pytest.raises(DeviceNotFound):
        picture(chosen).open()
    assert prepared == [(camera, "50 Hz")]


@pytest.mark.parametrize(("kind", "seconds"), [(DeviceKind.CAMERA, 20), (DeviceKind.CAPTURE_CARD, 77)])
def test_sound_has_the_patience_of_what_is_on_its_plug(
    monkeypatch: pytest.MonkeyPatch, kind: DeviceKind, seconds: float
) -> None:
    sound = Device(id="x+sound", kind=DeviceKind.MICROPHONE, name="Stick", alsa="hw:CARD=S,DEV=0", paired_with="x")
    monkeypatch.setattr(device_selector, "list_devices", lambda: [Device(id="x", kind=kind, name="Stick"), sound])
    settings = Settings(patience={"capture-card": PatienceSettings(silence_s=77)})
    watched = DetectorFactory(settings, SystemClock())
    context = SourceContext(
        REQUIRED, FastPace(("video", "audio")), SystemClock(), threading.Event(), live=True, watcher=watched
    )
    (audio,) = SourceSelector(context).choose(["synthetic"], ["x+sound"]).sounds
    assert audio.supervision
    assert audio.supervision.health
    assert audio.supervision.health.patience.silence_s == seconds


def test_roles_that_cannot_be_read_keep_nobody_from_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    modes = (Mode("MJPG", 320, 240, (30,)),)
    camera = Device(id="046d:0825:A", kind=DeviceKind.CAMERA, name="Webcam", node="/dev/video0", modes=modes)
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path))
    monkeypatch.setattr(device_selector, "list_devices", lambda: [camera])
    (tmp_path / "roles.json").write_text("{")
    for word in (None, camera.id):
        chosen = choose(word, "none", live=True)
        assert chosen.devices == [camera]
        assert chosen.notes[-1].startswith(f"Roles: none. {tmp_path / 'roles.json'} has unexpected content")
    with pytest.raises(StateError, match="has unexpected content"):
        choose("podium", None, live=True)
    monkeypatch.setattr(device_selector, "list_devices", list)
    (stand_in,) = choose(None, None, live=True).pictures
    assert stand_in.name == "camera", "what nobody named is not needed"


# Chosen again, by another recorder


def test_the_same_devices_are_chosen_again_also_when_they_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    modes, sizes = (Mode("MJPG", 320, 240, (30,)),), (Mode("MJPG", 1920, 1080, (30,)),)
    card = DeviceKind.CAPTURE_CARD
    stick = Device(id="534d:2109@1-2", kind=card, name="Stick", node="/dev/video0", modes=modes, vid="534d", port="1-2")
    sound = Device(id="534d:2109@1-2+sound", kind=DeviceKind.MICROPHONE, name="Stick", alsa="hw:CARD=S,DEV=0")
    other = Device(id="1bcf:2b98@1-3", kind=card, name="Other", node="/dev/video2", modes=sizes, vid="1bcf", port="1-3")
    plugged = [stick, sound]
    monkeypatch.setattr(device_selector, "list_devices", lambda: list(plugged))
    first = choose(None, None, live=True)
    words = [one.word for one in (*first.pictures, *first.sounds)]
    assert words == [stick.id, sound.id]
    assert first.known == [stick, sound]
    plugged[:] = [other]  # the best device plugged in now, not the recorded one
    clock = SystemClock()
    context = SourceContext(
        REQUIRED, FastPace(("video", "audio")), clock, threading.Event(), live=True,
        watcher=DetectorFactory(Settings(), clock), allow_missing=True,
    )  # fmt: skip
    again = SourceSelector(context, first.known).choose(words[:1], words[1:])
    assert [one.name for one in (*again.pictures, *again.sounds)] == ["Stick", "Stick"]
    assert again.devices == again.known == first.known
    (stick_again,) = again.pictures
    worker = VideoWorker(stick_again.source, clock, supervision=stick_again.supervision)
    with pytest.raises(DeviceNotFound, match="Stick is missing"):
        worker.open()
    assert worker.outage


def test_a_screen_whose_display_is_not_known_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("XDG_SESSION_TYPE", raising=False)
    with pytest.raises(DeviceNotFound, match="DISPLAY is not set"):
        choose("screen", "none", live=True)
    clock = SystemClock()
    context = SourceContext(
        REQUIRED, FastPace(("video", "audio")), clock, threading.Event(), live=True,
        watcher=DetectorFactory(Settings(), clock), allow_missing=True,
    )  # fmt: skip
    (screen,) = SourceSelector(context).choose(["screen"], ["none"]).pictures
    assert (screen.name, screen.word) == ("Screen", "screen")
    for _ in range(2):
        with pytest.raises(DeviceNotFound):
            screen.source.open()
