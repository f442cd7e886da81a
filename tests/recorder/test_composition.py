"""Each feature can be taken away: its folder, and its lines in `recorder/composition.py`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.composition import SEAL_STEPS, SESSION_HOOKS
from recorder.control.spec import RecorderSpec, encode_spec
from recorder.session.request import SessionRequest
from tests.support import dossiers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FEATURES = Path("recorder/features")
COMPOSITION = Path("recorder/composition.py")
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
assert result.state == "sealed" and result.frames > 10, result
folder = Path(result.package)
assert edit_package(folder, {"title": "Rapat Senat"}, by=None, reason="", now=datetime.now(UTC))
assert verify_package(folder) == []
print(*fixity.walk(folder)[0], sep="\\n")
status = session.status()
print(*(f"line {name}" for name in ("load", "conference") if getattr(status, name)), sep="\\n")
print(*(f"event {event.kind}" for event in events), sep="\\n")
"""


def test_each_feature_is_taken_away_below() -> None:
    folders = {path.name for path in (ROOT / FEATURES).iterdir() if (path / "__init__.py").exists()}
    assert folders == set(MADE)


def tree_without(features: list[str], roots: tuple[str, ...], folder: Path) -> None:
    """Copy `roots` of the product into `folder`, without the features and their registrations."""
    for name in roots:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for feature in features:
        shutil.rmtree(folder / FEATURES / feature)
    composition = folder / COMPOSITION
    gone = tuple(f"recorder.features.{feature}." for feature in features)
    lines = composition.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not any(prefix in line for prefix in gone)]
    assert len(lines) - len(kept) == sum(module.startswith(gone) for module in (*SEAL_STEPS, *SESSION_HOOKS))
    composition.write_text("".join(kept))


@pytest.mark.parametrize("feature", MADE)
def test_without_a_feature_all_else_loads_and_a_session_is_recorded_and_sealed(feature: str, tmp_path: Path) -> None:
    roots = (*CORE, "agent") if feature in AGENT else CORE
    tree_without([feature], roots, tmp_path)
    for module in AGENT.get(feature, ()):
        (tmp_path / module).unlink()
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
    assert traces >= {"data/media/program.mp4", "metadata/derived.json", "tagmanifest-sha256.txt"}
    for name, made in MADE.items():
        assert made & traces == (set() if name == feature else made)


def test_without_all_features_the_types_are_right(tmp_path: Path) -> None:
    # All at once: each alone takes 10 s of CPU, and the core may name none of them anyway.
    tree_without(list(MADE), CORE, tmp_path)
    shutil.copyfile(ROOT / "pyproject.toml", tmp_path / "pyproject.toml")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--no-incremental", *CORE],
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:]
