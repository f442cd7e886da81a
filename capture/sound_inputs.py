"""Sound that comes from no device of its own: a sound server's inputs, and those of the user's ALSA configuration."""

from collections.abc import Sequence

from capture.sound import list_sound_inputs
from config.errors import DeviceNotFound
from devices.identity import find_sound
from devices.model import Device, DeviceKind

PREFIX = "sound:"
"""The ids of such inputs begin with it; PortAudio's name follows."""


def server_inputs(timeout_s: float = 5.0) -> list[Device]:
    """Return them as microphones without an ALSA name; takes half a second, for PortAudio is asked."""
    return [
        Device(id=f"{PREFIX}{entry.name}", kind=DeviceKind.MICROPHONE, name=entry.name)
        for entry in list_sound_inputs(timeout_s)
        if not entry.is_hardware
    ]


def find_sound_input(devices: Sequence[Device], name: str) -> Device:
    """Return the sound that `name` means: of one of `devices`, else the input that PortAudio has under that name.

    Raises what `find_sound` raises.
    """
    try:
        return find_sound(devices, name)
    except DeviceNotFound:
        wanted = name.removeprefix(PREFIX).casefold()
        for entry in server_inputs():
            if entry.name.casefold() == wanted:
                return entry
        raise
