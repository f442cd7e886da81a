"""Options shared by commands, and helpers for option values."""

from collections.abc import Callable, Sequence
from pathlib import Path

import click

from config.errors import UsageError
from config.settings.quantities import NotAllowed, parse_duration
from recorder.model.names import json_bytes, utf8_safe

LONGEST_TEXT = 2000  # limit for a kept text, in characters

type Command[Answer] = Callable[..., Answer]

config_option = click.option(
    "--config", "config_file", type=click.Path(path_type=Path), metavar="FILE", help="The settings file."
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document; see docs/reference/cli.md.")
json_lines_option = click.option(
    "--json", "as_json", is_flag=True, help="One JSON object a line; see docs/reference/cli.md."
)


def print_json(value: object) -> None:
    click.echo(json_bytes(value))


def print_result(value: object, text: str, *, as_json: bool) -> None:
    """Print a value as one line of JSON, or `text` for people."""
    click.echo(json_bytes(value) if as_json else text)


def with_options[Answer](options: Sequence[Command[Command[Answer]]], command: Command[Answer]) -> Command[Answer]:
    """Add options to a click command; its help lists them in this order."""
    for option in reversed(options):
        command = option(command)
    return command


def option_callback[Value](
    parse: Callable[[str], Value],
) -> Callable[[click.Context, click.Parameter, str | None], Value | None]:
    """Return a click callback for an option's text; `parse` raises NotAllowed for a wrong one."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> Value | None:
        try:
            return None if value is None else parse(value)
        except NotAllowed as error:
            raise click.BadParameter(f"{value!r} {error}", ctx, param) from None

    return callback


duration_callback = option_callback(parse_duration)  # for an option such as 90s or 1h30m, in seconds


def duration_option[Answer](
    option: str, name: str, text: str, default: str | None = None
) -> Callable[[Command[Answer]], Command[Answer]]:
    shown = default is not None
    return click.option(
        option, name, callback=duration_callback, metavar="TIME", default=default, show_default=shown, help=text
    )


def is_given(ctx: click.Context, name: str) -> bool:
    """Return whether the option `name` stands on the command line."""
    return ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def refuse_options(ctx: click.Context, example: str) -> None:
    """Refuse options before a subcommand, where they have no effect; `example` is a correct one."""
    if any(is_given(ctx, name) for name in ctx.params):
        command = f"liput {ctx.info_name} {ctx.invoked_subcommand} {example}"
        raise click.UsageError(f"Options go after it: {command}", ctx)


def checked_text(name: str, text: str) -> str:
    """Return a given text in the form that is kept; raises UsageError if it is too long."""
    if len(text) > LONGEST_TEXT:
        raise UsageError(f"the text of {name} has {len(text)} characters; {LONGEST_TEXT} are kept", hint="Shorten it.")
    return utf8_safe(text).strip()
