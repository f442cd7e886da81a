"""Requests by the API and on the page: a list, one with its papers and recordings, new ones and their way."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta
from starlette.responses import Response

from agent.requests.changes import add_papers, begin_request, pass_on
from agent.requests.options import RequestContext, request_context
from agent.requests.request_documents import RequestDocument, RequestLine, read_lines, request_document
from agent.web.api.archive import PackageFileResponse
from agent.web.api.sessions import request_key
from agent.web.http.endpoint import ApiCall, Endpoint
from agent.web.http.responses import NOT_FOUND, HttpRefusal
from agent.web.page.pages import Page
from config.files import open_regular
from recorder.features.dossier.papers import Paper, make_paper
from recorder.features.dossier.store import Dossier
from recorder.package.request import Disposition, LetterKind


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
    desk, dossier = _dossier(call)
    return request_document(dossier, dossier.read(), desk)


type Text = Annotated[str, Meta(max_length=300)]


class SentPaper(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A PDF, JPEG or PNG: the name of the file, and its content as base64."""

    name: Annotated[str, Meta(min_length=1, max_length=255)]
    content: bytes


type Papers = Annotated[tuple[SentPaper, ...], Meta(max_length=8)]


class NewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A letter of request; fields and times as the options of `liput request new`."""

    event: Annotated[str, Meta(min_length=1, max_length=300)]
    letter_number: Text | None = None
    letter_date: Text | None = None
    applicant: Text | None = None
    unit: Text | None = None
    contact: Text | None = None
    place: Text | None = None
    starts: Text | None = None
    ends: Text | None = None
    needs: Annotated[tuple[Text, ...], Meta(max_length=16)] = ()
    received: Text | None = None
    papers: Papers = ()


def enter(call: ApiCall, asked: NewRequest) -> RequestDocument:
    """Begin the dossier of a request from its letter, as `liput request new --json`."""
    desk = request_context(call.house.settings.read())
    fields = {name: getattr(asked, name) for name in asked.__struct_fields__ if name != "papers"}
    found = begin_request(desk, fields, _papers(asked.papers, desk))
    return request_document(desk.dossiers.dossier(found.id), found, desk)


def dispose(
    call: ApiCall, *, instruction: Text = "", to: Text = "", by: Text = "", at: Text | None = None, papers: Papers = ()
) -> RequestDocument:
    """Pass a request on to the next role, or to `to`, as `liput request dispose --json`; `papers` are its sheets."""
    desk, dossier = _dossier(call)
    given = Disposition(giver="", to=to, instruction=instruction, by=by, at=desk.past("at", at), noted_at=desk.now)
    return request_document(dossier, pass_on(dossier, given, _papers(papers, desk), desk), desk)


def attach(call: ApiCall, *, papers: Papers, kind: LetterKind = "request") -> RequestDocument:
    """Add papers to a request as `liput request attach --json`."""
    desk, dossier = _dossier(call)
    return request_document(dossier, add_papers(dossier, _papers(papers, desk), kind, desk.now), desk)


def paper(call: ApiCall) -> Response:
    """Return a paper of a request, as the request names it."""
    dossier = _dossier(call)[1]
    name = call.path["file"]
    nothing = HttpRefusal(NOT_FOUND, "the request has no such paper", hint="its `letters` lists them")
    if name not in {letter.file for letter in dossier.read().letters}:
        raise nothing
    try:
        file = os.fdopen(open_regular(dossier.folder / name), "rb")
    except OSError:
        raise nothing from None
    return PackageFileResponse(file, Path(name).name, call.request.headers.get("range"), call.house.disk)


def _dossier(call: ApiCall) -> tuple[RequestContext, Dossier]:
    desk = request_context(call.house.settings.read())
    return desk, desk.dossiers.find(request_key(call.path["id"]))


def _papers(sent: Papers, desk: RequestContext) -> list[Paper]:
    largest = desk.settings.request.largest_letter
    return [make_paper(Path(one.name).name, one.content, largest) for one in sent]


_AT, _ONE = "/api/v1/requests", "/api/v1/requests/{id}"
ENDPOINTS = [
    Endpoint("GET", _AT, requests, "Open requests", pool="disk", errors=(409,)),
    Endpoint("POST", _AT, enter, "Enter a request", pool="disk", errors=(409, 413)),
    Endpoint("GET", _ONE, request, "One request with the state of its steps", pool="disk"),
    Endpoint("POST", f"{_ONE}/dispositions", dispose, "Pass a request on", pool="disk", errors=(404, 409, 413)),
    Endpoint("POST", f"{_ONE}/papers", attach, "Add papers to a request", pool="disk", errors=(404, 409, 413)),
    Endpoint(
        "GET", f"{_ONE}/papers/{{file:path}}", paper, "A paper of a request", pool="disk",
        media="application/octet-stream", errors=(404, 409, 416),
    ),
]  # fmt: skip

_FOLDER = Path(__file__).parent / "page"
PAGES = [
    Page("/requests", "requests.html.j2", "nav.requests", 60, folder=_FOLDER),
    Page("/requests/{id}", "request.html.j2", folder=_FOLDER),
]
