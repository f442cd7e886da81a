"""The pages for people say all that the program says, in its words: a word that is missing fails here."""

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

from agent.alarms.command import ChannelTest
from agent.checks import kinds, runner
from agent.checks.check import CheckFinding, CheckVerdict, all_checks, findings
from agent.cli.group import liput
from agent.devices.listing import RoleState
from agent.devices.page import DevicePage, ModeRow, UsbPlace
from agent.health.alarm import KILLED, SENTENCES, SILENT, Alarm
from agent.requests.request_documents import RequestDocument, RequestLine
from agent.schedule.feeds import FeedState
from agent.schedule.interface.plan_documents import ComingStep, PlanDocument
from agent.schedule.plan import CalendarSource, Plan
from agent.schedule.store import PlanRecord
from agent.sessions import rehearsal_results
from agent.sessions.conference import ConferenceCheck
from agent.sessions.control import SessionLine
from capture.sources.worker import OutageKind, SourceState
from config import errors
from config.errors import LiputError
from config.locale.lookup import ProgramCard, picture_text, words
from config.settings.layouts import BUILT_IN_LAYOUTS
from config.settings.reader import kinds_of
from config.settings.schema import NAMED_SECTIONS, SECTIONS, Settings
from config.settings.serving import MODES
from devices.controls.control import Control
from devices.controls.setting import ControlChange
from devices.health.faults import FAULT_STATES, PLUG_FAULTS, HealthChange
from devices.health.log_line import HealthLine, LogKind
from devices.health.log_writer import DROPPED_LINES
from devices.health.summary import DeviceSummary
from devices.model.device import Device, Health
from devices.uplink.connecting import NetworkFault
from recorder.live.kind import DestinationFault
from recorder.model.eventlog import EVENTS_LEFT_OUT, RECOVERED_KIND, fault_reporter
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, LASTING_KINDS
from recorder.model.status import (
    TRANSITIONS,
    DestinationLine,
    EncoderLine,
    LoadLine,
    MarkLine,
    SessionResult,
    SessionState,
    SessionStatus,
    SoundLine,
    SourceLine,
)
from recorder.package.request import (
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
from recorder.recording.replica import ReplicaState
from recorder.running.protocol import (
    AnyRequest,
    DestinationChange,
    PreviewCommand,
    RecorderFailure,
    RecorderMessage,
    RecorderNote,
    SealingProgress,
)
from recorder.running.runtime_directory import RecorderInfo
from tests import reference
from tests.proofs import live_table
from tests.support.pages import ALARMS, CHECK, CLI, CONTROL, DEVICES, REQUEST, ROOT, SCHEDULE, SETTINGS, rows, section

pytestmark = pytest.mark.computing

# Faults and lines of the health log


def test_every_fault_is_explained_with_its_state_when_it_is_found_and_over_and_what_to_do() -> None:
    table = rows(section(DEVICES, "## All faults"))
    assert {fault: row[0] for fault, row in table.items()} == {
        str(fault): f"`{state}`" for fault, state in FAULT_STATES.items()
    }
    assert all(len(row) == 5 and all(row) for row in table.values())


def test_every_kind_of_line_is_explained() -> None:
    assert set(rows(section(DEVICES, "### Kinds of lines"))) == {DROPPED_LINES, *map(str, LogKind)}


# What checks find

REHEARSAL = (
    rehearsal_results.CODES, rehearsal_results.HAPPENED_CODES, rehearsal_results.RATE_CODES,
    rehearsal_results.SYNC_CODES, rehearsal_results.SIZE_CODES, rehearsal_results.DESTINATION_CODES,
)  # fmt: skip
CHECK_CODES: Mapping[str, Mapping[str, CheckFinding]] = {
    **{f"`{check.name}`": check.codes for check in all_checks()},
    "any check": runner.CODES,
    "any source": findings("check-source"),
    "parts of a rehearsal": {code: found for part in REHEARSAL for code, found in part.items()},
}
"""By the heading of its table."""
OF_ANY_CHECK = frozenset({"ok", "hangs", "cancelled"})
"""`ok` needs no words; the others stand in the table of any check."""
OF_ANY_SOURCE = frozenset(findings("check-source"))
ELSEWHERE: Mapping[str, frozenset[str]] = {
    "any check": frozenset(),
    "`uplink`": frozenset(NetworkFault) | OF_ANY_CHECK,
    "`picture`": OF_ANY_SOURCE | OF_ANY_CHECK,
    "`sound`": OF_ANY_SOURCE | OF_ANY_CHECK,
}
"""Codes of a check that stand in the table of another one."""


@pytest.mark.parametrize("heading", CHECK_CODES)
def test_every_code_of_a_check_is_explained_with_its_verdict(heading: str) -> None:
    table = rows(section(CHECK, f"### {heading}"))
    elsewhere = ELSEWHERE.get(heading, OF_ANY_CHECK)
    here = {code: found for code, found in CHECK_CODES[heading].items() if code not in elsewhere}
    assert {code: row[0] for code, row in table.items()} == {code: str(found.verdict) for code, found in here.items()}
    assert all(len(row) == 2 and all(row) for row in table.values())


def test_a_code_of_any_check_has_one_verdict() -> None:
    for found in CHECK_CODES.values():
        verdicts = {code: found[code].verdict for code in OF_ANY_CHECK & found.keys()}
        assert (
            verdicts.items()
            <= {"ok": CheckVerdict.OK, "hangs": CheckVerdict.FAILURE, "cancelled": CheckVerdict.UNCHECKED}.items()
        )


def test_no_two_parts_of_a_rehearsal_have_the_same_code() -> None:
    named = [code for part in REHEARSAL for code in part if code != "ok"]
    assert len(named) == len(set(named))


def test_no_check_is_left_out() -> None:
    modules = [
        importlib.import_module(f"{kinds.__name__}.{found.name}") for found in pkgutil.iter_modules(kinds.__path__)
    ]
    every = [code for module in modules if hasattr(module, "CODES") for code in module.CODES.values()]
    known = [code for table in CHECK_CODES.values() for code in table.values()]
    assert len(every) > len(CHECK_CODES)
    assert [code.reason.english for code in every if code not in known] == []


@pytest.mark.parametrize("heading", CHECK_CODES)
def test_what_is_not_well_has_advice(heading: str) -> None:
    for code, found in CHECK_CODES[heading].items():
        assert all(found.advice) or found.verdict in (CheckVerdict.OK, CheckVerdict.UNCHECKED), code


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
    for path, command in commands(liput, "liput"):
        if path != "liput config":
            assert f"{path} " in CLI or f"{path}`" in CLI or f"| `{path.split()[-1]}" in CLI, path
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for option in options:
            assert option in CLI or option == "--version", f"{path} {option}"


def test_every_table_of_the_settings_is_named() -> None:
    plain = {"keys_file", "file", "text", "lines"}
    tables = {field.name for field in msgspec.structs.fields(Settings)} - plain
    assert not {table for table in tables if f"[{table}]" not in SETTINGS and f"[{table}." not in SETTINGS}


# The program's picture


def test_every_sentence_in_the_picture_stands_beside_its_translation() -> None:
    page = (ROOT / "docs/program.md").read_text()
    for kind in OutageKind:
        assert f"| {picture_text(kind, 'id')} | {picture_text(kind, 'en')} |" in page
    for card in ProgramCard:
        assert f"| `{card}` | {picture_text(card, 'id')} | {picture_text(card, 'en')} |" in page
    assert set(rows(section(page, "## Layouts (*tata letak*)"))) == set(BUILT_IN_LAYOUTS), "rows of docs/program.md"


def test_every_layout_is_explained_where_it_is_set() -> None:
    shown = section(SETTINGS, "## Layouts, title line, logo")
    assert set(BUILT_IN_LAYOUTS) <= rows(shown).keys(), "rows of docs/reference/settings.md"
    settings = (ROOT / "config/default.toml").read_text(encoding="utf-8")
    above = settings.partition("[layouts.single]")[0].rpartition("\n\n")[2]
    assert [kind for kind in BUILT_IN_LAYOUTS if kind not in above] == [], "the comment of config/default.toml"


def test_what_viewers_miss_is_what_was_measured() -> None:
    assert "\n".join(live_table.table(live_table.newest())) in (ROOT / "docs" / "live.md").read_text()


def test_the_manual_page_has_every_command_and_no_line_that_is_no_request() -> None:
    lines = (ROOT / "docs/man/liput.1").read_text().splitlines()
    assert {f".SS {words}".replace("-", r"\-") for words, _ in commands(liput, "liput")} - {".SS liput"} <= {*lines}
    requests = {line.split()[0] for line in lines if line.startswith((".", "'"))}
    assert requests == {".TH", ".SH", ".SS", ".PP", ".TP", ".nf", ".fi"}


# Every page

PAGES = sorted(path for place in ("*.md", "docs/**/*.md", "tests/rig/*.md") for path in ROOT.glob(place))
EXAMPLES = ROOT / "tests/extending"
"""Files that a page tells to write."""


def anchors(page: Path) -> set[str]:
    """Return the fragments that lead to a page's headings, as forges make them."""
    prose = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    headings = re.findall(r"(?m)^#+ (.+)$", prose)
    plain = (re.sub(r"\[(.*?)\]\(.*?\)", r"\1", heading).lower() for heading in headings)
    return {re.sub(r"[^\w -]", "", heading).replace(" ", "-") for heading in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_heading_or_file(page: Path) -> None:
    for link in re.findall(r"\]\((?!https?:)(\S+?)\)", page.read_text()):
        path, _, fragment = link.partition("#")
        there = page.parent / path if path else page
        assert there.exists(), link
        assert not fragment or fragment in anchors(there), link


def test_pages_name_modules_and_tests_that_exist() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"`((?:agent|recorder|capture|devices|config|tests)/[\w/.-]+)`", text))
    placeholders = {path for path in named if re.search(r"\b[A-Z]+\b|_[A-Z]+\.", path)}
    assert len(named) > 200
    assert [
        path for path in sorted(named - placeholders) if not (ROOT / path).exists() and not (EXAMPLES / path).exists()
    ] == []
    programs = set(re.findall(r"python -m (tests[\w.]+)", text))
    assert len(programs) > 5
    assert [name for name in sorted(programs) if not (ROOT / f"{name.replace('.', '/')}.py").exists()] == []


# The architecture

WORDS_BETWEEN = {"every", "state", "takes", "packet", "more", "disk", "nothing", "which", "pass"}
"""Words in the drawings that are no states."""


def test_the_walks_name_classes_of_their_modules() -> None:
    steps = re.findall(r"\| `(\w+)` \| `([\w/]+\.py)` \|", (ROOT / "docs/architecture.md").read_text())
    assert len(steps) > 25
    assert [name for name, path in steps if f"\nclass {name}" not in (ROOT / path).read_text()] == []


def test_the_architecture_draws_every_state() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    for heading, states in (
        ("## Walk 3: a session from Start to the sealed package", [*map(str, SessionState)]),
        ("### A source", [*map(str, SourceState)]),
        ("### A replica", [state.name for state in ReplicaState]),
    ):
        drawn = re.findall(r"^ {4}.*$", section(page, heading), re.MULTILINE)
        assert set(states) == set(re.findall(r"[a-z]{4,}|[A-Z]{4,}", "\n".join(drawn))) - WORDS_BETWEEN, heading


STATIC = {ROOT / "recorder/model/eventlog.py"}
"""Modules whose kinds come from elsewhere: the faults, and whoever makes a LossReporter."""
EMITTING = sorted([*(ROOT / "recorder").rglob("*.py"), *(ROOT / "devices/host").glob("*.py")])
"""Modules that emit events of a session."""


# Events of a session


def emitted() -> set[str]:
    """Return every kind of event that a session can tell."""
    kinds = {kind for path in EMITTING for kind in _kinds_in(path)}
    kinds |= {EVENTS_LEFT_OUT, RECOVERED_KIND}  # by the log itself, and by recovery
    reporter = fault_reporter(lambda kind, *_, **__: kinds.add(kind))
    for fault, begun in itertools.product(FAULT_STATES.keys() - PLUG_FAULTS, (True, False)):
        reporter(HealthChange("id", "name", fault, begun, "reason", Health()))
    return kinds


def test_no_watch_finds_what_is_found_on_what_is_plugged_in() -> None:
    of_its_place = re.compile(r"\bFault\.(" + "|".join(sorted(fault.name for fault in PLUG_FAULTS)) + r")\b")
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
            kind = assigned[kind.id] if isinstance(kind, ast.Name) else kind
            if isinstance(kind, ast.Call) and isinstance(kind.func, ast.Attribute):  # TABLE.get(key, kind)
                assert isinstance(kind.func.value, ast.Name)
                table = assigned[kind.func.value.id]
                assert isinstance(table, ast.Dict)
                yield from itertools.chain.from_iterable(_texts(value, path) for value in table.values)
                kind = kind.args[1]
            yield from _texts(kind, path)


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
    known = rows(section(CLI, "### Events")).keys()
    assert {*HARMLESS_KINDS, *LASTING_KINDS, *ENDED_BY, *itertools.chain.from_iterable(ENDED_BY.values())} <= known


def test_every_fact_of_an_event_is_explained() -> None:
    told = {kind: row[1] for kind, row in rows(section(CLI, "### Events")).items()}
    facts = [fact for path in EMITTING for fact in _facts_in(path)]
    assert len(facts) > 50
    assert [(kind, fact) for kind, fact in facts if f"`{fact}`" not in told[kind]] == []


def _name(function: ast.expr) -> str:
    return str(getattr(function, "attr", getattr(function, "id", "")))


def _texts(value: ast.expr, path: Path) -> Iterator[str]:
    if isinstance(value, ast.IfExp):
        yield from (*_texts(value.body, path), *_texts(value.orelse, path))
        return
    assert isinstance(value, ast.Constant), f"{path}:{value.lineno}: which kind of event is this?"
    yield str(value.value)


def test_every_kind_of_event_is_explained_and_whether_it_degrades() -> None:
    table = rows(section(CLI, "### Events"))
    assert {kind: row[-1] for kind, row in table.items()} == {
        kind: "no" if kind in HARMLESS_KINDS else "yes" for kind in emitted()
    }


# JSON


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [
        ("## liput devices", [Device, Health]),
        ("## liput devices show", [DevicePage, UsbPlace, ModeRow]),
        ("## liput devices controls", [Control, ControlChange]),
        ("## liput devices roles", [RoleState]),
        ("## liput conference", [ConferenceCheck]),
        ("## liput health", [HealthLine]),
        ("## liput health summary", [DeviceSummary]),
        ("## liput arm", [SessionLine]),
        ("## liput alarm", [ChannelTest]),
        ("## liput request", [RequestLine, RequestDocument]),
        ("## liput schedule", [PlanDocument, ComingStep, Plan, CalendarSource, PlanRecord, FeedState]),
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
    for kind in (Plan, CalendarSource):
        assert not {field.encode_name for field in msgspec.structs.fields(kind)} - named - {"version"}, kind
    assert set(rows(section(SCHEDULE, "## What is done, and when"))) == set(MODES)


# The control socket


def test_every_command_of_the_control_socket_is_in_the_reference_with_all_it_takes() -> None:
    table = rows(section(CONTROL, "## Lines"))
    changes, others = get_args(DestinationChange.__value__), set(get_args(AnyRequest.__value__)) - {DestinationChange}
    for request in (*changes, *others):
        words = {field.encode_name for field in msgspec.structs.fields(request)} - {"id"}
        tag = request.__struct_config__.tag
        assert tag in table
        assert all(f"`{word}`" in " ".join(table[tag]) for word in words), tag


def test_every_line_of_the_control_socket_is_in_the_reference() -> None:
    text = section(CONTROL, "## Lines")
    for line in get_args(RecorderMessage.__value__):
        assert f"`{line.__struct_config__.tag}`" in text, line
    fields = [
        field.encode_name
        for kind in (RecorderNote, SealingProgress, RecorderFailure)
        for field in msgspec.structs.fields(kind)
    ]
    assert all(f"`{field}`" in text for field in fields)
    where = section(CONTROL, "## Where")
    assert all(f'"{field.encode_name}"' in where for field in msgspec.structs.fields(RecorderInfo))


def test_what_can_be_asked_of_the_preview_socket_is_in_the_reference() -> None:
    assert {field.encode_name for field in msgspec.structs.fields(PreviewCommand)} - {"id"} == set(
        rows(section(CONTROL, "## Previews"))
    ) - {"program"}


def test_the_transitions_of_the_reference_are_those_of_the_code() -> None:
    cells = re.findall(r"^\| `(\w+)` \| `(\w+)` \| \S", section(CONTROL, "## States"), re.MULTILINE)
    assert sorted(cells) == sorted((str(a), str(b)) for a, ways in TRANSITIONS.items() for b in ways)


TROUBLE = {"en": "troubleshooting.md", "id": "troubleshooting.id.md"}
PARTS = {"en": ("You see", "Now", "Later"), "id": ("Yang terlihat", "Sekarang", "Sesudahnya")}
GUIDES = ("guide-it.md", "guide-operator.id.md", "guide-operator.en.md", "after-a-crash.md")
LANGUAGES = sorted(TROUBLE)


def page(language: str) -> str:
    return (ROOT / "docs" / TROUBLE[language]).read_text()


def sections(language: str) -> list[str]:
    """Return what is said of each symptom; the last heading is none."""
    return re.split(r"^## ", page(language), flags=re.MULTILINE)[1:-1]


def texts(language: str) -> dict[str, str]:
    return {key: said.of(language) for key, said in words("page").items()}


def printed(word: str, language: str) -> str:
    """Return the message of a word, with … for each name and number. Raises KeyError."""
    if word in set(DestinationFault):
        text = texts(language)[f"reason.{word}"]
    elif word in SENTENCES:
        text = SENTENCES[word].of(language)
    else:
        text = texts(language)[word]
    return re.sub(r"\{[^{}]*\}", "…", text)


def spans(text: str) -> Iterator[str]:
    """Yield what stands as code in running text, with the lines it is on joined."""
    yield from (" ".join(span.split()) for span in re.findall(r"`([^`]+)`", text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_whatever_degrades_a_session_and_every_reason_of_a_stream_is_looked_up_there(language: str) -> None:
    needed = (emitted() - HARMLESS_KINDS) | {KILLED, SILENT, *DestinationFault}
    assert needed - set(rows(page(language))) == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_begins_as_the_message_does_and_as_no_other_row(language: str) -> None:
    begins = {word: row[0] for word, row in rows(page(language)).items()}
    wrong = [
        word for word, text in begins.items() if not re.match(rf"{re.escape(text)}(?!\w)", printed(word, language))
    ]
    assert wrong == []
    assert len(set(begins.values())) == len(begins)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_row_says_what_becomes_of_the_recording(language: str) -> None:
    of_streams = {word for word in SENTENCES if word.startswith(("destination-", "stream-"))} | set(DestinationFault)
    table = {word: row for word, row in rows(page(language)).items() if word not in of_streams}
    assert [word for word, row in table.items() if len(row) != 2 or not row[1]] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_symptom_says_what_is_seen_what_to_do_now_and_what_to_look_at_later(language: str) -> None:
    for text in sections(language):
        found = [text.find(f"\n**{part}:** ") for part in PARTS[language]]
        assert -1 < found[0] < found[1] < found[2], text.partition("\n")[0]
        later = text[found[2] :].partition("\n|")[0]
        assert any(span.startswith("liput ") for span in spans(later)), f"no command: {later}"


def test_both_pages_have_the_same_of_everything() -> None:
    words = [[list(rows(text)) for text in sections(language)] for language in LANGUAGES]
    assert words[0] == words[1]


@pytest.mark.parametrize("name", [*TROUBLE.values(), *GUIDES])
def test_every_command_that_is_named_is_one(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    commands = {span for span in spans(text) if span.startswith("liput ")}
    assert commands or name.startswith("guide-operator")
    assert [words for words in commands if (wrong := _wrong(words.split()[1:]))] == [], wrong


def _wrong(words: list[str]) -> str:
    """Return the first word of a command line that is no command, or an option that it does not take."""
    command: click.Command = liput
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        below = command.get_command(click.Context(command), words[0])
        if below is None:
            return words[0]
        command, words = below, words[1:]
    taken = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return next((word for word in words if word.startswith("--") and word not in taken), "")


@pytest.mark.parametrize(("language", "guide"), [(each, f"docs/guide-operator.{each}.md") for each in LANGUAGES])
def test_the_guides_lead_there(language: str, guide: str) -> None:
    for name in ("README.md", "docs/guide-it.md", guide):
        assert f"{TROUBLE[language]})" in (ROOT / name).read_text(), name
