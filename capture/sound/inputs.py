"""Sound that comes from no device of its own: a sound server's sources, and inputs of the user's ALSA configuration."""

from collections.abc import Iterator, Sequence

from capture.sound.listing import list_sound_inputs
from capture.sound.wire import PULSE, SERVER_PREFIX, Listing, ServerSource
from config.errors import DeviceNotFound
from devices.model import Device, DeviceKind
from devices.roles.choice import named_sound
from devices.roles.roles import SERVER_INPUTS, Roles

PREFIX = "sound:"
"""The ids of inputs of the ALSA configuration begin with it; PortAudio's name follows."""

_SERVERS = {PULSE, "pipewire"}
"""Names that PortAudio has for the sound server as a whole: whichever source is its default."""


def server_inputs(timeout_s: float = 5.0) -> list[Device]:
    """Return them as microphones without an ALSA name; takes half a second, for PortAudio is asked."""
    return inputs_of(list_sound_inputs(timeout_s))


def inputs_of(listing: Listing) -> list[Device]:
    """Return what is in `listing` as microphones.

    The sound server's sources come last, and of them those that give what this computer plays. Sources that are a card
    of this computer are left out: they are devices of their own.
    """
    return [*_alsa_inputs(listing), *(_device(source) for source in listing.sources if source.alsa is None)]


def _alsa_inputs(listing: Listing) -> Iterator[Device]:
    """Yield the inputs of the ALSA configuration; of the server as a whole only where its sources are not known."""
    for entry in listing.inputs:
        if not entry.is_hardware and not (listing.sources and entry.name in _SERVERS):
            yield Device(id=f"{PREFIX}{entry.name}", kind=DeviceKind.MICROPHONE, name=entry.name)


def _device(source: ServerSource) -> Device:
    name = source.description if source.of_sink is None else f"What this computer plays ({source.of_sink})"
    return Device(id=f"{SERVER_PREFIX}{source.name}", kind=DeviceKind.MICROPHONE, name=name)


def find_sound_input(devices: Sequence[Device], name: str, roles: Roles | None = None) -> Device:
    """Return the sound that `name` means: of one of `devices`, else of an input that is none of them.

    `pulse:NAME` means the sound server's source of that name, whether or not it is one of the devices; `pulse` alone
    the one that is its default now, and stays that one when the default is changed. Raises what `named_sound` raises.
    """
    if name.casefold().startswith(SERVER_PREFIX):
        listing = list_sound_inputs()
        return _named(listing.sources, name[len(SERVER_PREFIX) :])
    roles = roles or {}
    bound = roles.get(name.strip().casefold())
    if bound is not None and bound.id.startswith(SERVER_INPUTS):
        devices = [*devices, *server_inputs()]
    try:
        return named_sound(devices, name, roles)
    except DeviceNotFound:
        wanted = name.removeprefix(PREFIX).casefold()
        listing = list_sound_inputs()
        if wanted in _SERVERS and (default := next((s for s in listing.sources if s.is_default), None)):
            return _device(default)
        for entry in [*_alsa_inputs(listing), *map(_device, listing.sources)]:
            if entry.name.casefold() == wanted:
                return entry
        raise


def _named(sources: Sequence[ServerSource], name: str) -> Device:
    for source in sources:
        if source.name.casefold() == name.casefold():
            return _device(source)
    if not sources:
        raise DeviceNotFound(
            f"no sound server answers, so there is no {SERVER_PREFIX}{name}",
            hint="Start PipeWire or PulseAudio, or name another input; see: liput devices",
        )
    there = ", ".join(f"{SERVER_PREFIX}{source.name}" for source in sources)
    raise DeviceNotFound(f"the sound server has no source {name!r}", hint=f"It has {there}")
