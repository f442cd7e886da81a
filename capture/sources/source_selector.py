"""Selects sources by words: a kind, a file, a device, or the best one; loads each implementation only for its word."""

import mimetypes
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import av

from capture.source import AudioSource, VideoSource
from capture.sources.source_kind import ChosenSource, ChosenSources, SourceContext, source_kind
from config.errors import DeviceNotFound, MediaError, StateError, UsageError
from devices.model.device import Device


def has_audio_stream(path: Path) -> bool:
    """Return whether a media file has an audio stream; True for one that fails to open: its source will refuse it."""
    try:
        with av.open(f"file:{path}") as container:
            return bool(container.streams.audio)
    except (av.FFmpegError, OSError):
        return True


def as_file(word: str) -> Path | None:
    """Return `word` as a path if it means a file; raises MediaError for a folder, or for the path of a missing file."""
    path = Path(word).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        raise MediaError(f"{path} is a folder", hint="name a media file in it")
    kind, _ = mimetypes.guess_type(word)
    is_media = kind is not None and kind.startswith(("video/", "audio/"))
    if (os.sep in word or is_media) and not word.startswith("/dev/"):
        raise MediaError(f"there is no file {path}", hint="check the path")
    return None


if TYPE_CHECKING:
    from capture.sources.device_selector import DeviceSelector

NONE = "none"


class SourceSelector:
    """Finds the sources of one session; lists devices once, on first use."""

    def __init__(self, context: SourceContext, known: Sequence[Device] = ()) -> None:
        """`known` are devices of an earlier choice: their ids mean them, even while they are away."""
        self._context = context
        self._known = known
        self._selector: DeviceSelector | None = None

    def choose(self, videos: Sequence[str] = (), audios: Sequence[str] = ()) -> ChosenSources:
        """Return the sources for the words, or the best ones, none of them open; raises a LiputError."""
        if "" in {word.strip() for word in (*videos, *audios)}:
            raise UsageError("the name of a source is empty", hint="leave the option out for the best device")
        chosen, missing = ChosenSources(), list[DeviceNotFound]()
        for video in videos or (None,):
            with _collected(missing):
                chosen.pictures.append(self._picture(chosen, video))
        for audio in audios or (() if missing else (None,)):
            with _collected(missing):
                if (sound := self._sound(chosen, audio, videos[0] if videos else None)) is not None:
                    chosen.sounds.append(sound)
        if missing:
            raise self._unread_roles or _as_one(missing) from missing[0]
        _refuse_twice(chosen)
        chosen.pictures, chosen.sounds = _with_unique_names(chosen.pictures), _with_unique_names(chosen.sounds)
        if unread := self._unread_roles:
            chosen.notes.append(f"Roles: none. {unread.message}")
        return chosen

    def _picture(self, chosen: ChosenSources, word: str | None) -> ChosenSource[VideoSource]:
        if word is None:
            return self._devices.picture(chosen, word)
        if kind := source_kind(word):
            if kind.picture is None:
                raise UsageError(f'"{word}" gives no picture', hint="name it with --audio")
            return kind.picture(word, self._context)
        if path := as_file(word):
            from capture.sources.file import FileVideoSource

            context, profile = self._context, self._context.profile
            film = FileVideoSource(path, context.pace, (profile.width, profile.height), copied=context.isolate)
            return ChosenSource(film.name, film, word, ends=True)
        return self._devices.picture(chosen, word)

    def _sound(self, chosen: ChosenSources, word: str | None, video: str | None) -> ChosenSource[AudioSource] | None:
        if word == NONE:
            return None
        named = word or video
        if named and (kind := source_kind(named)) and (kind.sound or word):
            if kind.sound is None:
                raise UsageError(f'"{word}" gives no sound', hint="name it with --video")
            return kind.sound(named, self._context)
        path = as_file(word) if word else None
        is_film = word is None and chosen.pictures[0].ends
        if is_film and video and (path := as_file(video)) and not has_audio_stream(path):
            chosen.notes.append(f"Sound: none, {path} has none")
            return None
        if path:
            from capture.sources.file import FileAudioSource

            film = FileAudioSource(path, self._context.pace)
            return ChosenSource(film.name, film, word or video or "", ends=True)
        return self._devices.sound(chosen, word)

    @property
    def _devices(self) -> "DeviceSelector":
        if self._selector is None:
            from capture.sources.device_selector import DeviceSelector

            self._selector = DeviceSelector(self._context, self._known)
        return self._selector

    @property
    def _unread_roles(self) -> StateError | None:
        return self._selector.unread if self._selector else None


@contextmanager
def _collected(missing: list[DeviceNotFound]) -> Iterator[None]:
    try:
        yield
    except DeviceNotFound as error:
        missing.append(error)


def _as_one(missing: Sequence[DeviceNotFound]) -> DeviceNotFound:
    """Return an error that names every missing device: people decide about all of them at once."""
    first, *others = missing
    if not others:
        return first
    about = ", ".join(error.about for error in missing if error.about)
    return DeviceNotFound("; ".join(error.message for error in missing), hint=first.hint, why=first.why, about=about)


def _refuse_twice(chosen: ChosenSources) -> None:
    for sources in (chosen.pictures, chosen.sounds):
        ids = [source.device.id for source in sources if source.device]
        if twice := next((device_id for device_id in ids if ids.count(device_id) > 1), None):
            raise UsageError(f"{twice} is named twice", hint="name each source once")


def _with_unique_names[Source](sources: Sequence[ChosenSource[Source]]) -> list[ChosenSource[Source]]:
    """Return `sources` with unique names: the second of a name becomes `NAME 2`."""
    named: dict[str, ChosenSource[Source]] = {}
    for source in sources:
        name, number = source.name, 2
        while name in named:
            name, number = f"{source.name} {number}", number + 1
        named[name] = replace(source, name=name)
    return list(named.values())
