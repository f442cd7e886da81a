"""Features take part in a session by hooks, a broken one costs nothing, and each can be taken away."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from capture.sources.source_kind import ChosenSources
from config.errors import UsageError
from config.events import Emit, Event
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from recorder.composition import SEAL_STEPS, SESSION_HOOKS
from recorder.control.spec import RecorderSpec, encode_spec
from recorder.model.status import LoadLine, SessionResult, SessionState, SessionStatus
from recorder.program.armed_program import ArmedProgram
from recorder.session import hooks as in_hooks
from recorder.session.hooks import SessionHook, SessionHooks, make_hooks
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from tests.support import dossiers
from tests.support.sessions import Room, faults

ROOT = Path(__file__).parents[2]
CORE = ("recorder", "capture", "devices", "config")
MADE = {
    "conference": {"line conference"},
    "copies": set[str](),
    "dossier": {"metadata/request.json", "data/surat/permohonan-1.pdf"},
    "load_shedding": {"line load"},
    "profiler": {"event cpu-measured"},
    "rehearsal": set(),
    "report": {"report.html", "data/thumbnails.jpg", "metadata/levels.json"},
    "slides": {"data/slides/001.jpg"},
}
"""Each feature, and its traces in a session: files of the package, lines of the status, events."""
AGENT = {
    "conference": (),
    "load_shedding": (),
    "profiler": (),
    "rehearsal": ("agent/commands/session/rehearse.py", "agent/sessions/rehearsal_results.py"),
}
"""Features that the agent can do without too, and the modules of the agent that go with each."""
SESSION = """
import json, pkgutil, sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

for root in sys.argv[1:]:
    package = import_module(root)
    assert Path(package.__file__).is_relative_to(Path.cwd()), package.__file__
    for found in pkgutil.walk_packages(package.__path__, f"{root}."):
        import_module(found.name)

from config.settings.schema import ReportSettings, Settings, SlideSettings
from devices.host.clock import SystemClock
from recorder.archive.correction import edit_package
from recorder.control.spec import decode_spec
from recorder.package import fixity
from recorder.package.verification import verify_package
from recorder.session.planning import plan_session
from recorder.session.session import Session

asked = decode_spec(sys.stdin.buffer.read()).asked
slides, report = SlideSettings(inputs=("synthetic picture",), text=False), ReportSettings(pdf=False)
events = []
plan = plan_session(asked, Settings(slides=slides, report=report), SystemClock()).plan
session = Session(plan, clock=SystemClock(), listener=events.append)
session.start()
result = session.run()
assert result.state == "sealed" and result.frames > 5, result
folder = Path(result.package)
assert edit_package(folder, {"title": "Rapat Senat"}, by=None, reason="", now=datetime.now(UTC))
assert verify_package(folder) == []
print(*fixity.walk(folder)[0], sep="\\n")
status = session.status()
print(*(f"line {name}" for name in ("load", "conference") if getattr(status, name)), sep="\\n")
print(*(f"event {event.kind}" for event in events), sep="\\n")
"""


def test_each_feature_is_taken_away_below() -> None:
    folders = {path.name for path in (ROOT / "recorder/features").iterdir() if (path / "__init__.py").exists()}
    assert folders == set(MADE)


@pytest.mark.slow
@pytest.mark.parametrize("has_agent", [True, False])
def test_without_half_of_the_features_all_else_loads_and_a_session_is_recorded_and_sealed(
    tmp_path: Path, *, has_agent: bool
) -> None:
    # All of a half at once: no feature may import another, as the import contracts have it.
    features = AGENT if has_agent else MADE.keys() - AGENT
    roots = (*CORE, "agent") if has_agent else CORE
    for name in roots:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for feature in features:
        shutil.rmtree(tmp_path / "recorder/features" / feature)
        for module in AGENT[feature] if has_agent else ():
            (tmp_path / module).unlink()
    composition = tmp_path / "recorder/composition.py"
    gone = tuple(f"recorder.features.{feature}." for feature in features)
    lines = composition.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(prefix in line for prefix in gone)]
    assert len(lines) - len(kept) == sum(module.startswith(gone) for module in (*SEAL_STEPS, *SESSION_HOOKS))
    composition.write_text("".join(kept))
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), audios=("synthetic",), profile="240p15", duration_s=1.0, conference=True,
        profile_stages=True, archive=tmp_path / "arsip", reserve=1,
        request=dossiers.context_of(dossiers.made(tmp_path / "permohonan", tmp_path / "meja")).request,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-P", "-c", SESSION, *roots],
        input=encode_spec(RecorderSpec(asked=asked)),
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    traces = set(done.stdout.decode().splitlines())
    assert traces >= {"data/media/program.mp4", "tagmanifest-sha256.txt"}
    assert ("metadata/derived.json" in traces) is has_agent, "without any sealing step nothing is derived"
    for name, made in MADE.items():
        assert made & traces == (set() if name in features else made)


class Noting(SessionHook):
    """Notes each moment; breaks in all of them if told to."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.moments: list[str] = []
        self.calls = 0
        self._breaks = breaks
        self.spacing = self.bus = self._use

    def _break(self) -> None:
        if self._breaks:
            raise ZeroDivisionError("a bug")

    def _note(self, moment: str) -> None:
        self.moments.append(moment)
        self._break()

    def _use(self, *_given: object) -> Any:
        self.calls += 1
        self._break()
        return 1

    def attach(self, emit: Emit) -> None:
        self._note("attach")

    def hear(self, event: Event) -> None:
        if event.kind in {"session-live", "session-ended"}:
            self._note(event.kind)

    def arm(self, program: ArmedProgram) -> None:
        self._note(f"arm {program.shows()} {len(program.inputs)} {len(program.sounds)}")

    def start(self) -> None:
        self._note("start")

    def stop(self) -> None:
        self._note("stop")

    def close(self) -> None:
        self._note("close")

    def end(self, result: SessionResult | None) -> None:
        self._note(f"end {result and result.state}")

    def describe(self, status: SessionStatus) -> SessionStatus:
        self._break()
        return super().describe(status)


class Loaded(SessionHook):
    def describe(self, status: SessionStatus) -> SessionStatus:
        return msgspec.structs.replace(status, load=LoadLine())


@pytest.mark.parametrize("breaks", [False, True])
def test_a_hook_hears_each_moment_and_a_broken_one_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, breaks: bool
) -> None:
    room, noting = Room(tmp_path, duration_s=1, live=True), Noting(breaks=breaks)
    logged: list[object] = []
    monkeypatch.setattr(threading, "excepthook", lambda broken: logged.append(broken.exc_type))
    room.use(noting, Loaded())
    result = room.run()
    assert (set(logged) == {ZeroDivisionError}) is breaks
    assert room.session.status().load == LoadLine()
    assert (result.state, faults(result)) == (SessionState.SEALED, [])
    told = list(dict.fromkeys(noting.moments))
    assert told == [
        "attach", "arm single 1 1", "start", "session-live", "session-ended", "stop", "close", "end sealed",
    ]  # fmt: skip
    assert noting.calls in {1, 2} if breaks else noting.calls > 20


def test_a_session_that_records_nothing_ends_its_hooks_too(tmp_path: Path) -> None:
    room, noting = Room(tmp_path, live=True), Noting()
    room.use(noting)
    room.session.stop()
    assert noting.moments == ["stop"], "before anything is waited for"
    room.session.run()
    assert noting.moments[-1] == "end idle"


def test_a_hook_may_refuse_a_session_before_it_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing(SessionHook):
        def plan(self, chosen: ChosenSources, *, unattended: bool) -> None:
            raise UsageError(f"{len(chosen.pictures)} {unattended}")

    monkeypatch.setattr("recorder.session.planning.make_hooks", lambda *_: SessionHooks([Noting(), Refusing()]))
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path, reserve=1)
    with pytest.raises(UsageError, match="1 True"):
        plan_session(asked, Settings(), SystemClock(), unattended=True)


def make_hook(_asked: SessionRequest, _settings: Settings) -> object:
    return "no hook"


def test_a_registered_module_has_to_make_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_hooks(SessionRequest(title="", live=False), Settings()).spacing(0, 1.0) == 1
    monkeypatch.setattr(in_hooks, "SESSION_HOOKS", ("tests.recorder.test_composition",))
    with pytest.raises(TypeError, match="test_composition"):
        make_hooks(SessionRequest(title=""), Settings())
