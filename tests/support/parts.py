"""Which tests are the unit part, `./run test --unit`: those that start no program, encoder, recorder or server.

Told by the imports of a test's module, which its text tells without importing it, and of the fixtures that it takes.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

STARTERS = (
    "agent.checks.kinds.encoder",
    "agent.checks.runner",
    "agent.commands.headroom",
    "agent.daemon.standby",
    "agent.sessions.receiver",
    "capture.sound.source",
    "capture.synthetic",
    "multiprocessing",
    "playwright",
    "recorder.features.conference.sound",
    "recorder.encode.encoder",
    "recorder.encode.hardware_probe",
    "recorder.encode.hardware_process",
    "recorder.recording.replica",
    "recorder.features.report.printing",
    "recorder.session.session",
    "subprocess",
    "tests.bench",
    "tests.mutation.copied",
    *(
        f"tests.support.{name}"
        for name in (
            "archives", "bars", "browser", "buses", "command", "copies", "damage", "disks", "dossiers", "forked",
            "leftovers", "media", "muxed", "packets", "quota", "room", "rtmp_server",
            "s3", "scenes", "scripted_session", "servers", "sessions", "slides", "sound_server",
            "sources", "srt_peer", "sshd", "storage", "streamed", "streams", "terminal", "tracks", "web", "xvfb",
        )
    ),
)  # fmt: skip
ELSEWHERE = ("vm", "server", "slow")  # marks of tests that are not of the unit part, whatever they import
_MARKS = re.compile(rf"^pytestmark = .*\bpytest\.mark\.({'|'.join(ELSEWHERE)})\b", re.MULTILINE)
_IMPORTS = re.compile(r"^(?:from (\S+) )?import (\([^)]*\)|.*)", re.MULTILINE)


def is_unit(item: pytest.Item) -> bool:
    """Return whether a test is of the unit part."""
    if not isinstance(item, pytest.Function) or any(item.get_closest_marker(mark) for mark in ELSEWHERE):
        return False
    return (
        may_have_unit(item.path)
        and not _module_starts_others(item.module)
        and not any(map(_may_start, _fixtures(item)))
    )


@cache
def _module_starts_others(module: ModuleType) -> bool:
    return starts_others(vars(module).values())


@cache
def may_have_unit(path: Path) -> bool:
    """Return whether a module of tests may have some of the unit part, as far as its text tells."""
    text = path.read_text()
    return not _MARKS.search(text) and not any(name.startswith(STARTERS) for name in _imported(text))


def _imported(text: str) -> Iterator[str]:
    """Give the full names that a module imports when it is imported itself."""
    for module, names in _IMPORTS.findall(text):
        for name in re.split(r"[\s,()]+", names):
            yield f"{module}.{name}" if module else name


def starts_others(things: Iterable[object]) -> bool:
    """Return whether one of these is such a module, or of one."""
    return any(_home(thing).startswith(STARTERS) for thing in things)


def _home(thing: object) -> str:
    return str(thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", ""))


def _fixtures(item: pytest.Function) -> Iterable[object]:
    found: Mapping[str, Iterable[pytest.FixtureDef[object]]] = item._fixtureinfo.name2fixturedefs
    return (definition.func for definitions in found.values() for definition in definitions)


@cache
def _may_start(function: object) -> bool:
    """Return whether a fixture's function names something that starts others."""
    used: Sequence[str] = getattr(getattr(function, "__code__", None), "co_names", ())
    names = getattr(function, "__globals__", {})
    imported_there = any(f"tests.support.{name}" in STARTERS for name in used)
    return imported_there or starts_others(names[name] for name in used if name in names)
