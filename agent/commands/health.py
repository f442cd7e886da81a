"""`liput health`: the history of the devices and of this PC, from the health log."""

import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import click
import msgspec

from agent.health.text import matching_devices
from agent.terminal.moments import since_callback, until_callback
from agent.terminal.parameters import config_option, json_lines_option, json_option, print_json, refuse_options
from agent.terminal.signals_and_keys import set_on_signal
from agent.terminal.terminal import own_output
from devices.health.log_line import HealthLine, LogLevel
from devices.health.log_reader import LogFilter, end_positions, follow, last_time, read
from devices.health.log_writer import log_folder
from devices.host.clock import SystemClock

EMPTY = (
    "The health log is empty: it is written while `liput record` or `liput devices --watch` runs, "
    "so start one of them and look again."
)
EXAMPLES = """\b
Examples:
  liput health                                events since yesterday
  liput health --since 2d --level warn        warnings and errors only
  liput health --since "2026-01-20 14:00" --until "2026-01-20 16:30" --device podium
  liput health --follow                       also new events, until Ctrl-C
  liput health summary                        figures of each device for the last week
  liput health export laporan.zip             one file with everything, for IT
"""
SUMMARY_EXAMPLES = """\b
Examples:
  liput health summary
  liput health summary --since 30d
  liput health summary --since 2026-01-20 --until 2026-01-20
"""
EXPORT_EXAMPLES = """\b
Examples:
  liput health export laporan.zip
  liput health export /media/usb/aula.zip --since 7d
  liput health export laporan.zip --config /etc/liput/liput.toml
\b
Keys, passwords and similar text are removed.
README.txt in the file lists its contents, and the missing parts.
"""
_LINES_AT_ONCE = 500

_until_option = click.option(
    "--until", callback=until_callback, metavar="WHEN", help="The end; a day includes its evening. Default: now."
)
since_help = 'The start: "2d" or "90m" ago, "2026-11-20", "yesterday", "14:30". Default: {}.'


@click.group(name="health", invoke_without_command=True, subcommand_metavar="[COMMAND [ARGS]...]", epilog=EXAMPLES)
@click.option("--since", callback=since_callback, metavar="WHEN", help=since_help.format("1d"))
@_until_option
@click.option("--device", "word", metavar="DEVICE", help="Only this device: its id, role, port, or part of its name.")
@click.option(
    "--level",
    type=click.Choice([str(level) for level in LogLevel]),
    default=str(LogLevel.INFO),
    show_default=True,
    help="The lowest level to show; debug includes the lines of every minute.",
)
@click.option("--follow", "-f", "following", is_flag=True, help="Go on with new lines, until Ctrl-C.")
@json_lines_option
@click.pass_context
def health_command(
    ctx: click.Context,
    since: datetime | None,
    until: datetime | None,
    word: str | None,
    level: str,
    *,
    following: bool,
    as_json: bool,
) -> None:
    """Show the log of cameras, capture cards, microphones and this PC.

    DEVICE is an id, a serial number, a role, a port, or part of an id or name. It need not be plugged in.
    """
    if ctx.invoked_subcommand is not None:
        refuse_options(ctx, "--since 7d")
        return
    if following and until is not None:
        raise click.UsageError("--follow has no end, so --until does not go with it.")
    folder = log_folder()
    span = _span(since, until, days=1)
    devices = None if word is None else matching_devices(word, folder, span, may_come=following)
    wanted = LogFilter(since=span.since, until=span.until, devices=devices, level=LogLevel(level))
    ends = end_positions(folder)
    shown = _print(read(folder, wanted, ends), as_json=as_json, at_once=False)
    if following:
        stop = threading.Event()
        with set_on_signal(stop):
            news = follow(folder, wanted, clock=SystemClock(), stop=stop, ends=ends)
            _print(news, as_json=as_json, at_once=True)
    elif not shown:
        click.echo(_why_nothing(folder, span, devices, level), err=as_json)


@health_command.command(epilog=SUMMARY_EXAMPLES)
@click.option("--since", callback=since_callback, metavar="WHEN", help=since_help.format("7d"))
@_until_option
@json_lines_option
def summary(since: datetime | None, until: datetime | None, *, as_json: bool) -> None:
    """Summarise each device: uptime, unplugs, faults, lowest rate."""
    from agent.health.text import summary_text
    from devices.health.summary import summarise

    folder = log_folder()
    span = _span(since, until, days=7)
    summaries = summarise(read(folder, span))
    for number, one in enumerate(summaries):
        if as_json:
            print_json(one)
        else:
            click.echo("\n" * (number > 0) + "\n".join(summary_text(one)))
    if not summaries:
        click.echo(_why_nothing(folder, span, None, LogLevel.DEBUG), err=as_json)


@health_command.command(short_help="Write one file for IT.", epilog=EXPORT_EXAMPLES)
@click.argument("file", metavar="FILE.zip", type=click.Path(path_type=Path))
@click.option("--since", callback=since_callback, metavar="WHEN", help=since_help.format("30d"))
@click.option("--force", is_flag=True, help="Replace an existing FILE.zip.")
@config_option
@json_option
def export(file: Path, since: datetime | None, config_file: Path | None, *, force: bool, as_json: bool) -> None:
    """Write one file for IT: log, devices, versions and settings, without keys and passwords."""
    from agent.health.export import export_health

    left_out, keys_unknown = export_health(file, since or _ago(days=30), settings_file=config_file, replace=force)
    if as_json:
        print_json({"file": str(file), "left_out": left_out, "keys_unknown": keys_unknown})
        return
    click.echo(file)
    for note in left_out:
        click.echo(f"liput: not in it: {note}", err=True)
    if keys_unknown:
        click.echo(f"liput: look for keys in it before you pass it on: {keys_unknown}", err=True)


def _ago(*, days: int) -> datetime:
    return datetime.now().astimezone() - timedelta(days=days)


def _span(since: datetime | None, until: datetime | None, *, days: int) -> LogFilter:
    """Return the chosen span; it begins `days` ago by default. Raises UsageError."""
    begin = since or _ago(days=days)
    if until is not None and until < begin:
        default = "" if since else ", which is where it begins unless --since says otherwise"
        message = f"--until ({until:%Y-%m-%d %H:%M}) is before {begin:%Y-%m-%d %H:%M}{default or ' (--since)'}."
        raise click.UsageError(message)
    return LogFilter(since=begin, until=until)


def _print(lines: Iterator[HealthLine], *, as_json: bool, at_once: bool) -> bool:
    """Print lines as they come; return whether there were any. `at_once`: flush after each."""
    text = _line_printer(as_json=as_json)
    output = sys.stdout if as_json else own_output(sys.stdout)
    any_shown = False
    for some in itertools.batched(lines, 1 if at_once else _LINES_AT_ONCE):
        any_shown = True
        output.write("".join(map(text, some)))
        if at_once:
            sys.stdout.flush()
    sys.stdout.flush()
    return any_shown


def _line_printer(*, as_json: bool) -> Callable[[HealthLine], str]:
    if as_json:
        encode = msgspec.json.Encoder().encode
        return lambda line: f"{encode(line).decode()}\n"
    from agent.health.text import line_formatter

    text = line_formatter(colours=sys.stdout.isatty())
    return lambda line: f"{text(line)}\n"


def _why_nothing(folder: Path, span: LogFilter, devices: frozenset[str] | None, level: str) -> str:
    last = last_time(folder)
    if last is None:
        return EMPTY
    since, local = span.since, last.astimezone()
    if since is not None and last < since:
        when = f"{since:%Y-%m-%d %H:%M}: the last line is of {local:%Y-%m-%d %H:%M}"
        return f"Nothing since {when}; --since looks further back."
    of = f" about {', '.join(sorted(devices))}" if devices else ""
    more = "" if level == LogLevel.DEBUG else f" at level {level} or above; --level debug shows more"
    return f"Nothing{of} in that time{more}."
