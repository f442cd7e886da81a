"""Finds a session's device at any port and node; inputs never take a device that another one claims."""

import contextlib
import threading
from collections.abc import Callable, Sequence

from capture.sources.worker import DeviceLocator, LocatedDevice
from config.errors import DeviceError
from devices.host.clock import NANOSECONDS, Clock
from devices.model.device import Device
from devices.roles.matching import RoleBinding, binding_of, resolve

type DeviceListing = Callable[[], Sequence[Device]]  # lists the devices now, or as a monitor last saw them

type _Plug = tuple[str | None, str | None, str | None]

_claiming = threading.Lock()  # guards all claims: each input has its own thread


class DeviceClaim:
    """The device that an input is bound to, and the one it tries to open; no other input tries either."""

    def __init__(self, session: "list[DeviceClaim] | None" = None) -> None:
        """Claim nothing yet; `session` collects the claims of all inputs of a session."""
        self.bound: RoleBinding | None = None
        self.tried: RoleBinding | None = None
        self.home: object | None = None
        """Shared by all inputs from one plug, wherever they are now; None for a device that was never there."""
        self._session = [] if session is None else session
        self._session.append(self)

    def expect(self, binding: RoleBinding) -> None:
        """Claim a role's device that was never there yet."""
        with _claiming:
            self.bound = binding

    def bind(self, binding: RoleBinding) -> None:
        """Claim the device of `binding`; picture and sound of one plug share a home."""
        with _claiming:
            self.bound = binding
            homes = (other.home for other in self._others() if other.bound and _plug(other.bound) == _plug(binding))
            self.home = next(filter(None, homes), None) or object()

    def is_free(self, device: Device, devices: Sequence[Device]) -> bool:
        """Return whether no input of another home claims the plug of `device`. Needs the lock."""
        return not any(
            isinstance(found := resolve(binding, devices), Device) and _plug(found) == _plug(device)
            for other in self._others()
            if other.home is None or other.home is not self.home
            for binding in (other.bound, other.tried)
            if binding
        )

    def _others(self) -> list["DeviceClaim"]:
        return [claim for claim in self._session if claim is not self]


def _plug(of: Device | RoleBinding) -> _Plug:
    return of.vid, of.pid, of.place or of.port


class BoundLocator(DeviceLocator):
    """Finds one device by its binding, as roles do (devices/roles/matching.py).

    A device without a serial number is also found at another port: if it is the only one of its model that arrived
    since the loss, and unclaimed. The result is then uncertain. The binding changes only after a found device was
    opened.
    """

    def __init__(self, binding: RoleBinding, listing: DeviceListing, claim: DeviceClaim | None = None) -> None:
        self._binding = binding
        self._listing = listing
        self._claim = claim or DeviceClaim()
        self._claim.bind(binding)
        self._others: frozenset[str] | None = None  # of its model, present at the loss

    def lost(self) -> None:
        self._others = None

    def reopened(self) -> None:
        """Bind to the device found last."""
        with _claiming:
            if self._claim.tried:
                self._binding = self._claim.bound = self._claim.tried
            self._claim.tried = None

    def find(self) -> LocatedDevice | None:
        """Return the device, None while it is away."""
        devices = self._listing()
        with _claiming:
            found = self._found(devices)
            self._claim.tried = binding_of(found.device, self._binding.at) if found else None
            return found

    def _found(self, devices: Sequence[Device]) -> LocatedDevice | None:
        found = resolve(self._binding, devices)
        if isinstance(found, Device):
            return self._located(found)
        elsewhere = {device.id: device for device in found.elsewhere}
        if self._others is None:
            self._others = frozenset(elsewhere)
        known = self._binding.capabilities
        came = [
            device
            for key, device in elsewhere.items()
            if key not in self._others and not _serial(device) and known in {None, device.capabilities}
        ]
        free = [device for device in came if self._claim.is_free(device, devices)]
        if len(free) == 1 and _serial(self._binding) is None:
            return self._located(free[0], is_certain=False)
        return None

    def _located(self, device: Device, *, is_certain: bool = True) -> LocatedDevice:
        moved_from = self._binding.port if self._binding.port != device.port else None
        return LocatedDevice(device, moved_from, is_certain)


def _serial(of: Device | RoleBinding) -> str | None:
    return of.serial or of.shared_serial


class NamedLocator(DeviceLocator):
    """Finds a device that was missing when the session was armed: the first match by name, later only that device."""

    def __init__(
        self,
        named: Callable[[], Device | None],
        then: Callable[[Device], DeviceLocator],
        clock: Clock,
        every_s: float = 0.0,
    ) -> None:
        """`named` returns the device, None or a DeviceError without one; called once in `every_s`."""
        self._named = named
        self._then = then
        self._clock = clock
        self._every_ns = round(every_s * NANOSECONDS)
        self._next_ns = 0
        self._found: DeviceLocator | None = None

    def lost(self) -> None:
        if self._found:
            self._found.lost()

    def reopened(self) -> None:
        """Note that the device found last was opened."""
        if self._found:
            self._found.reopened()

    def find(self) -> LocatedDevice | None:
        if self._found:
            return self._found.find()
        if self._clock.now_ns() < self._next_ns:
            return None
        device = None
        with contextlib.suppress(DeviceError):
            device = self._named()
        if device is None:
            self._next_ns = self._clock.now_ns() + self._every_ns
            return None
        self._found = self._then(device)
        return LocatedDevice(device)
