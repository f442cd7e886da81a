"""Checks by the API: the last result, how it has been, and another run (agent/web/runs.py)."""

from typing import Annotated

import msgspec

from agent.checks.document import document
from agent.checks.history import History
from agent.checks.trend import Measurement, measurements
from agent.web.beginning_runs import RunState, begin
from agent.web.endpoint import Call, Endpoint
from agent.web.requests import request_key

type Word = Annotated[str, msgspec.Meta(pattern="^[^-@][^\\x00]*$", max_length=128)]


class CheckBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is checked, as `liput check` has it. `have`: what was ticked off by hand."""

    quick: bool = False
    request: Word | None = None
    have: Annotated[tuple[Word, ...], msgspec.Meta(max_length=32)] = ()
    public: bool = False

    def words(self) -> list[str]:
        """Return the options of the command. Raises RequestNotFound."""
        switches = [*(["--quick"] if self.quick else []), *(["--public"] if self.public else [])]
        request = [] if self.request is None else [f"--request={request_key(self.request)}"]
        return [*switches, *request, *(f"--have={thing}" for thing in self.have)]


class CheckRun(RunState, frozen=True, kw_only=True, tag_field="type", tag="check-run"):
    """A run of `liput check`; of what it found the last that was kept."""


def checks(call: Call) -> CheckRun:
    """Return the last result, and whether a check runs."""
    kept = History().read()
    language = call.house.settings.read().general.language
    return CheckRun.of(call.house.runs, document(kept[-1], language) if kept else None)


def run_check(call: Call) -> CheckRun:
    """Begin a run; the page is told by its WebSocket when it has ended."""
    return begin(call, call.house.runs, checks)


def history(_call: Call) -> list[Measurement]:
    """Return how the uplink has been, the newest first."""
    return measurements(History().read())


ENDPOINTS = [
    Endpoint(
        method="GET", path="/api/v1/checks", does=checks, answers=CheckRun, errors=(409,),
        summary="What the last check found, and whether one runs",
    ),
    Endpoint(
        method="POST", path="/api/v1/checks", does=run_check, body=CheckBody, answers=CheckRun, status=202,
        errors=(404, 409), summary="Begin a check; one runs at a time",
    ),
    Endpoint(
        method="GET", path="/api/v1/checks/history", does=history, answers=list[Measurement], errors=(409,),
        summary="How the uplink of the room has been",
    ),
]  # fmt: skip
