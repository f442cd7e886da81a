"""Finds the planned session's devices among those plugged in, as the session does, and opens none."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from agent.checks.check import CheckResult, findings, make_result
from capture.sound.inputs import find_sound_input
from capture.sources.source_kind import SourceKind, source_kind
from capture.sources.source_kind_names import source_name
from capture.sources.source_selector import NONE, as_file
from config.errors import DeviceError, DeviceNotFound, MediaError, UsageError
from devices.model.device import Device
from devices.monitor.identity import find_video
from devices.roles.assignment import SERVER_INPUTS, Roles, with_roles
from devices.roles.choice import best_sound, best_video, find_named, first_role
from devices.roles.matching import MissingDevice, resolve_all
from recorder.session.request import SessionRequest

NAME = "devices"
CODES = findings("check-devices")
_NOT_THERE = {"screen": "no-screen"}  # codes of missing kinds of source that say more than `not-found`


@dataclass(frozen=True, slots=True)
class SessionSource:
    """One source of the session; `device` is None for other kinds of source, `trouble` the reason if it is missing."""

    name: str
    device: Device | None = None
    trouble: CheckResult | None = None


def _missing_source(name: str, code: str, **facts: object) -> SessionSource:
    return SessionSource(name, trouble=make_result(CODES, code, f"{NAME}: {name}", None, **facts))


class PluggedDevices:
    def __init__(self, devices: Sequence[Device], roles: Roles) -> None:
        self._roles = roles
        self._devices = with_roles(devices, roles)

    def sources(self, asked: SessionRequest) -> Iterator[SessionSource]:
        """Yield the sources of `asked`, video first, chosen as in capture/sources/source_selector.py."""
        video = asked.videos[0] if asked.videos else None
        main = self._picture(video)
        yield main
        for word in asked.videos[1:]:
            yield self._picture(word)
        if not asked.audios and video is not None and _has_own_sound(video):
            return
        for audio in asked.audios or (None,):
            if audio != NONE:
                yield self._sound(audio, main.device)

    def missing_beside(self, taken: Sequence[SessionSource]) -> Iterator[SessionSource]:
        """Yield the roles of absent devices that are not among the sources `taken`."""
        names = {source.name for source in taken}
        for role, resolved in resolve_all(self._roles, self._devices).items():
            bound = self._roles[role]
            if isinstance(resolved, MissingDevice) and role not in names and not bound.id.startswith(SERVER_INPUTS):
                yield _missing_source(role, "role-missing", device=bound.name)

    def _picture(self, word: str | None) -> SessionSource:
        if word is None:
            word = first_role(self._roles)
        if word is None:
            return self._device("camera", lambda: best_video(self._devices), "no-camera")
        if apart := _other_source(word, lambda kind: kind.picture):
            return apart
        return self._device(word, lambda: find_named(find_video, self._devices, word, self._roles), "not-found")

    def _sound(self, word: str | None, picture: Device | None) -> SessionSource:
        if word is None:
            word = first_role(self._roles, sound=True)
        if word is None:
            return self._device("microphone", lambda: self._best_sound(picture), "no-microphone")
        apart = _other_source(word, lambda kind: kind.sound)
        return apart or self._device(word, lambda: find_sound_input(self._devices, word, self._roles), "not-found")

    def _best_sound(self, picture: Device | None) -> Device:
        device = best_sound(self._devices, picture)
        if device is None:
            raise DeviceNotFound("no microphone is plugged in")
        return device

    def _device(self, word: str, find: Callable[[], Device], absent: str) -> SessionSource:
        """Return the device from `find`, or the reason why it is missing; `absent` is the least specific code."""
        try:
            device = find()
        except DeviceNotFound:
            role = word.strip().casefold()
            return self._missing(word, role) if role in self._roles else _missing_source(word, absent, word=word)
        except DeviceError:
            return _missing_source(word, "wrong-kind", word=word)
        except UsageError:
            return _missing_source(word, "ambiguous", word=word)
        return SessionSource(device.role or device.name, device)

    def _missing(self, word: str, role: str) -> SessionSource:
        bound, resolved = self._roles[role], resolve_all(self._roles, self._devices)[role]
        facts = {"device": bound.name, "role": role, "port": bound.port or "?"}
        if isinstance(resolved, MissingDevice) and resolved.replacement:
            return _missing_source(word, "replaced", **facts, id=resolved.replacement.id)
        if isinstance(resolved, MissingDevice) and resolved.elsewhere:
            there = resolved.elsewhere[0]
            return _missing_source(word, "moved", **facts, there=there.port or "?", id=there.id)
        return _missing_source(word, "missing", **facts)


def _other_source(word: str, gives: Callable[[SourceKind], object]) -> SessionSource | None:
    """Return the source of `word` if it is no device, or None; its kind must give video or sound, by `gives`."""
    if kind := source_kind(word):
        if gives(kind) is None:
            return _missing_source(word, "wrong-kind", word=word)
        try:
            return SessionSource(kind.name(word))
        except UsageError as error:
            return _missing_source(word, "no-source", word=word, hint=error.hint or error.message)
        except DeviceError:
            return _missing_source(word, _NOT_THERE.get(source_name(word) or "", "not-found"), word=word)
    try:
        path = as_file(word)
    except MediaError:
        return _missing_source(word, "no-file", word=word)
    return SessionSource(path.name) if path else None


def _has_own_sound(video: str) -> bool:
    """Return whether the video source has its own sound, as files and the synthetic source do."""
    kind = source_kind(video)
    return kind.sound is not None if kind else _other_source(video, lambda kind: kind.picture) is not None
