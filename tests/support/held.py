"""What a process holds at this moment: memory of its own, descriptors, threads, children."""

import re
from pathlib import Path
from typing import NamedTuple

import psutil


class Held(NamedTuple):
    """Megabytes of its own, and how many descriptors, threads and children (theirs too)."""

    own_mb: float
    descriptors: int
    threads: int
    children: int


def held(process: psutil.Process) -> Held:
    """Return what a process holds. Raises psutil.NoSuchProcess, OSError where it has just ended."""
    children = len(process.children(recursive=True))
    return Held(own_mb(process), process.num_fds(), process.num_threads(), children)


def own_mb(process: psutil.Process) -> float:
    """Return the memory that is its own; pages of libraries would count while no other process happens to have them."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"RssAnon:\s*(\d+) kB", status)
    return int(found.group(1)) / 1e3 if found else 0.0  # a zombie has none
