"""The OpenAPI document, from the endpoints and their types."""

import inspect
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import msgspec

from agent.web.http.endpoint import JSON, Endpoint, NoParameters, TextRoute
from agent.web.http.responses import PROBLEM, ErrorDocument
from config.version import VERSION

PATH = "/openapi.json"
_REF = "#/components/schemas/{name}"
_ALWAYS = (400, 401, 403, 405, 413, 415, 421, 429, 431, 503)
_SAID = {
    400: "not understood", 401: "no token", 403: "asked by another site, or from another PC", 404: "there is none",
    405: "not with this method", 409: "not now", 413: "too long", 415: "not JSON", 416: "no such range",
    421: "not by that name", 429: "too often", 431: "too long", 503: "too much at once",
}  # fmt: skip
_PATH_PART = {"type": "string", "minLength": 1, "maxLength": 256}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_HTML = {"text/html": {"schema": {"type": "string"}}}


@lru_cache(maxsize=1)
def document(endpoints: Sequence[Endpoint | TextRoute]) -> bytes:
    return msgspec.json.encode(described(endpoints))


def described(routes: Sequence[Endpoint | TextRoute]) -> dict[str, Any]:
    """Return the document of the routes, of itself and of the form for the token."""
    endpoints = [route for route in routes if isinstance(route, Endpoint)]
    named = [kind for endpoint in endpoints for kind in (endpoint.parameters_type, endpoint.answer_type)]
    kinds = [*(kind for kind in named if kind is not None), ErrorDocument]
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=_anything, ref_template=_REF)
    known = dict(zip(map(repr, kinds), schemas, strict=True))
    paths = _others() | {route.path: _text_operation(route) for route in routes if isinstance(route, TextRoute)}
    for endpoint in endpoints:
        path = re.sub(r":path}", "}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, known, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Liput", "version": VERSION, "description": "docs/api.md; docs/security.md"},
        "security": [{"token": []}, {"cookie": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "liput token shows it"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "liput-PORT"},
            },
        },
    }


def _anything(kind: type) -> dict[str, Any]:
    if kind is object:
        return {"description": "any JSON"}
    raise NotImplementedError(kind)


def _operation(endpoint: Endpoint, known: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    kind = endpoint.answer_type
    refusal = {PROBLEM: {"schema": known[repr(ErrorDocument)]}}
    name = re.sub(r"[^a-z]+", "-", endpoint.path.removeprefix("/api/v1").lower()).strip("-")
    parts = re.findall(r"{(\w+)(?::path)?}", endpoint.path)
    answered = {"schema": known[repr(kind)] if kind is not None else {"type": "string"}}
    found: dict[str, Any] = {
        "summary": endpoint.summary,
        "description": inspect.getdoc(endpoint.handler) or "",
        "operationId": f"{endpoint.method.lower()}-{name}",
        "parameters": [
            *({"name": part, "in": "path", "required": True, "schema": _PATH_PART} for part in parts),
            *_query_parameters(endpoint, known, components),
        ],
        "responses": {
            str(endpoint.status): {"description": endpoint.summary, "content": {endpoint.media: answered}},
            **{
                str(status): {"description": _SAID[status], "content": refusal}
                for status in sorted({*_ALWAYS, *endpoint.errors})
            },
        },
    }
    if "/files/" in endpoint.path:
        found["parameters"].append({"name": "Range", "in": "header", "required": False, "schema": {"type": "string"}})
        found["responses"]["206"] = {"description": "a part of it", "content": {"*/*": answered}}
        found["responses"]["200"]["content"] = {"*/*": answered}
        found["responses"]["416"] = {"description": _SAID[416]}
    if endpoint.method == "POST":
        key = {"type": "string", "minLength": 1, "maxLength": 128, "pattern": "^[!-~]+$"}
        found["parameters"].append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": key})
    if not endpoint.is_read_only and endpoint.parameters_type is not NoParameters:
        is_required = any(field.required for field in msgspec.structs.fields(endpoint.parameters_type))
        body = {"schema": known[repr(endpoint.parameters_type)]}
        found["requestBody"] = {"required": is_required, "content": {JSON: body}}
    return found


def _query_parameters(
    endpoint: Endpoint, known: dict[str, Any], components: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    if not endpoint.is_read_only:
        return
    schema = known[repr(endpoint.parameters_type)]
    shape = components[schema["$ref"].rpartition("/")[2]]
    for name, each in shape.get("properties", {}).items():
        yield {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": each}


def _others() -> dict[str, dict[str, Any]]:
    document = {"200": {"description": "this document", "content": {JSON: {"schema": {"type": "object"}}}}}
    ticket = {"name": "ticket", "in": "query", "required": False, "schema": {"type": "string"}}
    answers = {
        "200": {"description": "the form", "content": _HTML},
        "303": {"description": "let in: to the page"},
        "401": {"description": "not valid", "content": _HTML},
    }
    return {
        PATH: _get(PATH, "This document", document),
        "/open": _get("/open", "Let a browser in", answers, security=[], parameters=[ticket]),
    }


def _text_operation(route: TextRoute) -> dict[str, Any]:
    answers = {str(status): {"description": said, "content": _TEXT} for status, said in route.answers.items()}
    if not route.needs_token:
        return _get(route.path, route.summary, answers, security=[])
    return _get(route.path, route.summary, answers | {"401": {"description": "no token", "content": _HTML}})


def _get(path: str, summary: str, answers: dict[str, Any], **more: Any) -> dict[str, Any]:
    operation = f"get-{path.strip('/').partition('.')[0]}"
    return {"get": {"summary": summary, "operationId": operation, "responses": answers, **more}}
