"""The order of a step's methods in sealing."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from recorder.archive import sealing
from recorder.archive.archive import Archive
from recorder.archive.correction import edit_package
from recorder.archive.seal_step import Seal, SealStep
from recorder.package.metadata import Recording, SessionContext
from tests.support import archives


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
