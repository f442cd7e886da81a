"""Sound inputs without a card: a sound server's sources, and inputs of the user's ALSA configuration."""

from collections.abc import Callable, Iterator, Sequence
from typing import Self

from capture.sound.child_process import PULSE, SERVER_PREFIX, ServerSource, SoundChild, SoundInputs, SoundRequest
from config.errors import DeviceError, DeviceNotFound
from devices.host.background import BackgroundTask
from devices.model.device import Device, DeviceKind
from devices.monitor.identity import find_sound
from devices.roles.assignment import SERVER_INPUTS, Roles
from devices.roles.choice import find_named

SOUND_SERVERS = {"pulseaudio", "pipewire", "pipewire-pulse", "wireplumber"}  # command names of sound servers

ALSA_INPUT_PREFIX = "sound:"  # prefix of the ids of ALSA configuration inputs, before PortAudio's name

_SERVERS = {PULSE, "pipewire"}  # PortAudio's names for a sound server as a whole, which mean its default source

_PLUGIN_INPUTS = {
    "sysdefault", "lavrate", "samplerate", "speexrate", "speex", "upmix", "vdownmix", "jack", "oss", "a52", "dmix",
    "dsnoop", "default", "spdif", "iec958", "hdmi", "front",
    "surround21", "surround40", "surround41", "surround50", "surround51", "surround71",
}  # fmt: skip
"""Names from ALSA's plugins, all aliases of the cards."""

_RETRY_S = 5.0  # after a child has died


def server_inputs(timeout_s: float = 5.0) -> list[Device]:
    """Return these inputs as microphones without an ALSA name; takes half a second, as PortAudio is asked."""
    return devices_of(list_sound_inputs(timeout_s))


def devices_of(listing: SoundInputs) -> list[Device]:
    """Return the inputs in `listing` as microphones, monitors last, without sound cards' own."""
    return [*_alsa_inputs(listing), *(_device(source) for source in listing.sources if source.alsa is None)]


def _alsa_inputs(listing: SoundInputs) -> Iterator[Device]:
    """Yield the ALSA configuration's inputs; the server as a whole only if its sources are unknown."""
    for name in listing.inputs:
        if not (listing.sources and name in _SERVERS):
            yield Device(id=f"{ALSA_INPUT_PREFIX}{name}", kind=DeviceKind.MICROPHONE, name=name)


def _device(source: ServerSource) -> Device:
    name = source.description if source.of_sink is None else f"What this computer plays ({source.of_sink})"
    return Device(id=f"{SERVER_PREFIX}{source.name}", kind=DeviceKind.MICROPHONE, name=name)


def find_sound_input(devices: Sequence[Device], name: str, roles: Roles | None = None) -> Device:
    """Return the sound input `name`, from `devices` or beyond; raises as `named` does.

    `pulse:NAME` means that source of the sound server; `pulse` alone means its current default.
    """
    if name.casefold().startswith(SERVER_PREFIX):
        listing = list_sound_inputs()
        return _named(listing.sources, name[len(SERVER_PREFIX) :])
    roles = roles or {}
    bound = roles.get(name.strip().casefold())
    if bound is not None and bound.id.startswith(SERVER_INPUTS):
        devices = [*devices, *server_inputs()]
    try:
        return find_named(find_sound, devices, name, roles)
    except DeviceNotFound:
        wanted = name.removeprefix(ALSA_INPUT_PREFIX).casefold()
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


def list_sound_inputs(timeout_s: float = 5.0) -> SoundInputs:
    """Ask PortAudio and the sound server for inputs (half a second); empty without an answer in time."""
    child = SoundChild(SoundRequest(task="list"))
    try:
        answer = child.answer(timeout_s)
    except DeviceError:
        return SoundInputs()
    finally:
        child.close()
    if not isinstance(answer, SoundInputs):
        return SoundInputs()
    return SoundInputs([name for name in answer.inputs if name not in _PLUGIN_INPUTS], answer.sources)


def source_of_card(alsa: str) -> ServerSource | None:
    """Return the sound server's source for a card's input, hw:CARD=ID,DEV=N, None without one."""
    return next((source for source in list_sound_inputs().sources if source.alsa == alsa), None)


class ServerSourceWatcher(BackgroundTask):
    """Calls `on_sources` with the sound server's sources, first and at each change; empty while no server runs.

    It runs on its own thread from entry to exit. One child listens to the server's events: polling would take a process
    and half a second of CPU each time.
    """

    def __init__(self, on_sources: Callable[[Sequence[ServerSource]], None]) -> None:
        super().__init__("sound-sources", self._follow, pause=_RETRY_S)
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
        """The child's id; None before its start."""
        return None if self._child is None else self._child.pid

    def _follow(self) -> bool:
        """Follow one child until it ends; return whether to give up."""
        child = self._child = SoundChild(SoundRequest(task="follow"))
        try:
            # `stop` may have been called before the child existed.
            while not self.stopped.is_set() and (answer := child.next_message()) is not None:
                if not isinstance(answer, SoundInputs):
                    return True
                self._on_sources(answer.sources)
        finally:
            child.close()
        return False
