"""Ways to show devices as they change: JSON lines for programs, a table that lives on a terminal for people."""

import sys
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Self

import msgspec

from agent.devices.board import HEALTH, Change, DeviceBoard
from agent.devices.table import health_colour, health_text, time_text, where_text
from agent.terminal.terminal import can_redraw
from devices.health.line import PC, HealthLine, Level
from devices.model.device import Device
from devices.monitor.changes import ChangeKind

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from agent.devices.table import DeviceTable

KEPT_NEWS = 50
KEPT_GONE = 10
HOW_TO_END = "q or Ctrl-C ends"


class JsonShower:
    """One JSON object a line on standard output."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, at: datetime, board: DeviceBoard) -> None:
        """Write all devices as one line."""
        self._line({"type": "devices", "at": at, "devices": board.devices})

    def changed(self, at: datetime, changes: Sequence[Change], board: DeviceBoard) -> None:  # noqa: ARG002
        """Write a line for each change."""
        for word, device in changes:
            self._line({"type": "device-change", "at": at, "change": word, "device": device})

    def told(self, line: HealthLine) -> None:
        """Write nothing: programs read `liput health --follow --json`."""

    def redraw(self) -> None:
        """Write nothing."""

    def _line(self, value: object) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
        sys.stdout.buffer.flush()


type _News = tuple[datetime, str, Level]


class TableShower:
    """A table on the whole terminal, what happened last below it; the terminal is as before afterwards."""

    def __init__(self, console: "Console | None" = None) -> None:
        # Imported here: a program that reads JSON need not pay for it.
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

    def begin(self, at: datetime, board: DeviceBoard) -> None:  # noqa: ARG002 - what there is has no time
        """Draw the table."""
        self._devices, self._missing = board.devices, board.missing
        self.redraw()

    def changed(self, at: datetime, changes: Sequence[Change], board: DeviceBoard) -> None:
        """Draw the table anew, with a line for each change."""
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
        """Add a line below the table."""
        self._news.appendleft((line.at, line_text(line), line.level))
        self.redraw()

    def redraw(self) -> None:
        """Draw everything, as wide and as high as the terminal is now."""
        self._live.update(self._picture(), refresh=True)

    def _picture(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        # What is missing comes first: what does not fit the terminal is left out at its end.
        parts: list[RenderableType] = [Text(sentence, "red") for sentence in self._missing]
        parts += [Text()] if parts else []
        parts += [self._table() if self._devices or self._gone else Text(NOTHING), Text()]
        for at, said, level in self._news:
            colour = {Level.WARN: "yellow", Level.ERROR: "red"}.get(level, "")
            parts.append(Text.assemble((f"{time_text(at)}  ", "dim"), (said, colour)))
        return Group(Text(f"Devices of this PC, as they change; {HOW_TO_END}.", "dim"), Text(), *parts)

    def _table(self) -> "DeviceTable":
        from rich.text import Text

        from agent.devices.table import DeviceTable, Entry

        entries: list[Entry] = [
            (device, [Text(health_text(device.health), health_colour(device.health))], "") for device in self._devices
        ]
        for at, device in self._gone.values():
            nowhere = msgspec.structs.replace(device, node=None, alsa=None, port=None)
            entries.append((nowhere, [Text(f"unplugged since {time_text(at)}")], "dim"))
        return DeviceTable(entries, "Health")


NOTHING = "Nothing is plugged in: plug in a camera, an HDMI capture card or a USB microphone."


def line_text(line: HealthLine) -> str:
    """Return a line of the health log as a sentence, with what to do where it says that."""
    name = line.name or ("this PC" if line.device == PC else f"port {line.device}")
    advice = line.detail.get("advice")
    return f"{name}: {line.kind.replace('-', ' ')}: {line.reason}" + (f". {advice}" if advice else "")


def _news(at: datetime, word: str, device: Device) -> _News:
    is_well = device.health.reason is None
    if word == HEALTH:
        return at, f"{device.name}: {health_text(device.health)}", Level.INFO if is_well else Level.WARN
    where = where_text(device, ", ")
    level = Level.WARN if word == ChangeKind.UNPLUGGED else Level.INFO
    return at, f"{device.name}: {word}" + (f", {where}" if where else ""), level


type Shower = JsonShower | TableShower


def shower(*, as_json: bool) -> Shower:
    """Return what suits this standard output."""
    if as_json or not can_redraw():
        return JsonShower()
    return TableShower()
