"""Sends state, levels and pictures to all open pages. Each recorder is asked once; no page waits for another."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from agent.web.api.state import State, state_of
from agent.web.http.context import ApiContext
from agent.web.http.guard import POLICY_VIOLATION
from agent.web.http.responses import BAD_REQUEST, error_document
from config.errors import LiputError, UsageError, as_liput_error
from devices.host import threads
from devices.host.clock import Clock, seconds_now
from devices.host.throttle import LogOnChange, TokenBucket
from recorder.model.names import json_bytes, quoted
from recorder.model.status import SessionResult, SessionStatus
from recorder.running.client import ControlClient, PreviewClient, RunningRecorder, running_recorders
from recorder.running.protocol import (
    SHORTEST_PERIOD_S,
    Name,
    PreviewCommand,
    PreviewRate,
    RecorderFailure,
    WatchCommand,
    Width,
)
from recorder.running.runtime_directory import RecorderFolder

WAIT_S = 1.0  # longest time until a stopped feed ends

MOST_PREVIEWS = 16


class PreviewRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A source to show: at most `fps` frames a second, at least `width` pixels wide if it has them."""

    source: Name = "program"
    fps: PreviewRate = 2.0
    width: Width = 480


class PageSubscription(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="type", tag="watch", forbid_unknown_fields=True
):
    """Levels and previews that a page wants, of `session` or of the `room`; a message replaces the former one."""

    session: Annotated[str, msgspec.Meta(max_length=32)] | None = None
    room: bool = False  # whether to show the devices while no session runs
    levels: bool = False
    previews: Annotated[tuple[PreviewRequest, ...], msgspec.Meta(max_length=MOST_PREVIEWS)] = ()


class SessionFeed[What]:
    """Follows a session on a thread until it is stopped or the session ends.

    The newest item goes to `put` on the event loop; items not taken in time are replaced.
    """

    problem: str | None = None  # the error that ended it

    def __init__(
        self, folder: RecorderFolder, follow: Callable[["SessionFeed[What]"], None], put: Callable[[What], None],
        look: PreviewCommand | None = None,
    ) -> None:  # fmt: skip
        """Start at once, on the event loop. Raises RuntimeError if no thread can start."""
        self.folder, self.look = folder, look
        self._put = put
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._waiting: list[What] = []
        self.stopped = threading.Event()  # ends the feed within WAIT_S
        self._thread = threads.start_thread(self._go, follow, name=f"web-{follow.__name__}-{folder.id}")

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return not self._thread.is_alive()

    def give(self, what: What) -> None:
        """Hand over an item; on the feed's thread, never blocks."""
        with self._lock:
            is_called, self._waiting = bool(self._waiting), [what]
        if not is_called:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._take)

    def _take(self) -> None:
        with self._lock:
            (what,), self._waiting = self._waiting, []
        self._put(what)

    def _go(self, follow: Callable[["SessionFeed[What]"], None]) -> None:
        try:
            follow(self)
        except (LiputError, OSError) as error:
            self.problem = str(error)


def levels(feed: SessionFeed[SessionStatus]) -> None:
    """Follow a session's status, ten times a second."""
    with ControlClient(feed.folder) as connection:
        connection.request(WatchCommand(every_s=SHORTEST_PERIOD_S))
        while not feed.stopped.is_set():
            told = connection.told(WAIT_S)
            if isinstance(told, SessionStatus):
                feed.give(told)
            elif isinstance(told, SessionResult | RecorderFailure):
                return


def look(feed: SessionFeed[bytes]) -> None:
    """Follow the frames of a source at the rate and size of `feed.look`."""
    with PreviewClient(feed.folder) as client:
        asked: PreviewCommand | None = None
        while not feed.stopped.is_set():
            if (wanted := feed.look) and wanted != asked:
                client.look(wanted)
                asked = wanted
            if picture := client.picture(WAIT_S):
                feed.give(picture)


LOOK_S = 0.5  # between two looks at the state
TOLD_S = 1.0  # longest time without a state message
AGAIN_S = 2.0  # before a failed source is tried again
MOST_FEEDS = 24  # sources shown at once, of all sessions

type PictureKey = tuple[str, str]  # id of a session, name of a source


class Viewer:
    """An open page with its unsent messages."""

    def __init__(self) -> None:
        self.wants = PageSubscription()
        self._newest: dict[object, bytes | str] = {}
        self._rung = asyncio.Event()
        self._due_s: dict[int, float] = {}

    def put(self, kind: object, message: bytes | str) -> None:
        """Queue a message; it replaces an unsent one of its kind."""
        self._newest[kind] = message
        self._rung.set()

    async def take(self) -> list[bytes | str]:
        """Wait for messages and return them."""
        await self._rung.wait()
        self._rung.clear()
        messages = list(self._newest.values())
        self._newest.clear()
        return messages

    def watch(self, wants: PageSubscription) -> None:
        """Take new wishes; drop unsent pictures, since their numbers have changed."""
        self.wants = wants
        self._due_s.clear()
        self._newest = {kind: message for kind, message in self._newest.items() if not isinstance(kind, int)}

    def show(self, key: PictureKey, picture: bytes, now_s: float) -> None:
        """Queue a picture for each preview that is due."""
        for index, preview in enumerate(self.wants.previews):
            if (self.wants.session, preview.source) == key and now_s >= self._due_s.get(index, 0.0):
                every_s = 1 / preview.fps
                # Keep the average rate: a late picture does not delay the next one.
                self._due_s[index] = max(self._due_s.get(index, 0.0) + every_s, now_s - every_s / 2)
                self.put(index, bytes((index,)) + picture)


class Hub:
    """Serves all viewers. For the event loop."""

    def __init__(self, house: ApiContext) -> None:
        self._house = house
        self._viewers: set[Viewer] = set()
        self._folders: dict[str, RecorderFolder] = {}
        self._levels: dict[str, SessionFeed[SessionStatus]] = {}
        self._pictures: dict[PictureKey, SessionFeed[bytes]] = {}
        self._again_s: dict[PictureKey, float] = {}
        self._looking: asyncio.Task[None] | None = None
        self._poked = asyncio.Event()
        self._told: State | None = None
        self._told_s = 0.0

    async def add(self, viewer: Viewer) -> None:
        """Send the state to one more viewer."""
        self._viewers.add(viewer)
        self._told = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())
        self.poke()

    def remove(self, viewer: Viewer) -> None:
        """Stop sending to a viewer."""
        self._viewers.discard(viewer)
        self.serve()

    def poke(self) -> None:
        """Look at the state now: something has changed."""
        self._poked.set()

    def tell(self, kind: str, message: object) -> None:
        """Send everybody a message; the newest of each `kind` wins."""
        text = json_bytes(message).decode()
        for viewer in self._viewers:
            viewer.put(kind, text)

    async def _look(self) -> None:
        once = LogOnChange(self._house.tell)
        while self._viewers:
            self._poked.clear()
            try:
                self._tell_state(*await self._house.light.run(self._ask))
                once("")
            except Exception as error:  # viewers hear of it once it works again
                once(f"the page cannot be told how it is: {as_liput_error(error).message}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._poked.wait(), LOOK_S)

    def _ask(self) -> tuple[Sequence[RunningRecorder], State]:
        found, preview = running_recorders(), None
        if not found and self._house.preview and any(viewer.wants.room for viewer in list(self._viewers)):
            preview = self._house.preview.want()
        return [*found, *([preview] if preview else ())], state_of(self._house, found, preview)

    def _tell_state(self, found: Sequence[RunningRecorder], state: State) -> None:
        self._folders = {one.info.id: one.folder for one in found}
        self.serve()
        now_s = seconds_now(self._house.clock)
        is_new = self._told is None or msgspec.structs.replace(state, at=self._told.at) != self._told
        if is_new or now_s - self._told_s >= TOLD_S - LOOK_S / 2:
            self._told, self._told_s = state, now_s
            self.tell("state", state)

    def serve(self) -> None:
        """Start the feeds that viewers want, and close the others."""
        wanted = {viewer.wants.session for viewer in self._viewers if viewer.wants.levels} & self._folders.keys()
        for gone in [key for key, feed in self._levels.items() if key not in wanted or feed.is_over]:
            self._levels.pop(gone).stopped.set()
        for key in wanted - self._levels.keys():
            if key is not None:
                self._levels[key] = SessionFeed(self._folders[key], levels, partial(self._put_levels, key))
        self._serve_pictures(self._wished())

    def _serve_pictures(self, wished: dict[PictureKey, PreviewCommand]) -> None:
        for key in [key for key, feed in self._pictures.items() if key not in wished or feed.is_over]:
            feed = self._pictures.pop(key)
            feed.stopped.set()
            if feed.problem and key in wished:
                self._again_s[key] = seconds_now(self._house.clock) + AGAIN_S
                self._say_why(key, feed.problem)
        self._again_s = {key: at_s for key, at_s in self._again_s.items() if key in wished}
        for key, wanted in wished.items():
            if key in self._pictures:
                self._pictures[key].look = wanted
            elif len(self._pictures) < MOST_FEEDS and seconds_now(self._house.clock) >= self._again_s.get(key, 0.0):
                self._pictures[key] = SessionFeed(self._folders[key[0]], look, partial(self._put_picture, key), wanted)

    def _wished(self) -> dict[PictureKey, PreviewCommand]:
        """Return each wanted source with the highest rate and width wanted."""
        wished: dict[PictureKey, PreviewCommand] = {}
        for viewer in self._viewers:
            session = viewer.wants.session
            for preview in viewer.wants.previews if session in self._folders else ():
                key = str(session), preview.source
                before = wished.get(key, PreviewCommand(source=preview.source, fps=preview.fps, width=preview.width))
                fps, width = max(before.fps, preview.fps), max(before.width, preview.width)
                wished[key] = PreviewCommand(source=preview.source, fps=fps, width=width)
        return wished

    def _say_why(self, key: PictureKey, problem: str) -> None:
        for viewer in self._viewers:
            if viewer.wants.session == key[0] and any(each.source == key[1] for each in viewer.wants.previews):
                said = {"type": "preview-problem", "source": key[1], "message": problem}
                viewer.put(("problem", key), json_bytes(said).decode())

    def _put_levels(self, key: str, status: SessionStatus) -> None:
        """Send levels, and the progress on disk for the record light."""
        names = ("state", "levels_dbfs", "sounds", "media_time_s", "bytes")
        told = {"type": "levels", "session": key} | {name: getattr(status, name) for name in names}
        text = json_bytes(told).decode()
        for viewer in self._viewers:
            if viewer.wants.session == key and viewer.wants.levels:
                viewer.put("levels", text)

    def _put_picture(self, key: PictureKey, picture: bytes) -> None:
        now_s = seconds_now(self._house.clock)
        for viewer in self._viewers:
            viewer.show(key, picture, now_s)


PATH = "/api/v1/live"
LONGEST = 8 * 1024
ASKS_AT_ONCE, ASKS_PER_S = 30.0, 5.0
TOO_LONG = 1009


async def live(socket: WebSocket) -> None:
    """Serve one page. Text is JSON; a binary message is a preview's number in one byte, then a JPEG."""
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
    asks = TokenBucket(ASKS_AT_ONCE, ASKS_PER_S, seconds_now(clock))
    while socket.application_state is WebSocketState.CONNECTED:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text") or ""
        if len(text) > LONGEST:
            await socket.close(TOO_LONG)
            return
        if asks.wait_s(seconds_now(clock)):
            await socket.close(POLICY_VIOLATION, "too much is asked for")
            return
        asks.take()
        try:
            viewer.watch(msgspec.json.decode(text, type=PageSubscription))
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            told = UsageError(f"this is not understood: {quoted(str(error))}", hint="docs/api.md lists all paths")
            viewer.put("error", json_bytes(error_document(told, BAD_REQUEST)).decode())
        else:
            hub.serve()
