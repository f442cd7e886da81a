"""What pages say of the code, written from the code: `./run docs` brings it up to date, tests/test_docs.py compares."""

import ast
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path
from typing import get_type_hints

import click
import msgspec

from config.locale.lookup import words
from config.settings import value_kinds
from config.settings.reader import kinds_of
from config.settings.schema import NAMED_SECTIONS, SECTIONS, Settings, default_text
from config.version import VERSION
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, LASTING_KINDS
from recorder.package.metadata import Recording
from recorder.package.request import RequestRecord
from tests.support.archives import RECORDING_SCHEMA, REQUEST_SCHEMA


def man_page() -> str:
    """Return the manual page in roff, a section for each command."""
    from agent.cli.group import liput

    root = click.Context(liput, info_name="liput")
    parts = [
        f'.TH LIPUT 1 "" "Liput {VERSION}" "User Commands"',
        ".SH NAME",
        "liput \\- record, stream and archive sessions in a conference room",
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
    return "\n".join([*parts, ".SH SEE ALSO", _text("The stable interface for scripts: docs/reference/cli.md."), ""])


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


ROOT = Path(__file__).parents[1]
PACKAGES = ("config", "devices", "capture", "recorder", "agent")
EXAMPLES = ROOT / "tests" / "extending"
_ERRORS = "config.errors"
_BLOCK = re.compile(r"(<!-- begin: (\S+) -->\n).*?(<!-- end: \2 -->)", re.DOTALL)
_MADE = "<!-- Written by ./run docs: change the code instead. -->"


def pages() -> dict[Path, str]:
    """Return every page that is written from the code, whole, by its file."""
    whole = {
        ROOT / "docs/reference/errors.md": "\n".join(errors_page()) + "\n",
        ROOT / "docs/reference/all-settings.md": "\n".join(settings_page()) + "\n",
        ROOT / "docs/man/liput.1": man_page(),
        RECORDING_SCHEMA: schema_of("recording", Recording),
        REQUEST_SCHEMA: schema_of("request", RequestRecord),
    }
    parts = (ROOT / "docs/reference/cli.md", ROOT / "docs/extending.md")
    return whole | {page: _BLOCK.sub(_block, page.read_text(encoding="utf-8")) for page in parts}


def schema_of(name: str, kind: type[msgspec.Struct]) -> str:
    """Return the JSON Schema (draft 2020-12) of version 1 of `kind`, formatted for people."""
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:liput:{name}:1",
        "title": f"Liput {name}, version 1",
    } | msgspec.json.schema(kind)
    return msgspec.json.format(msgspec.json.encode(schema, order="deterministic"), indent=2).decode() + "\n"


def _block(found: re.Match[str]) -> str:
    name = found[2]
    lines = list(events_table(found[0])) if name == "events" else _example(name)
    return "\n".join([found[1].rstrip("\n"), "", *lines, "", found[3]])


def _example(name: str) -> list[str]:
    """Return a file of tests/extending as it is shown on a page."""
    text = (EXAMPLES / name).read_text(encoding="utf-8").rstrip("\n")
    return [f"```{'json' if name.endswith('.json') else 'python'}", text, "```"]


# The error tree


@dataclass(frozen=True, slots=True)
class ErrorClass:
    """One class of errors: its module, what it is derived from, its exit status ("": its base's), its words."""

    name: str
    module: str
    base: str
    status: str
    words: str


def errors_page() -> Iterator[str]:
    """Yield the lines of the page of errors."""
    classes = [*_error_classes()]
    tree = {found.name: found for found in classes}
    if len(tree) < len(classes):
        raise ValueError(f"two errors have one name: {sorted(found.name for found in classes)}")
    yield from (
        "# Errors",
        "",
        _MADE,
        "",
        "Errors of libraries are translated into these at their entry. A message names the fault and the thing, its",
        "hint the remedy. Neither holds a secret. An unforeseen error names its line of code, as in",
        "`ValueError(...) at recorder/live/flv.py:88`.",
        "",
        "```text",
        *_tree(tree, "LiputError"),
        "```",
        "",
        "A module in brackets alone raises and catches its class.",
        "",
        "| error | exit status | meaning |",
        "|---|---|---|",
    )
    for error in tree.values():
        yield f"| `{error.name}` | {_status(tree, error)} | {error.words} |"
    yield from ("", "For programs, `why` tells causes apart (`code` in an answer of the API):", "")
    yield "```text"
    yield from (f"{cause:<16}{said.english}" for cause, said in words("errors").items())
    yield "```"


def _error_classes() -> Iterator[ErrorClass]:
    """Yield LiputError and all that is derived from it in any module, a base before what is derived from it."""
    defined = dict(_classes())
    todo, seen = [(_ERRORS, "LiputError")], {(_ERRORS, "LiputError")}
    while todo:
        key = todo.pop(0)
        node, bases = defined[key]
        words = (ast.get_docstring(node) or "").partition("\n")[0]
        yield ErrorClass(key[1], key[0], bases[0][1] if bases else "", _own_status(node), words)
        below = [other for other, (_, its) in defined.items() if key in its and other not in seen]
        seen |= set(below)
        todo = below + todo


type _Key = tuple[str, str]  # a module, and the name of a class in it


def _classes() -> Iterator[tuple[_Key, tuple[ast.ClassDef, list[_Key]]]]:
    """Yield every public class with the classes that it is derived from, as far as they are ours."""
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))):
        module = path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        body = ast.parse(path.read_text(encoding="utf-8")).body
        known = {node.name: module for node in body if isinstance(node, ast.ClassDef)}
        for line in body:
            if isinstance(line, ast.ImportFrom) and line.module:
                known |= {alias.name: line.module for alias in line.names}
        for node in body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                names = [base.id for base in node.bases if isinstance(base, ast.Name)]
                yield (module, node.name), (node, [(known[name], name) for name in names if name in known])


def _own_status(node: ast.ClassDef) -> str:
    for line in node.body:
        if isinstance(line, ast.Assign) and [ast.unparse(target) for target in line.targets] == ["exit_status"]:
            return ast.unparse(line.value)
    return ""


def _status(tree: Mapping[str, ErrorClass], error: ErrorClass) -> str:
    return error.status or (_status(tree, tree[error.base]) if error.base in tree else "")


def _tree(tree: Mapping[str, ErrorClass], name: str, before: str = "") -> Iterator[str]:
    if not before:
        yield name
    below = [error for error in tree.values() if error.base == name]
    for error in below:
        is_last = error is below[-1]
        where = "" if error.module == _ERRORS else f"  [{error.module}]"
        yield f"{before}{'└── ' if is_last else '├── '}{error.name}{where}"
        yield from _tree(tree, error.name, f"{before}{'    ' if is_last else '│   '}")


# Events


def events_table(text: str) -> Iterator[str]:
    """Yield the lines of the table of events in `text`, the last two cells of each row as the code has them."""
    head, rule, *rows = [line for line in text.splitlines() if line.startswith("|")]
    yield from (head, rule)
    for row in rows:
        cells = row.split(" | ")
        kinds_ = re.findall(r"`([^`]+)`", cells[0])
        over = {_over(kind) for kind in kinds_}
        degrades = {"no" if kind in HARMLESS_KINDS else "yes" for kind in kinds_}
        assert len(over) == len(degrades) == 1, f"{kinds_} differ: give them rows of their own"
        yield " | ".join((*cells[:-2], over.pop(), f"{degrades.pop()} |"))


def _over(kind: str) -> str:
    if kind in LASTING_KINDS:
        return "the session"
    return ", ".join(f"`{other}`" for other in sorted(ENDED_BY.get(kind, ())))


# Settings


@dataclass(frozen=True, slots=True)
class Line:
    """What config/default.toml says of one setting: its value as it stands there, "" if it is commented, and why."""

    value: str
    comment: str


_SETTING = re.compile(r'(# )?([a-z_]+) = ("[^"]*"|\[[^\]]*\]|[^\s#]+)(?:\s+# (.*))?$')
_TABLE = re.compile(r"(# )?\[([a-z_]+)(?:\.[^\]]+)?\]$")


def settings_page() -> Iterator[str]:
    """Yield the lines of the page of settings."""
    said, above = _default_file()
    yield from (
        "# All settings",
        "",
        _MADE,
        "",
        "Every setting with the kind of value that it takes, and what it is where nobody sets it. How values are",
        "written, and what settings mean beyond a line: [settings.md](settings.md).",
    )
    yield from ("", "## Outside of tables", "", *_rows("", Settings, said, only=("keys_file",)))
    hints = get_type_hints(Settings)
    for section in SECTIONS:
        yield from ("", f"## `[{section}]`", "", *above.get(section, ()), *_rows(section, hints[section], said))
    for section, struct in NAMED_SECTIONS.items():
        yield from ("", f"## `[{section}.NAME]`", "", *above.get(section, ()), *_rows(section, struct, said))


def _rows(
    section: str, struct: type[msgspec.Struct], said: Mapping[tuple[str, str], Line], only: Sequence[str] = ()
) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    known = kinds_of(struct)
    for field in msgspec.structs.fields(struct):
        if field.name not in known or (only and field.name not in only):
            continue
        line = said.get((section, field.name), Line("", ""))
        cells = f"`{field.name}`", known[field.name].words, _default(field, known[field.name], line), line.comment
        yield f"| {' | '.join(cell.replace('|', r'\|') for cell in cells)} |"


def _default(field: msgspec.structs.FieldInfo, kind: value_kinds.ValueKind, line: Line) -> str:
    if field.required:
        return "has to be set"
    if field.default is None:
        return ""
    if field.default is msgspec.NODEFAULT:  # made anew for each PC
        return f"`{line.value}`"
    shown = kind.show(field.default)
    return f"`{json.dumps(shown, ensure_ascii=False)}`"


def _default_file() -> tuple[dict[tuple[str, str], Line], dict[str, list[str]]]:
    """Return what the file says of each setting, by its table and key, and what stands above each table."""
    said: dict[tuple[str, str], Line] = {}
    above: dict[str, list[str]] = {}
    section, words = "", list[str]()
    for text in default_text().splitlines():
        if table := _TABLE.match(text):
            section = table[2]
            if words and section not in above:
                above[section] = [*words, ""]
            words = []
        elif setting := _SETTING.match(text):
            line = Line("" if setting[1] else setting[3], setting[4] or "")
            known = said.get((section, setting[2]))
            if known is None or not known.comment:
                said[section, setting[2]] = line
            words = []
        elif text.startswith("# "):
            words.append(text.removeprefix("# "))
        elif not text.strip("# "):
            words = []
    return said, above


def main() -> int:
    """Write what has changed, and name it."""
    for page, text in pages().items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{page.relative_to(ROOT)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
