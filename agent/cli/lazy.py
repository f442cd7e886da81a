"""A group of commands that are imported when they are run, so that `--help` costs no media library."""

import importlib
import os
from collections.abc import Mapping
from typing import Any

import click

from agent.cli.interrupting import raise_interrupts

COMPLETION = "_LIPUT_COMPLETE"
"""The variable by which a shell asks, and the name that click has for it."""

type Table = Mapping[str, tuple[str, str]]
"""For each command, where it is ("module:attribute") and its line of help."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for; their help lines are known without."""

    def __init__(self, *args: Any, table: Table, **rest: Any) -> None:
        super().__init__(*args, **rest)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all commands."""
        return sorted(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command called `cmd_name`."""
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, LazyGroup):
            raise_interrupts()
        if COMPLETION in os.environ:
            from agent.cli.completing import complete_words  # a shell asks

            complete_words(command, cmd_name if ctx.parent is None else ctx.info_name or "")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is called; of one that is not there, say which is near it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if args[0].startswith("-"):
                raise
            from config.settings.kinds import did_you_mean  # which a command that is there does not need

            near = did_you_mean(args[0], self._table)
            raise click.UsageError(f"{error.message.rstrip('.')}{near}", ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """Write the list of commands, importing none."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in sorted(self._table.items())])
