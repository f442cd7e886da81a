"""Tables for people: one row each, or a few lines each on a narrow terminal; and views of changes."""

import sys
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Self

import msgspec

from agent.devices.board import HEALTH, Change, DeviceBoard
from agent.terminal.terminal import can_redraw
from config.settings.quantities import format_rate
from devices.health.log_line import PC, HealthLine, LogLevel
from devices.model.device import Device, DeviceKind, Health, HealthState, Mode
from devices.monitor.device_changes import ChangeKind

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text


_AS_WIDE_AS_IT_TAKES = 10_000
_WIDTH_OF_NOTES = 40  # below this width for the last column, print lines
_GAP = 2
_FORMATS_SHOWN = 4
_RECORDABLE = ("MJPG", "YUYV", "NV12", "H264", "UYVY", "YU12", "JPEG")

_KINDS = {DeviceKind.CAMERA: "camera", DeviceKind.CAPTURE_CARD: "capture card", DeviceKind.MICROPHONE: "microphone"}
_JUST_NOW = timedelta(seconds=3)
_COLOURS = {
    HealthState.OK: "green",
    HealthState.DEGRADED: "yellow",
    HealthState.BUSY: "yellow",
    HealthState.SILENT: "red",
    HealthState.FROZEN: "red",
    HealthState.LOST: "red",
}

type Entry = tuple[Device, Sequence["Text"], str]  # a device, its notes, and the style of its row


def print_table(*parts: "RenderableType") -> None:
    """Print as wide as the terminal; elsewhere without folding."""
    from agent.terminal.console import Console

    if sys.stdout.isatty():
        Console().print(*parts, sep="\n")
        return
    console = Console(width=_AS_WIDE_AS_IT_TAKES)
    with console.capture() as captured:
        console.print(*parts, sep="\n")
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def plain_table(rows: Sequence[Sequence[str]]) -> "RenderableType":
    """Return a table of cells; headings come first."""
    from rich.text import Text

    made = columns(rows[0])
    for row in rows[1:]:
        made.add_row(*map(Text, row))
    return made


def columns(headings: Sequence[str], fold: Collection[str] = ()) -> "Table":
    """Return a table without rows; only columns in `fold` wrap."""
    from rich.table import Table

    made = Table(box=None, header_style="bold", pad_edge=False, padding=(0, _GAP, 0, 0))
    for heading in headings:
        made.add_column(heading, no_wrap=heading not in fold, overflow="fold" if heading in fold else "ellipsis")
    return made


class DeviceTable:
    """Devices for rich: a table if it fits, else lines. Ids and nodes never wrap."""

    def __init__(self, entries: Sequence[Entry], notes_heading: str) -> None:
        self._entries = entries
        self._notes_heading = notes_heading

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "Iterator[RenderableType]":
        yield self._table() if self._least_width() <= options.max_width else self._blocks()

    def _least_width(self) -> int:
        from rich.cells import cell_len

        columns = zip(*(_cells(device) for device, _, _ in self._entries), strict=True)
        widths = (max(cell_len(line) for text in column for line in text.split("\n")) for column in columns)
        return sum(width + _GAP for width in widths) + _WIDTH_OF_NOTES

    def _table(self) -> "RenderableType":
        from rich.text import Text

        table = columns(("Name", "Role", "Id", "Where", self._notes_heading), fold={self._notes_heading})
        for device, notes, style in self._entries:
            table.add_row(*map(Text, _cells(device)), Text("\n").join(notes), style=style)
        return table

    def _blocks(self) -> "RenderableType":
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, _GAP, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for device, notes, style in self._entries:
            lines = [Text(f"{device.name}, {kind_text(device)}", "bold"), Text(device.id), *notes]
            if where := where_text(device, ", "):
                lines.insert(2, Text(where))
            table.add_row(device.role or "-", Text("\n").join(lines), style=style)
        return table


def _cells(device: Device) -> tuple[str, str, str, str]:
    return f"{device.name}\n{kind_text(device)}", device.role or "-", device.id, where_text(device)


def offer_text(device: Device) -> str:
    """Return the offer of a device in one line, with its partner."""
    if device.kind is DeviceKind.MICROPHONE:
        return f"sound, of {device.paired_with}" if device.paired_with else "sound"
    shown = [mode for mode in device.modes if mode.format in _RECORDABLE] or list(device.modes)
    largest: dict[str, Mode] = {}
    for mode in sorted(shown, key=lambda mode: mode.width * mode.height, reverse=True):
        largest.setdefault(mode.format, mode)
    texts = [_mode_text(mode) for mode in list(largest.values())[:_FORMATS_SHOWN]]
    if device.paired_with:
        texts.append(f"sound as {device.paired_with}")
    return ", ".join(texts)


def _mode_text(mode: Mode) -> str:
    rate = f" at {mode.fps[0]:g}" if mode.fps else ""
    return f"{mode.format} up to {mode.width}x{mode.height}{rate}"


def kind_text(device: Device) -> str:
    return _KINDS[device.kind]


def where_text(device: Device, separator: str = "\n") -> str:
    """Return node or ALSA name, then port and link speed."""
    speed = f" ({format_rate(device.link_bps)})" if device.link_bps else ""
    port = f"port {device.port}{speed}" if device.port else ""
    return separator.join(part for part in (device.node or device.alsa or "", port) if part)


def health_text(health: Health, asked_at: datetime | None = None) -> str:
    """Return `degraded since 09:41:12: ...` or `ok`; no time if it is about `asked_at`."""
    is_known = health.since and not (asked_at and abs(asked_at - health.since) < _JUST_NOW)
    since = f" since {time_text(health.since)}" if health.since and is_known else ""
    reason = f": {health.reason}" if health.reason else ""
    return f"{health.state}{since}{reason}"


def time_text(at: datetime) -> str:
    """Return the time, with the date unless it is today."""
    local = at.astimezone()
    is_today = local.date() == datetime.now().astimezone().date()
    return f"{local:%H:%M:%S}" if is_today else f"{local:%Y-%m-%d %H:%M}"


def health_colour(health: Health) -> str:
    return _COLOURS[health.state]


KEPT_NEWS = 50
KEPT_GONE = 10


class JsonDeviceView(AbstractContextManager["JsonDeviceView"]):
    """Writes one JSON object a line to standard output."""

    def __exit__(self, *_: object) -> None: ...

    def begin(self, at: datetime, board: DeviceBoard) -> None:
        self._line({"type": "devices", "at": at, "devices": board.devices})

    def changed(self, at: datetime, changes: Sequence[Change], board: DeviceBoard) -> None:  # noqa: ARG002
        for word, device in changes:
            self._line({"type": "device-change", "at": at, "change": word, "device": device})

    def told(self, line: HealthLine) -> None:
        """Write nothing: programs read `liput health --follow --json`."""

    def redraw(self) -> None:
        """Write nothing."""

    def _line(self, value: object) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


type _News = tuple[datetime, str, LogLevel]


class TableDeviceView:
    """Fills the terminal with a table and the latest changes; restores the terminal at the end."""

    def __init__(self, console: "Console | None" = None) -> None:
        # Lazy: JSON needs no rich.
        from rich.live import Live

        from agent.terminal.console import Console as OurConsole

        self._console = console or OurConsole()
        self._live = Live(console=self._console, auto_refresh=False, screen=True)
        self._devices: Sequence[Device] = ()
        self._missing: Sequence[str] = ()
        self._gone: dict[str, tuple[datetime, Device]] = {}
        self._news: deque[_News] = deque(maxlen=KEPT_NEWS)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def begin(self, at: datetime, board: DeviceBoard) -> None:  # noqa: ARG002 - only changes have a time
        self._devices, self._missing = board.devices, board.missing
        self.redraw()

    def changed(self, at: datetime, changes: Sequence[Change], board: DeviceBoard) -> None:
        """Draw the table again, with a line for each change."""
        self._devices, self._missing = board.devices, board.missing
        for word, device in changes:
            self._news.appendleft(_news(at, word, device))
            if word == ChangeKind.UNPLUGGED:
                self._gone[device.id] = (at, device)
        for device in board.devices:
            self._gone.pop(device.id, None)
        while len(self._gone) > KEPT_GONE:
            del self._gone[next(iter(self._gone))]
        self.redraw()

    def told(self, line: HealthLine) -> None:
        self._news.appendleft((line.at, line_text(line), line.level))
        self.redraw()

    def redraw(self) -> None:
        """Draw everything at the terminal's present size."""
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        # Missing roles first: the end may not fit the terminal.
        parts: list[RenderableType] = [Text(sentence, "red") for sentence in self._missing]
        parts += [Text()] if parts else []
        parts += [self._table() if self._devices or self._gone else Text(NOTHING), Text()]
        for at, said, level in self._news:
            colour = {LogLevel.WARN: "yellow", LogLevel.ERROR: "red"}.get(level, "")
            parts.append(Text.assemble((f"{time_text(at)}  ", "dim"), (said, colour)))
        return Group(Text("Devices of this PC, as they change; q or Ctrl-C ends.", "dim"), Text(), *parts)

    def _table(self) -> DeviceTable:
        from rich.text import Text

        entries: list[Entry] = [
            (device, [Text(health_text(device.health), health_colour(device.health))], "") for device in self._devices
        ]
        for at, device in self._gone.values():
            nowhere = msgspec.structs.replace(device, node=None, alsa=None, port=None)
            entries.append((nowhere, [Text(f"unplugged since {time_text(at)}")], "dim"))
        return DeviceTable(entries, "Health")


NOTHING = "Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone."


def line_text(line: HealthLine) -> str:
    """Return a line of the health log as a sentence with its advice."""
    name = line.name or ("this PC" if line.device == PC else f"port {line.device}")
    advice = line.detail.get("advice")
    return f"{name}: {line.kind.replace('-', ' ')}: {line.reason}" + (f". {advice}" if advice else "")


def _news(at: datetime, word: str, device: Device) -> _News:
    is_well = device.health.reason is None
    if word == HEALTH:
        return at, f"{device.name}: {health_text(device.health)}", LogLevel.INFO if is_well else LogLevel.WARN
    where = where_text(device, ", ")
    level = LogLevel.WARN if word == ChangeKind.UNPLUGGED else LogLevel.INFO
    return at, f"{device.name}: {word}" + (f", {where}" if where else ""), level


type Shower = JsonDeviceView | TableDeviceView


def device_view(*, as_json: bool) -> Shower:
    if as_json or not can_redraw():
        return JsonDeviceView()
    return TableDeviceView()
