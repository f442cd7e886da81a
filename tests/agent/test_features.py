"""Each feature can be taken away: its folder, and its entry in `agent/features.py`."""

import ast
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from agent.features import FEATURES
from config.state import STATE_VARIABLE
from recorder.composition import SEAL_STEPS
from tests.support import command, web
from tests.support.room import Room

pytestmark = [pytest.mark.server, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ROOTS = ("agent", "recorder", "capture", "devices", "config")
TRACES = {
    "alarms": {"alarm"},
    "metrics": {"/metrics"},
    "requests": {"request", "/requests", "/api/v1/requests"},
    "schedule": {"schedule", "/schedule", "/api/v1/schedule"},
}
"""Each feature, and its commands, pages and endpoints."""
OTHERS = {"archive", "record", "serve", "/archive", "/check", "/api/v1/state", "/healthz"}
REST = (
    "tests/agent/checks/test_context.py",
    "tests/agent/daemon/test_settings_part.py",
    "tests/agent/health/test_alarm.py",
    "tests/agent/web/api/test_state.py",
)
LOAD = """
import pkgutil, sys
from importlib import import_module
from pathlib import Path

for root in sys.argv[1:]:
    package = import_module(root)
    assert Path(package.__file__).is_relative_to(Path.cwd()), package.__file__
    for found in pkgutil.walk_packages(package.__path__, f"{root}."):
        import_module(found.name)
"""


def test_each_feature_is_taken_away_below() -> None:
    assert {*TRACES} == {*FEATURES}


def tree_without(features: Sequence[str], folder: Path) -> None:
    """Copy the product and its tests into `folder`, without the features and their entries in the table."""
    for name in (*ROOTS, "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    (folder / "docs").symlink_to(ROOT / "docs")
    for feature in features:
        shutil.rmtree(folder / "agent" / feature)
        shutil.rmtree(folder / "tests/agent" / feature)
    table = folder / "agent/features.py"
    lines = table.read_text().splitlines(keepends=True)
    entries = next(node.value for node in ast.parse("".join(lines)).body if isinstance(node, ast.AnnAssign))
    assert isinstance(entries, ast.Dict)
    for key, value in reversed([*zip(entries.keys, entries.values, strict=True)]):
        if isinstance(key, ast.Constant) and key.value in features:
            del lines[key.lineno - 1 : value.end_lineno]
    table.write_text("".join(lines))
    if "requests" in features:  # the recorder packs their papers: that goes with them
        shutil.rmtree(folder / "recorder/features/dossier")
        steps = folder / "recorder/composition.py"
        (step,) = (step for step in SEAL_STEPS if ".dossier." in step)
        steps.write_text(steps.read_text().replace(f'    "{step}",\n', ""))


def run(folder: Path, *words: str) -> None:
    variables = {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-P", *words], env=os.environ | variables, cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, (done.stdout + done.stderr).decode()[-3000:]


@pytest.mark.parametrize("feature", TRACES)
def test_without_a_feature_all_else_loads_and_the_daemon_serves_its_page(
    feature: str, room: Room, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    tree_without([feature], tree)
    run(tree, "-c", LOAD, *ROOTS)
    room.configure('[general]\nroom = "Aula"\n[web]\nport = 0\n')
    more = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", STATE_VARIABLE: os.environ[STATE_VARIABLE]}
    helped = command.started(room.home, "--help", more=more)
    assert helped.returncode == 0, helped.stderr
    found = set(re.findall(r"^  ([a-z]+)  ", helped.stdout, re.MULTILINE))
    with command.running(room.home, "serve", "--json", more=more) as daemon:
        daemon.until("note", text="ready")
        page = web.found()
        menu = set(re.findall(r'<li><a href="(/[a-z]+)"', page.get("/archive").body.decode()))
        assert {path: page.get(path).status for path in menu} == dict.fromkeys(menu, 200)
        endpoints = set(page.get("/openapi.json").json["paths"])
        assert page.get("/api/v1/state").json["room"] == "Aula"
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    found |= menu | endpoints
    assert found >= OTHERS
    for name, traces in TRACES.items():
        assert traces & found == (set() if name == feature else traces)


def test_without_all_features_the_types_and_the_tests_of_the_rest_are_right(tmp_path: Path) -> None:
    # All at once: features do not import each other, so the rest of the agent is the same without each.
    tree_without([*TRACES], tmp_path)
    run(tmp_path, "-m", "mypy", "--no-incremental", *ROOTS)
    run(tmp_path, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *REST)
