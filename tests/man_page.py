"""`man liput`, from what each command says of itself: `./run docs` writes it, the wheel installs it."""

import re
from collections.abc import Iterator
from inspect import cleandoc

import click

from config.version import VERSION

_TITLE = "record, stream and archive sessions in a conference room"


def man_page() -> str:
    """Return the manual page in roff, a section for each command."""
    from agent.cli.group import liput

    root = click.Context(liput, info_name="liput")
    parts = [
        f'.TH LIPUT 1 "" "Liput {VERSION}" "User Commands"',
        ".SH NAME",
        f"liput \\- {_text(_TITLE)}",
        ".SH SYNOPSIS",
        "\\fBliput\\fR [\\fICOMMAND\\fR [\\fIARGS\\fR]...]",
        ".SH DESCRIPTION",
        *_described(liput),
        *_options(liput, root),
        ".SH COMMANDS",
    ]
    for command, context in _commands(liput, root):
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f".SS {_text(context.command_path)}", f"\\fB{_text(context.command_path)}\\fR {_text(usage)}", ".PP"]
        parts += [*_described(command), *_options(command, context)]
    return "\n".join(
        [
            *parts,
            ".SH SEE ALSO",
            _text("The stable interface for scripts: docs/reference/cli.md."),
            "",
        ]
    )


def _commands(group: click.Group, above: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command below a group, with its context, in the order of their names."""
    for name in group.list_commands(above):
        command = group.get_command(above, name)
        assert command is not None
        context = click.Context(command, info_name=name, parent=above)
        yield command, context
        if isinstance(command, click.Group):
            yield from _commands(command, context)


def _described(command: click.Command) -> Iterator[str]:
    """Yield what a command says of itself, and its examples as they stand."""
    for part in (command.help, command.epilog):
        for paragraph in re.split(r"\n\s*\n", cleandoc((part or "").replace("\b\n", "\n\b\n"))):
            lines = [line for line in paragraph.splitlines() if line.strip("\b ")]
            if "\b" in paragraph:
                yield from (".nf", *map(_text, lines), ".fi", ".PP")
            elif lines:
                yield from (_text(" ".join(lines)), ".PP")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and record[0] not in {"-h, --help", "--help"}:
            yield from (".TP", f"\\fB{_text(record[0])}\\fR", _text(record[1]))


def _text(text: str) -> str:
    """Return a text as roff takes it: no line of it is a request."""
    plain = " ".join(text.split("\n")).rstrip().replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
