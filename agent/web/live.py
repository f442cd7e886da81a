"""`/api/v1/live`: the page's WebSocket. It tells how it is; the page says which levels and pictures it wants besides.

Text is JSON. A picture is one message: a byte that says which of the previews asked for it is, and a JPEG. Who is slow
gets the newest of each once they have taken the last.
"""

import asyncio
import contextlib

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from agent.web.answers import ErrorAnswer, json_bytes
from agent.web.guard import POLICY_VIOLATION
from agent.web.hub import Hub, Viewer, Watching
from devices.host.bucket import Bucket
from devices.host.clock import NANOSECONDS, Clock
from recorder.archive.names import quoted

PATH = "/api/v1/live"
LONGEST = 8 * 1024
ASKS_AT_ONCE, ASKS_PER_S = 30.0, 5.0
TOO_LONG = 1009


async def live(socket: WebSocket) -> None:
    """Serve one page until it goes."""
    hub: Hub = socket.app.state.hub
    await socket.accept()
    viewer = Viewer()
    await hub.add(viewer)
    telling = asyncio.get_running_loop().create_task(_tell(socket, viewer))
    try:
        await _listen(socket, viewer, hub)
    except WebSocketDisconnect:
        pass
    finally:
        hub.remove(viewer)
        telling.cancel()
        with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            await telling


async def _tell(socket: WebSocket, viewer: Viewer) -> None:
    while True:
        for message in await viewer.take():
            await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_text(message))


async def _listen(socket: WebSocket, viewer: Viewer, hub: Hub) -> None:
    clock: Clock = socket.app.state.house.clock
    asks = Bucket(ASKS_AT_ONCE, ASKS_PER_S, clock.now_ns() / NANOSECONDS)
    while socket.application_state is WebSocketState.CONNECTED:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text") or ""
        if len(text) > LONGEST:
            await socket.close(TOO_LONG)
            return
        if asks.wait_s(clock.now_ns() / NANOSECONDS):
            await socket.close(POLICY_VIOLATION, "too much is asked for")
            return
        asks.take()
        try:
            viewer.watch(msgspec.json.decode(text, type=Watching))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            why = f"this is not understood: {quoted(str(error))}"
            said = ErrorAnswer(message=why, hint="docs/api.md says what is")
            viewer.put("error", json_bytes(said).decode())
        else:
            hub.serve()
