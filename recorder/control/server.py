"""The control socket of a recorder: one thread serves all clients and waits for none.

Commands above the rate stay in the client's socket. Of unsent statuses only the newest is kept. A client is dropped if
it falls too far behind with events, or sends no line. The number of clients is bounded.
"""

import contextlib
import queue
import selectors
import socket
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from config.errors import LiputError, SessionError, UsageError
from config.events import Event, encode_event
from devices.host import threads
from devices.host.clock import Clock
from devices.host.framing import FrameTooLong
from devices.host.throttle import TokenBucket
from recorder.control.socket_loop import ClientChannel, SocketLoop
from recorder.model.eventlog import LineBuffer
from recorder.model.status import STATES_AFTER, STATES_BEFORE, SessionResult, SessionStatus
from recorder.running.protocol import (
    LONGEST_LINE,
    AddDestinationCommand,
    AnyRequest,
    CommandReply,
    DestinationChange,
    DisarmCommand,
    EndCommand,
    LayoutCommand,
    MarkCommand,
    MuteCommand,
    RecorderFailure,
    RecorderNote,
    RemoveDestinationCommand,
    RestartDestinationCommand,
    SealingProgress,
    StartCommand,
    StatusCommand,
    StopCommand,
    TitleCommand,
    WatchCommand,
    decode_request,
    encode,
    to_refusal,
)

if TYPE_CHECKING:
    from recorder.session.session import Session

type DestinationChanger = Callable[[DestinationChange], str]
"""Changes destinations; returns a note for people. May block on a disk."""

COMMANDS_PER_S, COMMANDS_AT_ONCE = 20.0, 50.0  # of one client; more wait in its socket
CHUNK = 64 * 1024
UNREAD_REPLIES = 64 * 1024  # with so many bytes of unread replies, a client's commands are not read
MOST_CLIENTS = 32
MOST_CHANGES = 8  # most changes that wait; further ones are refused
CONNECTIONS_PER_S, CONNECTIONS_AT_ONCE = 100.0, 100.0
IDLE_S = 60.0
STATUS_HOLDS_S = 0.05  # a status of this age is sent again, unless events followed it
LINES_A_TURN = 16  # commands of one client in a turn, before others are served


class ClientConnection(ClientChannel):
    """A client of the control socket: nothing blocks, all queues are bounded. Times are monotonic seconds."""

    def __init__(self, connection: socket.socket, now_s: float) -> None:
        super().__init__(connection, LONGEST_LINE)
        self._replies = bytearray()
        self._newest: dict[str, bytes] = {}
        self._commands = TokenBucket(COMMANDS_AT_ONCE, COMMANDS_PER_S, now_s)
        self._has_hung_up = False  # end of input
        self._has_the_end = False
        self.every_s: float | None = None  # interval of its status, None unless it watches
        self.status_due_s = now_s
        self._next_event = 0
        self.awaits_reply = False  # whether a command is pending; the next is answered after it

    def may_read(self, now_s: float) -> bool:
        return not self._has_hung_up and not self._has_line and self._may_send_command(now_s)

    def answer_due_in_s(self, now_s: float) -> float | None:
        """Return the seconds until its next command may be answered, None until the client acts."""
        if len(self._replies) >= UNREAD_REPLIES or self.awaits_reply:
            return None
        wait_s = self._commands.wait_s(now_s)
        return wait_s if wait_s or self._has_line else None

    @property
    def _has_line(self) -> bool:
        return self._received.has_line or (self._has_hung_up and bool(len(self._received)))

    def _may_send_command(self, now_s: float) -> bool:
        has_room = len(self._replies) < UNREAD_REPLIES and not self.awaits_reply
        return has_room and not self._commands.wait_s(now_s)

    def receive(self) -> None:
        """Read the socket. Raises ConnectionError."""
        received = self._receive(CHUNK)
        if received is not None:
            self._received.add(received)
            self._has_hung_up = not received

    def next_line(self, now_s: float) -> bytes | None:
        """Return the next line to answer now, None without one. Raises FrameTooLong."""
        if not self._may_send_command(now_s):
            return None
        line = self._received.line()
        if line is None and self._has_hung_up:  # a client that hung up may leave a last line without an end
            line = self._received.rest() or None
        if line is not None:
            self._commands.take()
        return line

    def watch(self, every_s: float, events_from: int, now_s: float) -> None:
        """Send a status every `every_s` seconds, and events from that number on."""
        self.every_s = every_s
        self.status_due_s = now_s + every_s
        self._next_event = events_from

    @property
    def is_watching(self) -> bool:
        """Whether it receives events."""
        return self.every_s is not None

    @property
    def has_the_end(self) -> bool:
        """Whether the session's last line has been sent to it."""
        return self._has_the_end and not self._sending

    def reply(self, line: bytes) -> None:
        """Queue a reply. It is bounded: a client that does not read is not read."""
        self._replies += line

    def put_newest(self, kind: str, line: bytes) -> None:
        """Replace the unsent line of this kind."""
        self._newest[kind] = line

    def is_behind(self, history: LineBuffer) -> bool:
        """Whether events it has not received are dropped from the history."""
        return self.is_watching and self._next_event < history.dropped

    def has_more(self, history: LineBuffer, end: bytes | None) -> bool:
        """Whether anything waits to be sent; `end` is the session's last line, None before."""
        if self._sending or self._replies:
            return True
        tells_the_end = end is not None and not self._has_the_end
        return self.is_watching and (bool(self._newest) or self._next_event < history.end or tells_the_end)

    def is_done(self, history: LineBuffer, end: bytes | None) -> bool:
        """Whether the client hung up and has received all replies."""
        hung_up = self._has_hung_up and not len(self._received)
        return hung_up and not self.awaits_reply and not self.is_watching and not self.has_more(history, end)

    def send(self, history: LineBuffer, end: bytes | None) -> None:
        """Send without blocking. Raises ConnectionError."""
        if not self._sending:
            self._sending = memoryview(self._next_chunk(history, end))
        self._send()

    def _next_chunk(self, history: LineBuffer, end: bytes | None) -> bytes:
        """Return the next bytes: replies, then events, status and the last line."""
        if self._replies:
            chunk, self._replies = bytes(self._replies), bytearray()
            return chunk
        if not self.is_watching:
            return b""
        chunk, after, missing = history.batch(self._next_event, history.end, CHUNK)
        if missing:
            return b""  # it is behind, and ends
        self._next_event = after
        if not chunk and self._newest:
            chunk = b"".join(self._newest.values())
            self._newest.clear()
        if not chunk and end is not None and not self._has_the_end:
            chunk, self._has_the_end = end, True
        return chunk


class ControlServer(SocketLoop[ClientConnection]):
    """Serves one session at `path`. `tell` may be called before `start`."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Listen. Raises OSError."""
        super().__init__(
            path, clock, ClientConnection, name="control", most=MOST_CLIENTS, full="clients are connected already"
        )
        self._answers: queue.SimpleQueue[tuple[ClientConnection, bytes]] = queue.SimpleQueue()
        """Replies to changes: MOST_CHANGES and one at most."""
        self._history = LineBuffer()
        self._telling = threading.Lock()
        self._sealing: bytes | None = None  # newest progress of sealing, until it is queued
        self._has_news = False
        self._end: bytes | None = None
        self._all_clients_know = threading.Event()
        self._some_client_knows = False
        self._may_connect = TokenBucket(CONNECTIONS_AT_ONCE, CONNECTIONS_PER_S, self._now_s())
        self._session: Session  # set by `start`
        self._change: DestinationChanger
        self._changes: queue.SimpleQueue[tuple[ClientConnection, AnyRequest] | None] = queue.SimpleQueue()
        self._status: SessionStatus | None = None
        self._status_at_s = 0.0

    def start(self, session: "Session", change: DestinationChanger) -> None:
        """Start serving; `change` changes destinations, on a thread of its own."""
        self._session, self._change = session, change
        threads.start_thread(self._run_changes, name="control-later")
        self._begin()

    def close(self) -> None:
        """Drop all clients; idempotent."""
        self._changes.put(None)
        super().close()

    def tell(self, what: Event | RecorderNote | SealingProgress) -> None:
        """Send a line to all watching clients; thread-safe, never blocks."""
        try:
            line = encode(what)
        except (TypeError, ValueError, OverflowError):
            if not isinstance(what, Event):
                raise
            line = encode_event(what)
        if isinstance(what, SealingProgress):
            with self._telling:
                self._sealing = line
        else:
            self._history.add(line)
        self._has_news = True
        self._wake_up()

    def finish(self, end: SessionResult | RecorderFailure) -> None:
        """Send the session's last line; nothing follows it."""
        self._end = encode(end)
        self._has_news = True
        self._wake_up()

    def wait_told(self, timeout_s: float) -> bool:
        """Wait until some client and all watching ones know the end; return whether, within `timeout_s`."""
        return self._clock.wait(self._all_clients_know, timeout_s)

    def _turn(self) -> None:
        ready = self._selector.select(self._wait_s())
        self._take_news()
        for key, mask in ready:
            if key.fileobj is self._listener:
                self._may_connect.take()
                self._accept()
            elif isinstance(key.data, ClientConnection):
                self._serve(key.data, bool(mask & selectors.EVENT_READ))
        try:
            self._send_statuses()
        finally:
            for peer in list(self._clients):
                self._serve(peer, readable=False)
            self._check_end_known()

    def _wait_s(self) -> float:
        """Register the clients' sockets; return the seconds until the next deadline."""
        now_s = self._now_s()
        wait_s = connect_s if (connect_s := self._may_connect.wait_s(now_s)) else IDLE_S
        self._listen_for(self._listener, 0 if connect_s else selectors.EVENT_READ)
        for peer in self._clients:
            events = selectors.EVENT_READ if peer.may_read(now_s) else 0
            if peer.has_more(self._history, self._end):
                events |= selectors.EVENT_WRITE
            self._listen_for(peer, events)
            if (answer_s := peer.answer_due_in_s(now_s)) is not None:
                wait_s = min(wait_s, answer_s)
            if peer.is_watching and self._end is None:
                wait_s = min(wait_s, peer.status_due_s - now_s)
        return max(0.0, wait_s)

    def _take_news(self) -> None:
        self._clear_wake()
        if self._has_news:
            self._has_news = False
            self._status = None  # it may have changed
        with self._telling:
            sealing, self._sealing = self._sealing, None
        if sealing is not None:
            for peer in self._clients:
                peer.put_newest("sealing", sealing)
        with contextlib.suppress(queue.Empty):
            while True:
                peer, reply = self._answers.get_nowait()
                self._status = None
                peer.awaits_reply = False
                peer.reply(reply)

    def _serve(self, peer: ClientConnection, readable: bool) -> None:  # noqa: FBT001 - which of two
        """Read, answer and send for one client; an error drops this client alone."""
        if peer not in self._clients:
            return
        try:
            if readable:
                peer.receive()
            self._answer(peer)
            if peer.has_more(self._history, self._end):
                peer.send(self._history, self._end)
            is_over = peer.is_behind(self._history) or peer.is_done(self._history, self._end)
        except ConnectionError:
            is_over = True
        except Exception:
            traceback.print_exc()
            is_over = True
        if is_over:
            self._drop(peer)

    def _answer(self, peer: ClientConnection) -> None:
        try:
            for _ in range(LINES_A_TURN):
                line = peer.next_line(self._now_s())
                if line is None:
                    return
                self._reply(peer, line)
        except FrameTooLong:
            too_long = UsageError(f"a line is longer than {LONGEST_LINE} bytes", hint="send one command a line")
            peer.reply(encode(CommandReply(id=None, ok=False, error=to_refusal(too_long))))
            peer.send(self._history, self._end)
            raise ConnectionResetError from None

    def _reply(self, peer: ClientConnection, line: bytes) -> None:
        try:
            request = decode_request(line)
        except LiputError as error:
            peer.reply(encode(CommandReply(id=None, ok=False, error=to_refusal(error))))
            return
        if peer.has_gone and isinstance(request, MarkCommand | MuteCommand | LayoutCommand | TitleCommand | EndCommand):
            return  # its client gave up on it and was told so
        if isinstance(request, AddDestinationCommand | RemoveDestinationCommand | RestartDestinationCommand):
            if self._changes.qsize() < MOST_CHANGES:
                peer.awaits_reply = True
                self._changes.put((peer, request))
            else:
                busy = LiputError(
                    "earlier changes are still in progress", hint="the disk of the settings may not answer; try again"
                )
                peer.reply(encode(CommandReply(id=request.id, ok=False, error=to_refusal(busy))))
            return
        if isinstance(request, WatchCommand):
            self._watch(peer, request)
        peer.reply(self._answer_to(request))
        if not isinstance(request, StatusCommand | WatchCommand):
            self._status = None

    def _answer_to(self, request: AnyRequest) -> bytes:
        try:
            return encode(self._carry_out(request))
        except Exception as error:
            if not isinstance(error, LiputError):
                traceback.print_exc()
            return encode(CommandReply(id=request.id, ok=False, error=to_refusal(error)))

    def _carry_out(self, request: AnyRequest) -> CommandReply:
        self._refuse_by_state(request)
        mark, shown, note = None, None, ""
        match request:
            case StartCommand():
                self._session.start(request.pre_roll_s)
            case StopCommand() | DisarmCommand():
                self._session.stop()
            case MarkCommand():
                mark = self._session.mark(request.text)
            case MuteCommand():
                self._session.mute(request.name, on=request.on)
            case TitleCommand():
                self._session.rename(request.title)
            case EndCommand():
                self._session.end_in(request.ends_in_s)
            case LayoutCommand():
                self._session.layout(request.name)
            case StatusCommand():
                shown = self._status_now()
            case AddDestinationCommand() | RemoveDestinationCommand() | RestartDestinationCommand():
                note = self._change(request)
        return CommandReply(id=request.id, ok=True, status=shown, mark=mark, note=note)

    def _refuse_by_state(self, request: AnyRequest) -> None:
        if isinstance(request, StartCommand | StopCommand | StatusCommand | WatchCommand):
            return
        state = self._session.status().state
        if isinstance(request, DisarmCommand) and state not in STATES_BEFORE:
            raise SessionError(
                f"the session is {state}, not armed", hint="liput stop ends the recording", why="recording"
            )
        if state in STATES_AFTER:
            hint = "liput record begins another one"
            raise SessionError(f"the session is {state}: its recording has ended", hint=hint, why="ended")

    def _run_changes(self) -> None:
        """Carry out changes, which may block on a disk, one by one."""
        while (item := self._changes.get()) is not None:
            peer, request = item
            self._answers.put((peer, self._answer_to(request)))
            self._wake_up()

    def _watch(self, peer: ClientConnection, request: WatchCommand) -> None:
        first, end = self._history.dropped, self._history.end
        start = end if request.events_from is None else max(first, min(request.events_from, end))
        peer.watch(request.every_s, start, self._now_s())

    def _drop(self, client: ClientConnection) -> None:
        self._some_client_knows = self._some_client_knows or client.has_the_end
        super()._drop(client)

    def _status_now(self) -> SessionStatus:
        now_s = self._now_s()
        if self._status is None or now_s - self._status_at_s > STATUS_HOLDS_S:
            self._status = self._session.status()
            self._status_at_s = now_s
        return self._status

    def _send_statuses(self) -> None:
        now_s = self._now_s()
        due = [peer for peer in self._clients if peer.every_s is not None and peer.status_due_s <= now_s]
        if not due or self._end is not None:
            return
        for peer in due:
            peer.status_due_s = now_s + (peer.every_s or 0.0)
        line = encode(self._status_now())
        for peer in due:
            peer.put_newest("status", line)

    def _check_end_known(self) -> None:
        if self._end is None:
            return
        watching = [peer for peer in self._clients if peer.is_watching]
        if self._some_client_knows or watching:
            self._some_client_knows = self._some_client_knows or any(peer.has_the_end for peer in watching)
            if self._some_client_knows and all(peer.has_the_end for peer in watching):
                self._all_clients_know.set()
