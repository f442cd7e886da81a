"""The pages for people say all that the program says: a word that is missing there fails here."""

import ast
import importlib
import itertools
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import get_args, get_type_hints

import click
import msgspec
import pytest

import agent.checks
from agent.alarms.alarm import Alarm
from agent.checks import runner
from agent.checks.every import every_check
from agent.checks.result import Code, Verdict
from agent.commands.alarm import WayTested
from agent.commands.schedule_feeds import FeedLine
from agent.conference.parts import Check
from agent.devices.giving import RoleState
from agent.devices.page import DevicePage, ModeRow, UsbPlace
from agent.group import liput
from agent.rehearsal import codes as rehearsal_codes
from agent.requests.answer import RequestDocument, RequestLine
from agent.schedule.answer import PlanDocument
from agent.schedule.coming import Coming
from agent.schedule.done import Done
from agent.schedule.feeds import FeedState
from agent.schedule.plan import Plan, Source
from agent.steering import SessionLine
from config import errors
from config.errors import LiputError
from config.messages import Card, Reason, card_text, reason_text
from config.program import BUILT_IN_LAYOUTS
from config.reader import NAMED_SECTIONS, SECTIONS, kinds_of
from config.schedule import MODES
from config.schema import Settings
from devices.controls.changes import ControlChange
from devices.controls.control import Control
from devices.health.faults import FAULTS, OF_ITS_PLACE
from devices.health.line import HealthLine, Kind
from devices.health.log import LEFT_OUT
from devices.health.summary import DeviceSummary
from devices.health.tracker import HealthChange
from devices.model import Device, Health
from devices.uplink.trouble import Trouble
from recorder.control.directory import RecorderInfo
from recorder.control.protocol import AnyRequest, Failure, Look, Note, Sealing, Told
from recorder.dossier.model import (
    Change,
    Disposition,
    FieldChange,
    Letter,
    Receipt,
    RecordedSession,
    Request,
    RequestRecord,
    Step,
    StepState,
)
from recorder.event_kinds import TOLD
from recorder.faults import FaultReporter
from recorder.repeats import EVENTS_LEFT_OUT
from recorder.states import TRANSITIONS
from recorder.status import (
    DestinationLine,
    EncoderLine,
    LoadLine,
    MarkLine,
    SessionResult,
    SessionStatus,
    SoundLine,
    SourceLine,
)
from recorder.troubles import ENDED_BY, HARMLESS, LASTING
from tests import reference
from tests.proofs import live_table

ROOT = Path(__file__).parents[1]
CLI, SETTINGS, DEVICES, CONTROL, CHECK, REQUEST, ALARMS, SCHEDULE = (
    (ROOT / "docs" / page).read_text()
    for page in (
        "reference/cli.md",
        "reference/settings.md",
        "devices.md",
        "reference/control.md",
        "check.md",
        "request.md",
        "alarms.md",
        "schedule.md",
    )
)
STATIC = {ROOT / "recorder/faults.py", ROOT / "recorder/losses.py"}
"""Modules whose kinds come from elsewhere: the faults, and whoever makes a LossReporter."""


def section(page: str, heading: str) -> str:
    """Return what stands below a heading, up to the next of its level or above."""
    level = len(heading) - len(heading.lstrip("#"))
    _, found, rest = f"\n{page}".partition(f"\n{heading}\n")
    assert found, f"there is no heading {heading!r} on the page that begins {page[:40]!r}"
    return re.split(rf"^#{{1,{level}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def rows(text: str) -> dict[str, list[str]]:
    """Return the rows of all tables of a text: the cells after the first, by each word in code in the first."""
    found = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        for word in re.findall(r"`([^`]+)`", cells[0]) if cells else ():
            found[word] = cells[1:]
    return found


# Faults and lines of the health log


def test_every_fault_is_explained_with_the_state_it_makes() -> None:
    table = rows(section(DEVICES, "## All faults"))
    assert {fault: row[0] for fault, row in table.items()} == {
        str(fault): f"`{meaning.state}`" for fault, meaning in FAULTS.items()
    }


def test_every_fault_says_when_it_is_found_when_it_is_over_and_what_to_do() -> None:
    assert all(len(row) == 5 and all(row) for row in rows(section(DEVICES, "## All faults")).values())


def test_every_kind_of_line_is_explained() -> None:
    assert set(rows(section(DEVICES, "### Kinds of lines"))) == {LEFT_OUT, *map(str, Kind)}


# What checks find

CHECK_CODES: Mapping[str, Mapping[str, Code]] = {
    **{f"`{check.name}`": check.codes for check in every_check()},
    "any check": runner.CODES,
    "rehearsal: `recording`": rehearsal_codes.CODES,
    "rehearsal: `rate`": rehearsal_codes.RATE_CODES,
    "rehearsal: `sync`": rehearsal_codes.SYNC_CODES,
    "rehearsal: `size`": rehearsal_codes.SIZE_CODES,
    "rehearsal: `destination`": rehearsal_codes.DESTINATION_CODES,
}
"""By the heading of its table."""
ELSEWHERE: Mapping[str, frozenset[str]] = {"`uplink`": frozenset(Trouble)}
"""Codes of a check that stand in the table of another one."""


@pytest.mark.parametrize("heading", CHECK_CODES)
def test_every_code_of_a_check_is_explained_with_its_verdict(heading: str) -> None:
    table = rows(section(CHECK, f"### {heading}"))
    elsewhere = ELSEWHERE.get(heading, frozenset())
    codes = {code: found for code, found in CHECK_CODES[heading].items() if code not in elsewhere}
    assert {code: row[0] for code, row in table.items()} == {code: str(found.verdict) for code, found in codes.items()}
    for code, (_, when, todo) in table.items():
        assert when or code == "ok"
        assert bool(todo) is bool(codes[code].advice.english)


def test_no_check_is_left_out() -> None:
    modules = [
        importlib.import_module(found.name) for found in pkgutil.iter_modules(agent.checks.__path__, "agent.checks.")
    ]
    codes = [code for module in modules if hasattr(module, "CODES") for code in module.CODES.values()]
    known = [code for table in CHECK_CODES.values() for code in table.values()]
    assert len(codes) > len(CHECK_CODES)
    assert [code.reason.english for code in codes if code not in known] == []


@pytest.mark.parametrize("heading", CHECK_CODES)
def test_what_a_check_finds_is_said_in_both_languages_with_advice_where_it_is_not_well(heading: str) -> None:
    for code, found in CHECK_CODES[heading].items():
        assert all(found.reason), code
        assert all(found.advice) or not any(found.advice), code
        assert all(found.advice) or found.verdict in (Verdict.OK, Verdict.UNCHECKED), code


# What is written from the code


def test_what_is_written_from_the_code_is_as_the_code_has_it() -> None:
    stale = [page.relative_to(ROOT).as_posix() for page, text in reference.pages().items() if page.read_text() != text]
    assert stale == [], "./run docs writes them"


def test_the_page_of_errors_has_every_class_of_the_tree() -> None:
    listed = rows((ROOT / "docs/reference/errors.md").read_text())
    assert {name for name, found in vars(errors).items() if isinstance(found, type)} <= set(listed)
    for name, row in listed.items():
        status = getattr(errors, name, LiputError).exit_status
        assert row[0] == str(status), name
        assert row[1]


def test_the_page_of_settings_has_every_setting() -> None:
    page = (ROOT / "docs/reference/all-settings.md").read_text()
    sections = {section: get_type_hints(Settings)[section] for section in SECTIONS} | {
        f"{section}.NAME": struct for section, struct in NAMED_SECTIONS.items()
    }
    for name, struct in sections.items():
        assert set(rows(section(page, f"## `[{name}]`"))) == set(kinds_of(struct)), name


# Events of a session


def emitted() -> set[str]:
    """Return every kind of event that a session can tell."""
    kinds = set(itertools.chain.from_iterable(_kinds_in(path) for path in sorted((ROOT / "recorder").rglob("*.py"))))
    kinds.add(EVENTS_LEFT_OUT)  # by the log itself
    reporter = FaultReporter(lambda kind, *_, **__: kinds.add(kind))
    for fault, begun in itertools.product(FAULTS.keys() - OF_ITS_PLACE, (True, False)):
        reporter(HealthChange("id", "name", fault, begun, "reason", Health()))
    return kinds


def test_no_watch_finds_what_is_found_on_what_is_plugged_in() -> None:
    of_its_place = re.compile(r"\bFault\.(" + "|".join(sorted(fault.name for fault in OF_ITS_PLACE)) + r")\b")
    modules = [path for package in ("capture", "recorder") for path in (ROOT / package).rglob("*.py")]
    assert [str(path) for path in modules if of_its_place.search(path.read_text())] == []


def _kinds_in(path: Path) -> Iterator[str]:
    if path in STATIC:
        return
    tree = ast.parse(path.read_text())
    assigned = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node.func) in {"emit", "_emit", "LossReporter"}:
            kind = node.args[0]
            yield from _texts(assigned[kind.id] if isinstance(kind, ast.Name) else kind, path)


def _facts_in(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each kind of event that stands in a call, with each of its facts that does so too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and _name(node.func) in {"emit", "_emit"}
            and isinstance(node.args[0], ast.Constant)
        ):
            yield from ((str(node.args[0].value), word.arg) for word in node.keywords if word.arg)


def test_whatever_ends_or_lasts_is_a_kind_of_event() -> None:
    known = {kind for said in TOLD for kind in said.kinds}
    assert {*HARMLESS, *LASTING, *ENDED_BY, *itertools.chain.from_iterable(ENDED_BY.values())} <= known


def test_every_fact_of_an_event_is_explained() -> None:
    told = {kind: said.detail for said in TOLD for kind in said.kinds}
    facts = list(itertools.chain.from_iterable(_facts_in(path) for path in sorted((ROOT / "recorder").rglob("*.py"))))
    assert len(facts) > 50
    assert [(kind, fact) for kind, fact in facts if f"`{fact}`" not in told[kind]] == []


def _name(function: ast.expr) -> str:
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def _texts(value: ast.expr, path: Path) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*_texts(value.body, path), *_texts(value.orelse, path))
        return
    assert isinstance(value, ast.Constant), f"{path}:{value.lineno}: which kind of event is this?"
    yield str(value.value)


def test_every_kind_of_event_is_explained_and_whether_it_degrades() -> None:
    table = rows(section(CLI, "### Events"))
    assert {kind: row[-1] for kind, row in table.items()} == {
        kind: "no" if kind in HARMLESS else "yes" for kind in emitted()
    }


# JSON


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("## liput devices", [Device, Health]),
        ("## liput devices show", [DevicePage, UsbPlace, ModeRow]),
        ("## liput devices controls", [Control, ControlChange]),
        ("## liput devices roles", [RoleState]),
        ("## liput conference", [Check]),
        ("## liput health", [HealthLine]),
        ("## liput health summary", [DeviceSummary]),
        ("## liput arm", [SessionLine]),
        ("## liput alarm", [WayTested]),
        ("## liput request", [RequestLine, RequestDocument]),
        ("## liput schedule", [PlanDocument, Coming, Plan, Source, Done, FeedLine, FeedState]),
        (
            "## liput record",
            [SessionStatus, SessionResult, DestinationLine, SourceLine, SoundLine, MarkLine, LoadLine, EncoderLine],
        ),
    ],
)
def test_every_field_is_in_the_reference(heading: str, kinds: Sequence[type[msgspec.Struct]]) -> None:
    named = set(re.findall(r"[`\".]([a-z_]+)[`\"]", section(CLI, heading)))
    for kind in kinds:
        assert not {field.encode_name for field in msgspec.structs.fields(kind)} - named, kind


def test_every_field_of_an_alarm_is_on_its_page() -> None:
    named = set(re.findall(r"[`\".]([a-z_]+)[`\"]", section(ALARMS, "## What a webhook gets")))
    assert not {field.encode_name for field in msgspec.structs.fields(Alarm)} - named


def test_every_field_of_a_request_is_on_its_page() -> None:
    named = set(re.findall(r"[`\".]([a-z0-9_]+)[`\"]", section(REQUEST, "## What a package keeps")))
    for kind in (RequestRecord, Request, Letter, Receipt, Disposition, RecordedSession, Change, FieldChange, Step):
        assert not {field.encode_name for field in msgspec.structs.fields(kind)} - named, kind
    states = rows(section(REQUEST, "## Standard times"))
    assert set(StepState) <= set(states)


def test_every_field_of_a_plan_is_on_its_page() -> None:
    named = set(re.findall(r"`([a-z_]+)`", section(SCHEDULE, "## On the disk")))
    for kind in (Plan, Source):
        assert not {field.encode_name for field in msgspec.structs.fields(kind)} - named - {"version"}, kind
    assert set(rows(section(SCHEDULE, "## What is done, and when"))) == set(MODES)


# The control socket


def test_every_command_of_the_control_socket_is_in_the_reference_with_all_it_takes() -> None:
    table = rows(section(CONTROL, "## Lines"))
    for request in get_args(AnyRequest.__value__):
        words = {field.encode_name for field in msgspec.structs.fields(request)} - {"id"}
        tag = request.__struct_config__.tag
        assert tag in table
        assert all(f"`{word}`" in " ".join(table[tag]) for word in words), tag


def test_every_line_of_the_control_socket_is_in_the_reference() -> None:
    text = section(CONTROL, "## Lines")
    for line in get_args(Told.__value__):
        assert f"`{line.__struct_config__.tag}`" in text, line
    fields = [field.encode_name for kind in (Note, Sealing, Failure) for field in msgspec.structs.fields(kind)]
    assert all(f"`{field}`" in text for field in fields)
    where = section(CONTROL, "## Where")
    assert all(f'"{field.encode_name}"' in where for field in msgspec.structs.fields(RecorderInfo))


def test_what_can_be_asked_of_the_preview_socket_is_in_the_reference() -> None:
    assert {field.encode_name for field in msgspec.structs.fields(Look)} - {"id"} == set(
        rows(section(CONTROL, "## Previews"))
    ) - {"program"}


def test_the_transitions_of_the_reference_are_those_of_the_code() -> None:
    cells = re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", section(CONTROL, "## States"), re.MULTILINE)
    assert sorted(cells) == sorted((str(a), str(b)) for a, ways in TRANSITIONS.items() for b in ways)


# Commands and settings


def commands(command: click.Command, words: str) -> Iterator[tuple[str, click.Command]]:
    """Yield a command and all below it, by the words that call them."""
    yield words, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from commands(below, f"{words} {name}")


def test_every_command_and_option_is_in_the_reference() -> None:
    for words, command in commands(liput, "liput"):
        if words != "liput config":
            assert f"{words} " in CLI or f"{words}`" in CLI or f"| `{words.split()[-1]}" in CLI, words
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for option in options:
            assert option in CLI or option == "--version", f"{words} {option}"


def test_every_table_of_the_settings_is_named() -> None:
    plain = {"keys_file", "file", "lines"}
    tables = {field.name for field in msgspec.structs.fields(Settings)} - plain
    assert not {table for table in tables if f"[{table}]" not in SETTINGS and f"[{table}." not in SETTINGS}


# The program's picture


def test_every_sentence_in_the_picture_stands_beside_its_translation() -> None:
    page = (ROOT / "docs/program.md").read_text()
    for reason in Reason:
        assert f"| {reason_text(reason, 'id')} | {reason_text(reason, 'en')} |" in page
    for card in Card:
        assert f"| `{card}` | {card_text(card, 'id')} | {card_text(card, 'en')} |" in page
    assert set(rows(section(page, "## Layouts (*tata letak*)"))) == set(BUILT_IN_LAYOUTS), "rows of docs/program.md"


def test_every_layout_is_explained_where_it_is_set() -> None:
    shown = section(SETTINGS, "## Layouts, title line, logo")
    assert set(BUILT_IN_LAYOUTS) <= rows(shown).keys(), "rows of docs/reference/settings.md"
    settings = (ROOT / "config/default.toml").read_text(encoding="utf-8")
    above = settings.partition("[layouts.single]")[0].rpartition("\n\n")[2]
    assert [kind for kind in BUILT_IN_LAYOUTS if kind not in above] == [], "the comment of config/default.toml"


def test_what_viewers_miss_is_what_was_measured() -> None:
    assert "\n".join(live_table.table(live_table.newest())) in (ROOT / "docs" / "live.md").read_text()
