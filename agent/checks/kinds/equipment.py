"""Whether the session's cameras and microphones are there, and set up correctly."""

from collections.abc import Iterator, Sequence
from functools import partial

from agent.checks.check import Check, CheckContext, CheckResult, make_result, run_parallel
from agent.checks.kinds.device_modes import bus_results, mode_results, ok_result, port_results
from agent.checks.kinds.plugged_devices import CODES, NAME, PluggedDevices, SessionSource
from agent.devices.listing import with_swaps_and_faults
from capture.sound.child_process import pcm_node
from capture.sound.inputs import SOUND_SERVERS, source_of_card
from config.errors import DeviceError, StateError
from config.locale.lookup import LocalizedText, words
from devices.controls import presets
from devices.health.faults import LOSSLESS_FAULTS, Fault
from devices.model.device import Device
from devices.monitor.holders import group_of, holders, is_own
from devices.roles.assignment import Roles, roles_store
from devices.usb.topology import UsbTopology

WORDS, FAULT_WORDS = words("check-devices"), words("faults")


def device_results(device: Device, name: str, situation: CheckContext, tree: UsbTopology) -> Iterator[CheckResult]:
    """Yield all faults of a device, or one result that it is well."""
    if known := _held(device, name, situation) or _not_openable(device, name):
        yield known
        return
    troubles = [
        *_health_faults(device, name),
        *port_results(device, name, tree),
        *mode_results(device, name, situation.profile, tree),
        *_controls(device, name, situation),
    ]
    yield from troubles or [ok_result(device, name, situation.profile, tree)]


def _held(device: Device, name: str, situation: CheckContext) -> CheckResult | None:
    holder = situation.holder(device)
    if holder is None:
        return None
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
    facts: dict[str, object] = {"device": device.name, "who": who}
    code = "busy-liput" if all(holder.is_liput for holder in others) else "busy"
    if any(holder.command in SOUND_SERVERS for holder in others) and (source := source_of_card(device.alsa or "")):
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


def _controls(device: Device, name: str, situation: CheckContext) -> Iterator[CheckResult]:
    """Apply the controls as a session does before it opens the device; yield the refused ones."""
    if device.node is None:
        return
    store = presets.preset_store()
    try:
        kept = presets.kept_values(store, device.id)
    except StateError:
        yield make_result(CODES, "unreadable", name, file=store.path)
        kept = {}
    try:
        changes = presets.set_preset(device, kept, situation.settings.devices.power_line_frequency)
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


ANSWER_S = 3.0  # limit for a device; the usual answer takes some hundredths of a second


def look(situation: CheckContext) -> Iterator[CheckResult]:
    """Yield the results for each source of the session, and for the USB buses they share."""
    tree = UsbTopology.read()
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
        called = source.device.name if source.device else source.name
        yield from answers.get(number) or [make_result(CODES, "no-answer", f"{NAME}: {source.name}", device=called)]
    plugged = [source.device for source in sources if source.device and source.device.port]
    yield from bus_results(plugged, situation.profile, tree)
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


CHECKS = [Check(NAME, WORDS["devices"], look, CODES, place=10)]
