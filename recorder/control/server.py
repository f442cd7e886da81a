"""The control socket of a recorder: one thread that serves every client and waits for none of them.

Whatever a client does, the session does not notice: what it sends too fast stays in its socket; of statuses it does
not read in time only the newest is kept; one that falls too far behind with events, or sends what is no line, is let
go. The number of clients is bounded.
"""

import contextlib
import queue
import selectors
import threading
import traceback
from dataclasses import dataclass
from pathlib import Path

from config.errors import LiputError, UsageError
from config.events import Event
from devices.clock import Clock
from devices.host import threads
from devices.host.bucket import Bucket
from devices.host.framing import TooLong
from recorder.control.channel import Gone
from recorder.control.commands import Change, carry_out, carry_out_change, is_of_the_moment, takes_time
from recorder.control.controlled import Controlled
from recorder.control.loop import SocketLoop
from recorder.control.peer import Peer
from recorder.control.protocol import (
    LONGEST_LINE,
    AnyRequest,
    Failure,
    Note,
    Reply,
    Sealing,
    Status,
    Watch,
    decode_request,
    encode,
    refusal,
)
from recorder.control.tellings import Tellings
from recorder.eventlog import History
from recorder.status import SessionResult, SessionStatus

MOST_CLIENTS = 32
MOST_CHANGES = 8
"""How many changes may wait for the one that is being carried out; each of them is a client's place."""
CONNECTIONS_PER_S, CONNECTIONS_AT_ONCE = 100.0, 100.0
IDLE_S = 60.0
STATUS_HOLDS_S = 0.05
"""A status this young is sent again instead of asking for another, unless something has happened since."""
LINES_A_TURN = 16
"""What one client may have answered before the others have their turn."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The reply to a request that took its time."""

    peer: Peer
    line: bytes


def _too_many_changes() -> LiputError:
    return LiputError(
        "the changes that were asked for before have not been carried out yet",
        hint="the disk that the settings are on may not answer; try again",
    )


class ControlServer(SocketLoop[Peer]):
    """Serves one session at `path`. `tell` may be called before `start`; nothing is lost by that."""

    def __init__(self, path: Path, clock: Clock, *, most_clients: int = MOST_CLIENTS) -> None:
        """Listen; raises OSError."""
        super().__init__(path, clock, name="control")
        self._most_clients = most_clients
        self._tellings = Tellings()
        self._answers: queue.SimpleQueue[_Answer] = queue.SimpleQueue()  # MOST_CHANGES and one at most
        self._history = History()
        self._end: bytes | None = None
        self._everybody_knows = threading.Event()
        self._someone_knows = False
        self._may_connect = Bucket(CONNECTIONS_AT_ONCE, CONNECTIONS_PER_S, self._now_s())
        self._session: Controlled | None = None
        self._change: Change | None = None
        self._later: queue.SimpleQueue[tuple[Peer, AnyRequest] | None] = queue.SimpleQueue()
        self._status: SessionStatus | None = None
        self._status_at_s = 0.0

    def start(self, session: Controlled, change: Change | None = None) -> None:
        """Serve `session` from now on; `change` changes its destinations, on a thread of its own."""
        self._session, self._change = session, change
        if change:
            threads.start(self._carry_out_later, name="control-later")
        self._begin()

    def close(self) -> None:
        """Let go of all clients; idempotent."""
        self._later.put(None)
        super().close()

    def tell(self, what: Event | Note | Sealing) -> None:
        """Tell all who watch; returns at once, from any thread."""
        self._tellings.put(what)
        self._ring()

    def finish(self, end: SessionResult | Failure) -> None:
        """Tell how it ended; nothing comes after it."""
        self._tellings.put(end)
        self._ring()

    def wait_told(self, timeout_s: float) -> bool:
        """Wait until somebody has been told how it ended, and all who watch; at most `timeout_s` seconds."""
        return self._clock.wait(self._everybody_knows, timeout_s)

    # The thread

    def _turn(self) -> None:
        ready = self._selector.select(self._wait_s())
        self._take_in()
        for key, mask in ready:
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.data, Peer):
                self._serve(key.data, bool(mask & selectors.EVENT_READ))
        try:
            self._say_how_it_is()
        finally:
            for peer in list(self._clients):
                self._serve(peer, readable=False)
            self._note_who_knows()

    def _wait_s(self) -> float:
        """Register what each client may do now, and return in how many seconds one may do more, or is due."""
        now_s = self._now_s()
        wait_s = connect_s if (connect_s := self._may_connect.wait_s(now_s)) else IDLE_S
        self._listen_for(self._listener, 0 if connect_s else selectors.EVENT_READ)
        for peer in self._clients:
            events = selectors.EVENT_READ if peer.wants_to_be_read(now_s) else 0
            if peer.has_more(self._history, self._end):
                events |= selectors.EVENT_WRITE
            self._listen_for(peer, events)
            if (answer_s := peer.answerable_in_s(now_s)) is not None:
                wait_s = min(wait_s, answer_s)
            if peer.is_watching and self._end is None:
                wait_s = min(wait_s, peer.status_due_s - now_s)
        return max(0.0, wait_s)

    def _take_in(self) -> None:
        """Take in what the session has told, and what has been carried out."""
        self._rung()
        if taken := self._tellings.take():
            self._status = None  # it may be another now
        self._history.pass_over(taken.missing)
        for line in taken.happened:
            self._history.add(line)
        if taken.sealing is not None:
            for peer in self._clients:
                peer.put_newest("sealing", taken.sealing)
        self._end = taken.end or self._end
        with contextlib.suppress(queue.Empty):
            while True:
                answer = self._answers.get_nowait()
                self._status = None
                answer.peer.awaits_reply = False
                answer.peer.reply(answer.line)

    def _accept(self) -> None:
        connection = self._connection()
        if connection is None:
            return
        self._may_connect.take()
        peer = Peer(connection, self._now_s())
        if len(self._clients) < self._most_clients:
            self._clients.add(peer)
            return
        full = Failure(message=f"{len(self._clients)} clients are connected already", hint="close one of them")
        peer.reply(encode(full))
        with contextlib.suppress(Gone):
            peer.send(self._history, None)
        peer.close()

    def _serve(self, peer: Peer, readable: bool) -> None:  # noqa: FBT001 - which of two
        """Do all that one client can have done now; whatever is wrong with it, it alone is let go."""
        if peer not in self._clients:
            return
        try:
            if readable:
                peer.receive()
            self._answer(peer)
            if peer.has_more(self._history, self._end):
                peer.send(self._history, self._end)
            is_over = peer.is_behind(self._history) or peer.is_done(self._history, self._end)
        except Gone:
            is_over = True
        except Exception:
            traceback.print_exc()
            is_over = True
        if is_over:
            self._drop(peer)

    def _answer(self, peer: Peer) -> None:
        try:
            for _ in range(LINES_A_TURN):
                line = peer.next_line(self._now_s())
                if line is None:
                    return
                self._reply(peer, line)
        except TooLong:
            too_long = UsageError(f"a line is longer than {LONGEST_LINE} bytes", hint="send one command a line")
            peer.reply(encode(Reply(id=None, ok=False, error=refusal(too_long))))
            peer.send(self._history, self._end)
            raise Gone from None

    def _reply(self, peer: Peer, line: bytes) -> None:
        try:
            request = decode_request(line)
        except LiputError as error:
            peer.reply(encode(Reply(id=None, ok=False, error=refusal(error))))
            return
        if peer.has_gone and is_of_the_moment(request):
            return
        if self._change and takes_time(request):
            if self._later.qsize() < MOST_CHANGES:
                peer.awaits_reply = True
                self._later.put((peer, request))
            else:
                peer.reply(encode(Reply(id=request.id, ok=False, error=refusal(_too_many_changes()))))
            return
        if isinstance(request, Watch):
            self._watch(peer, request)
        peer.reply(self._answer_to(request))
        if not isinstance(request, Status | Watch):
            self._status = None

    def _answer_to(self, request: AnyRequest) -> bytes:
        try:
            if takes_time(request):
                return encode(carry_out_change(request, self._served, self._change))
            return encode(carry_out(request, self._served, self._status_now))
        except Exception as error:
            if not isinstance(error, LiputError):
                traceback.print_exc()
            return encode(Reply(id=request.id, ok=False, error=refusal(error)))

    def _carry_out_later(self) -> None:
        """Answer what may wait for a disk, one after the other."""
        while (item := self._later.get()) is not None:
            peer, request = item
            self._answers.put(_Answer(peer, self._answer_to(request)))
            self._ring()

    def _watch(self, peer: Peer, request: Watch) -> None:
        first, end = self._history.first, self._history.end
        start = end if request.events_from is None else max(first, min(request.events_from, end))
        peer.watch(request.every_s, start, self._now_s())

    def _drop(self, client: Peer) -> None:
        self._someone_knows = self._someone_knows or client.knows_the_end
        super()._drop(client)

    # How it is, and how it ended

    @property
    def _served(self) -> Controlled:
        if self._session is None:
            raise RuntimeError("not started")
        return self._session

    def _status_now(self) -> SessionStatus:
        now_s = self._now_s()
        if self._status is None or now_s - self._status_at_s > STATUS_HOLDS_S:
            self._status = self._served.status()
            self._status_at_s = now_s
        return self._status

    def _say_how_it_is(self) -> None:
        now_s = self._now_s()
        due = [peer for peer in self._clients if peer.every_s is not None and peer.status_due_s <= now_s]
        if not due or self._end is not None:
            return
        for peer in due:
            peer.status_due_s = now_s + (peer.every_s or 0.0)
        line = encode(self._status_now())
        for peer in due:
            peer.put_newest("status", line)

    def _note_who_knows(self) -> None:
        if self._end is None:
            return
        watching = [peer for peer in self._clients if peer.is_watching]
        if self._someone_knows or watching:
            self._someone_knows = self._someone_knows or any(peer.knows_the_end for peer in watching)
            if self._someone_knows and all(peer.knows_the_end for peer in watching):
                self._everybody_knows.set()
