"""Where the device of a session is now: in another port, with another node, or not plugged in."""

import contextlib
from collections.abc import Callable, Sequence

from capture.claims import Claim, Claims
from capture.kept import Return, Whereabouts
from config.errors import DeviceError
from devices.clock import NANOSECONDS, Clock
from devices.model import Device
from devices.roles.matching import Binding, Present, binding_of, resolve

type Listing = Callable[[], Sequence[Device]]
"""Returns what is plugged in now, or what a monitor last saw."""


class BoundWhereabouts:
    """Whereabouts (capture/kept.py) of one device, known again as a role's is (devices/roles/matching.py).

    One difference: a device without a serial number is also known in another port, if it is the only one of its make
    that has come since ours went, and that no other input of the session claims. That is not certain, and is said.
    What is looked for changes only when a device that was found has been opened.
    """

    def __init__(self, binding: Binding, listing: Listing, claim: Claim | None = None) -> None:
        self._binding = binding
        self._listing = listing
        self._claim = claim or Claims().add()
        self._claim.bind(binding)
        self._others: frozenset[str] | None = None  # of its make, and there when it went

    def lost(self) -> None:
        """Take note that it is gone from where it was."""
        self._others = None

    def regained(self) -> None:
        """Take note that it has been opened where it was found last."""
        with self._claim.lock:
            if self._claim.tried:
                self._binding = self._claim.bound = self._claim.tried
            self._claim.tried = None

    def find(self) -> Return | None:
        """Return where it is now, None while it is not plugged in."""
        devices = self._listing()
        with self._claim.lock:
            found = self._found(devices)
            self._claim.tried = binding_of(found.device, self._binding.at) if found else None
            return found

    def _found(self, devices: Sequence[Device]) -> Return | None:
        found = resolve(self._binding, devices)
        if isinstance(found, Present):
            return self._return(found.device)
        elsewhere = {device.id: device for device in found.elsewhere}
        if self._others is None:
            self._others = frozenset(elsewhere)
        came = [device for key, device in elsewhere.items() if key not in self._others and self._is_alike(device)]
        free = [device for device in came if self._claim.is_free(device, devices)]
        if len(free) == 1 and not _has_serial(self._binding):
            return self._return(free[0], is_certain=False)
        return None

    def _is_alike(self, device: Device) -> bool:
        known = self._binding.capabilities
        return not _serial(device) and (known is None or known == device.capabilities)

    def _return(self, device: Device, *, is_certain: bool = True) -> Return:
        moved_from = self._binding.port if self._binding.port != device.port else None
        return Return(device, moved_from, is_certain)


def _has_serial(binding: Binding) -> bool:
    return (binding.serial or binding.shared_serial) is not None


def _serial(device: Device) -> str | None:
    return device.serial or device.shared_serial


class NamedWhereabouts:
    """Whereabouts of what was not there when a session was armed: the first that answers to its name, then that one."""

    def __init__(
        self,
        named: Callable[[], Device | None],
        then: Callable[[Device], Whereabouts],
        clock: Clock,
        every_s: float = 0.0,
    ) -> None:
        """`named` returns the device that is meant; None, or a DeviceError, as long as there is none.

        It is asked at most once in `every_s` seconds: asking a sound server starts a process. `then` returns what knows
        where the device is from then on.
        """
        self._named = named
        self._then = then
        self._clock = clock
        self._every_ns = round(every_s * NANOSECONDS)
        self._next_ns = 0
        self._found: Whereabouts | None = None

    def lost(self) -> None:
        """Take note that it is gone from where it was."""
        if self._found:
            self._found.lost()

    def regained(self) -> None:
        """Take note that it has been opened where it was found last."""
        if self._found:
            self._found.regained()

    def find(self) -> Return | None:
        """Return where it is now, None while it is not plugged in."""
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
        return Return(device)


class AlwaysThere:
    """Whereabouts of an input of a sound server: whether it is there shows when it is opened."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def lost(self) -> None:
        """Nothing to note."""

    def regained(self) -> None:
        """Nothing to note."""

    def find(self) -> Return:
        """Return the input itself."""
        return Return(self._device)
