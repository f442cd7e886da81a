"""Chooses a session's devices when its request names none. A missing device is never replaced by another."""

from collections.abc import Callable, Sequence

from config.errors import DeviceNotFound
from devices.model.device import Device, DeviceKind
from devices.monitor.snapshot import PLUG_IN_HINT
from devices.roles.assignment import MICROPHONE, SERVER_INPUTS, VIDEO_ROLES, Roles, device_with_role, with_roles


def choose_video(devices: Sequence[Device], roles: Roles) -> Device:
    """Return the video device: by VIDEO_ROLES, then any role, then the best. Raises DeviceNotFound."""
    role = first_role(roles)
    return best_video(devices) if role is None else device_with_role(role, roles, with_roles(devices, roles))


def choose_sound(
    devices: Sequence[Device], roles: Roles, video: Device | None, servers: Callable[[], Sequence[Device]]
) -> Device | None:
    """Return the sound device: the role microphone, then any role, then the best.

    `servers` returns the inputs of sound servers; it is called if one of them has the role. Raises as `choose_video`.
    """
    role = first_role(roles, sound=True)
    if role is None:
        return best_sound(devices, video)
    more = servers() if roles[role].id.startswith(SERVER_INPUTS) else ()
    return device_with_role(role, roles, with_roles([*devices, *more], roles))


def first_role(roles: Roles, *, sound: bool = False) -> str | None:
    """Return the role of the device to record; None if no device of that kind has a role."""
    order = (MICROPHONE,) if sound else VIDEO_ROLES
    given = [role for role, binding in roles.items() if (binding.kind is DeviceKind.MICROPHONE) is sound]
    return min(given, key=lambda role: (order.index(role) if role in order else len(order), role), default=None)


def find_named(
    find: Callable[[Sequence[Device], str], Device], devices: Sequence[Device], name: str, roles: Roles
) -> Device:
    """Find a device by name with `find` (find_video, find_sound). Raises DeviceNotFound, with the reason for a role."""
    devices = with_roles(devices, roles)
    try:
        return find(devices, name)
    except DeviceNotFound:
        role = name.strip().casefold()
        if role in roles:
            return device_with_role(role, roles, devices)
        raise


def best_video(devices: Sequence[Device]) -> Device:
    """Return the best video device, by capture card, USB and frame size in this order. Raises DeviceNotFound.

    Rooms plug their good camera into a capture card.
    """

    def rank(device: Device) -> tuple[bool, bool, int, str]:
        largest = max(mode.width * mode.height for mode in device.modes)
        return device.kind is not DeviceKind.CAPTURE_CARD, device.vid is None, -largest, device.id

    candidates = [device for device in devices if device.node is not None and device.modes]
    if not candidates:
        raise DeviceNotFound("no camera or capture card is plugged in", hint=PLUG_IN_HINT)
    return min(candidates, key=rank)


def best_sound(devices: Sequence[Device], video: Device | None = None) -> Device | None:
    """Return the best sound device, None without any.

    In this order: the sound of the recorded capture card, of any capture card, a USB microphone, the recorded camera's
    microphone, any other.
    """
    pictures = {device.id: device for device in devices if device.node is not None}

    def rank(sound: Device) -> tuple[bool, bool, bool, bool, str]:
        picture = pictures.get(sound.paired_with or "")
        from_card = picture is not None and picture.kind is DeviceKind.CAPTURE_CARD
        from_video = picture is not None and video is not None and picture.id == video.id
        is_usb_microphone = picture is None and sound.vid is not None
        return not (from_card and from_video), not from_card, not is_usb_microphone, not from_video, sound.id

    return min((device for device in devices if device.alsa), key=rank, default=None)
