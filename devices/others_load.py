"""How much of the processor other programs take, and which one most: this one and others of ours left out."""

import os
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True)
class OthersLoad:
    """Per cent of all cores: of everybody else together, and of the program that takes most, `busiest`."""

    percent: float
    busiest: str
    busiest_percent: float


def others_load(over_s: float, stop: threading.Event, ours: Collection[int] = ()) -> OthersLoad | None:
    """Return what others take within `over_s` seconds; None when `stop` was set before.

    This process, the processes `ours`, and whatever they have started are no others.
    """
    began, before = time.monotonic(), _used_s(ours)
    if stop.wait(over_s):
        return None
    ended, after = time.monotonic(), _used_s(ours)
    took: dict[str, float] = {}
    for who, (name, used_s) in after.items():
        _, used_before_s = before.get(who, (name, 0.0))
        took[name] = took.get(name, 0.0) + used_s - used_before_s
    most_s = (ended - began) * (psutil.cpu_count() or 1)  # longer than `over_s` where much is to do
    percents = {name: min(100.0, 100 * used_s / most_s) for name, used_s in took.items()}
    busiest = max(percents, key=lambda name: percents[name], default="")
    total = min(100.0, sum(percents.values()))
    return OthersLoad(round(total, 1), busiest, round(percents.get(busiest, 0.0), 1))


def _used_s(ours: Collection[int]) -> dict[tuple[int, float], tuple[str, float]]:
    """Return the name of each process of others, and the seconds of processor it has used, by its number and start.

    A name says nothing of who it is: the kernel's workers are called after what they do just now.
    """
    used: dict[tuple[int, float], tuple[str, float]] = {}
    own = _with_children({os.getpid(), *ours})
    for process in psutil.process_iter(["name", "cpu_times", "create_time"]):
        times = process.info["cpu_times"]
        if process.pid not in own and times is not None:
            who = process.pid, process.info["create_time"]
            used[who] = process.info["name"] or "?", times.user + times.system
    return used


def _with_children(pids: Collection[int]) -> set[int]:
    """Return processes and all that they have started."""
    found = set(pids)
    for pid in pids:
        try:
            found |= {child.pid for child in psutil.Process(pid).children(recursive=True)}
        except psutil.Error:
            continue  # it has just gone
    return found
