"""`GET /metrics`: what Prometheus is given, with the token: titles, paths and destinations are nobody else's."""

from starlette.requests import Request
from starlette.responses import Response

from agent.metrics.exposition import CONTENT_TYPE, expose
from agent.web.house import House


async def metrics(request: Request) -> Response:
    """Answer a scrape; what hangs is missing from it, and it says so."""
    house: House = request.app.state.house
    return Response(await house.disk.run(lambda: _exposed(house)), headers={"content-type": CONTENT_TYPE})


def _exposed(house: House) -> bytes:
    roots = [archive.root for archive in house.archives()]
    return expose(house.settings.read(), roots=roots, parts=house.parts, standing=house.standing())
