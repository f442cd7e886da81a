"""The OpenAPI document: it has every route and no other, docs/api.md has them too, and what it says holds."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from agent.web.app import ENDPOINTS, make_app
from agent.web.http.guard import Guard
from agent.web.openapi import described, document
from tests.proofs import web as proof
from tests.support import web
from tests.support.web import Page

pytestmark = pytest.mark.server
ROOT = Path(__file__).parents[3]
SEED = 20261126


def operations(found: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, methods in found["paths"].items() for method in methods}


def test_every_route_is_in_it_and_every_entry_is_served() -> None:
    guard = make_app(web.house([]))
    assert isinstance(guard, Guard)
    app: Any = guard._app
    served = {
        (method, route.path.replace(":path}", "}"))
        for route in app.routes
        if isinstance(route, Route)
        for method in route.methods or ()
        if method != "HEAD"
    }
    assert served - {("POST", "/open")} == operations(described(ENDPOINTS))


def test_every_route_is_on_the_page_for_people() -> None:
    text = (ROOT / "docs/api.md").read_text()
    named = set(re.findall(r"^\| `([A-Z]+) (/[^` ]*)`", text, re.MULTILINE))
    assert named == operations(described(ENDPOINTS))
    assert "/api/v1/sessions/{id}" in text


def test_it_is_served_to_whoever_is_let_in(page: Page) -> None:
    answer = page.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == document(ENDPOINTS)
    assert page.ask("GET", "/openapi.json", token=None).status == 401
    names = [found["operationId"] for methods in answer.json["paths"].values() for found in methods.values()]
    assert len(names) == len(set(names))


def test_its_references_are_all_there() -> None:
    found = described(ENDPOINTS)
    references = set(re.findall(r'"\$ref": "#/components/schemas/([^"]+)"', json.dumps(found)))
    assert references <= set(found["components"]["schemas"])


@pytest.mark.parametrize(
    "name",
    ["state", "archive", "health", "health/timeline", "requests", "checks", "checks/history", "roles", "schedule"],
)
def test_answers_are_as_it_says(page: Page, name: str) -> None:
    path = f"/api/v1/{name}"
    found = page.get("/openapi.json").json
    schema = found["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(page.get(path).json, {**schema, "components": found["components"]})


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_sample_of_made_up_requests_breaks_nothing() -> None:
    figures = proof.run(400, SEED)
    assert figures["holds"], figures
    assert int(str(figures["cases"])) >= 400
