"""The schedule by the API and on the page: list, add, change and remove plans, as `liput schedule`."""

from pathlib import Path
from typing import Annotated

import msgspec

from agent.schedule.interface.plan_documents import PlanDocument, list_plans, plan_documents
from agent.schedule.interface.planner import Planner, PlanRequest, add_plan, edit_plan, make_planner
from agent.schedule.plan import Plan, PlanMode
from agent.web.api.sessions import refuse_file_names, request_key
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.page.pages import Page
from config.settings.schema import Settings
from config.settings.serving import MODES


class ScheduleDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="schedule"):
    """Plans, earliest first. `zone`: the office's IANA name, "" if unknown; `mode`: the default mode."""

    zone: str
    mode: PlanMode
    plans: list[PlanDocument]


def schedule(
    call: ApiCall,
    *,
    all: bool = False,  # noqa: A002 - its public name
    days: Annotated[int, msgspec.Meta(ge=1, le=3660)] | None = None,
) -> ScheduleDocument:
    """List the plans; `all` adds past, cancelled and removed ones, `days` keeps those of so many days."""
    desk = _desk(call)
    plans = list_plans(desk, every=all, days=days)
    return ScheduleDocument(zone=desk.zone_key, mode=PlanMode(desk.settings.schedule.mode), plans=plans)


def plan(call: ApiCall) -> PlanDocument:
    """Return a plan as `liput schedule show --json`."""
    desk = _desk(call)
    return _document(desk.plans.get(call.path["id"]), desk)


def plan_one(call: ApiCall, asked: PlanRequest) -> PlanDocument:
    """Add a plan as `liput schedule add --json`."""
    desk = _desk(call)
    return _document(add_plan(desk, _checked(asked)), desk)


def change(call: ApiCall, asked: PlanRequest) -> PlanDocument:
    """Change a plan as `liput schedule edit --json`."""
    desk = _desk(call)
    return _document(edit_plan(desk, desk.plans.get(call.path["id"]), _checked(asked)), desk)


def remove(call: ApiCall) -> PlanDocument:
    """Remove a plan as `liput schedule remove --json`; it stays listed as removed."""
    desk = _desk(call)
    key = desk.plans.get(call.path["id"]).id
    desk.plans.remove(key, forgets=False)
    return _document(desk.plans.get(key), desk)


def _desk(call: ApiCall) -> Planner:
    return make_planner(call.house.settings.read(), by_options=False)


def _checked(asked: PlanRequest) -> PlanRequest:
    for word in (*(asked.videos or ()), *(asked.audios or ()), *(asked.streams or ())):
        refuse_file_names(word)
    if asked.request is not None:
        request_key(asked.request)
    return asked


def _document(found: Plan, desk: Planner) -> PlanDocument:
    return plan_documents([found], desk)[0]


_AT, _ONE = "/api/v1/schedule", "/api/v1/schedule/{id}"
ENDPOINTS = [
    Endpoint("GET", _AT, schedule, "Planned sessions", pool="disk", errors=(409,)),
    Endpoint("POST", _AT, plan_one, "Plan a session", pool="disk"),
    Endpoint("GET", _ONE, plan, "One planned session", pool="disk"),
    Endpoint("PATCH", _ONE, change, "Change a planned session", pool="disk"),
    Endpoint("DELETE", _ONE, remove, "Remove a planned session", pool="disk"),
]


def _facts(settings: Settings) -> dict[str, object]:
    return {"modes": MODES, "mode": settings.schedule.mode, "destinations": list(settings.destinations)}


PAGES = [Page("/schedule", "schedule.html.j2", "nav.schedule", 20, _facts, Path(__file__).parent / "page")]
