"""A recorder: runs one session, with its runtime folder, device claims, control socket and preview socket."""

import contextlib
import os
import queue
import threading
import traceback
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec

from config.errors import DeviceError, LiputError, SecretError, SessionError, StorageError
from config.events import Emit, Event
from config.settings.schema import load_settings
from devices.host import threads
from devices.host.clock import NANOSECONDS, Clock
from devices.host.heap import garbage_collector
from devices.host.priority import NICE, OOM_SCORE, REALTIME, ProcessPriority
from devices.host.sleep_inhibitor import SleepInhibitor
from recorder.archive.archive import work_folder
from recorder.control.destination_changes import change_destinations
from recorder.control.preview_server import PreviewServer
from recorder.control.server import ControlServer
from recorder.control.spec import Handshake, RecorderSpec, encode_spec_for_disk, redirect_output, rotate_log
from recorder.model.names import utf8_safe
from recorder.model.status import SessionResult
from recorder.program.scene import PROGRAM
from recorder.running import runtime_directory
from recorder.running.protocol import (
    SOUND,
    RecorderFailure,
    RecorderNote,
    RecorderReady,
    SealingProgress,
    encode,
    to_failure,
)
from recorder.running.runtime_directory import DeviceClaims, RecorderFolder, SessionClaim
from recorder.session.hooks import SessionHook
from recorder.session.planning import PreparedSession
from recorder.session.session import Session

type MainThreadInbox = queue.SimpleQueue[Literal["end", "over"]]
"""Tells the main thread to end the session ("end"), or that it has ended ("over").

A signal handler puts an item only into an empty queue.
"""

NAME = "Liput"
PRIORITY_HINT = "docs/guide-it.md#priority says how IT grants it"
LOOK_S = 1.0
LINGER_S = 5.0  # longest wait for a client to read the session's result


class Recorder(contextlib.AbstractContextManager["Recorder"]):
    """Runs a planned session; a context manager that leaves nothing in the runtime directory."""

    def __init__(self, planned: PreparedSession, spec: RecorderSpec, clock: Clock) -> None:
        """Claim devices, open sockets. Raises StorageError, and DeviceError for another session's device."""
        self._planned = planned
        self._spec = msgspec.structs.replace(spec, asked=planned.again)
        self._spec_lock = threading.Lock()
        self._clock = clock
        info = runtime_directory.new_recorder_info(planned.plan.title, planned.plan.archives[0].root, clock.now())
        self._info = msgspec.structs.replace(info, replaces=spec.replaces, practice=spec.asked.practice)
        claim = SessionClaim(id=self._info.id, title=self._info.title, pid=self._info.pid)
        self._claims = DeviceClaims(claim)
        self._claim(planned)
        self._folder = runtime_directory.make_recorder_folder(
            self._info, encode_spec_for_disk(self._spec), is_preview=bool(spec.preview)
        )
        try:
            redirect_output(self._folder.log)
            self._server = ControlServer(self._folder.control, clock)
            shown = [PROGRAM, *(picture.name for picture in planned.plan.pictures)]
            channels = planned.plan.profile.audio_channels
            self._preview_server = PreviewServer(self._folder.preview, [*shown, SOUND], clock, channels)
        except OSError as error:
            self._folder.remove()
            raise StorageError(
                f"{self._folder.path} cannot be used: {error.strerror}",
                hint="LIPUT_RUNTIME names another folder",
                why="unwritable",
            ) from None
        self._inbox: MainThreadInbox = queue.SimpleQueue()
        self._last_line = encode(to_failure(SessionError("the recorder ended before its session began")))

    def _claim(self, planned: PreparedSession) -> None:
        """Claim the devices; an optional device of another session counts as missing."""
        devices = {device.id: device.name for device in planned.plan.context.devices}
        optional = {device: one for device, one in planned.supervisions.items() if one.may_miss}
        self._claims.take([(device, name) for device, name in devices.items() if device not in optional])
        for device, supervision in optional.items():
            try:
                self._claims.take([(device, devices[device])])
            except DeviceError as error:
                supervision.missing = error

    def __exit__(self, *exc: object) -> None:
        self._preview_server.close()
        self._server.close()
        self._claims.release()
        self._folder.end(self._last_line)

    def run(self, handshake: Handshake, inbox: MainThreadInbox, standing: ProcessPriority | None = None) -> None:
        """Run the session until it ends and a client knows it; `inbox` may end it. Blocks. `standing`: our priority."""
        self._inbox = inbox
        listening = SessionHook()
        listening.bus = self._preview_server.listen
        self._planned.plan.hooks.add(listening)
        session = Session(
            self._planned.plan,
            clock=self._clock,
            listener=self._on_event,
            progress=self._on_progress,
            offer=self._preview_server.offer,
        )
        lost = SecretError("its address was given once, and is kept nowhere")
        for name, error in (dict.fromkeys(self._spec.unsaved, lost) | dict(self._planned.left_out)).items():
            hint = "; ".join(filter(None, (error.hint, "liput destination add adds it then")))
            session.emit("destination-forgotten", name, f"{name} is not streamed to: {error.message}", hint=hint)
        for name, why in self._planned.unknown.items():
            hint = "liput config show lists the known names; liput schedule edit changes a planned session"
            session.emit("wish-unknown", name, f"The settings' value is used instead: {why}", hint=hint)
        if standing:
            report_priority(session.emit, standing)
        if not self._spec.arm_only:
            session.start()
        change = partial(
            change_destinations,
            destinations=session.destinations,
            settings=lambda: load_settings(self._spec.settings),
            remember=self._change_spec,
            is_live=self._planned.plan.live,
        )
        self._server.start(session, change)
        self._preview_server.start()
        for note in self._planned.notes:
            self._server.tell(RecorderNote(text=note))
        handshake.say(RecorderReady(id=self._folder.id, folder=str(self._folder.path), notes=list(self._planned.notes)))
        try:
            with threads.report_broken_threads(session.emit):
                self._carry_out(session)
        finally:
            self._claims.release()
            if not self._spec.preview:
                self._server.wait_told(LINGER_S)

    def _carry_out(self, session: Session) -> None:
        thread = threads.start_thread(self._run_session, session.run, name="session", daemon=False)
        try:
            with ExitStack() as stack:
                if not self._spec.preview:
                    why = f"{self._info.title}: a session is armed or recorded"
                    stack.enter_context(SleepInhibitor(NAME, why, self._tell_people))
                self._until_over(session)
        except BaseException:  # nobody could end the session any more
            session.stop()
            raise
        finally:
            thread.join()

    def _until_over(self, session: Session) -> None:
        collect = garbage_collector(self._clock)
        while True:
            try:
                asked = self._inbox.get(timeout=LOOK_S)
            except queue.Empty:
                rotate_log(self._folder.log)
                self._folder.beat()
                if self._spec.preview and os.getppid() != self._spec.preview:
                    session.stop()
            else:
                if asked == "over":
                    return
                session.stop()
            try:
                collect()
            except Exception:  # even MemoryError: the recording goes first
                traceback.print_exc()

    def _tell_people(self, sentence: str) -> None:
        self._server.tell(RecorderNote(text=utf8_safe(sentence)))

    def _run_session(self, run: Callable[[], SessionResult]) -> None:
        try:
            self._finish(run())
        except BaseException as error:
            self._finish(to_failure(error))
            if not isinstance(error, LiputError):
                traceback.print_exc()  # reported: the thread is not broken
        finally:
            self._inbox.put("over")

    def _finish(self, end: SessionResult | RecorderFailure) -> None:
        self._last_line = encode(end)
        self._server.finish(end)

    def _on_event(self, event: Event) -> None:
        if event.kind == "session-live":
            at_ns = event.detail["clock_ns"]
            self._update_info(
                work=str(event.detail["folder"]), live_at=self._live_at(event), live_clock_ns=at_ns or None
            )
        elif event.kind == "storage-switched" and self._info.session and isinstance(event.detail["part"], int):
            self._update_info(work=str(work_folder(Path(event.subject), self._info.session, event.detail["part"])))
        elif event.kind == "title-changed":
            self._update_info(title=event.subject)
            self._remember(title=event.subject)
        elif event.kind == "end-moved":
            self._remember(duration_s=event.detail["duration_s"])
        elif event.kind == "layout-changed":
            self._remember(layout=event.subject)
        elif event.kind in {"sound-muted", "sound-unmuted"} and isinstance(muted := event.detail["muted"], list):
            self._remember(muted=tuple(muted))
        if event.kind in {"session-live", "session-armed"} and self._spec.replaces:
            # Until now that session could be resumed from its recorder's folder.
            RecorderFolder(self._folder.path.with_name(self._spec.replaces)).remove()
        self._server.tell(event)

    def _live_at(self, event: Event) -> datetime:
        """Return the wall-clock time of media time 0; with pre-roll, before the start."""
        clock_ns = event.detail["clock_ns"]
        ago_ns = self._clock.now_ns() - clock_ns if isinstance(clock_ns, int) and clock_ns else 0
        return self._clock.now() - timedelta(seconds=ago_ns / NANOSECONDS)

    def _update_info(self, **facts: object) -> None:
        """Update recorder.json for a recorder that resumes the session."""
        with self._spec_lock, contextlib.suppress(OSError):  # the recording goes on without it
            self._info = msgspec.structs.replace(self._info, **facts)
            self._folder.write_info(self._info)

    def _remember(self, **asked: object) -> None:
        self._change_spec(
            lambda spec: msgspec.structs.replace(spec, asked=msgspec.structs.replace(spec.asked, **asked))
        )

    def _change_spec(self, change: Callable[[RecorderSpec], RecorderSpec]) -> RecorderSpec:
        """Change the specification, on disk too, for a recorder that resumes the session."""
        with self._spec_lock:
            before, self._spec = self._spec, change(self._spec)
            if self._spec != before:
                with contextlib.suppress(OSError):
                    self._folder.write_spec(encode_spec_for_disk(self._spec))
            return self._spec

    def _on_progress(self, done: int, total: int) -> None:
        # All devices are closed: another session may open them during sealing.
        self._claims.release()
        self._server.tell(SealingProgress(done=done, total=total))


def report_priority(emit: Emit, standing: ProcessPriority) -> None:
    """Report the requested and the granted priority."""
    is_first, is_realtime = standing.nice <= NICE, standing.realtime >= REALTIME
    picture = "before other programs" if is_first else "as other programs" if standing.nice <= 0 else "after others"
    sound = ", sound before everything" if is_realtime else ""
    emit(
        "priority-granted",
        "recorder",
        f"The recorder runs {picture} (nice {standing.nice}){sound}",
        asked={"nice": NICE, "realtime": REALTIME, "oom_score_adj": OOM_SCORE},
        **msgspec.structs.asdict(standing),
        **({} if is_first and is_realtime else {"hint": PRIORITY_HINT}),
    )
