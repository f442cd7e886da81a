"""Shows a running session: a live line on a terminal, plain lines elsewhere, JSON for programs."""

import contextlib
import select
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Self

import msgspec

from agent.terminal.signals_and_keys import LONGEST_WAIT_S
from agent.terminal.terminal import can_redraw
from config.events import Event
from config.settings.quantities import brief_rate, brief_size, clock_text
from devices.model.device import HealthState
from recorder.model.names import utf8_safe
from recorder.model.session_faults import HARMLESS_KINDS, WARNING_KINDS
from recorder.model.status import (
    STATES_BEFORE,
    DestinationLine,
    NamedCpu,
    SessionResult,
    SessionState,
    SessionStatus,
    StageFigures,
)
from recorder.running.client import ControlClient
from recorder.running.protocol import (
    RecorderFailure,
    RecorderMessage,
    RecorderNote,
    RecorderRefused,
    SealingProgress,
    WatchCommand,
)
from recorder.running.runtime_directory import RecorderFolder

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

LEAST_CPU_S = 0.05  # threads with less time share a row


def stages_text(event: Event) -> str:
    """Return the table of a `cpu-measured` event; "" for an interim one, which says less."""
    if event.kind != "cpu-measured" or event.detail.get("until") == "recorded":
        return ""
    try:
        figures = msgspec.convert(event.detail, StageFigures)
    except msgspec.ValidationError:  # from a recorder of another version
        return ""
    tables = {"stage": list(figures.stages.items()), "thread": _rows(figures.threads)}
    tables |= {"process": _rows(figures.processes)} if figures.processes else {}
    total = (
        f"{_share(figures.cpu_s, figures)} of a core: {figures.cpu_s:.1f} s of processor time in "
        f"{figures.wall_s:.0f} s, {figures.children_s:.1f} s of it in child processes."
    )
    return "\n".join([total, *(line for what, rows in tables.items() for line in _table(what, rows, figures))])


def _share(cpu_s: float, figures: StageFigures) -> str:
    return f"{cpu_s / max(figures.wall_s, 0.001):.1%}"


def _rows(taken: tuple[NamedCpu, ...]) -> list[tuple[str, float]]:
    rows = [(f"{one.name} ({one.count})" if one.count > 1 else one.name, one.cpu_s) for one in taken]
    small = [cpu_s for _, cpu_s in rows if cpu_s < LEAST_CPU_S]
    rest = [(f"{len(small)} others", sum(small))] if small else []
    return [row for row in rows if row[1] >= LEAST_CPU_S] + rest


def _table(what: str, rows: list[tuple[str, float]], figures: StageFigures) -> Iterator[str]:
    width = max(len(what), *(len(name) for name, _ in rows)) if rows else len(what)
    yield f"  {what:{width}}{'CPU':>10}  of a core"
    for name, cpu_s in rows:
        yield f"  {name:{width}}  {cpu_s:6.2f} s  {_share(cpu_s, figures):>9}"


LIVE_EVERY_S, PLAIN_EVERY_S = 0.25, 10.0
HIDDEN_KINDS = frozenset({"priority-granted"})
"""Kinds of events for programs and the log only; `liput check` tells people."""


type SessionMessage = SessionStatus | Event | RecorderNote | SealingProgress | SessionResult


class Reporter(contextlib.AbstractContextManager["Reporter"]):
    """Writes JSON lines to standard output and sentences to standard error. A closed reader ends nothing."""

    every_s = 0.5  # interval of status lines

    def __exit__(self, *_error: object) -> None: ...

    def note(self, sentence: str) -> None:
        """Show a sentence that is no event, such as a choice or the meaning of a key."""
        self.show(RecorderNote(text=sentence))

    def show(self, told: SessionMessage) -> None:
        """Show a status, an event or the end; output errors are ignored."""
        with contextlib.suppress(Exception):
            self._show(told)

    def _show(self, told: SessionMessage) -> None:
        if isinstance(told, RecorderNote):
            print(told.text, file=sys.stderr, flush=True)
        elif not isinstance(told, SealingProgress):  # the status lines have the state
            line = storable_result(told) if isinstance(told, SessionResult) else told
            sys.stdout.buffer.write(msgspec.json.encode(line) + b"\n")
            sys.stdout.buffer.flush()


class TextReporter(Reporter):
    """Lines for people; with `live`, on a terminal, the status stays at the bottom and events scroll above it."""

    def __init__(self, live: "Live | None" = None) -> None:
        self.every_s = LIVE_EVERY_S if live else PLAIN_EVERY_S
        self._live = live

    def __enter__(self) -> Self:
        if self._live:
            with contextlib.suppress(Exception):
                self._live.start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._live:
            with contextlib.suppress(Exception):
                self._live.stop()

    def _show(self, told: SessionMessage) -> None:
        if isinstance(told, RecorderNote):
            self._write(told.text)
        elif isinstance(told, SessionStatus):
            if self._live:
                self._live.update(_coloured(told), refresh=True)
            else:
                self._write(status_text(told))
        elif isinstance(told, SealingProgress):
            if self._live:
                share = f"{told.done / max(1, told.total):.0%} of {brief_size(told.total)}"
                self._live.update(f"SEALING  {share}", refresh=True)
        elif isinstance(told, SessionResult):
            if self._live:
                self._live.update("", refresh=True)
                self._live.stop()
            self._write(result_text(told))
        elif told.kind not in HIDDEN_KINDS:
            mark = "" if told.kind in HARMLESS_KINDS - WARNING_KINDS else "! "
            self._write(f"{told.at:%H:%M:%S}  {mark}{told.message}")
            if table := stages_text(told):
                self._write(table)

    def _write(self, text: str) -> None:
        if self._live:
            self._live.console.print(text, soft_wrap=True)
        else:
            print(text, flush=True)


def _coloured(status: SessionStatus) -> "Text":
    from rich.text import Text

    state = status.state.upper()
    colours = {SessionState.LIVE: "bold white on red", SessionState.DEGRADED: "bold black on yellow"}
    return Text.assemble((state, colours.get(status.state, "bold")), status_text(status).removeprefix(state))


def reporter(*, as_json: bool) -> Reporter:
    if as_json:
        return Reporter()
    if not can_redraw():
        return TextReporter()
    from rich.live import Live

    from agent.terminal.console import Console

    return TextReporter(Live(console=Console(), auto_refresh=False, transient=True))


def status_text(status: SessionStatus) -> str:
    """Return a status as one line; the amount on disk stands first."""
    recorded = [clock_text(status.elapsed_s), f"on disk {clock_text(status.media_time_s)} {brief_size(status.bytes)}"]
    if status.state is SessionState.ARMED:
        recorded = [f"keeps {duration_text(status.pre_roll_s)}"]
    parts = [
        status.state.upper(),
        *recorded,
        f"{status.fps:.1f} fps",
        f"dropped {status.dropped}",
        f"repeated {status.repeated}",
    ]
    if status.load and status.load.steps:
        parts.append(f"PC TOO SLOW ({', '.join(status.load.steps)})")
    if status.levels_dbfs:
        parts.append("sound " + " ".join(f"{level:.0f}" for level in status.levels_dbfs) + " dBFS")
    if (loudness := status.loudness.short_term_lufs) is not None:
        parts.append(f"{loudness:.0f} LUFS")
    parts += [f"{line.name} MUTED" for line in status.sounds if line.muted]
    parts += [
        f"{line.role or line.name}: {line.health.fault or line.health.state}"
        for line in status.sources
        if line.health.state is not HealthState.OK
    ]
    parts += [
        f"{line.name}: {line.state}" + (f" ({line.reason})" if line.reason else "")
        for line in status.destinations
        if line.state != "removed"
    ]
    if status.stream is not None and status.stream.encode == "separate":
        parts.append(f"stream {brief_rate(status.stream.bitrate)}")
    if status.conference:
        outputs = {"conference camera": status.conference.camera, "microphone": status.conference.microphone}
        parts += [
            f"{name}: {output.state}" + (f" ({output.reason})" if output.reason else "")
            for name, output in outputs.items()
        ]
    if status.disk_left_s is not None:
        parts.append(f"room for {duration_text(status.disk_left_s)}")
    return "  ".join(parts)


def storable_result(result: SessionResult) -> SessionResult:
    """Return the result with package names that JSON can hold: a folder's name need not be UTF-8."""
    package = None if result.package is None else utf8_safe(result.package)
    return msgspec.structs.replace(result, package=package, packages=[utf8_safe(each) for each in result.packages])


def result_text(result: SessionResult) -> str:
    """Return the end of a session in a few lines, the package last."""
    if result.state is SessionState.IDLE:
        return "Ended; nothing was recorded."
    recorded = f"{clock_text(result.duration_s)}, {result.frames} frames"
    if result.state is not SessionState.SEALED:
        return f"Not sealed: {recorded}. The recording is kept in:\n{result.package}"
    lines = [f"Recorded {recorded}."]
    lines += [f"On the way: {reason}" for reason in result.degraded]
    lines += [f"Package: {each}" for each in result.packages if each != result.package]
    return "\n".join([*lines, f"Package: {result.package}"])


def duration_text(seconds: float) -> str:
    """Return a long time in a rounded unit."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


FAR_BEHIND_S = 2.0


def destination_text(line: DestinationLine) -> str:
    """Return a destination in one line: its state, since when, the reason, and the loss for viewers."""
    said = {
        "armed": "kept for the start",
        "connecting": "connecting",
        "listening": "waits for somebody to call",
        "live": f"LIVE{_since(line.since)}",
        "waiting": f"NOT LIVE{_since(line.since)}, trying again",
        "stopped": "stopped",
        "removed": "removed",
    }.get(line.state, line.state)
    if line.state == "live" and line.reason:
        said = f"LIVE, but TOO SLOW{_since(line.since)}"
    parts = [said]
    if line.message:
        parts.append(line.message)
    if line.state == "live" and (line.reason or line.backlog_s >= FAR_BEHIND_S):
        parts.append(f"{line.backlog_s:.1f} s behind")
    if line.dropped:
        parts.append(f"{line.dropped} frames dropped")
    if line.reconnects:
        parts.append(f"connected again {'once' if line.reconnects == 1 else f'{line.reconnects} times'}")
    return f"{line.name}: {'; '.join(parts)}"


def _since(since: datetime | None) -> str:
    return f" since {since.astimezone():%H:%M:%S}" if since else ""


SEALED, FAILED, DEGRADED = 0, 1, 3  # exit statuses; docs/reference/cli.md

NOT_MEASURED = (
    "Live destinations get the recording's encode, at a fixed bit rate: this PC was never measured for two. "
    "Run liput headroom once, while no session runs."
)


class SessionFollower:
    """Shows the messages of one recorder and keeps its result."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self.message_count = 0
        """Number of events and notes so far; a second connection continues there."""
        self.is_recording = False
        """Whether a recorder of the session, also a killed one, has reported that it records."""
        self.result: SessionResult | None = None

    def take(self, told: RecorderMessage) -> None:
        """Show a message; raises the error of a RecorderFailure."""
        if isinstance(told, RecorderFailure):
            raise RecorderRefused(told)
        if isinstance(told, SessionResult):
            self.result = told
            return
        self._reporter.show(told)
        if isinstance(told, SessionStatus):
            self.is_recording |= told.state not in STATES_BEFORE
        if isinstance(told, Event | RecorderNote):
            self.message_count += 1
        if isinstance(told, Event) and told.kind == "session-live":
            self.is_recording = True
            if told.detail.get("stream_why") == "not-measured" and told.detail.get("destinations"):
                self._reporter.note(NOT_MEASURED)


def follow(
    folder: RecorderFolder, follower: SessionFollower, *, every_s: float, wakeup: int, heard: Callable[[], bool]
) -> None:
    """Show a recorder's messages until the end, or until `heard()`, called on `wakeup`. Blocks; raises Lost."""
    with ControlClient(folder) as connection:
        connection.request(WatchCommand(every_s=every_s, events_from=follower.message_count))
        while True:
            while not follower.result and (told := connection.told(0)):
                follower.take(told)
            if heard() or follower.result:
                return
            select.select([connection.fileno(), wakeup], [], [], LONGEST_WAIT_S)


def exit_status(result: SessionResult | None) -> int:
    """Return the exit status: 0 sealed, 3 sealed but degraded, 1 failed."""
    if result is None or result.state is not SessionState.SEALED:
        return FAILED
    return DEGRADED if result.degraded else SEALED
