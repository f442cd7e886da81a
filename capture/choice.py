"""From words on a command line to sources: `synthetic`, a file, `screen`, a device, or the best that is plugged in.

Each kind of source is loaded where a word means it: a session of files, or of a synthetic picture, needs nothing of
what cameras, sound servers and the ports of this PC take (a sixth of a second).
"""

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from capture.chosen import Chosen, ChosenSource, Wanted, refuse_fast
from capture.pacing import Pace
from capture.source import AudioSource, VideoSource
from capture.words import as_file, holds_sound
from config.errors import DeviceError, DeviceNotFound, StateError, UsageError
from devices.clock import Clock
from devices.model import Device, DeviceKind

if TYPE_CHECKING:
    from capture.device_choice import DeviceChooser
    from capture.screen_area import ScreenArea
    from capture.watch.watcher import Watcher
    from capture.whereabouts import Listing

SYNTHETIC = "synthetic"
NONE = "none"


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
        watcher: "Watcher",
        allow_missing: bool = False,
        isolate: bool = False,
        listing: "Listing | None" = None,
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
        self._listing = listing
        self._known = known
        self._chooser: DeviceChooser | None = None

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
            if (unread := self._unread_roles) and (videos or audios):
                raise unread from error
            raise
        _refuse_twice(chosen)
        chosen.pictures, chosen.sounds = _told_apart(chosen.pictures), _told_apart(chosen.sounds)
        if unread := self._unread_roles:
            chosen.notes.append(f"Roles: none. {unread.message}")
        return chosen

    def _picture(self, chosen: Chosen, word: str | None) -> ChosenSource[VideoSource]:
        wanted = self._wanted
        if word == SYNTHETIC:
            from capture.synthetic.video import SyntheticVideo

            synthetic = SyntheticVideo(wanted.width, wanted.height, wanted.rate, self._pace, self._stop)
            return ChosenSource(synthetic.name, synthetic, SYNTHETIC)
        if word is not None and (path := as_file(word)):
            from capture.file import FileVideoSource

            film = FileVideoSource(path, self._pace, max_width=wanted.width, max_height=wanted.height)
            return ChosenSource(film.name, film, word, ends=True)
        if word is not None and (screen := self._as_screen(word)):
            return screen
        return self._devices.picture(chosen, word)

    def _as_screen(self, word: str) -> ChosenSource[VideoSource] | None:
        """Return the screen that `word` means, None where it means none; one that may be missing has no display."""
        from capture.screen_area import ScreenArea, as_screen

        try:
            area = as_screen(word, os.environ)
        except DeviceNotFound as error:
            if not self._allow_missing:
                raise
            return self._screen(ScreenArea(""), word, error)
        return self._screen(area, area.id) if area else None

    def _screen(self, area: "ScreenArea", word: str, missing: DeviceError | None = None) -> ChosenSource[VideoSource]:
        """Return a screen, watched with the patience of a capture card: slides may stand still on it."""
        from capture.kept import KeptVideo
        from capture.screen import ScreenSource
        from capture.whereabouts import AlwaysThere

        wanted = self._wanted
        stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
        refuse_fast(stand_in, live=self._live)
        screen = ScreenSource(area, width=wanted.width, height=wanted.height, rate=wanted.rate, clock=self._clock)
        # It is no device of this session: any number may record it at once.
        watched = self._watcher.video(screen, stand_in)
        return ChosenSource(area.name, KeptVideo(watched, AlwaysThere(stand_in), self._clock, missing=missing), word)

    def _sound(self, chosen: Chosen, word: str | None, video: str | None) -> ChosenSource[AudioSource] | None:
        if word == NONE:
            return None
        if word == SYNTHETIC or (word is None and video == SYNTHETIC):
            from capture.synthetic.audio import SyntheticAudio

            synthetic = SyntheticAudio(self._pace, self._stop, self._wanted.channels)
            return ChosenSource(synthetic.name, synthetic, SYNTHETIC)
        path = as_file(word) if word else None
        if word is None and chosen.pictures[0].ends and video and (path := as_file(video)) and not holds_sound(path):
            chosen.notes.append(f"Sound: none, {path} has none")
            return None
        if path:
            from capture.file import FileAudioSource

            film = FileAudioSource(path, self._pace)
            return ChosenSource(film.name, film, word or video or "", ends=True)
        return self._devices.sound(chosen, word)

    @property
    def _devices(self) -> "DeviceChooser":
        if self._chooser is None:
            from capture.device_choice import DeviceChooser

            self._chooser = DeviceChooser(
                self._wanted,
                self._clock,
                live=self._live,
                watcher=self._watcher,
                allow_missing=self._allow_missing,
                isolate=self._isolate,
                listing=self._listing,
                known=self._known,
            )
        return self._chooser

    @property
    def _unread_roles(self) -> StateError | None:
        return self._chooser.unread if self._chooser else None


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
