"""The schedule by the API: what is planned, planned by hand, changed and removed; as `liput schedule` does it."""

from typing import Annotated

import msgspec

from agent.schedule.answer import PlanDocument, document, listed
from agent.schedule.asked import PlanAsked, add, edit
from agent.schedule.done import DoneFile
from agent.schedule.plan import Mode, Plan
from agent.schedule.planner import Planner, planner_of
from agent.web.beginning import refuse_files
from agent.web.endpoint import Call, Endpoint
from agent.web.house import House
from agent.web.requests import request_key
from agent.web.worker_pool import WorkerPool


class ScheduleQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which: with `all` also what is over, cancelled or removed; with `days` only what begins in so many."""

    all: bool = False
    days: Annotated[int, msgspec.Meta(ge=1, le=3660)] | None = None


class ScheduleDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="schedule"):
    """What is planned, the earliest first. `zone` is the office's, by its name of the IANA database; "": not known.

    `mode` is that of plans that do not say theirs.
    """

    zone: str
    mode: Mode
    plans: list[PlanDocument]


def schedule(call: Call) -> ScheduleDocument:
    """List what is planned, as `liput schedule list --json`."""
    desk = _desk(call)
    plans = listed(desk, DoneFile().read(), every=call.query.all, days=call.query.days)
    return ScheduleDocument(zone=desk.zone_key, mode=Mode(desk.settings.schedule.mode), plans=plans)


def plan(call: Call) -> PlanDocument:
    """Show one, as `liput schedule show --json`."""
    desk = _desk(call)
    return _document(desk.plans.whole(call.path["id"]), desk)


def plan_one(call: Call) -> PlanDocument:
    """Plan a session, as `liput schedule add --json`."""
    desk = _desk(call)
    return _document(add(desk, _asked(call)), desk)


def change(call: Call) -> PlanDocument:
    """Change one, as `liput schedule edit --json`."""
    desk = _desk(call)
    return _document(edit(desk, desk.plans.whole(call.path["id"]), _asked(call)), desk)


def remove(call: Call) -> PlanDocument:
    """Remove one, as `liput schedule remove --json`; one that is removed stays so, and is not forgotten."""
    desk = _desk(call)
    key = desk.plans.whole(call.path["id"]).id
    desk.plans.remove(key, forgets=False)
    return _document(desk.plans.whole(key), desk)


def _desk(call: Call) -> Planner:
    return planner_of(call.house.settings.read(), by_options=False)


def _asked(call: Call) -> PlanAsked:
    """Return what is asked for; raises UsageError, RequestNotFound where it names a file of this PC."""
    asked: PlanAsked = call.body
    for word in (*(asked.videos or ()), *(asked.audios or ()), *(asked.streams or ())):
        refuse_files(word)
    if asked.request is not None:
        request_key(asked.request)
    return asked


def _document(found: Plan, desk: Planner) -> PlanDocument:
    return document(found, DoneFile().read(), desk)


def _disk(house: House) -> WorkerPool:
    return house.disk


_AT = "/api/v1/schedule"
ENDPOINTS = [
    Endpoint(
        method="GET", path=_AT, does=schedule, query=ScheduleQuery, answers=ScheduleDocument, pool=_disk,
        errors=(409,), summary="What is planned",
    ),
    Endpoint(
        method="POST", path=_AT, does=plan_one, body=PlanAsked, answers=PlanDocument, pool=_disk, errors=(404, 409),
        summary="Plan a session",
    ),
    Endpoint(
        method="GET", path=f"{_AT}/{{id}}", does=plan, answers=PlanDocument, pool=_disk, errors=(404, 409),
        summary="One planned session",
    ),
    Endpoint(
        method="PATCH", path=f"{_AT}/{{id}}", does=change, body=PlanAsked, answers=PlanDocument, pool=_disk,
        errors=(404, 409), summary="Change a planned session",
    ),
    Endpoint(
        method="DELETE", path=f"{_AT}/{{id}}", does=remove, answers=PlanDocument, pool=_disk, errors=(404, 409),
        summary="Do nothing for a planned session any more",
    ),
]  # fmt: skip
