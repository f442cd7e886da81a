"""Whether the cameras and microphones that a session wants are there, and are as they should be."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from agent.checks.check import Check, Situation, Tell
from agent.checks.device_state import CODES, NAME, state_of, stream_of
from agent.checks.result import Result, found
from agent.checks.side_by_side import side_by_side
from agent.devices.gather import with_what_is_known
from capture.choice import NONE, as_file
from capture.sound.inputs import find_sound_input
from capture.source_kind import SourceKind, source_kind
from capture.source_names import source_name
from config.errors import DeviceError, DeviceNotFound, MediaError, StateError, UsageError
from config.locale.lookup import words
from devices.health.faults import Fault
from devices.identity import find_video
from devices.model import Device
from devices.roles.choice import best_sound, best_video, first_role, named
from devices.roles.matching import Missing, resolve_all
from devices.roles.roles import SERVER_INPUTS, Roles, roles_store, with_roles
from devices.usb.budget import predict
from devices.usb.topology import Topology
from recorder.asked import Asked

_NOT_THERE = {"screen": "no-screen"}
"""Codes that say more of a kind of source that is not there than `not-found`."""


@dataclass(frozen=True, slots=True)
class WantedSource:
    """One source of the session; `device` is None where it is no device, `trouble` says why it is missing."""

    name: str
    device: Device | None = None
    trouble: Result | None = None


def _lacks(name: str, code: str, **facts: object) -> WantedSource:
    return WantedSource(name, trouble=found(CODES, code, f"{NAME}: {name}", None, **facts))


class Room:
    """What is plugged in, and who has which role."""

    def __init__(self, devices: Sequence[Device], roles: Roles) -> None:
        self._roles = roles
        self._devices = with_roles(devices, roles)

    def sources(self, asked: Asked) -> Iterator[WantedSource]:
        """Give the sources that `asked` means, as capture/choice.py takes them, pictures first."""
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

    def missing_beside(self, taken: Sequence[WantedSource]) -> Iterator[WantedSource]:
        """Give the roles whose devices are not there, and that none of the sources `taken` is."""
        names = {source.name for source in taken}
        for role, resolved in resolve_all(self._roles, self._devices).items():
            bound = self._roles[role]
            if isinstance(resolved, Missing) and role not in names and not bound.id.startswith(SERVER_INPUTS):
                yield _lacks(role, "role-missing", device=bound.name)

    def _picture(self, word: str | None) -> WantedSource:
        if word is None:
            word = first_role(self._roles)
        if word is None:
            return self._device("camera", lambda: best_video(self._devices), "no-camera")
        if apart := _no_device(word, lambda kind: kind.picture):
            return apart
        return self._device(word, lambda: named(find_video, self._devices, word, self._roles), "not-found")

    def _sound(self, word: str | None, picture: Device | None) -> WantedSource:
        if word is None:
            word = first_role(self._roles, sound=True)
        if word is None:
            return self._device("microphone", lambda: self._best_sound(picture), "no-microphone")
        apart = _no_device(word, lambda kind: kind.sound)
        return apart or self._device(word, lambda: find_sound_input(self._devices, word, self._roles), "not-found")

    def _best_sound(self, picture: Device | None) -> Device:
        device = best_sound(self._devices, picture)
        if device is None:
            raise DeviceNotFound("no microphone is plugged in")
        return device

    def _device(self, word: str, find: Callable[[], Device], absent: str) -> WantedSource:
        """Return the device that `find` finds; where it is not there, why that is: `absent` says least."""
        try:
            device = find()
        except DeviceNotFound:
            role = word.strip().casefold()
            return self._missing(word, role) if role in self._roles else _lacks(word, absent, word=word)
        except DeviceError:
            return _lacks(word, "wrong-kind", word=word)
        except UsageError:
            return _lacks(word, "ambiguous", word=word)
        return WantedSource(device.role or device.name, device)

    def _missing(self, word: str, role: str) -> WantedSource:
        """Return why the device of a role is not there, and what is there in its place."""
        bound, resolved = self._roles[role], resolve_all(self._roles, self._devices)[role]
        facts = {"device": bound.name, "role": role, "port": bound.port or "?"}
        if isinstance(resolved, Missing) and resolved.replacement:
            return _lacks(word, "replaced", **facts, id=resolved.replacement.id)
        if isinstance(resolved, Missing) and resolved.elsewhere:
            there = resolved.elsewhere[0]
            return _lacks(word, "moved", **facts, there=there.port or "?", id=there.id)
        return _lacks(word, "missing", **facts)


def _no_device(word: str, gives: Callable[[SourceKind], object]) -> WantedSource | None:
    """Return the source that `word` means where that is no equipment of the room; its kind must give what is meant."""
    if kind := source_kind(word):
        if gives(kind) is None:
            return _lacks(word, "wrong-kind", word=word)
        try:
            return WantedSource(kind.name(word))
        except UsageError as error:
            return _lacks(word, "no-source", word=word, hint=error.hint or error.message)
        except DeviceError:
            return _lacks(word, _NOT_THERE.get(source_name(word) or "", "not-found"), word=word)
    try:
        path = as_file(word)
    except MediaError:
        return _lacks(word, "no-file", word=word)
    return WantedSource(path.name) if path else None


def _has_own_sound(video: str) -> bool:
    """Return whether the source of pictures brings its sound along, as files and the synthetic one do."""
    kind = source_kind(video)
    return kind.sound is not None if kind else _no_device(video, lambda kind: kind.picture) is not None


WORDS = words("check-devices")

ANSWER_S = 3.0
"""How long a device may take to answer; it takes some hundredths of a second."""


def look(situation: Situation, _tell: Tell) -> Iterable[Result]:
    """Return what is found of each source of the session, and of the USB buses that they share."""
    return look_at(situation, Topology.read())


def look_at(situation: Situation, tree: Topology) -> Iterator[Result]:
    """Give the same where the hubs and devices on USB are those of `tree`."""
    roles: Roles = {}
    try:
        roles = roles_store().read()
    except StateError:
        yield found(CODES, "unreadable", NAME, file=roles_store().path)
    room = Room(_listed(situation), roles)
    sources = list(room.sources(situation.asked))
    looks = {number: partial(_results, situation, tree, source) for number, source in enumerate(sources)}
    answers = side_by_side(looks, situation.stop, longest_s=ANSWER_S)
    for number, source in enumerate(sources):
        yield from answers.get(number) or [_no_answer(source)]
    yield from _crowded(sources, situation, tree)
    if not situation.asked.videos and not situation.asked.audios:
        for missing in room.missing_beside(sources):
            yield from _results(situation, tree, missing)


def _listed(situation: Situation) -> Sequence[Device]:
    """Return what is plugged in, with what is known of it; a device in use is just that, whatever its holder found."""
    devices = situation.devices()
    known = with_what_is_known(devices, situation.clock.now())
    pairs = zip(devices, known, strict=True)
    return [device if device.health.fault == Fault.BUSY else with_known for device, with_known in pairs]


def _results(situation: Situation, tree: Topology, source: WantedSource) -> list[Result]:
    name = f"{NAME}: {source.name}"
    if source.trouble:
        return [source.trouble]
    if source.device is None:
        return [found(CODES, "no-device", name)]
    return list(state_of(source.device, name, situation, tree))


def _no_answer(source: WantedSource) -> Result:
    called = source.device.name if source.device else source.name
    return found(CODES, "no-answer", f"{NAME}: {source.name}", device=called)


def _crowded(sources: Sequence[WantedSource], situation: Situation, tree: Topology) -> Iterator[Result]:
    """Give which of the sources cannot, or may not, run at once on one USB bus."""
    devices = [source.device for source in sources if source.device and source.device.port]
    names = {device.id: device.name for device in devices}
    for one in predict(tree, [stream_of(device, situation.profile, tree) for device in devices]):
        code = "bus-full" if one.verdict == "cannot-fit" else "bus-tight"
        measured = {"least_percent": round(100 * one.least), "most_percent": round(100 * one.most)}
        called = " + ".join(names[device_id] for device_id in one.devices)
        yield found(CODES, code, f"{NAME}: USB {one.bus.rpartition(' ')[2]}", measured, devices=called)


CHECKS = [Check(NAME, WORDS["devices"], look, CODES, place=10)]
