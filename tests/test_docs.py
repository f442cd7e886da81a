"""The pages for people say all that the program says: a word that is missing there fails here."""

import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_type_hints

import click
import msgspec
import pytest

from agent.checks import kinds, runner
from agent.checks.check import CheckFinding, CheckVerdict, all_checks, findings
from agent.cli.group import liput
from agent.sessions import rehearsal_results
from capture.sources.worker import OutageKind, SourceState
from config import errors
from config.errors import LiputError
from config.locale.lookup import ProgramCard, picture_text
from config.settings.layouts import BUILT_IN_LAYOUTS
from config.settings.reader import kinds_of
from config.settings.schema import NAMED_SECTIONS, SECTIONS, Settings
from devices.health.faults import FAULT_STATES
from devices.health.log_line import LogKind
from devices.health.log_writer import DROPPED_LINES
from devices.uplink.connecting import NetworkFault
from recorder.model.status import SessionState
from recorder.recording.replica import ReplicaState
from tests import reference
from tests.proofs import live_table
from tests.support.pages import CHECK, CLI, DEVICES, ROOT, SETTINGS, rows, section

# Faults and lines of the health log


def test_every_fault_is_explained_with_the_state_it_makes() -> None:
    table = rows(section(DEVICES, "## All faults"))
    assert {fault: row[0] for fault, row in table.items()} == {
        str(fault): f"`{state}`" for fault, state in FAULT_STATES.items()
    }


def test_every_fault_says_when_it_is_found_when_it_is_over_and_what_to_do() -> None:
    assert all(len(row) == 5 and all(row) for row in rows(section(DEVICES, "## All faults")).values())


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
    for words, command in commands(liput, "liput"):
        if words != "liput config":
            assert f"{words} " in CLI or f"{words}`" in CLI or f"| `{words.split()[-1]}" in CLI, words
        options = [option for parameter in command.params for option in parameter.opts if option.startswith("--")]
        for option in options:
            assert option in CLI or option == "--version", f"{words} {option}"


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
