"""`POST /api/v1/tickets`: how a program that has the token lets a browser in without showing it the token."""

import msgspec

from agent.web.answers import Refused
from agent.web.cookie import bearer_of
from agent.web.door import OPEN
from agent.web.endpoint import Call, Endpoint
from agent.web.token import TICKET_S

PATH = "/api/v1/tickets"


class Ticket(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="ticket"):
    """An address that lets one browser in, once, within `good_s` seconds."""

    url: str
    good_s: float


def ticket(call: Call) -> Ticket:
    """Make one. A page cannot: what a browser was tricked into must not let others in."""
    if not bearer_of(call.request.headers.get("authorization", "")):  # the guard has judged it, if there is one
        raise Refused(403, "a ticket is given to whoever has the token, not to a page")
    base = str(call.request.base_url).rstrip("/")
    return Ticket(url=f"{base}{OPEN}?ticket={call.house.gate.ticket()}", good_s=TICKET_S)


ENDPOINTS = [
    Endpoint(method="POST", path=PATH, does=ticket, summary="An address that opens the page once", answers=Ticket)
]
