"""From words on a command line to sources: `synthetic`, a file, `screen`, a device, or the best that is plugged in."""

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from capture.file import FileAudioSource, FileVideoSource
from capture.kept import KeptAudio, KeptVideo, Whereabouts
from capture.pacing import Pace
from capture.screen import ScreenSource
from capture.screen_area import ScreenArea, as_screen
from capture.sound.inputs import find_sound_input, server_inputs
from capture.sound.source import SoundSource
from capture.source import AudioSource, VideoSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from capture.v4l2 import V4l2Source
from capture.watch.watcher import Watcher
from capture.whereabouts import AlwaysThere, BoundWhereabouts, Listing, NamedWhereabouts
from capture.words import as_file, holds_sound
from config.errors import DeviceError, DeviceNotFound, StateError, UsageError
from devices.clock import Clock
from devices.model import Device, DeviceKind
from devices.roles.choice import choose_sound, choose_video, named_video
from devices.roles.matching import Present, binding_of, resolve
from devices.roles.roles import SERVER_INPUTS, Roles, roles_store, with_roles
from devices.snapshot import list_devices

SYNTHETIC = "synthetic"
NONE = "none"
ASK_SERVERS_S = 2.0
"""How often is looked for a sound input that was missing at the start: PortAudio is asked, in a process of its own."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the profile asks of the sources: at most so many pixels and frames a second; channels of sound."""

    width: int
    height: int
    rate: Fraction
    channels: int


@dataclass(frozen=True, slots=True)
class ChosenSource[Source]:
    """One source, what people call it, whether it ends by itself, and the device it is, if it is one.

    `word` means this very source when it is chosen again.
    """

    name: str
    source: Source
    word: str
    ends: bool = False
    device: Device | None = None


@dataclass(slots=True)
class Chosen:
    """The sources of a session, each with a name of its own, and what to tell the operator."""

    pictures: list[ChosenSource[VideoSource]] = field(default_factory=list)
    sounds: list[ChosenSource[AudioSource]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    known: list[Device] = field(default_factory=list)
    """Its devices, but for those that were never there."""

    @property
    def devices(self) -> list[Device]:
        """The devices among them, pictures first."""
        chosen = [picture.device for picture in self.pictures] + [sound.device for sound in self.sounds]
        return [device for device in chosen if device is not None]


class Chooser:
    """Finds sources for one session; asks for the devices once, and only when one is wanted.

    `listing` is asked where a device is that was lost; it should cost nothing (a monitor's memory does not).
    """

    def __init__(
        self,
        wanted: Wanted,
        pace: Pace,
        clock: Clock,
        stop: threading.Event,
        *,
        live: bool,
        watcher: Watcher,
        allow_missing: bool = False,
        isolate: bool = False,
        listing: Listing | None = None,
        known: Sequence[Device] = (),
    ) -> None:
        """`known` are devices as an earlier choice knew them: their ids mean them, also when they are not there."""
        self._wanted = wanted
        self._pace = pace
        self._clock = clock
        self._stop = stop
        self._live = live
        self._watcher = watcher
        self._allow_missing = allow_missing
        self._isolate = isolate
        self._listing = listing or list_devices
        self._known = {device.id: device for device in known}
        self._listed: tuple[list[Device], Roles] | None = None
        self._unread: StateError | None = None

    def choose(self, videos: Sequence[str] = (), audios: Sequence[str] = ()) -> Chosen:
        """Return the sources that the words mean, or without any the best there is; none is open yet.

        Roles that cannot be read keep nobody from recording, unless one of them may be meant. Raises DeviceNotFound,
        DeviceUnsupported, MediaError, StateError or UsageError.
        """
        if "" in {word.strip() for word in (*videos, *audios)}:
            raise UsageError(
                "the name of a source is empty", hint="leave the option out for the best that is plugged in"
            )
        chosen = Chosen()
        try:
            for video in videos or (None,):
                chosen.pictures.append(self._picture(chosen, video))
            for audio in audios or (None,):
                if (sound := self._sound(chosen, audio, videos[0] if videos else None)) is not None:
                    chosen.sounds.append(sound)
        except DeviceNotFound as error:
            if self._unread and (videos or audios):
                raise self._unread from error
            raise
        _refuse_twice(chosen)
        chosen.pictures, chosen.sounds = _told_apart(chosen.pictures), _told_apart(chosen.sounds)
        if self._unread:
            chosen.notes.append(f"Roles: none. {self._unread.message}")
        return chosen

    # Pictures

    def _picture(self, chosen: Chosen, word: str | None) -> ChosenSource[VideoSource]:
        wanted = self._wanted
        if word == SYNTHETIC:
            synthetic = SyntheticVideo(wanted.width, wanted.height, wanted.rate, self._pace, self._stop)
            return ChosenSource(synthetic.name, synthetic, SYNTHETIC)
        if word is not None and (path := as_file(word)):
            film = FileVideoSource(path, self._pace, max_width=wanted.width, max_height=wanted.height)
            return ChosenSource(film.name, film, word, ends=True)
        if word is not None and (screen := self._as_screen(word)):
            return screen
        device, missing = self._find(word, DeviceKind.CAMERA, lambda: self._video_device(word, *self._plugged()))
        self._refuse_fast(device)
        chosen.known += self._worth_knowing(device, missing)
        camera = V4l2Source(
            device,
            width=wanted.width,
            height=wanted.height,
            rate=float(wanted.rate),
            clock=self._clock,
            prepare=self._watcher.prepare,
            coded_only=self._isolate,
        )
        if word is None and missing is None:
            chosen.notes.append(f"Picture: {_called(device)}")
        where = self._whereabouts(device, missing, lambda: self._video_device(word, *self._now()))
        kept = KeptVideo(self._watcher.video(camera, device), where, self._clock, missing=missing)
        return ChosenSource(device.role or device.name, kept, _word_of(word, device, missing), device=device)

    def _as_screen(self, word: str) -> ChosenSource[VideoSource] | None:
        """Return the screen that `word` means, None where it means none; one that may be missing has no display."""
        try:
            area = as_screen(word, os.environ)
        except DeviceNotFound as error:
            if not self._allow_missing:
                raise
            return self._screen(ScreenArea(""), word, error)
        return self._screen(area, area.id) if area else None

    def _screen(self, area: ScreenArea, word: str, missing: DeviceError | None = None) -> ChosenSource[VideoSource]:
        """Return a screen, watched with the patience of a capture card: slides may stand still on it."""
        wanted = self._wanted
        stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
        self._refuse_fast(stand_in)
        screen = ScreenSource(area, width=wanted.width, height=wanted.height, rate=wanted.rate, clock=self._clock)
        # It is no device of this session: any number may record it at once.
        watched = self._watcher.video(screen, stand_in)
        return ChosenSource(area.name, KeptVideo(watched, AlwaysThere(stand_in), self._clock, missing=missing), word)

    @staticmethod
    def _video_device(word: str | None, devices: Sequence[Device], roles: Roles) -> Device:
        return choose_video(devices, roles) if word is None else named_video(devices, word, roles)

    # Sound

    def _sound(self, chosen: Chosen, word: str | None, video: str | None) -> ChosenSource[AudioSource] | None:
        if word == NONE:
            return None
        if word == SYNTHETIC or (word is None and video == SYNTHETIC):
            synthetic = SyntheticAudio(self._pace, self._stop, self._wanted.channels)
            return ChosenSource(synthetic.name, synthetic, SYNTHETIC)
        path = as_file(word) if word else None
        if word is None and chosen.pictures[0].ends and video and (path := as_file(video)) and not holds_sound(path):
            chosen.notes.append(f"Sound: none, {path} has none")
            return None
        if path:
            film = FileAudioSource(path, self._pace)
            return ChosenSource(film.name, film, word or video or "", ends=True)
        return self._input(chosen, word)

    def _input(self, chosen: Chosen, word: str | None) -> ChosenSource[AudioSource] | None:
        """Return a sound input that is plugged in, or one that only a sound server or PortAudio knows."""
        picture = chosen.pictures[0].device
        if word is None:
            best = choose_sound(*self._plugged(), picture, server_inputs)
            if best is None:
                chosen.notes.append("Sound: none, no microphone and no capture card with sound is plugged in")
                return None
            device, missing = best, None
            chosen.notes.append(f"Sound: {_called(device)}")
        else:
            device, missing = self._find(
                word, DeviceKind.MICROPHONE, lambda: find_sound_input(self._plugged()[0], word, self._plugged()[1])
            )
        self._refuse_fast(device)
        chosen.known += self._worth_knowing(device, missing)
        devices = self._plugged()[0]
        plug = next((one.kind for one in devices if one.id == device.paired_with), None)
        where = self._whereabouts(device, missing, lambda: find_sound_input(self._now()[0], word or "", self._now()[1]))
        source = self._watcher.sound(SoundSource(device, channels=self._wanted.channels), device, plug)
        kept = KeptAudio(source, where, self._clock, missing=missing)
        return ChosenSource(device.role or device.name, kept, _word_of(word, device, missing), device=device)

    # Devices

    def _find(
        self, word: str | None, kind: DeviceKind, find: Callable[[], Device]
    ) -> tuple[Device, DeviceNotFound | None]:
        """Return a device, or what stands for one that may be missing, and why it is."""
        if known := self._known.get(word or ""):
            return self._find_again(known)
        try:
            return find(), None
        except DeviceNotFound as error:
            if not self._allow_missing:
                raise
            return _stand_in(word, kind, self._plugged()[1]), error

    def _find_again(self, known: Device) -> tuple[Device, DeviceNotFound | None]:
        """Return a device that was chosen before: it, and why it is missing where it is not there now."""
        if known.id.startswith(SERVER_INPUTS):
            return known, None  # whether it is there shows when it is opened
        found = resolve(binding_of(known, self._clock.now()), self._plugged()[0])
        if isinstance(found, Present):
            return found.device, None
        error = DeviceNotFound(
            f"{known.name} is missing: {found.reason}", hint="Plug it in: it is shown as soon as it is there."
        )
        if not self._allow_missing:
            raise error
        return known, error

    def _worth_knowing(self, device: Device, missing: DeviceNotFound | None) -> list[Device]:
        return [device] if missing is None or device.id in self._known else []

    def _whereabouts(self, device: Device, missing: DeviceNotFound | None, named: Callable[[], Device]) -> Whereabouts:
        if missing is not None and device.id not in self._known:
            every_s = ASK_SERVERS_S if device.kind is DeviceKind.MICROPHONE else 0.0
            return NamedWhereabouts(named, self._listing, self._clock, every_s)
        if device.id.startswith(SERVER_INPUTS):
            return AlwaysThere(device)
        return BoundWhereabouts(binding_of(device, self._clock.now()), self._listing)

    def _refuse_fast(self, device: Device) -> None:
        if not self._live:
            raise UsageError(
                f"{device.name} cannot run as fast as it goes", hint="--pace fast is for files and synthetic sources"
            )

    def _now(self) -> tuple[Sequence[Device], Roles]:
        """Return what is plugged in now."""
        roles = self._plugged()[1]
        return with_roles(self._listing(), roles), roles

    def _plugged(self) -> tuple[list[Device], Roles]:
        """Return what was plugged in when it was asked first, with its roles, and all roles that were given."""
        if self._listed is None:
            roles: Roles = {}
            try:
                roles = roles_store().read()
            except StateError as error:
                self._unread = error
            self._listed = with_roles(list_devices(), roles), roles
        return self._listed


def _stand_in(word: str | None, kind: DeviceKind, roles: Roles) -> Device:
    """Return what is known of a device that is not there: what its role was given to, or only what it was called."""
    role = (word or "").strip().casefold()
    if role not in roles:
        return Device(id=word or str(kind), kind=kind, name=word or str(kind))
    bound = roles[role]
    return Device(id=bound.id, kind=bound.kind, name=bound.name, vid=bound.vid, pid=bound.pid, role=role)


def _word_of(word: str | None, device: Device, missing: DeviceNotFound | None) -> str:
    """Return what means this device from now on: its id, or as long as it was never there what it was called."""
    return word or device.id if missing else device.id


def _refuse_twice(chosen: Chosen) -> None:
    for sources in (chosen.pictures, chosen.sounds):
        ids = [source.device.id for source in sources if source.device]
        if twice := next((device_id for device_id in ids if ids.count(device_id) > 1), None):
            raise UsageError(f"{twice} is named twice", hint="name each source once")


def _told_apart[Source](sources: Sequence[ChosenSource[Source]]) -> list[ChosenSource[Source]]:
    """Return `sources`, the second of a name called `NAME 2`."""
    named: dict[str, ChosenSource[Source]] = {}
    for source in sources:
        name, number = source.name, 2
        while name in named:
            name, number = f"{source.name} {number}", number + 1
        named[name] = replace(source, name=name)
    return list(named.values())


def _called(device: Device) -> str:
    role = f"{device.role}, " if device.role else ""
    return f"{role}{device.name} ({device.id})"
