"""What the kernel says of a process: its state, its parent, when it began."""

from dataclasses import dataclass
from pathlib import Path

OURS = "liput"
"""The command of a process of ours."""


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A process: `state` is the letter of proc_pid_stat(5), `started` clock ticks since boot."""

    state: str
    parent: int
    started: int


def process_stat(pid: int) -> ProcessStat | None:
    """Return what is said of the process `pid`, or None where there is none."""
    try:
        # Its command, in brackets, may hold anything: what counts are the words after the last bracket.
        words = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        return ProcessStat(words[0], int(words[1]), int(words[19]))
    except (OSError, IndexError, ValueError):
        return None
