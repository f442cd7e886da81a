"""Rehearsals by the API: a short session whose recording is watched and thrown away (agent/web/runs.py)."""

from typing import Annotated

import msgspec

from agent.web.beginning_runs import RunState, begin
from agent.web.checks import Word
from agent.web.endpoint import Call, Endpoint
from config.errors import SessionError
from recorder.control import directory

LONGEST_S = 60.0


class RehearsalBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is rehearsed: for how long, with which destinations; with `practice` of pictures and sound that are made."""

    for_s: Annotated[float, msgspec.Meta(ge=3, le=LONGEST_S)] = 10.0
    streams: Annotated[tuple[Word, ...], msgspec.Meta(max_length=16)] = ()
    practice: bool = False

    def words(self) -> list[str]:
        """Return the options of the command."""
        made = ["--video=synthetic"] if self.practice else []
        return [f"--for={self.for_s:g}s", *made, *(f"--stream={name}" for name in self.streams)]


class RehearsalRun(RunState, frozen=True, kw_only=True, tag_field="type", tag="rehearsal-run"):
    """A run of `liput rehearse`."""


def rehearsal(call: Call) -> RehearsalRun:
    """Return what the last rehearsal found, and whether one runs."""
    runs = call.house.rehearsals
    return RehearsalRun.of(runs, runs.last)


def rehearse(call: Call) -> RehearsalRun:
    """Begin one; the page is told by its WebSocket when it has ended."""
    if any(directory.alive()):
        raise SessionError("a session runs, and needs this PC for itself", hint="rehearse before it, or after it")
    return begin(call, call.house.rehearsals, rehearsal)


ENDPOINTS = [
    Endpoint(
        method="GET", path="/api/v1/rehearsals", does=rehearsal, answers=RehearsalRun, errors=(409,),
        summary="What the last rehearsal found, and whether one runs",
    ),
    Endpoint(
        method="POST", path="/api/v1/rehearsals", does=rehearse, body=RehearsalBody, answers=RehearsalRun, status=202,
        errors=(409,), summary="Begin a rehearsal; one runs at a time",
    ),
]  # fmt: skip
