"""A check: something that is looked at before a session, by a function with a name."""

import math
import pkgutil
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module

import msgspec

from agent.checks.result import Code, Result
from config.locale.lookup import Words
from config.settings.schema import Profile, Settings
from devices.host.clock import Clock
from devices.host.deadline import DeadlineTask
from devices.model.device import Device
from recorder.model.status import SessionStatus
from recorder.running.client import Running
from recorder.running.directory import claimed
from recorder.session.request import Asked

type Devices = Callable[[], list[Device]]


@dataclass(frozen=True, slots=True)
class Situation:
    """The session that is to be, the settings, and what is there.

    `held` sessions are asked about what they have open; it is never opened. Waits end once `stop` is set.
    """

    asked: Asked
    settings: Settings
    profile: Profile
    clock: Clock
    stop: threading.Event
    devices: Devices
    streams: Sequence[str] = ()
    """Destinations of the settings, or @FILEs, that it is streamed to."""
    held: Sequence[Running] = ()
    quick: bool = False
    public: bool = False
    equipment: Sequence[str] = ()
    """What has to be there and cannot be sensed."""
    ticked: frozenset[str] = frozenset()

    @property
    def silent(self) -> str | None:
        """The title of a session whose recorder does not answer: whatever it does, it must not be disturbed."""
        return next((one.info.title for one in self.held if one.status is None), None)

    @property
    def answering(self) -> Sequence[tuple[str, SessionStatus]]:
        """The other sessions: their titles, and what they say of themselves."""
        return [(one.info.title, one.status) for one in self.held if one.status is not None]

    def holder(self, device: Device) -> Running | None:
        """Return the session that has a device open; of those that do not answer, the one that has claimed it."""
        for one in self.held:
            if one.status is None:
                claim = claimed(device.id)
                if claim is not None and claim.id == one.info.id:
                    return one
            elif any(line.id == device.id for line in one.status.sources):
                return one
        return None

    @property
    def planned_s(self) -> float | None:
        """How long the session will last, where that is known."""
        return self.asked.duration_s


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """The `share` that is done, 0 to 1, and what is done now; a `notice` must be readable before its cost arises."""

    share: float
    doing: Words
    notice: bool = False


type Tell = Callable[[Progress], None]
type News = Progress | Sequence[Result] | None
"""Of a check: how far it is, in the end what it found, None when it has begun."""
type Look = Callable[[Situation, Tell], Iterable[Result]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `look` returns a result for each thing; what it raises is a failure of its own.

    `codes` may be found (docs/check.md), `place` orders the list. Two that are `alone` never run side by side. After
    `longest_s` it counts as hanging; a quick run leaves out those that are not `quick`.
    """

    name: str
    title: Words
    look: Look
    codes: Mapping[str, Code] = field(default_factory=dict, compare=False)
    place: int = 1000
    alone: bool = False
    quick: bool = True
    longest_s: float = 10.0


def every_check() -> list[Check]:
    """Return them."""
    kinds = import_module("agent.checks.kinds")
    modules = [import_module(found.name) for found in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}.")]
    checks: list[Check] = [check for module in modules for check in getattr(module, "CHECKS", ())]
    return sorted(checks, key=lambda check: check.place)


_POLL_S = 0.02


def side_by_side[K, T](
    looks: Mapping[K, Callable[[], T]],
    stop: threading.Event,
    told: Callable[[int], None] = lambda _count: None,
    *,
    longest_s: float = math.inf,
) -> dict[K, T]:
    """Run each on a thread of its own; return what they return, by their keys and in their order.

    Once `stop` is set, or after `longest_s`, the rest is left to itself. `told` hears how many are done. An error is
    raised, unless it comes after `stop`.
    """
    deadline_s = time.monotonic() + longest_s
    tasks = {key: DeadlineTask(look, f"look-{number}") for number, (key, look) in enumerate(looks.items())}
    results: dict[K, T] = {}
    while len(results) < len(tasks) and time.monotonic() < deadline_s and not stop.wait(_POLL_S):
        for key, task in tasks.items():
            if task.is_over and key not in results and not stop.is_set():  # one that was stopped has found nothing
                results[key] = task.result()
                told(len(results))
    return {key: results[key] for key in tasks if key in results}
