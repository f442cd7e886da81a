"""A group that imports a command when it runs, so that `--help` loads no media library."""

import os
from collections.abc import Mapping
from typing import Any

import click

from agent.cli.interrupts import raise_interrupts
from agent.features import load

COMPLETION = "_LIPUT_COMPLETE"  # the variable by which a shell asks for completions; click's name

type CommandTable = Mapping[str, tuple[str, str]]
"""For each command NAME, the module of its function NAME_command, and its line of help."""


class LazyGroup(click.Group):
    """A group that imports its commands on use; their help lines need no import."""

    def __init__(self, *args: Any, table: CommandTable, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._table:
            return None
        command: click.Command = load(f"{self._table[cmd_name][0]}:{cmd_name}_command")
        if not isinstance(command, LazyGroup):
            raise_interrupts()
        if COMPLETION in os.environ:
            from agent.cli.completion import complete_words  # only while a shell completes

            complete_words(command, cmd_name if ctx.parent is None else ctx.info_name or "")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command; for an unknown name, suggest a similar one."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0].startswith("-"):
                raise
            from config.settings.value_kinds import did_you_mean  # only for unknown names

            near = did_you_mean(args[0], self._table)
            raise click.UsageError(f"{error.message.rstrip('.')}{near}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in sorted(self._table.items())])
