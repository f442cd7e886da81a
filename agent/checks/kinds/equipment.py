"""Whether the session's cameras and microphones are there, and set up correctly."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agent.checks.check import (
    Check,
    CheckContext,
    CheckResult,
    Measured,
    TellProgress,
    findings,
    make_result,
    run_parallel,
)
from agent.devices.listing import with_swaps_and_faults
from capture.sound.child_process import pcm_node
from capture.sound.inputs import SOUND_SERVERS, find_sound_input, source_of_card
from capture.sources.source_kind import SourceKind, source_kind
from capture.sources.source_kind_names import source_name
from capture.sources.source_selector import NONE, as_file
from config.errors import DeviceError, DeviceNotFound, MediaError, StateError, UsageError
from config.locale.lookup import LocalizedText, words
from config.settings.quantities import brief_rate
from config.settings.schema import Profile
from devices.controls import presets
from devices.controls.control import ControlValue
from devices.controls.panel import ControlPanel
from devices.health.faults import LOSSLESS_FAULTS, Fault
from devices.host.process import LIPUT_COMMAND
from devices.model.device import Device
from devices.model.mode_choice import ENOUGH, ChosenMode, PictureRequirements, choose_mode
from devices.model.quirks import quirk_of
from devices.monitor.holders import group_of, holders, is_own
from devices.monitor.identity import find_video
from devices.roles.assignment import SERVER_INPUTS, Roles, roles_store, with_roles
from devices.roles.choice import best_sound, best_video, find_named, first_role
from devices.roles.matching import MissingDevice, resolve_all
from devices.usb.budget import UsbStream, find_conflicts, usable_bps
from devices.usb.slow_ports import slow_port
from devices.usb.topology import UsbTopology
from recorder.running.client import RunningRecorder
from recorder.session.request import SessionRequest

NAME = "devices"
WORDS, CODES, FAULT_WORDS = words("check-devices"), findings("check-devices"), words("faults")
_NOT_THERE = {"screen": "no-screen"}
"""Codes of missing kinds of source that say more than `not-found`."""


@dataclass(frozen=True, slots=True)
class SessionSource:
    """One source of the session; `device` is None for other kinds of source, `trouble` the reason if it is missing."""

    name: str
    device: Device | None = None
    trouble: CheckResult | None = None


def _missing_source(name: str, code: str, **facts: object) -> SessionSource:
    return SessionSource(name, trouble=make_result(CODES, code, f"{NAME}: {name}", None, **facts))


class PluggedDevices:
    """The devices plugged in, with their roles."""

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


def device_results(device: Device, name: str, situation: CheckContext, tree: UsbTopology) -> Iterator[CheckResult]:
    """Yield all faults of a device, or one result that it is well."""
    if holder := situation.holder(device):
        yield _held(name, device, holder)
        return
    if refused := _not_openable(device, name):
        yield refused
        return
    troubles = [
        *_health_faults(device, name),
        *_port(device, name, tree),
        *_mode(device, name, situation.profile, tree),
        *_controls(device, name, situation),
    ]
    yield from troubles or [_ok_result(device, name, situation.profile, tree)]


# The device's holder


def _held(name: str, device: Device, holder: RunningRecorder) -> CheckResult:
    title = holder.info.title
    if holder.status is None:
        return make_result(CODES, "held-silent", name, title=title)
    health = next(line.health for line in holder.status.sources if line.id == device.id)
    if health.fault is None:
        return make_result(CODES, "held", name, title=title)
    loses = health.fault not in LOSSLESS_FAULTS
    code = "held-failing" if loses else "held-poor"
    return make_result(CODES, code, name, {"fault": health.fault}, title=title, state=_fault_words(health.fault))


def _not_openable(device: Device, name: str) -> CheckResult | None:
    """Return why a device cannot be opened, judged without opening it."""
    node = device.node or pcm_node(device.alsa or "") or ""
    match device.health.fault:
        case Fault.BUSY:
            return _busy_result(device, name, node)
        case Fault.DENIED:
            return make_result(CODES, "denied", name, device=device.name, group=group_of(node))
        case Fault.NO_DATA:
            return make_result(CODES, "no-answer", name, device=device.name)
        case _:
            return None


def _busy_result(device: Device, name: str, node: str) -> CheckResult:
    others = [holder for holder in holders(node) if not is_own(holder)]
    if not others:
        return make_result(CODES, "busy-unseen", name, device=device.name, node=node)
    who = ", ".join(f"{holder.command} (pid {holder.pid})" for holder in others)
    commands = {holder.command for holder in others}
    facts: dict[str, object] = {"device": device.name, "who": who}
    code = "busy-liput" if commands == {LIPUT_COMMAND} else "busy"
    if commands & SOUND_SERVERS and (source := source_of_card(device.alsa or "")):
        code, facts["source"] = "busy-server", source.name
    return make_result(CODES, code, name, {"pid": others[0].pid}, **facts)


def _fault_words(fault: str | None) -> LocalizedText:
    return FAULT_WORDS.get(fault or "", FAULT_WORDS["unwell"])


def _health_faults(device: Device, name: str) -> Iterator[CheckResult]:
    fault = device.health.fault
    if fault == Fault.SWAPPED:
        yield make_result(CODES, "swapped", name, device=device.name)
    elif fault is not None and fault != Fault.SLOW_PORT:
        yield make_result(CODES, "unwell", name, {"fault": fault}, device=device.name, state=_fault_words(fault))


# Port and mode


def _port(device: Device, name: str, tree: UsbTopology) -> Iterator[CheckResult]:
    slow = slow_port(tree, device) if device.node else None
    if slow is not None:
        node, hub = slow
        facts = {"device": device.name, "speed": brief_rate(node.link_bps), "port": node.port, "hub": hub}
        yield make_result(CODES, "slow-hub" if hub else "slow-port", name, {"link_bps": node.link_bps}, **facts)


def stream_of(device: Device, profile: Profile, tree: UsbTopology) -> UsbStream:
    """Return the stream of a device in a session of `profile`."""
    return UsbStream(device, chosen_mode(device, profile, tree) if device.node else None)


def chosen_mode(device: Device, profile: Profile, tree: UsbTopology) -> ChosenMode | None:
    """Return the mode that a session of `profile` opens, or None."""
    plug = tree.node(device.port)
    wanted = PictureRequirements(profile.width, profile.height, float(profile.fps))
    usable = usable_bps(plug) if plug is not None else None
    return choose_mode(device.modes, wanted, usable_bps=usable, quirk=quirk_of(device.vid, device.pid))


def _mode(device: Device, name: str, profile: Profile, tree: UsbTopology) -> Iterator[CheckResult]:
    if device.node is None:
        return
    chosen = chosen_mode(device, profile, tree)
    if chosen is None:
        yield make_result(CODES, "no-mode", name, device=device.name)
        return
    rate = _real_rate(device, chosen)
    facts = {
        "device": device.name,
        "size": _picture(chosen.mode.width, chosen.mode.height, rate),
        "wanted": _picture(profile.width, profile.height, float(profile.fps)),
    }
    if chosen.mode.width < profile.width and chosen.mode.height < profile.height:
        yield make_result(CODES, "small-mode", name, _figures(device, chosen), **facts)
    elif rate is not None and rate < ENOUGH * float(profile.fps):
        yield make_result(CODES, "slow-mode", name, _figures(device, chosen), **facts)


def _real_rate(device: Device, chosen: ChosenMode) -> float | None:
    """Return the real frame rate: some models list more than they give."""
    known = quirk_of(device.vid, device.pid)
    real = known.real_rate(chosen.mode) if known else None
    rates = [rate for rate in (chosen.rate, real) if rate is not None]
    return min(rates, default=None)


def _picture(width: int, height: int, rate: float | None) -> str:
    return f"{width}x{height}" + (f", {rate:g} fps" if rate is not None else "")


def _figures(device: Device, chosen: ChosenMode | None) -> Measured:
    link = {"link_bps": device.link_bps}
    if chosen is None:
        return link
    width, height = chosen.mode.width, chosen.mode.height
    return link | {"width_pixels": width, "height_pixels": height, "rate_fps": _real_rate(device, chosen)}


# Controls


def _controls(device: Device, name: str, situation: CheckContext) -> Iterator[CheckResult]:
    """Apply the controls as a session does before it opens the device; yield the refused ones."""
    if device.node is None:
        return
    kept: Mapping[str, ControlValue] = {}
    store = presets.preset_store()
    try:
        preset = store.read().get(device.id)
        kept = preset.controls if preset else {}
    except StateError:
        yield make_result(CODES, "unreadable", name, file=store.path)
    try:
        with ControlPanel(device.node, device.name, to_set=True) as panel:
            changes = presets.apply_preset(panel, kept, situation.settings.devices.power_line_frequency)
    except DeviceError as error:
        if error.why == "denied":
            yield make_result(CODES, "denied", name, device=device.name, group=group_of(device.node))
        else:
            yield make_result(CODES, "no-answer", name, device=device.name)
        return
    if refused := [str(change) for change in changes if change.problem is not None]:
        measured = {"refused_controls": len(refused)}
        yield make_result(
            CODES, "controls-refused", name, measured, device=device.name, controls=", ".join(refused), id=device.id
        )


def _ok_result(device: Device, name: str, profile: Profile, tree: UsbTopology) -> CheckResult:
    chosen = chosen_mode(device, profile, tree) if device.node else None
    size = _picture(chosen.mode.width, chosen.mode.height, _real_rate(device, chosen)) if chosen else device.id
    link = f", USB {brief_rate(device.link_bps)}" if device.link_bps else ""
    return make_result(CODES, "ok", name, _figures(device, chosen), device=device.name, offer=f"{size}{link}")


ANSWER_S = 3.0
"""Limit for a device; the usual answer takes some hundredths of a second."""


def look(situation: CheckContext, _tell: TellProgress) -> Iterable[CheckResult]:
    """Return the results for each source of the session, and for the USB buses they share."""
    return check_equipment(situation, UsbTopology.read())


def check_equipment(situation: CheckContext, tree: UsbTopology) -> Iterator[CheckResult]:
    """As `look`, with the USB topology `tree`."""
    roles: Roles = {}
    try:
        roles = roles_store().read()
    except StateError:
        yield make_result(CODES, "unreadable", NAME, file=roles_store().path)
    room = PluggedDevices(_known_devices(situation), roles)
    sources = list(room.sources(situation.asked))
    looks = {number: partial(_results, situation, tree, source) for number, source in enumerate(sources)}
    answers = run_parallel(looks, situation.stop, longest_s=ANSWER_S)
    for number, source in enumerate(sources):
        yield from answers.get(number) or [_no_answer(source)]
    yield from _bus_conflicts(sources, situation, tree)
    if not situation.asked.videos and not situation.asked.audios:
        for missing in room.missing_beside(sources):
            yield from _results(situation, tree, missing)


def _known_devices(situation: CheckContext) -> Sequence[Device]:
    """Return the devices with their known health; a busy device stays busy, whatever its holder has logged."""
    devices = situation.devices()
    known = with_swaps_and_faults(devices, situation.clock.now())
    pairs = zip(devices, known, strict=True)
    return [device if device.health.fault == Fault.BUSY else with_known for device, with_known in pairs]


def _results(situation: CheckContext, tree: UsbTopology, source: SessionSource) -> list[CheckResult]:
    name = f"{NAME}: {source.name}"
    if source.trouble:
        return [source.trouble]
    if source.device is None:
        return [make_result(CODES, "no-device", name)]
    return list(device_results(source.device, name, situation, tree))


def _no_answer(source: SessionSource) -> CheckResult:
    called = source.device.name if source.device else source.name
    return make_result(CODES, "no-answer", f"{NAME}: {source.name}", device=called)


def _bus_conflicts(
    sources: Sequence[SessionSource], situation: CheckContext, tree: UsbTopology
) -> Iterator[CheckResult]:
    """Yield the sources that cannot, or may not, run together on one USB bus."""
    devices = [source.device for source in sources if source.device and source.device.port]
    names = {device.id: device.name for device in devices}
    for one in find_conflicts(tree, [stream_of(device, situation.profile, tree) for device in devices]):
        code = "bus-full" if one.verdict == "cannot-fit" else "bus-tight"
        measured = {"least_percent": round(100 * one.least), "most_percent": round(100 * one.most)}
        called = " + ".join(names[device_id] for device_id in one.devices)
        yield make_result(CODES, code, f"{NAME}: USB {one.bus.rpartition(' ')[2]}", measured, devices=called)


CHECKS = [Check(NAME, WORDS["devices"], look, CODES, place=10)]
