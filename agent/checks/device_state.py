"""The state of one device of a session: holder, port, modes, settings. A device that a session holds is not touched."""

from collections.abc import Iterator, Mapping

from agent.checks.check import Situation
from agent.checks.result import Measured, Result, codes, found
from capture.sound.alsa import pcm_node
from capture.sound.inputs import SOUND_SERVERS, source_of_card
from config.errors import DeviceError, StateError
from config.locale.lookup import Words, words
from config.quantities import brief_rate
from config.schema import Profile
from devices.controls import presets
from devices.controls.control import Value
from devices.controls.panel import ControlPanel
from devices.health.faults import LOSES_NOTHING, Fault
from devices.holders import group_of, holders, is_own
from devices.host.process_stat import OURS
from devices.mode_choice import ENOUGH, ChosenMode, Wanted, choose_mode
from devices.model import Device
from devices.quirks import quirk
from devices.usb.claims import Stream, usable_bps
from devices.usb.ports import slow_port
from devices.usb.topology import Topology
from recorder.control.find import Running

CODES, FAULT_WORDS = codes("check-devices"), words("faults")

NAME = "devices"


def state_of(device: Device, name: str, situation: Situation, tree: Topology) -> Iterator[Result]:
    """Give all that is not as it should be, or that all is well."""
    if holder := situation.holder(device):
        yield _held(name, device, holder)
        return
    if refused := _refused(device, name):
        yield refused
        return
    troubles = [
        *_unwell(device, name),
        *_port(device, name, tree),
        *_mode(device, name, situation.profile, tree),
        *_controls(device, name, situation),
    ]
    yield from troubles or [_well(device, name, situation.profile, tree)]


# Whose it is now


def _held(name: str, device: Device, holder: Running) -> Result:
    title = holder.info.title
    if holder.status is None:
        return found(CODES, "held-silent", name, title=title)
    health = next(line.health for line in holder.status.sources if line.id == device.id)
    if health.fault is None:
        return found(CODES, "held", name, title=title)
    loses = health.fault not in LOSES_NOTHING
    code = "held-failing" if loses else "held-poor"
    return found(CODES, code, name, {"fault": health.fault}, title=title, state=_words(health.fault))


def _refused(device: Device, name: str) -> Result | None:
    """Return why a device cannot be opened, as far as it is known without opening it."""
    node = device.node or pcm_node(device.alsa or "") or ""
    match device.health.fault:
        case Fault.BUSY:
            return _busy(device, name, node)
        case Fault.DENIED:
            return found(CODES, "denied", name, device=device.name, group=group_of(node))
        case Fault.NO_DATA:
            return found(CODES, "no-answer", name, device=device.name)
        case _:
            return None


def _busy(device: Device, name: str, node: str) -> Result:
    others = [holder for holder in holders(node) if not is_own(holder)]
    if not others:
        return found(CODES, "busy-unseen", name, device=device.name, node=node)
    who = ", ".join(f"{holder.command} (pid {holder.pid})" for holder in others)
    commands = {holder.command for holder in others}
    facts: dict[str, object] = {"device": device.name, "who": who}
    code = "busy-liput" if commands == {OURS} else "busy"
    if commands & SOUND_SERVERS and (source := source_of_card(device.alsa or "")):
        code, facts["source"] = "busy-server", source.name
    return found(CODES, code, name, {"pid": others[0].pid}, **facts)


def _words(fault: str | None) -> Words:
    return FAULT_WORDS.get(fault or "", FAULT_WORDS["unwell"])


def _unwell(device: Device, name: str) -> Iterator[Result]:
    fault = device.health.fault
    if fault == Fault.SWAPPED:
        yield found(CODES, "swapped", name, device=device.name)
    elif fault is not None and fault != Fault.SLOW_PORT:
        yield found(CODES, "unwell", name, {"fault": fault}, device=device.name, state=_words(fault))


# Where it is, and what it gives


def _port(device: Device, name: str, tree: Topology) -> Iterator[Result]:
    slow = slow_port(tree, device) if device.node else None
    if slow is not None:
        node, hub = slow
        facts = {"device": device.name, "speed": brief_rate(node.link_bps), "port": node.port, "hub": hub}
        yield found(CODES, "slow-hub" if hub else "slow-port", name, {"link_bps": node.link_bps}, **facts)


def stream_of(device: Device, profile: Profile, tree: Topology) -> Stream:
    """Return how a device would stream in a session of `profile`."""
    return Stream(device, chosen_mode(device, profile, tree) if device.node else None)


def chosen_mode(device: Device, profile: Profile, tree: Topology) -> ChosenMode | None:
    """Return the mode that a session of `profile` would open, None where there is none."""
    plug = tree.node(device.port)
    wanted = Wanted(profile.width, profile.height, float(profile.fps))
    usable = usable_bps(plug) if plug is not None else None
    return choose_mode(device.modes, wanted, usable_bps=usable, quirk=quirk(device.vid, device.pid))


def _mode(device: Device, name: str, profile: Profile, tree: Topology) -> Iterator[Result]:
    if device.node is None:
        return
    chosen = chosen_mode(device, profile, tree)
    if chosen is None:
        yield found(CODES, "no-mode", name, device=device.name)
        return
    rate = _real_rate(device, chosen)
    facts = {
        "device": device.name,
        "size": _picture(chosen.mode.width, chosen.mode.height, rate),
        "wanted": _picture(profile.width, profile.height, float(profile.fps)),
    }
    if chosen.mode.width < profile.width and chosen.mode.height < profile.height:
        yield found(CODES, "small-mode", name, _figures(device, chosen), **facts)
    elif rate is not None and rate < ENOUGH * float(profile.fps):
        yield found(CODES, "slow-mode", name, _figures(device, chosen), **facts)


def _real_rate(device: Device, chosen: ChosenMode) -> float | None:
    """Return the frames a second that come: some makes list more than they give."""
    known = quirk(device.vid, device.pid)
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


# What it is set to


def _controls(device: Device, name: str, situation: Situation) -> Iterator[Result]:
    """Set what a session would set before it opens the device, and give what the device does not take."""
    if device.node is None:
        return
    kept: Mapping[str, Value] = {}
    store = presets.preset_store()
    try:
        preset = store.read().get(device.id)
        kept = preset.controls if preset else {}
    except StateError:
        yield found(CODES, "unreadable", name, file=store.path)
    try:
        with ControlPanel(device.node, device.name, to_set=True) as panel:
            changes = presets.apply(panel, kept, situation.settings.devices.power_line_frequency)
    except DeviceError as error:
        if error.why == "denied":
            yield found(CODES, "denied", name, device=device.name, group=group_of(device.node))
        else:
            yield found(CODES, "no-answer", name, device=device.name)
        return
    if refused := [str(change) for change in changes if change.problem is not None]:
        measured = {"refused_controls": len(refused)}
        yield found(
            CODES, "controls-refused", name, measured, device=device.name, controls=", ".join(refused), id=device.id
        )


def _well(device: Device, name: str, profile: Profile, tree: Topology) -> Result:
    chosen = chosen_mode(device, profile, tree) if device.node else None
    size = _picture(chosen.mode.width, chosen.mode.height, _real_rate(device, chosen)) if chosen else device.id
    link = f", USB {brief_rate(device.link_bps)}" if device.link_bps else ""
    return found(CODES, "ok", name, _figures(device, chosen), device=device.name, offer=f"{size}{link}")
