"""The features can be taken away: their folders, and their entries in `agent/features.py`."""

import ast
import os
import re
import shutil
import signal
from pathlib import Path

import pytest

from agent.features import FEATURES
from config.state import STATE_VARIABLE
from recorder.composition import SEAL_STEPS
from tests.support import archives, command, web
from tests.support.room import Room
from tests.support.waiting import wait_for

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


def copy_without_features(folder: Path) -> None:
    """Copy the product into `folder`, without the features and their entries in the table."""
    ignored = shutil.ignore_patterns("__pycache__")
    for name in ROOTS:
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for feature in (*TRACES, "../recorder/features/dossier"):  # the recorder packs the papers of requests
        shutil.rmtree(folder / "agent" / feature)
    table = folder / "agent/features.py"
    text = table.read_text()
    (entries,) = (node.value for node in ast.parse(text).body if isinstance(node, ast.AnnAssign))
    assert isinstance(entries, ast.Dict)
    table.write_text(text.replace(str(ast.get_source_segment(text, entries)), "{}"))
    steps = folder / "recorder/composition.py"
    (step,) = (step for step in SEAL_STEPS if ".dossier." in step)
    steps.write_text(steps.read_text().replace(f'    "{step}",\n', ""))


def test_without_the_features_all_else_loads_and_the_daemon_serves_its_page_and_copies(
    room: Room, tmp_path: Path, program: Path
) -> None:
    # All at once: import-linter keeps them from each other, so the rest is the same without each.
    tree = tmp_path / "tree"
    copy_without_features(tree)
    names = re.compile(rf"\b(agent\.({'|'.join(TRACES)})|features\.dossier)\b")
    assert [path for root in ROOTS for path in (tree / root).rglob("*.py") if names.search(path.read_text())] == []
    more = {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", STATE_VARIABLE: os.environ[STATE_VARIABLE]}
    loaded = command.run_python(tree, LOAD, *ROOTS, more=more)
    assert loaded.returncode == 0, loaded.stderr[-3000:]
    (nas := tmp_path / "nas").mkdir()
    copied = f'[copies.nas]\nurl = "{nas.as_uri()}"\nmust_be_mounted = false\n'
    room.configure(f'[general]\nroom = "Aula"\n[web]\nport = 0\n{copied}')
    archives.seal_one(archives.archive_at(room.archive), program)
    helped = command.started(room.home, "--help", more=more)
    assert helped.returncode == 0, helped.stderr
    found = set(re.findall(r"^  ([a-z]+)  ", helped.stdout, re.MULTILINE))
    with command.running(room.home, "serve", "--json", "--archive", room.archive, more=more) as daemon:
        daemon.until("note", text="ready")
        page = web.found()
        menu = set(re.findall(r'<li><a href="(/[a-z]+)"', page.get("/archive").body.decode()))
        assert {path: page.get(path).status for path in menu} == dict.fromkeys(menu, 200)
        found |= menu | {*page.get("/openapi.json").json["paths"]}
        assert page.get("/api/v1/state").json["room"] == "Aula"
        wait_for(lambda: list(nas.glob("2*/*/*/bagit.txt")), what="the copy of the package")
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
    assert found >= {"archive", "record", "serve", "/archive", "/check", "/api/v1/state", "/healthz"}
    assert found & set().union(*TRACES.values()) == set()
