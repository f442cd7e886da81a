"""Sound that comes from no card: a sound server's sources, and inputs of the user's ALSA configuration."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from capture.sound.process import PULSE, SERVER_PREFIX, Listing, Request, ServerSource, SoundChild
from config.errors import DeviceError, DeviceNotFound
from devices.host.background import BackgroundTask
from devices.model.device import Device, DeviceKind
from devices.monitor.identity import find_sound
from devices.roles.choice import named
from devices.roles.roles import SERVER_INPUTS, Roles

SOUND_SERVERS = {"pulseaudio", "pipewire", "pipewire-pulse", "wireplumber"}
"""The commands of sound servers."""

PREFIX = "sound:"
"""The ids of inputs of the ALSA configuration begin with it; PortAudio's name follows."""

_SERVERS = {PULSE, "pipewire"}
"""Names that PortAudio has for the sound server as a whole: its default source, whichever that is."""

_PLUGIN_INPUTS = {
    "sysdefault", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "dmix",
    "dsnoop", "default", "spdif", "iec958", "hdmi", "front",
    "surround21", "surround40", "surround41", "surround50", "surround51", "surround71",
}  # fmt: skip
"""Names that ALSA's plugins bring along, each another way to one of the cards."""

_AGAIN_S = 5.0  # after a child has died


def server_inputs(timeout_s: float = 5.0) -> list[Device]:
    """Return them as microphones without an ALSA name; takes half a second, for PortAudio is asked."""
    return inputs_of(list_sound_inputs(timeout_s))


def inputs_of(listing: Listing) -> list[Device]:
    """Return the inputs in `listing` as microphones, monitors last, without cards: they are devices of their own."""
    return [*_alsa_inputs(listing), *(_device(source) for source in listing.sources if source.alsa is None)]


def _alsa_inputs(listing: Listing) -> Iterator[Device]:
    """Yield the inputs of the ALSA configuration; of the server as a whole only where its sources are not known."""
    for name in listing.inputs:
        if not (listing.sources and name in _SERVERS):
            yield Device(id=f"{PREFIX}{name}", kind=DeviceKind.MICROPHONE, name=name)


def _device(source: ServerSource) -> Device:
    name = source.description if source.of_sink is None else f"What this computer plays ({source.of_sink})"
    return Device(id=f"{SERVER_PREFIX}{source.name}", kind=DeviceKind.MICROPHONE, name=name)


def find_sound_input(devices: Sequence[Device], name: str, roles: Roles | None = None) -> Device:
    """Return the sound that `name` means, of one of `devices` or none of them; raises as `named` does.

    `pulse:NAME` means that source of the sound server; `pulse` alone its default one now, also when that changes.
    """
    if name.casefold().startswith(SERVER_PREFIX):
        listing = list_sound_inputs()
        return _named(listing.sources, name[len(SERVER_PREFIX) :])
    roles = roles or {}
    bound = roles.get(name.strip().casefold())
    if bound is not None and bound.id.startswith(SERVER_INPUTS):
        devices = [*devices, *server_inputs()]
    try:
        return named(find_sound, devices, name, roles)
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


def list_sound_inputs(timeout_s: float = 5.0) -> Listing:
    """Ask PortAudio and the sound server for inputs (half a second); empty if there is no answer in time."""
    child = SoundChild(Request(task="list"))
    try:
        answer = child.answer(timeout_s)
    except DeviceError:
        return Listing()
    finally:
        child.close()
    if not isinstance(answer, Listing):
        return Listing()
    return Listing([name for name in answer.inputs if name not in _PLUGIN_INPUTS], answer.sources)


def source_of_card(alsa: str) -> ServerSource | None:
    """Return the sound server's source for the input of a card, hw:CARD=ID,DEV=N, if it has one."""
    return next((source for source in list_sound_inputs().sources if source.alsa == alsa), None)


class SourceWatch(BackgroundTask):
    """Calls `on_sources` with the sound server's sources, at first and whenever they change; none: no server runs.

    It runs on a thread of its own, from entry to exit. One child is told of changes by the server: asking again would
    take a process, and half a second of CPU, each time.
    """

    def __init__(self, on_sources: Callable[[Sequence[ServerSource]], None]) -> None:
        super().__init__("sound-sources", self._follow, pause=_AGAIN_S)
        self._on_sources = on_sources
        self._child: SoundChild | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        if self._child is not None:
            self._child.close_input()

    @property
    def pid(self) -> int | None:
        """The process that tells; None before there is one."""
        return None if self._child is None else self._child.pid

    def _follow(self) -> bool:
        """Tell what a child tells until it ends; return whether no other one can tell more."""
        child = self._child = SoundChild(Request(task="follow"))
        try:
            # It may have been over before there was a child to be told so.
            while not self.stopped.is_set() and (answer := child.told()) is not None:
                if not isinstance(answer, Listing):
                    return True
                self._on_sources(answer.sources)
        finally:
            child.close()
        return False
