"""Where a test's server runs: on this machine's loopback, or at an end of a link (tests.net.lab)."""

from dataclasses import dataclass

from agent.sessions.receiver import HOST


@dataclass(frozen=True)
class Place:
    """The address it listens on, the words that start a command there, and a process that is there."""

    address: str
    enter: tuple[str, ...] = ()
    pid: int | None = None


LOOPBACK = Place(HOST)
