"""The sound of a session or of the room, to be listened to in a browser: a WAV file without end."""

import asyncio
import struct
from contextlib import suppress
from functools import partial

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agent.web.api.archive import disconnected
from agent.web.http.context import WorkerPool
from agent.web.http.endpoint import ApiCall, Endpoint
from config.errors import SessionError
from recorder.running.client import PreviewClient, RecorderLost, find_running, preview_recorder
from recorder.running.protocol import SOUND, PreviewCommand

RATE = 48_000
WAIT_S = 2.0  # for one piece of a fifth of a second
_ENDLESS = 0xFFFFFFFF


def wav_head(channels: int) -> bytes:
    """Return the head of a WAV file of 16 bits, as long as one can be."""
    form = struct.pack("<HHIIHH", 1, channels, RATE, RATE * channels * 2, channels * 2, 16)
    head = struct.pack("<4sI4s4sI", b"RIFF", _ENDLESS, b"WAVE", b"fmt ", len(form))
    return head + form + struct.pack("<4sI", b"data", _ENDLESS - 36)


class SoundResponse(Response):
    """Sends sound until the listener or the session is gone."""

    def __init__(self, client: PreviewClient, channels: int) -> None:
        self._client, self._head, self._pool = client, wav_head(channels), WorkerPool("sound", 1)
        super().__init__(None, 200, {"cache-control": "no-store"}, "audio/wav")
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it until the listener is gone."""
        del scope
        gone = asyncio.get_running_loop().create_task(disconnected(receive))
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            piece: bytes | None = self._head
            with suppress(RecorderLost):  # the session has ended
                while piece and not gone.done():
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    piece = await self._pool.run(partial(self._client.picture, WAIT_S))
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()
            self._client.close()


def sound(call: ApiCall) -> Response:
    """Return the sound of a session, or of the room's preview, from now on."""
    key, room = call.path["id"], preview_recorder()
    found = find_running(key) or (room if room and room.info.id == key else None)
    channels = len(found.status.levels_dbfs) if found and found.status else 0
    if found is None or not channels:
        raise SessionError("there is no sound to listen to", hint="GET /api/v1/state lists sessions", why="no-session")
    client = PreviewClient(found.folder)
    client.look(PreviewCommand(source=SOUND))
    return SoundResponse(client, channels)


ENDPOINTS = [
    Endpoint("GET", "/api/v1/sessions/{id}/sound", sound, "The sound from now on", pool="slow", media="audio/wav"),
]
