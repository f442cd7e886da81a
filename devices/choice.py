"""Which devices a session takes when nobody names any."""

from collections.abc import Sequence

from config.errors import DeviceNotFound
from devices.model import Device, DeviceKind
from devices.snapshot import WHAT_TO_PLUG_IN


def best_video(devices: Sequence[Device]) -> Device:
    """Return the device to record when none was named: a capture card before a camera.

    Capture cards are what a room's good camera is plugged into. Then a USB device before a built-in one, then the
    largest picture. Raises DeviceNotFound when there is none.
    """
    candidates = [device for device in devices if device.node is not None and device.modes]
    if not candidates:
        raise DeviceNotFound("no camera or capture card is plugged in", hint=WHAT_TO_PLUG_IN)
    return min(candidates, key=_video_rank)


def _video_rank(device: Device) -> tuple[bool, bool, int, str]:
    largest = max(mode.width * mode.height for mode in device.modes)
    return device.kind is not DeviceKind.CAPTURE_CARD, device.vid is None, -largest, device.id


def best_sound(devices: Sequence[Device], video: Device | None = None) -> Device | None:
    """Return the sound to record when none was named, or None when there is none.

    The sound of the capture card that is recorded, then of any capture card, then a USB microphone, then the
    microphone of the camera that is recorded, then any.
    """
    pictures = {device.id: device for device in devices if device.node is not None}

    def rank(sound: Device) -> tuple[bool, bool, bool, bool, str]:
        picture = pictures.get(sound.paired_with or "")
        from_card = picture is not None and picture.kind is DeviceKind.CAPTURE_CARD
        from_video = picture is not None and video is not None and picture.id == video.id
        is_usb_microphone = picture is None and sound.vid is not None
        return not (from_card and from_video), not from_card, not is_usb_microphone, not from_video, sound.id

    return min((device for device in devices if device.alsa is not None), key=rank, default=None)
