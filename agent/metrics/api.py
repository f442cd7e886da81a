"""`GET /metrics`: the answer to a scrape."""

from starlette.requests import Request
from starlette.responses import Response

from agent.metrics.exposition import CONTENT_TYPE, expose
from agent.web.http.context import ApiContext
from agent.web.http.endpoint import TextRoute


async def metrics(request: Request) -> Response:
    """Answer a scrape; `liput_scrape_missing` names queries that hang."""
    house: ApiContext = request.app.state.house
    return Response(await house.disk.run(lambda: _exposed(house)), headers={"content-type": CONTENT_TYPE})


def _exposed(house: ApiContext) -> bytes:
    roots = [archive.root for archive in house.archives()]
    return expose(house.settings.read(), roots, house.parts, house.standing())


ENDPOINTS = [TextRoute("/metrics", metrics, "Metrics for Prometheus", {200: "its text format"})]
