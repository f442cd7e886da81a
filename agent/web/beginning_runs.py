"""A run of a check or a rehearsal, as the API begins it and tells of it (agent/web/runs.py)."""

from collections.abc import Callable
from typing import Any, Self

import msgspec

from agent.web.endpoint import Call
from agent.web.runs import Runs


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one runs, for how long, and what the last one found, as its command prints it; null: none yet.

    `problem` is why the last one has found nothing.
    """

    running: bool
    since_s: float | None = None
    last: dict[str, Any] | None = None
    problem: str | None = None

    @classmethod
    def of(cls, runs: Runs, last: dict[str, Any] | None) -> Self:
        """Return how `runs` are now."""
        since_s, problem = runs.now()
        return cls(running=since_s is not None, since_s=since_s, last=last, problem=problem)


def begin[T](call: Call, runs: Runs, how_it_is: Callable[[Call], T]) -> T:
    """Begin one unless there is one, and say how it is now; pages are told by their WebSocket when it has ended."""
    hub, loop = call.request.app.state.hub, call.house.loop

    def done() -> None:
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: hub.tell(how_it_is(call)))

    runs.start(call.body.words(), call.house.settings.file, done)
    return how_it_is(call)
