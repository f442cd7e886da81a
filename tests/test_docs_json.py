"""The reference for scripts has all that is told and taken as JSON: events, fields, the lines of the control socket."""

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from agent.alarms.command import ChannelTest
from agent.devices.listing import RoleState
from agent.devices.page import DevicePage, ModeRow, UsbPlace
from agent.health.alarm import Alarm
from agent.requests.request_documents import RequestDocument, RequestLine
from agent.schedule.feeds import FeedState
from agent.schedule.interface.plan_documents import ComingStep, PlanDocument
from agent.schedule.plan import CalendarSource, Plan
from agent.schedule.store import PlanRecord
from agent.sessions.conference import ConferenceCheck
from agent.sessions.control import SessionLine
from config.settings.serving import MODES
from devices.controls.control import Control
from devices.controls.setting import ControlChange
from devices.health.faults import FAULT_STATES, PLUG_FAULTS, HealthChange
from devices.health.log_line import HealthLine
from devices.health.summary import DeviceSummary
from devices.model.device import Device, Health
from recorder.model.eventlog import EVENTS_LEFT_OUT, RECOVERED_KIND, fault_reporter
from recorder.model.session_faults import ENDED_BY, HARMLESS_KINDS, LASTING_KINDS
from recorder.model.status import (
    TRANSITIONS,
    DestinationLine,
    EncoderLine,
    LoadLine,
    MarkLine,
    SessionResult,
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
from tests.support.pages import ALARMS, CLI, CONTROL, REQUEST, ROOT, SCHEDULE, rows, section

STATIC = {ROOT / "recorder/model/eventlog.py"}
"""Modules whose kinds come from elsewhere: the faults, and whoever makes a LossReporter."""


# Events of a session


def emitted() -> set[str]:
    """Return every kind of event that a session can tell."""
    kinds = set(
        itertools.chain.from_iterable(
            _kinds_in(path)
            for path in sorted([*(ROOT / "recorder").rglob("*.py"), *(ROOT / "devices/host").glob("*.py")])
        )
    )
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
    facts = list(
        itertools.chain.from_iterable(
            _facts_in(path)
            for path in sorted([*(ROOT / "recorder").rglob("*.py"), *(ROOT / "devices/host").glob("*.py")])
        )
    )
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
