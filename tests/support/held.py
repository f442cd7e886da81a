"""What a process holds at this moment: memory of its own, descriptors, threads, children."""

import re
from pathlib import Path
from typing import NamedTuple

import psutil

_HEAP = 64 << 20


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


def heaps(process: psutil.Process) -> int:
    """Return how many heaps of glibc its threads have, beside the one that every process begins with.

    Each is a piece of address space of 64 MB at a multiple of that, of which the rest is not in use yet.
    """
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    found = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) rw-p 0+ 00:00 0 *\n\2-([0-9a-f]+) ---p", maps, re.MULTILINE)
    return sum(int(begin, 16) % _HEAP == 0 and int(end, 16) == int(begin, 16) + _HEAP for begin, _, end in found)
