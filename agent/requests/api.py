"""Requests by the API and on the page: a list, and one with all its papers."""

from pathlib import Path

import msgspec

from agent.requests.options import request_context
from agent.requests.request_documents import RequestDocument, RequestLine, read_lines, request_document
from agent.web.api.sessions import request_key
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.page.pages import Page


class RequestsDocument(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="requests"):
    """Requests, earliest first; `unreadable` has folders without a readable one."""

    requests: list[RequestLine]
    unreadable: list[str]


def requests(call: ApiCall, *, all: bool = False, late: bool = False) -> RequestsDocument:  # noqa: A002 - its public name
    """List open requests; `all` adds closed and cancelled ones, `late` keeps those with a late step."""
    desk = request_context(call.house.settings.read())
    lines, unreadable = read_lines(desk, every=all, late=late)
    return RequestsDocument(requests=lines, unreadable=list(unreadable))


def request(call: ApiCall) -> RequestDocument:
    """Return a request as `liput request show --json`."""
    key = request_key(call.path["id"])
    desk = request_context(call.house.settings.read())
    dossier = desk.dossiers.find(key)
    return request_document(dossier, dossier.read(), desk)


ENDPOINTS = [
    Endpoint("GET", "/api/v1/requests", requests, "Open requests", pool="disk", errors=(409,)),
    Endpoint("GET", "/api/v1/requests/{id}", request, "One request with the state of its steps", pool="disk"),
]

_FOLDER = Path(__file__).parent / "page"
PAGES = [
    Page("/requests", "requests.html.j2", "nav.requests", 60, folder=_FOLDER),
    Page("/requests/{id}", "request.html.j2", folder=_FOLDER),
]
