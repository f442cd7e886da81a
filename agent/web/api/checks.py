"""Checks and rehearsals by the API: last result, uplink history, new runs."""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

import msgspec

from agent.checks.history import UplinkMeasurement, kept_runs, run_document, uplink_measurements
from agent.web.api.sessions import request_key
from agent.web.http.context import CommandRuns
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.http.responses import CONFLICT, ErrorDocument, error_document
from config.errors import SessionError
from recorder.running import runtime_directory

LONGEST_S = 60.0

type Word = Annotated[str, msgspec.Meta(pattern="^[^-@][^\\x00]*$", max_length=128)]


type RunKind = Literal["check-run", "rehearsal-run", "export-run"]


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """A running check, rehearsal or export and its time so far; the last document (null: none), or the error.

    `problem`: the error's message, for programs.
    """

    type: RunKind
    running: bool
    since_s: float | None
    last: dict[str, Any] | None
    problem: str | None
    error: ErrorDocument | None


def checks(call: ApiCall) -> RunState:
    """Return the last result, and whether a check runs."""
    found = kept_runs()
    language = call.house.settings.read().general.language
    return run_state("check-run", call.house.runs, run_document(found[-1], language) if found else None)


def run_check(
    call: ApiCall, *, quick: bool = False, request: Word | None = None,
    have: Annotated[tuple[Word, ...], msgspec.Meta(max_length=32)] = (), public: bool = False,
) -> RunState:  # fmt: skip
    """Start a check as `liput check`; `have` lists items ticked off by hand. WebSocket messages tell start and end."""
    switches = [*(["--quick"] if quick else []), *(["--public"] if public else [])]
    about = [] if request is None else [f"--request={request_key(request)}"]
    return begin_run(call, call.house.runs, [*switches, *about, *(f"--have={thing}" for thing in have)], checks)


def history(_call: ApiCall) -> list[UplinkMeasurement]:
    """Return measurements of the uplink, newest first."""
    return uplink_measurements(kept_runs())


def rehearsal(call: ApiCall) -> RunState:
    """Return the result of the last rehearsal, and whether one runs."""
    return run_state("rehearsal-run", call.house.rehearsals, call.house.rehearsals.last)


def rehearse(
    call: ApiCall, *, for_s: Annotated[float, msgspec.Meta(ge=3, le=LONGEST_S)] = 10.0,
    streams: Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)] = (), practice: bool = False,
) -> RunState:  # fmt: skip
    """Start a rehearsal, with `practice` on synthetic sources. WebSocket messages report its start and end."""
    if any(runtime_directory.alive_recorders()):
        raise SessionError(
            "a session runs, and needs all of this PC", hint="rehearse before it, or after it", why="session-runs"
        )
    made = ["--video=synthetic"] if practice else []
    words = [f"--for={for_s:g}s", *made, *(f"--stream={name}" for name in streams)]
    return begin_run(call, call.house.rehearsals, words, rehearsal)


def run_state(kind: RunKind, runs: CommandRuns, last: dict[str, Any] | None) -> RunState:
    since_s, problem = runs.now()
    return RunState(
        type=kind, running=since_s is not None, since_s=since_s, last=last,
        problem=problem.message if problem else None, error=error_document(problem, CONFLICT) if problem else None,
    )  # fmt: skip


def begin_run(
    call: ApiCall, runs: CommandRuns, words: Sequence[str], how_it_is: Callable[[ApiCall], RunState]
) -> RunState:
    """Start a run unless one is going on; return the state. Pages hear of its start and end by WebSocket, in order."""
    hub, loop = call.request.app.state.hub, call.house.loop

    def tell() -> None:
        now = how_it_is(call)
        hub.tell(now.type, now)

    def changed() -> None:
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(tell)

    runs.start(words, call.house.settings.file, changed)
    changed()
    return how_it_is(call)


ENDPOINTS = [
    Endpoint("GET", "/api/v1/checks", checks, "Results of the last check, and whether one runs", errors=(409,)),
    Endpoint("POST", "/api/v1/checks", run_check, "Begin a check; one runs at a time", status=202),
    Endpoint("GET", "/api/v1/checks/history", history, "Earlier measurements of the uplink", errors=(409,)),
    Endpoint(
        "GET", "/api/v1/rehearsals", rehearsal, "Results of the last rehearsal, and whether one runs", errors=(409,)
    ),
    Endpoint(
        "POST", "/api/v1/rehearsals", rehearse, "Begin a rehearsal; one runs at a time", status=202, errors=(409,)
    ),
]
