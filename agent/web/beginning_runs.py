"""A run of a check or a rehearsal, as it is begun by the API (agent/web/runs.py)."""

from collections.abc import Callable

from agent.web.endpoint import Call
from agent.web.runs import Runs


def begin[T](call: Call, runs: Runs, how_it_is: Callable[[Call], T]) -> T:
    """Begin one unless there is one, and say how it is now; pages are told by their WebSocket when it has ended."""
    hub, loop = call.request.app.state.hub, call.house.loop

    def done() -> None:
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(lambda: hub.tell(how_it_is(call)))

    runs.start(call.body.words(), call.house.settings.file, done)
    return how_it_is(call)
