"""Steps of features in sealing: their order, and that each feature can be taken away."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from recorder.archive import sealing
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.archive.seal_step import Seal, SealStep
from recorder.composition import SEAL_STEPS
from recorder.package.metadata import Recording, SessionContext
from recorder.package.seal_options import ReportOptions, SealOptions, SlideOptions, SlidesView
from tests.support import archives, dossiers

ROOT = Path(__file__).parents[3]
OPTIONS = SealOptions(
    slides=SlideOptions(layout="single", views={"single": SlidesView()}), report=ReportOptions(pdf=False)
)
MADE = {
    "dossier": {"metadata/request.json", "data/surat/permohonan-1.pdf"},
    "slides": set[str](),
    "report": {"report.html", "data/thumbnails.jpg", "metadata/levels.json"},
}
"""Files that each feature adds to the package: 2 s of bars have no slides."""
SEAL = """
import pkgutil, shutil, sys
from datetime import datetime
from importlib import import_module
from pathlib import Path

import msgspec

import recorder

assert Path(recorder.__file__).is_relative_to(Path.cwd()), recorder.__file__
for found in pkgutil.walk_packages(recorder.__path__, "recorder."):
    import_module(found.name)

from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.package import fixity
from recorder.package.metadata import SessionContext

archive = Archive(Path("arsip"), SystemClock(), reserve_bytes=1)
context = msgspec.json.decode(sys.stdin.buffer.read(), type=SessionContext)
began = datetime.fromisoformat("2026-11-24T09:00:00+07:00")
work = archive.begin("Rapat", began, context)
shutil.copyfile(sys.argv[1], work.program)
package = archive.seal(work)
assert edit_package(package.folder, {"title": "Rapat Senat"}, by=None, reason="", now=began)
assert archive.verify(package) == []
print(*fixity.walk(package.folder)[0], sep="\\n")
"""


class _Step(SealStep):
    """Notes the state of the folder at each call, and adds a file where it may."""

    def __init__(self, told: list[str]) -> None:
        self._told = told

    def _tell(self, name: str, folder: Path) -> None:
        known = ("metadata/recording.json", "manifest-sha256.txt", "tagmanifest-sha256.txt", "begun.json")
        self._told.append(" ".join([name, *(file for file in known if (folder / file).exists())]))

    def describe(self, seal: Seal, recording: Recording) -> Recording:
        self._tell("describe", seal.work.path)
        return msgspec.structs.replace(recording, room="Ruang rapat")

    def add_payload(self, seal: Seal, recording: Recording) -> None:
        self._tell("payload", seal.work.path)
        seal.disk.write(seal.work.path / "data/notes.txt", recording.room.encode())

    def add_tags(self, seal: Seal, recording: Recording) -> None:
        self._tell("tags", seal.work.path)
        seal.disk.write(seal.work.path / "notes.txt", recording.room.encode())
        seal.attempt("notes", lambda: (seal.work.path / "missing").read_bytes())

    def sealed(self, target: Path, recording: Recording, context: SessionContext, now: datetime) -> None:
        self._tell("sealed", target)

    def corrected(self, folder: Path, changed: Mapping[str, bytes]) -> Mapping[str, bytes]:
        return {"notes.txt": changed["metadata/recording.json"]}


def test_a_step_adds_facts_payload_and_tags_in_this_order(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(sealing, "STEPS", (_Step(told),))
    monkeypatch.setattr("recorder.archive.correction.seal_steps", lambda: sealing.STEPS)
    package = archives.seal_one(archive, program)
    assert told == [
        "describe begun.json",
        "payload metadata/recording.json begun.json",
        "tags metadata/recording.json manifest-sha256.txt begun.json",
        "sealed metadata/recording.json manifest-sha256.txt tagmanifest-sha256.txt",
    ]
    assert package.recording
    assert package.recording.room == (package.folder / "notes.txt").read_text() == "Ruang rapat"
    assert "data/notes.txt" in (package.folder / "manifest-sha256.txt").read_text()
    edit_package(package.folder, {"room": "Aula"}, by=None, reason="", now=archives.STARTED)
    assert archive.verify(package) == []
    assert '"Aula"' in (package.folder / "notes.txt").read_text()


def test_each_feature_is_taken_away_below() -> None:
    assert [module.split(".")[2] for module in SEAL_STEPS] == list(MADE)


@pytest.mark.parametrize("feature", MADE)
def test_a_feature_can_be_taken_away(feature: str, program: Path, tmp_path: Path) -> None:
    for name in ("recorder", "capture", "devices", "config"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(tmp_path / "recorder/features" / feature)
    composition = tmp_path / "recorder/composition.py"
    lines = composition.read_text().splitlines(keepends=True)
    kept = [line for line in lines if f"recorder.features.{feature}." not in line]
    assert len(kept) == len(lines) - 1
    composition.write_text("".join(kept))
    context = dossiers.context_of(dossiers.made(tmp_path / "permohonan", tmp_path / "meja"))
    done = subprocess.run(
        [sys.executable, "-P", "-c", SEAL, program],
        input=msgspec.json.encode(msgspec.structs.replace(context, wishes=OPTIONS)),
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    files = set(done.stdout.decode().splitlines())
    assert files >= {"data/media/program.mp4", "metadata/derived.json", "tagmanifest-sha256.txt"}
    assert {name: made <= files for name, made in MADE.items() if made} == {
        name: name != feature for name, made in MADE.items() if made
    }
