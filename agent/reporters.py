"""How a running session is shown: a line that lives on a terminal, plain lines elsewhere, JSON for programs."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol, Self

import msgspec

from agent.terminal import can_redraw
from config.events import Event
from config.quantities import brief_rate, brief_size, clock_text
from devices.model import HealthState
from recorder.archive.names import storable
from recorder.model.event_kinds import WARNINGS
from recorder.model.status import NamedCpu, SessionResult, SessionState, SessionStatus, StageFigures
from recorder.troubles import HARMLESS

KIND = "cpu-measured"
LEAST_S = 0.05
"""Threads that took less are told together."""


def stages_text(event: Event) -> str:
    """Return the table of an event of KIND; "" for one before the end, which says less."""
    if event.kind != KIND or event.detail.get("until") == "recorded":
        return ""
    try:
        figures = msgspec.convert(event.detail, StageFigures)
    except msgspec.ValidationError:  # of a recorder of another version
        return ""
    return "\n".join(_lines(figures))


def _lines(figures: StageFigures) -> Iterator[str]:
    yield (
        f"{_share(figures.cpu_s, figures)} of a core: {figures.cpu_s:.1f} s of processor time in "
        f"{figures.wall_s:.0f} s, {figures.children_s:.1f} s of it in child processes."
    )
    yield from _table("stage", list(figures.stages.items()), figures)
    yield from _table("thread", _rows(figures.threads), figures)
    if figures.processes:
        yield from _table("process", _rows(figures.processes), figures)


def _share(cpu_s: float, figures: StageFigures) -> str:
    """Return which part of a core was taken in the time that passed."""
    return f"{cpu_s / max(figures.wall_s, 0.001):.1%}"


def _rows(taken: tuple[NamedCpu, ...]) -> list[tuple[str, float]]:
    rows = [(f"{one.name} ({one.count})" if one.count > 1 else one.name, one.cpu_s) for one in taken]
    small = [cpu_s for _, cpu_s in rows if cpu_s < LEAST_S]
    rest = [(f"{len(small)} others", sum(small))] if small else []
    return [row for row in rows if row[1] >= LEAST_S] + rest


def _table(what: str, rows: list[tuple[str, float]], figures: StageFigures) -> Iterator[str]:
    width = max(len(what), *(len(name) for name, _ in rows)) if rows else len(what)
    yield f"  {what:{width}}{'CPU':>10}  of a core"
    for name, cpu_s in rows:
        yield f"  {name:{width}}  {cpu_s:6.2f} s  {_share(cpu_s, figures):>9}"


PLAIN_EVERY_S = 10.0
UNSHOWN = frozenset({"priority-granted"})
"""Kinds of events that are for programs and the log: people hear of it from `liput check`."""


class Reporter(Protocol):
    """Shows what it is given; used as a context manager around the session."""

    every_s: float
    """How often it wants a status."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, sentence: str) -> None:
        """Show a sentence for people that is no event: what was chosen, what a key does."""
        ...

    def status(self, status: SessionStatus) -> None:
        """Show how the session is."""
        ...

    def event(self, event: Event) -> None:
        """Show that something happened."""
        ...

    def sealing(self, done: int, total: int) -> None:
        """Show how far sealing is, in bytes."""
        ...

    def result(self, result: SessionResult) -> None:
        """Show the end, the package's path last."""
        ...


class JsonReporter:
    """One JSON object a line on standard output, sentences for people on standard error."""

    every_s = 0.5

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def note(self, sentence: str) -> None:
        """Write a sentence to standard error."""
        print(sentence, file=sys.stderr, flush=True)

    def status(self, status: SessionStatus) -> None:
        """Write a status line."""
        self._line(status)

    def event(self, event: Event) -> None:
        """Write an event line."""
        self._line(event)

    def sealing(self, done: int, total: int) -> None:
        """Say nothing: the state is in the status lines."""

    def result(self, result: SessionResult) -> None:
        """Write the result line."""
        self._line(storable_result(result))

    def _line(self, value: SessionStatus | Event | SessionResult) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


class PlainReporter(JsonReporter):
    """Lines of text, for a log or a pipe."""

    every_s = PLAIN_EVERY_S

    def note(self, sentence: str) -> None:
        """Write a sentence."""
        print(sentence, flush=True)

    def status(self, status: SessionStatus) -> None:
        """Write the status as one line."""
        self.note(status_text(status))

    def event(self, event: Event) -> None:
        """Write the event with its time, and the table that it may hold."""
        if event.kind in UNSHOWN:
            return
        self.note(event_text(event))
        if table := stages_text(event):
            self.note(table)

    def result(self, result: SessionResult) -> None:
        """Write how it ended."""
        self.note(result_text(result))


class LiveReporter(PlainReporter):
    """A status line that stays at the bottom of the terminal, events scrolling above it."""

    every_s = 0.25

    def __init__(self) -> None:
        # Imported here: a program that reads JSON need not pay for it.
        from rich.live import Live

        from agent.console import Console

        self._console: Console = Console()
        self._live: Live = Live(console=self._console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def note(self, sentence: str) -> None:
        """Write a sentence above the status line."""
        self._console.print(sentence, soft_wrap=True)

    def status(self, status: SessionStatus) -> None:
        """Redraw the status line."""
        from rich.text import Text

        text = Text()
        text.append(*light(status.state))
        text.append(status_text(status).removeprefix(status.state.upper()))
        self._live.update(text, refresh=True)

    def sealing(self, done: int, total: int) -> None:
        """Show how far sealing is."""
        from rich.text import Text

        self._live.update(Text(f"SEALING  {done / max(1, total):.0%} of {brief_size(total)}"), refresh=True)

    def result(self, result: SessionResult) -> None:
        """Take the status line away and write how it ended."""
        self._live.update("", refresh=True)
        self._live.stop()
        self.note(result_text(result))


class EnduringReporter:
    """Shows through another reporter; that nobody looks any more (a closed pipe, a lost terminal) ends nothing."""

    def __init__(self, inner: Reporter) -> None:
        self._inner = inner
        self.every_s = inner.every_s

    def __enter__(self) -> Self:
        self._try(self._inner.__enter__)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._try(lambda: self._inner.__exit__(kind, error, trace))

    def note(self, sentence: str) -> None:
        """Show a sentence if anybody looks."""
        self._try(lambda: self._inner.note(sentence))

    def status(self, status: SessionStatus) -> None:
        """Show a status if anybody looks."""
        self._try(lambda: self._inner.status(status))

    def event(self, event: Event) -> None:
        """Show an event if anybody looks."""
        self._try(lambda: self._inner.event(event))

    def sealing(self, done: int, total: int) -> None:
        """Show how far sealing is if anybody looks."""
        self._try(lambda: self._inner.sealing(done, total))

    def result(self, result: SessionResult) -> None:
        """Show the end if anybody looks."""
        self._try(lambda: self._inner.result(result))

    @staticmethod
    def _try(show: Callable[[], object]) -> None:
        # Whatever goes wrong with showing it, the session goes on.
        with contextlib.suppress(Exception):
            show()


def reporter(*, as_json: bool) -> Reporter:
    """Return the reporter for this standard output; it never fails because of who reads it."""
    if as_json:
        return EnduringReporter(JsonReporter())
    return EnduringReporter(LiveReporter() if can_redraw() else PlainReporter())


def light(state: SessionState) -> tuple[str, str]:
    """Return the record light: the state in capitals, and its colour."""
    colours = {SessionState.LIVE: "bold white on red", SessionState.DEGRADED: "bold black on yellow"}
    return state.upper(), colours.get(state, "bold")


def status_text(status: SessionStatus) -> str:
    """Return a status as one line; what is on disk stands in front of what is only hoped for."""
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


def event_text(event: Event) -> str:
    """Return an event as one line."""
    mark = "" if event.kind in HARMLESS - WARNINGS else "! "
    return f"{event.at:%H:%M:%S}  {mark}{event.message}"


def storable_result(result: SessionResult) -> SessionResult:
    """Return it as programs are told: a folder's name need not be UTF-8, and their JSON has to."""
    package = None if result.package is None else storable(result.package)
    return msgspec.structs.replace(result, package=package, packages=[storable(each) for each in result.packages])


def result_text(result: SessionResult) -> str:
    """Return the end of a session in a few lines, the package last."""
    if result.state is SessionState.IDLE:
        return "Ended; nothing was recorded."
    recorded = f"{clock_text(result.duration_s)}, {result.frames} pictures"
    if result.state is not SessionState.SEALED:
        return f"Not sealed: {recorded}. What was recorded is kept in:\n{result.package}"
    lines = [f"Recorded {recorded}."]
    lines += [f"On the way: {reason}" for reason in result.degraded]
    lines += [f"Package: {each}" for each in result.packages if each != result.package]
    return "\n".join([*lines, f"Package: {result.package}"])


def duration_text(seconds: float) -> str:
    """Return a long time in the unit people think in."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"
