"""Judges a device's USB port and its mode for the session, and the buses that devices share."""

from collections.abc import Iterator, Sequence

from agent.checks.check import CheckResult, Measured, make_result
from agent.checks.kinds.plugged_devices import CODES, NAME
from config.settings.quantities import brief_rate
from config.settings.schema import Profile
from devices.model.device import Device
from devices.model.mode_choice import ENOUGH, ChosenMode, PictureRequirements
from devices.model.quirks import quirk_of
from devices.usb.budget import UsbStream, find_conflicts, rank_modes_of
from devices.usb.slow_ports import slow_port
from devices.usb.topology import UsbTopology


def port_results(device: Device, name: str, tree: UsbTopology) -> Iterator[CheckResult]:
    """Yield a result for a USB 3 device at USB 2 speed."""
    slow = slow_port(tree, device) if device.node else None
    if slow is not None:
        node, hub = slow
        facts = {"device": device.name, "speed": brief_rate(node.link_bps), "port": node.port, "hub": hub}
        yield make_result(CODES, "slow-hub" if hub else "slow-port", name, {"link_bps": node.link_bps}, **facts)


def _chosen_mode(device: Device, profile: Profile, tree: UsbTopology) -> ChosenMode | None:
    """Return the mode that a session of `profile` opens, or None."""
    wanted = PictureRequirements(profile.width, profile.height, float(profile.fps))
    return rank_modes_of(device, tree, wanted)[0] if device.node else None


def mode_results(device: Device, name: str, profile: Profile, tree: UsbTopology) -> Iterator[CheckResult]:
    """Yield a result for a device that cannot give the profile's size or rate."""
    if device.node is None:
        return
    chosen = _chosen_mode(device, profile, tree)
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


def ok_result(device: Device, name: str, profile: Profile, tree: UsbTopology) -> CheckResult:
    chosen = _chosen_mode(device, profile, tree)
    size = _picture(chosen.mode.width, chosen.mode.height, _real_rate(device, chosen)) if chosen else device.id
    link = f", USB {brief_rate(device.link_bps)}" if device.link_bps else ""
    return make_result(CODES, "ok", name, _figures(device, chosen), device=device.name, offer=f"{size}{link}")


def bus_results(devices: Sequence[Device], profile: Profile, tree: UsbTopology) -> Iterator[CheckResult]:
    """Yield the devices that cannot, or may not, run together on one USB bus."""
    names = {device.id: device.name for device in devices}
    for one in find_conflicts(tree, [UsbStream(device, _chosen_mode(device, profile, tree)) for device in devices]):
        code = "bus-full" if one.verdict == "cannot-fit" else "bus-tight"
        measured = {"least_percent": round(100 * one.least), "most_percent": round(100 * one.most)}
        called = " + ".join(names[device_id] for device_id in one.devices)
        yield make_result(CODES, code, f"{NAME}: USB {one.bus.rpartition(' ')[2]}", measured, devices=called)
