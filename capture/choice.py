"""From words on a command line to sources: `synthetic`, a file, a device, or the best that is plugged in."""

import mimetypes
import os
import threading
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av

from capture.file import FileAudioSource, FileVideoSource
from capture.pacing import Pace
from capture.sound.inputs import find_sound_input, server_inputs
from capture.sound.source import SoundSource
from capture.source import AudioSource, VideoSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from capture.v4l2 import V4l2Source
from capture.watch.watcher import Watcher
from config.errors import DeviceNotFound, MediaError, StateError, UsageError
from devices.clock import Clock
from devices.model import Device
from devices.roles.choice import choose_sound, choose_video, named_video
from devices.roles.roles import Roles, roles_store, with_roles
from devices.snapshot import list_devices

SYNTHETIC = "synthetic"
NONE = "none"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the profile asks of the sources: at most so many pixels and frames a second; channels of sound."""

    width: int
    height: int
    rate: Fraction
    channels: int


@dataclass(slots=True)
class Chosen:
    """The sources, which of them end by themselves, the devices among them, and what to tell the operator."""

    video: VideoSource
    audio: AudioSource | None = None
    video_ends: bool = False
    audio_ends: bool = False
    devices: list[Device] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class Chooser:
    """Finds sources for one session; asks for the devices once, and only when one is wanted."""

    def __init__(
        self, wanted: Wanted, pace: Pace, clock: Clock, stop: threading.Event, *, live: bool, watcher: Watcher
    ) -> None:
        self._wanted = wanted
        self._pace = pace
        self._clock = clock
        self._stop = stop
        self._live = live
        self._watcher = watcher
        self._listed: tuple[list[Device], Roles] | None = None
        self._unread: StateError | None = None

    def choose(self, video: str | None, audio: str | None) -> Chosen:
        """Return the sources that `video` and `audio` (a word, or None for the best) mean; none is open yet.

        Roles that cannot be read keep nobody from recording, unless one of them may be meant. Raises DeviceNotFound,
        DeviceUnsupported, MediaError, StateError or UsageError.
        """
        if "" in {word.strip() for word in (video, audio) if word is not None}:
            raise UsageError(
                "the name of a source is empty", hint="leave the option out for the best that is plugged in"
            )
        try:
            chosen = self._video(video)
            self._add_audio(chosen, video, audio)
        except DeviceNotFound as error:
            if self._unread and (video, audio) != (None, None):
                raise self._unread from error
            raise
        if self._unread:
            chosen.notes.append(f"Roles: none. {self._unread.message}")
        return chosen

    def _video(self, word: str | None) -> Chosen:
        wanted = self._wanted
        if word == SYNTHETIC:
            return Chosen(SyntheticVideo(wanted.width, wanted.height, wanted.rate, self._pace, self._stop))
        if word is not None and (path := as_file(word)):
            source = FileVideoSource(path, self._pace, max_width=wanted.width, max_height=wanted.height)
            return Chosen(source, video_ends=True)
        devices, roles = self._plugged()
        device = choose_video(devices, roles) if word is None else named_video(devices, word, roles)
        self._refuse_fast(device)
        camera = V4l2Source(
            device,
            width=wanted.width,
            height=wanted.height,
            rate=float(wanted.rate),
            clock=self._clock,
            prepare=self._watcher.prepare,
        )
        chosen = Chosen(self._watcher.video(camera, device), devices=[device])
        if word is None:
            chosen.notes.append(f"Picture: {_called(device)}")
        return chosen

    def _add_audio(self, chosen: Chosen, video: str | None, word: str | None) -> None:
        if word == NONE:
            return
        if word == SYNTHETIC or (word is None and video == SYNTHETIC):
            chosen.audio = SyntheticAudio(self._pace, self._stop, self._wanted.channels)
            return
        path = as_file(word) if word else None
        if word is None and chosen.video_ends and video and (path := as_file(video)) and not holds_sound(path):
            chosen.notes.append(f"Sound: none, {path} has none")
            return
        if path:
            chosen.audio, chosen.audio_ends = FileAudioSource(path, self._pace), True
            return
        self._add_input(chosen, word)

    def _add_input(self, chosen: Chosen, word: str | None) -> None:
        """Add a sound input that is plugged in, or one that only PortAudio knows (PulseAudio, PipeWire, ALSA names)."""
        picture = chosen.devices[0] if chosen.devices else None
        devices, roles = self._plugged()
        if word is None:
            device = choose_sound(devices, roles, picture, server_inputs)
            if device is None:
                chosen.notes.append("Sound: none, no microphone and no capture card with sound is plugged in")
                return
            chosen.notes.append(f"Sound: {_called(device)}")
        else:
            device = find_sound_input(devices, word, roles)
        self._refuse_fast(device)
        sound = SoundSource(device, channels=self._wanted.channels)
        plug = next((one.kind for one in devices if one.id == device.paired_with), None)
        chosen.audio = self._watcher.sound(sound, device, plug)
        chosen.devices.append(device)

    def _refuse_fast(self, device: Device) -> None:
        if not self._live:
            raise UsageError(
                f"{device.name} cannot run as fast as it goes", hint="--pace fast is for files and synthetic sources"
            )

    def _plugged(self) -> tuple[list[Device], Roles]:
        """Return what is plugged in, with its roles, and all roles that were given."""
        if self._listed is None:
            roles: Roles = {}
            try:
                roles = roles_store().read()
            except StateError as error:
                self._unread = error
            self._listed = with_roles(list_devices(), roles), roles
        return self._listed


def _called(device: Device) -> str:
    role = f"{device.role}, " if device.role else ""
    return f"{role}{device.name} ({device.id})"


def holds_sound(path: Path) -> bool:
    """Return whether a media file has a track of sound; true of what cannot be opened: its source will refuse it."""
    try:
        with av.open(f"file:{path}") as container:
            return bool(container.streams.audio)
    except (av.FFmpegError, OSError):
        return True


def as_file(word: str) -> Path | None:
    """Return `word` as a path if it means a file; raises MediaError for what looks like one where there is none."""
    path = Path(word).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise MediaError(f"{path} is a folder", hint="name a media file in it")
    if (os.sep in word or looks_like_media(word)) and not word.startswith("/dev/"):
        raise MediaError(f"there is no file {path}", hint="check the path")
    return None


def looks_like_media(word: str) -> bool:
    """Return whether a word ends as names of sound and film do."""
    kind, _ = mimetypes.guess_type(word)
    return kind is not None and kind.startswith(("video/", "audio/"))
