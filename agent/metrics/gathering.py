"""Many questions asked at once, with a deadline."""

import time
from collections.abc import Callable, Mapping
from functools import partial

from devices.host.deadline import DeadlineTasks


class Gathering[Found]:
    """Finds things out; what still hangs from before is not asked again. For any thread."""

    def __init__(self) -> None:
        self._tasks: DeadlineTasks[str, Found] = DeadlineTasks("metrics")
        self._kept: dict[str, tuple[float, Found]] = {}

    def gather(
        self, tasks: Mapping[str, Callable[[], Found]], deadline_s: float, keep_s: float = 0.0
    ) -> dict[str, Found]:
        """Return the answers that came in time, by their names; those less than `keep_s` old are taken as they are."""
        now_s = time.monotonic()
        kept = {
            name: found
            for name, (at_s, found) in list(self._kept.items())
            if keep_s and name in tasks and now_s - at_s < keep_s
        }
        asked = {
            name: partial(self._keep, name, task) if keep_s else task
            for name, task in tasks.items()
            if name not in kept
        }
        answers = self._tasks.ask(asked, deadline_s)
        return kept | {name: found for name, found in answers.items() if not isinstance(found, Exception)}

    def _keep(self, name: str, task: Callable[[], Found]) -> Found:
        found = task()
        self._kept[name] = time.monotonic(), found
        return found
