"""Text for people: lines of the health log, and summaries."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click

from config.errors import DeviceNotFound
from config.settings.quantities import format_duration
from devices.health.log_line import PC, HealthLine, LogKind, LogLevel
from devices.health.log_reader import LogFilter, devices_in, find_device_ids
from devices.health.summary import DeviceSummary
from recorder.model.names import one_line

_COLOURS: Mapping[LogLevel, str] = {LogLevel.WARN: "yellow", LogLevel.ERROR: "red"}
_NARROWEST, _WIDEST = 24, 56
_MOST_DETAILS = 12
_ADVICE = ("advice", "hint")
_NOT_SHOWN = frozenset({"fault", "state", "after_s", "lasted_s", "pid", *_ADVICE})
_A_MINUTE_S = 60


def line_formatter(*, colours: bool) -> Callable[[HealthLine], str]:
    """Return a function that formats lines in columns: time, level, device and event; `colours` for a terminal."""
    width = _NARROWEST

    def text(line: HealthLine) -> str:
        nonlocal width
        time = f"{line.at.astimezone():%Y-%m-%d %H:%M:%S}"
        who = device_text(line.device, line.name)
        # The widest device so far sets the column.
        width = min(max(width, len(who)), _WIDEST)
        columns = time, f"{line.level:<5}", f"{who:<{width}}", line_sentence(line)
        return "  ".join(_coloured(line.level, *columns) if colours else columns)

    return text


def _coloured(severity: LogLevel, time: str, level: str, who: str, what: str) -> tuple[str, ...]:
    if severity is LogLevel.DEBUG:
        return (click.style(f"{time}  {level}  {who}  {what}", dim=True),)
    colour = _COLOURS.get(severity)
    level = click.style(level, fg=colour, bold=True) if colour else level
    return click.style(time, dim=True), level, click.style(who, bold=True), click.style(what, fg=colour)


def device_text(device: str, name: str) -> str:
    if device == PC:
        return "this PC"
    return one_line(f"{name} [{device}]" if name and name != device else device)


def line_sentence(line: HealthLine) -> str:
    reason = line.reason or _details(line.detail)
    match line.kind:
        case LogKind.DEGRADED:
            head = str(line.detail.get("fault") or line.kind)
        case LogKind.RECOVERED:
            head, lasted_s = f"recovered from {line.detail.get('fault') or 'a fault'}", line.detail.get("lasted_s")
            reason = f"it lasted {duration_text(lasted_s)}" if isinstance(lasted_s, int | float) else ""
        case _:
            head = line.kind.replace("-", " ")
    advice = next((f" ({line.detail[name]})" for name in _ADVICE if line.detail.get(name)), "")
    return one_line(f"{head}: {reason}{advice}" if reason else f"{head}{advice}")


def _details(detail: Mapping[str, object]) -> str:
    shown = [(name, value) for name, value in detail.items() if name not in _NOT_SHOWN and value is not None]
    return ", ".join(f"{name} {_value(value)}" for name, value in shown[:_MOST_DETAILS])


def _value(value: object) -> str:
    if isinstance(value, list):
        return "/".join(map(_value, value))
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def duration_text(seconds: float) -> str:
    """Return a duration: "2.5s", "1h12m"."""
    if seconds < _A_MINUTE_S:
        return f"{seconds:.1f}s"
    whole = round(seconds) if seconds < _A_MINUTE_S**2 else round(seconds / _A_MINUTE_S) * _A_MINUTE_S
    return format_duration(whole)


def summary_text(summary: DeviceSummary) -> Iterator[str]:
    """Yield the lines of a summary; the first names the device."""
    yield device_text(summary.device, summary.name)
    first, last = summary.first_seen.astimezone(), summary.last_seen.astimezone()
    until = f"{last:%H:%M}" if first.date() == last.date() else f"{last:%Y-%m-%d %H:%M}"
    yield f"  seen      {first:%Y-%m-%d %H:%M} to {until}"
    if summary.uptime_s:
        yield f"  uptime    {duration_text(summary.uptime_s)}"
    if summary.unplugs:
        yield f"  unplugged {_times(summary.unplugs)}"
    for number, (fault, total) in enumerate(sorted(summary.faults.items(), key=lambda item: -item[1].total_s)):
        label = "faults" if number == 0 else ""
        yield f"  {label:<9} {one_line(fault)}: {_times(total.count)}, {duration_text(total.total_s)} in all"
    if not summary.faults:
        yield "  faults    none"
    if summary.worst_fps is not None:
        yield f"  at worst  {summary.worst_fps:.2f} frames a second"
    if summary.quietest_dbfs is not None and summary.loudest_dbfs is not None:
        quietest, loudest = f"{summary.quietest_dbfs:.1f} dBFS", f"{summary.loudest_dbfs:.1f} dBFS"
        yield f"  sound     the quietest minute at {quietest}, peaks up to {loudest}"
    if summary.kernel_messages:
        yield f"  kernel    {summary.kernel_messages} message{'s' * (summary.kernel_messages != 1)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def matching_devices(word: str, folder: Path, span: LogFilter, *, may_come: bool = False) -> frozenset[str]:
    """Return the ids that `word` means, also an unknown one with `may_come`. Raises DeviceNotFound."""
    from devices.roles.assignment import read_roles

    names = devices_in(folder, span)
    devices = find_device_ids(word, names, {role: binding.id for role, binding in read_roles().items()})
    if devices:
        return devices
    if not names or (may_come and ":" in word):
        return frozenset({word})
    known = ", ".join(device_text(device, name) for device, name in sorted(names.items()))
    raise DeviceNotFound(
        f'the health log says nothing about "{word}" since {span.since:%Y-%m-%d %H:%M}',
        hint=f"it knows {known}; --since looks further back",
    )
