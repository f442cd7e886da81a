"""The plugged-in devices as people and other programs see them."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import msgspec

from config.errors import DeviceError, DeviceNotFound
from devices.health.faults import FAULT_STATES, Fault, fault_of_error
from devices.kernel.udev import SoundInput, UdevDevices, UsbDevice, VideoNode, read_udev_devices
from devices.model import quirks
from devices.model.device import Device, DeviceKind, Health
from devices.monitor.holders import Holder, HoldersByNode, device_denied_error, device_in_use_error, holders_of, is_own
from devices.monitor.identity import base_id, unique_serials
from devices.monitor.modes import CapabilityProber, NodeCapabilities, free_nodes

PLUG_IN_HINT = "Plug in a camera, an HDMI capture card or a USB microphone; it shows up about a second later."

type ProbeAnswer = NodeCapabilities | DeviceError
type ProbeAnswers = Mapping[str, ProbeAnswer]


def list_devices() -> list[Device]:
    """Return the plugged-in devices: cameras and capture cards, then microphones; takes 0.1 s."""
    found = read_udev_devices()
    return make_devices(
        found, CapabilityProber().offers(found.pictures), nodes_in_use(found, nodes_open_elsewhere(found))
    )


def nodes_open_elsewhere(found: UdevDevices) -> HoldersByNode:
    """Return the nodes that other processes have open, with these processes; looks at every process.

    This process, its children and previews do not count.
    """
    nodes = [picture.node for picture in found.pictures] + [sound.node for sound in found.sounds]
    all_holders = holders_of(nodes).items()
    held = {node: [who for who in holders if not (is_own(who) or who.gives_way)] for node, holders in all_holders}
    return {node: others for node, others in held.items() if others}


def nodes_in_use(found: UdevDevices, held: HoldersByNode) -> HoldersByNode:
    """Return the nodes in `held` with a stream in use.

    Many programs may open a video node; one has its stream. A loopback's stream is free for all, and its driver is not
    asked: the question would reset the users' buffers.
    """
    loopbacks = {picture.node for picture in found.pictures if picture.is_loopback}
    free = loopbacks | free_nodes({picture.node for picture in found.pictures} & held.keys() - loopbacks)
    return {node: others for node, others in held.items() if node not in free}


def make_devices(found: UdevDevices, asked: ProbeAnswers, held: HoldersByNode | None = None) -> list[Device]:
    """Make devices of the facts in `found` and the nodes' answers `asked`; `held` are the nodes in use."""
    pictures = [picture for picture in found.pictures if _is_there(asked.get(picture.node))]
    sources: list[VideoNode | SoundInput] = [*pictures, *found.sounds]
    serials = unique_serials(source.usb for source in sources)
    plugs: dict[str, list[VideoNode | SoundInput]] = {}
    for source in sources:
        plugs.setdefault(base_id(source.usb, serials.get(source.usb), source.place), []).append(source)
    devices = [
        device
        for base, plug in plugs.items()
        for device in _devices_of(base, plug, serials.get(plug[0].usb), asked, held or {})
    ]
    return sorted(
        _with_distinct_names(devices), key=lambda device: (device.node is None, device.port or "~", device.id)
    )


def _is_there(answer: ProbeAnswer | None) -> bool:
    if isinstance(answer, DeviceNotFound):
        return False
    return answer.gives_pictures if isinstance(answer, NodeCapabilities) else True


def _devices_of(
    base: str, plug: Sequence[VideoNode | SoundInput], serial: str | None, asked: ProbeAnswers, held: HoldersByNode
) -> Iterator[Device]:
    """Yield the video and sound devices of one USB plug, or of one place; the first of each are paired."""
    usb = plug[0].usb
    pictures = [source for source in plug if isinstance(source, VideoNode)]
    sounds = [source for source in plug if isinstance(source, SoundInput)]
    picture_ids = [base if index == 0 else f"{base}+picture{index + 1}" for index in range(len(pictures))]
    # Nodes appear in any order, so the id of the sound must not depend on the video node.
    has_pictures = bool(pictures) or (usb is not None and usb.has_video)
    first = f"{base}+sound" if has_pictures else base
    sound_ids = [first if index == 0 else f"{base}+sound{index + 1}" for index in range(len(sounds))]
    common = Device(id=base, kind=DeviceKind.MICROPHONE, name="", serial=serial)
    if usb is not None:
        common = msgspec.structs.replace(
            common,
            vid=usb.vid,
            pid=usb.pid,
            shared_serial=None if serial else usb.serial,
            port=usb.port,
            place=usb.place,
            link_bps=usb.link_bps,
            capabilities=usb.capabilities,
        )
    for identifier, picture in zip(picture_ids, pictures, strict=True):
        answer = asked.get(picture.node)
        yield msgspec.structs.replace(
            common,
            id=identifier,
            kind=_kind(picture, answer),
            name=_name(usb, picture.name),
            node=picture.node,
            paired_with=sound_ids[0] if sound_ids else None,
            modes=answer.modes if isinstance(answer, NodeCapabilities) else (),
            health=_video_health(answer, picture, held.get(picture.node, [])),
        )
    for identifier, sound in zip(sound_ids, sounds, strict=True):
        name = _name(usb, sound.name)
        yield msgspec.structs.replace(
            common,
            id=identifier,
            name=f"{name} (sound)" if has_pictures else name,
            alsa=sound.alsa,
            paired_with=picture_ids[0] if picture_ids else None,
            health=_sound_health(sound, held.get(sound.node, [])),
        )


def _kind(picture: VideoNode, answer: ProbeAnswer | None) -> DeviceKind:
    is_receiver = isinstance(answer, NodeCapabilities) and answer.is_receiver
    if (usb := picture.usb) is None:
        return quirks.video_kind(None, None, picture.name, is_receiver=is_receiver)
    return quirks.video_kind(usb.vid, usb.pid, picture.name, usb.product, usb.manufacturer, is_receiver=is_receiver)


def _name(usb: UsbDevice | None, kernel_name: str) -> str:
    """Return a device's product name, or the name of its make where that is generic ("USB Video")."""
    own = kernel_name.split(": ")[0].strip()
    if usb is None:
        return own
    if known := quirks.product_name(usb.vid, usb.pid, usb.product):
        return known
    if quirks.has_generic_name(own) and usb.manufacturer not in own:
        return f"{usb.manufacturer} {own}".strip()
    return own or usb.product


def _video_health(answer: ProbeAnswer | None, picture: VideoNode, others: Sequence[Holder]) -> Health:
    if isinstance(answer, DeviceError):
        fault = fault_of_error(answer)
        if fault is None or fault is Fault.LOST:  # it is plugged in, but does not answer
            fault = Fault.NO_DATA
        return _fault_health(fault, answer.message)
    if answer is None:
        return _fault_health(Fault.NO_DATA, "it does not list its modes")
    return _use_health(picture.name, picture.node, others)


def _sound_health(sound: SoundInput, others: Sequence[Holder]) -> Health:
    if not os.path.lexists(sound.node):  # udev will make it
        return _fault_health(Fault.NO_DATA, f"{sound.node} is not there yet")
    if os.access(sound.node, os.R_OK):
        return _use_health(sound.name, sound.node, others)
    return _fault_health(Fault.DENIED, device_denied_error(sound.name, sound.node).message)


def _use_health(name: str, node: str, others: Sequence[Holder]) -> Health:
    return _fault_health(Fault.BUSY, device_in_use_error(name, node, others).message) if others else Health()


def _fault_health(fault: Fault, reason: str) -> Health:
    return Health(FAULT_STATES[fault], reason, datetime.now().astimezone(), fault)


def _with_distinct_names(devices: list[Device]) -> Iterator[Device]:
    names = Counter(device.name for device in devices)
    for device in devices:
        where = device.port or device.id
        twin = names[device.name] > 1
        yield msgspec.structs.replace(device, name=f"{device.name}, port {where}") if twin else device
