"""`GET /healthz`: whether the daemon's parts move, for whoever watches over it; nothing else is told."""

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from agent.web.house import House


async def healthz(request: Request) -> Response:
    """Answer "ok", or 503 with the names of the parts that hang."""
    house: House = request.app.state.house
    standing = house.standing()
    return PlainTextResponse(f"standing: {', '.join(standing)}\n", 503) if standing else PlainTextResponse("ok\n")
