"""Asks many at once, and waits for none longer than to a deadline: a disk that hangs must not hang what asks for it."""

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from config.errors import LiputError
from devices.host import threads

type Task = Callable[[], object]


@dataclass(eq=False)
class _Asked:
    """One thing that is being found out, or was."""

    over: threading.Event = field(default_factory=threading.Event)
    found: object = None
    has_failed: bool = False
    at_s: float = 0.0

    def fail(self) -> None:
        """Have failed: nobody finds it out."""
        self.has_failed = True
        self.over.set()


@dataclass(eq=False)
class Gathering:
    """Finds things out, each on a thread of its own; what still hangs from before is not asked again."""

    _asked: dict[str, _Asked] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def gather(self, tasks: Mapping[str, Task], deadline_s: float, keep_s: float = 0.0) -> dict[str, object]:
        """Return what was found within `deadline_s` by the name of its task; what failed or is late is not there.

        What was found less than `keep_s` ago is taken as it was.
        """
        until_s = time.monotonic() + deadline_s
        asked = {name: self._begin(name, task, keep_s) for name, task in tasks.items()}
        return {
            name: one.found
            for name, one in asked.items()
            if one.over.wait(max(0.0, until_s - time.monotonic())) and not one.has_failed
        }

    def _begin(self, name: str, task: Task, keep_s: float) -> _Asked:
        with self._lock:
            before = self._asked.get(name)
            if before is not None and not before.over.is_set():
                return before
            if before is not None and not before.has_failed and time.monotonic() - before.at_s < keep_s:
                return before
            asked = self._asked[name] = _Asked()
        with suppress(RuntimeError):  # as one that has failed
            threads.start(self._find_out, asked, task, name=f"metrics-{name}", otherwise=asked.fail)
        return asked

    def _find_out(self, asked: _Asked, task: Task) -> None:
        try:
            asked.found = task()
        except (LiputError, OSError):
            asked.has_failed = True
        finally:
            asked.at_s = time.monotonic()
            asked.over.set()

    def forget(self, names: set[str], prefix: str) -> None:
        """Forget what begins with `prefix` and is not among `names`: sessions that are over."""
        with self._lock:
            for name in [name for name in self._asked if name.startswith(prefix) and name not in names]:
                if self._asked[name].over.is_set():
                    del self._asked[name]
