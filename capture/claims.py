"""Which device is whose among the inputs of one session: what is one's is not taken for another's by its make alone."""

import threading
from collections.abc import Sequence

from devices.model import Device
from devices.roles.matching import Binding, Present, resolve

type _Plug = tuple[str | None, str | None, str | None]


class Claims:
    """The claims of all inputs of one session; `lock` is for whoever reads or changes one, as each has its thread."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.all: list[Claim] = []

    def add(self) -> "Claim":
        """Return the claim of one more input, which is bound to nothing yet."""
        with self.lock:
            self.all.append(Claim(self))
            return self.all[-1]


class Claim:
    """What one input is bound to, and what it has found and tries to open, which no other input tries meanwhile."""

    def __init__(self, claims: Claims) -> None:
        self.lock = claims.lock
        self.bound: Binding | None = None
        self.tried: Binding | None = None
        self.home: object | None = None
        """One for all inputs that came from one plug, wherever they are now; None for what was never there."""
        self._claims = claims

    def expect(self, binding: Binding) -> None:
        """Claim the device that a role was given to, which was never there yet."""
        with self.lock:
            self.bound = binding

    def bind(self, binding: Binding) -> None:
        """Claim the device of `binding`, which is there or was; picture and sound of one plug belong together."""
        with self.lock:
            self.bound = binding
            homes = (other.home for other in self._others() if other.bound and _plug(other.bound) == _plug(binding))
            self.home = next(filter(None, homes), None) or object()

    def is_free(self, device: Device, devices: Sequence[Device]) -> bool:
        """Return whether no other input claims the plug of `device`, one of `devices`, but those of the same home.

        The whole plug, as picture and sound of one stick are not for two inputs that came from two. For who has `lock`.
        """
        return not any(
            isinstance(found := resolve(binding, devices), Present) and _plug(found.device) == _plug(device)
            for other in self._others()
            if other.home is None or other.home is not self.home
            for binding in (other.bound, other.tried)
            if binding
        )

    def _others(self) -> list["Claim"]:
        return [claim for claim in self._claims.all if claim is not self]


def _plug(of: Device | Binding) -> _Plug:
    return of.vid, of.pid, of.place or of.port
