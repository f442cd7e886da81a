"""Selects devices by words, or the best: cameras, capture cards, microphones, sound servers' inputs."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from capture.sound.inputs import find_sound_input, server_inputs
from capture.sound.source import SoundSource
from capture.source import AudioBlock, AudioSource, Frame, VideoFormat, VideoSource
from capture.sources.locator import BoundLocator, DeviceClaim, NamedLocator
from capture.sources.source_kind import ChosenSource, ChosenSources, SourceContext, refuse_fast
from capture.sources.v4l2 import V4l2Source
from capture.sources.worker import DeviceLocator, DeviceSupervision, FixedLocator
from config.errors import DeviceNotFound, StateError
from devices.model.device import Device, DeviceKind
from devices.monitor.identity import find_video
from devices.monitor.snapshot import list_devices
from devices.roles.assignment import SERVER_INPUTS, Roles, roles_store, with_roles
from devices.roles.choice import choose_sound, choose_video, find_named, first_role
from devices.roles.matching import binding_of, resolve

if TYPE_CHECKING:
    from capture.detectors.source_health import SourceHealth

ASK_SERVERS_S = 2.0
"""Interval of looking for a sound input that was missing at the start: each look starts a process for PortAudio."""


class DeviceSelector:
    """Finds the devices of one session; lists them once, on first use."""

    def __init__(self, context: SourceContext, known: Sequence[Device]) -> None:
        self._context = context
        self._clock = context.clock
        self._listing = context.listing or list_devices
        self._known = {device.id: device for device in known}
        self._listed: tuple[list[Device], Roles] | None = None
        self._claims: list[DeviceClaim] = []
        self._plugs: dict[str, DeviceKind] = {}
        self.unread: StateError | None = None  # the error of reading the roles

    def picture(self, chosen: ChosenSources, word: str | None) -> ChosenSource[VideoSource]:
        """Return the camera or capture card for `word`, the best without one; adds notes to `chosen`."""
        context, profile = self._context, self._context.profile

        def find(devices: Sequence[Device], roles: Roles) -> Device:
            return choose_video(devices, roles) if word is None else find_named(find_video, devices, word, roles)

        def make(device: Device) -> tuple[VideoSource, "SourceHealth[Frame, VideoFormat]"]:
            camera = V4l2Source(
                device, width=profile.width, height=profile.height, rate=float(profile.fps), clock=self._clock,
                prepare=context.watcher.prepare, coded_only=context.isolate,
            )  # fmt: skip
            return camera, context.watcher.video(camera, device)

        meant = first_role(self._first_listing()[1]) if word is None else word
        return self._chosen(chosen, "Picture" if word is None else None, meant, DeviceKind.CAMERA, find, make)

    def sound(self, chosen: ChosenSources, word: str | None) -> ChosenSource[AudioSource]:
        """Return the sound input for `word`, also of a sound server; without a word the best, now or later."""
        picture = chosen.pictures[0].device

        def find(devices: Sequence[Device], roles: Roles) -> Device:
            if word is not None:
                return find_sound_input(devices, word, roles)
            if (best := choose_sound(devices, roles, picture, server_inputs)) is not None:
                return best
            raise DeviceNotFound(
                "no microphone and no capture card with sound is plugged in",
                hint="Plug one in: it is used within seconds. --audio none records no sound.",
            )

        def make(device: Device) -> tuple[AudioSource, "SourceHealth[AudioBlock, None]"]:
            source = SoundSource(device, channels=self._context.profile.audio_channels)
            return source, self._context.watcher.sound(source, device, self._plug_of)

        meant = first_role(self._first_listing()[1], sound=True) if word is None else word
        return self._chosen(chosen, "Sound" if word is None else None, meant, DeviceKind.MICROPHONE, find, make)

    def _chosen[Made](
        self,
        chosen: ChosenSources,
        note: str | None,
        meant: str | None,
        kind: DeviceKind,
        find: Callable[[Sequence[Device], Roles], Device],
        make: Callable[[Device], "tuple[Made, SourceHealth[Any, Any]]"],
    ) -> ChosenSource[Made]:
        """Return the source of `make` for the device of `find`; with a `note` it is a default, and may be missing."""
        may_miss = note is not None or self._context.allow_missing
        device, missing = self._find(meant, kind, lambda: find(*self._first_listing()), may_miss=may_miss)
        refuse_fast(device, live=self._context.live)
        if note is not None and missing is None:
            role = f"{device.role}, " if device.role else ""
            chosen.notes.append(f"{note}: {role}{device.name} ({device.id})")
        if missing is None or device.id in self._known:
            chosen.known.append(device)
        roles = self._first_listing()[1]
        locator = self._locator(device, missing, lambda: find(with_roles(self._listing(), roles), roles))
        source, health = make(device)
        # Later choices name it by its id, or by the word while it was never there.
        word = meant or device.id if missing else device.id
        supervision = DeviceSupervision(locator, health, may_miss, missing)
        return ChosenSource(device.role or device.name, source, word, device=device, supervision=supervision)

    def _plug_of(self, sound: Device) -> DeviceKind | None:
        """Return the kind of video device on the plug of `sound`, as first seen; None without one."""
        pair = sound.paired_with
        for seen in (lambda: self._first_listing()[0], self._listing):
            if pair is None or pair in self._plugs:
                break
            self._plugs |= {device.id: device.kind for device in seen() if device.id == pair}
        return self._plugs.get(pair or "")

    def _find[Found](
        self, word: str | None, kind: DeviceKind, find: Callable[[], Found], *, may_miss: bool
    ) -> tuple[Found | Device, DeviceNotFound | None]:
        """Return the device of `find`, or a stand-in with the error; `word` is its id, role or name."""
        if known := self._known.get(word or ""):
            return self._find_again(known, may_miss=may_miss)
        try:
            return find(), None
        except DeviceNotFound as error:
            if not may_miss:
                raise
            return _stand_in(word, kind, self._first_listing()[1]), error

    def _find_again(self, known: Device, *, may_miss: bool) -> tuple[Device, DeviceNotFound | None]:
        """Return a known device, with an error while it is away."""
        if known.id.startswith(SERVER_INPUTS):
            return known, None  # opening it tells whether it is there
        found = resolve(binding_of(known, self._clock.now()), self._first_listing()[0])
        if isinstance(found, Device):
            return found, None
        error = DeviceNotFound(
            f"{known.name} is missing: {found.reason}", hint="Plug it in: it appears within seconds."
        )
        if not may_miss:
            raise error
        return known, error

    def _locator(
        self, device: Device, missing: DeviceNotFound | None, named: Callable[[], Device | None]
    ) -> DeviceLocator:
        claim = DeviceClaim(self._claims)
        if missing is not None and device.id not in self._known:
            if device.role:
                claim.expect(self._first_listing()[1][device.role])
            every_s = ASK_SERVERS_S if device.kind is DeviceKind.MICROPHONE else 0.0
            return NamedLocator(named, lambda found: self._bound(found, claim), self._clock, every_s)
        return self._bound(device, claim)

    def _bound(self, device: Device, claim: DeviceClaim) -> DeviceLocator:
        if device.id.startswith(SERVER_INPUTS):
            return FixedLocator(device)
        return BoundLocator(binding_of(device, self._clock.now()), self._listing, claim)

    def _first_listing(self) -> tuple[list[Device], Roles]:
        """Return the devices of the first listing with their roles, and all roles."""
        if self._listed is None:
            roles: Roles = {}
            try:
                roles = roles_store().read()
            except StateError as error:
                self.unread = error
            self._listed = with_roles(list_devices(), roles), roles
        return self._listed


def _stand_in(word: str | None, kind: DeviceKind, roles: Roles) -> Device:
    """Return a stand-in for a missing device, by its role's binding or its name alone."""
    role = (word or "").strip().casefold()
    if role not in roles:
        return Device(id=word or str(kind), kind=kind, name=word or str(kind))
    bound = roles[role]
    return Device(id=bound.id, kind=bound.kind, name=bound.name, vid=bound.vid, pid=bound.pid, role=role)
