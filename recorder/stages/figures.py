"""What a session's CPU went into, as it is told."""

from collections.abc import Mapping

import msgspec


class NamedCpu(msgspec.Struct, frozen=True, kw_only=True):
    """What threads, or processes, of one name have taken; `count` is how many there were."""

    name: str
    count: int
    cpu_s: float


class StageFigures(msgspec.Struct, frozen=True, kw_only=True):
    """CPU seconds since the recorder's process began, and the seconds that passed since.

    `cpu_s` is all of it, `children_s` what of it its child processes took. `stages` adds up to `cpu_s`, each by its
    name (capture/timing.py), the largest first. `threads` and `processes` are by their names; what has ended between
    two looks is in `stages` only.
    """

    wall_s: float
    cpu_s: float
    children_s: float
    stages: Mapping[str, float]
    threads: tuple[NamedCpu, ...]
    processes: tuple[NamedCpu, ...]
