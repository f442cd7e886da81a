"""Why a sound input was not opened: PortAudio only ever says that something went wrong, the system says what."""

import os
from pathlib import Path

from capture.sound.alsa import pcm_node
from capture.sound.listing import source_of_card
from capture.sound.wire import Answer, Failed
from config.errors import DeviceBusy, DeviceError, DeviceNotFound, DeviceUnsupported
from devices import holders

SOUND_SERVERS = {"pulseaudio", "pipewire", "pipewire-pulse", "wireplumber"}


def failure(name: str, sound_input: str, answer: Answer) -> DeviceError:
    """Return what it means that the child which was to open `sound_input` answered so."""
    message = answer.message if isinstance(answer, Failed) else "an answer that makes no sense"
    node = pcm_node(sound_input)
    if node is not None:
        if not Path(node).exists():
            return DeviceNotFound(f"{name} ({sound_input}) is not plugged in any more", hint="Plug it in again.")
        if not os.access(node, os.R_OK):
            return holders.denied(name, node)
        if holders.holders(node):
            return _busy(name, sound_input, node)
    if isinstance(answer, Failed) and answer.missing:
        return DeviceNotFound(f"there is no sound input {name} ({sound_input})", hint="See: liput devices")
    return DeviceUnsupported(f"{name} ({sound_input}) cannot be recorded: {message}", hint="See: liput devices")


def _busy(name: str, sound_input: str, node: str) -> DeviceBusy:
    """Return who holds the input; where that is the sound server, how to record it nevertheless."""
    busy = holders.busy(name, node)
    if any(holder.command in SOUND_SERVERS for holder in holders.holders(node)):
        source = source_of_card(sound_input)
        if source is not None:
            hint = f"The sound server has it, and shares it: --audio pulse:{source.name}"
            return DeviceBusy(busy.message, hint=hint)
    return busy
