"""What a package says about itself when it is sealed: to people, to records management, to other archives."""

import platform
import re
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree as ET

import msgspec
import pytest

from config.errors import StorageError
from devices.health.log_line import PC, LogKind, LogLevel
from devices.health.log_writer import DROPPED_LINES, HealthLog
from recorder.archive.archive import Archive
from recorder.disk.durable import DurableFiles
from recorder.package import bag
from recorder.package.metadata import Consent, Package, Records
from tests.support import archives
from tests.support.archives import CAMERA, STARTED
from tests.support.simulated import SimulatedClock

RECORDS = Records(classification="HM.01.02", security="biasa", retention_active="2 tahun", retention_inactive="3 tahun",
                  disposition="permanen")  # fmt: skip


def events_of(folder: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in (folder / "metadata" / "premis.jsonl").read_bytes().splitlines()]


def test_whoever_finds_a_package_is_told_what_it_is(package: Package) -> None:
    listed = {path.relative_to(package.folder).as_posix() for path in package.folder.rglob("*") if path.is_file()}
    for name, words in (("BACA-SAYA.txt", ("rekaman", "MEMUTAR")), ("README.txt", ("recording", "TO PLAY IT"))):
        text = (package.folder / name).read_text()
        assert text.startswith("Rapat Senat\n")
        assert package.uuid in text
        assert all(word in text for word in words)
        described = set(re.findall(r"^  ([^\s:]+)  +\S", text, re.MULTILINE))
        assert described >= {"data/media/", "data/poster.jpg", "metadata/recording.json"}
        assert all(any(file.startswith(path) for file in listed) for path in described), "only what is there"
        covered = {file for file in listed if any(file.startswith(path) for path in described)}
        assert listed - covered == {"bagit.txt", "bag-info.txt", "BACA-SAYA.txt", "README.txt"}


@pytest.mark.parametrize("name", ["BACA-SAYA.txt", "README.txt"])
def test_the_way_to_check_without_liput_is_true(package: Package, name: str) -> None:
    (command,) = re.findall(r"^  Linux: +(.+)$", (package.folder / name).read_text(), re.MULTILINE)
    subprocess.run(command, shell=True, check=True, cwd=package.folder, timeout=60)
    (package.folder / "data" / "poster.jpg").write_bytes(b"")
    assert subprocess.run(command, shell=True, check=False, cwd=package.folder, timeout=60).returncode


def test_a_title_on_several_lines_stays_on_one(archive: Archive, program: Path) -> None:
    package = archives.seal_one(archive, program, "Rapat\n\x1b[31m{uuid} Senat")
    assert (package.folder / "README.txt").read_text().startswith("Rapat [31m{uuid} Senat\n")


def test_events_of_its_life_are_in_the_words_of_premis(package: Package) -> None:
    events = events_of(package.folder)
    assert [event["eventType"] for event in events] == [
        "capture", "message digest calculation", "information package creation", "ingestion",
    ]  # fmt: skip
    assert (events[0]["eventOutcome"], events[0]["eventOutcomeDetail"]) == ("warning", "source-lost: podium")
    assert events[0]["eventDateTime"] == archives.FACTS.ended_at.isoformat()
    assert events[1]["linkingObject"] == ["data/media/program.mp4", "data/poster.jpg"]
    assert all(event["eventOutcome"] == "success" for event in events[1:])
    assert len({UUID(str(event["eventIdentifier"])) for event in events}) == 4
    for event in events:
        assert [agent["agentName"] for agent in event["linkingAgent"]] == ["Liput"]  # type: ignore[attr-defined]


def test_records_management_and_consent_are_kept(archive: Archive, program: Path) -> None:
    consent = Consent(state="given", note="moderator", noted_at=STARTED)
    context = msgspec.structs.replace(archives.CONTEXT, records=RECORDS, consent=consent)
    work = archive.begin("Rapat", STARTED, context)
    work.program.write_bytes(program.read_bytes())
    work.release()  # the recorder is killed: what it was told at the beginning counts
    (unfinished,) = archive.list()
    package = archive.seal(archive.reopen(unfinished.folder))
    assert package.recording
    assert (package.recording.records, package.recording.consent) == (RECORDS, consent)
    info = archives.validate_bag(package.folder)
    assert {label: value for label, value in info.items() if label.startswith(("Records-", "Speakers-"))} == {
        "Records-Classification": "HM.01.02", "Records-Security": "biasa", "Records-Retention-Active": "2 tahun",
        "Records-Retention-Inactive": "3 tahun", "Records-Disposition": "permanen", "Speakers-Consent": "given",
    }  # fmt: skip
    catalogue = ET.parse(package.folder / "metadata" / "dublincore.xml")
    terms = {term.tag.partition("}")[2]: term.text for term in catalogue.getroot()}
    assert (terms["subject"], terms["accessRights"]) == ("HM.01.02", "biasa")


def test_a_package_of_before_says_nothing_of_them(package: Package) -> None:
    assert package.recording
    assert (package.recording.records, package.recording.consent.state) == (Records(), "not-asked")
    assert "Records-" not in (package.folder / bag.INFO_FILE).read_text()


def health_of(package: Package) -> list[dict[str, object]]:
    path = package.folder / "metadata" / "health.jsonl"
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()] if path.exists() else []


def log(*lines: tuple[float, str, LogLevel]) -> None:
    """Let the health log of this PC have lines, by their seconds from the session's beginning."""
    for at_s, device, level in lines:
        with HealthLog(clock=At(at_s), journal=None) as health:
            health(device, LogKind.DEGRADED, f"{device} at {at_s:g}", level=level)


class At(SimulatedClock):
    """A clock that stands at a moment of the session."""

    def __init__(self, at_s: float) -> None:
        super().__init__()
        self._at = STARTED + timedelta(seconds=at_s)

    def now(self) -> datetime:
        return self._at


def test_the_health_of_its_time_and_its_devices_is_kept(archive: Archive, program: Path) -> None:
    log((-1, CAMERA.id, LogLevel.WARN), (0.5, CAMERA.id, LogLevel.WARN), (1, "other", LogLevel.WARN),
        (1, PC, LogLevel.INFO), (1.5, CAMERA.id, LogLevel.DEBUG), (3, CAMERA.id, LogLevel.WARN))  # fmt: skip
    package = archives.seal_one(archive, program)
    assert [line["reason"] for line in health_of(package)] == [f"{CAMERA.id} at 0.5", f"{PC} at 1"]


def test_the_health_of_another_pc_is_none_of_its(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log((0.5, CAMERA.id, LogLevel.WARN))
    with archives.recorded(archive, program) as work:
        monkeypatch.setattr(platform, "node", lambda: "another")
        assert health_of(archive.seal(work, archives.FACTS)) == []


def test_of_very_much_health_the_ends_are_kept(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.health.log_reader.MOST_SESSION_LINES", 4)
    log(*((0.1 * number, CAMERA.id, LogLevel.WARN) for number in range(9)))
    lines = health_of(archives.seal_one(archive, program))
    assert [line["kind"] for line in lines] == ["degraded", "degraded", DROPPED_LINES, "degraded", "degraded"]
    assert lines[2]["detail"] == {"lines": 5}
    assert [line["reason"] for line in lines if line["kind"] == "degraded"] == [
        f"{CAMERA.id} at {at}" for at in ("0", "0.1", "0.7", "0.8")
    ]


def test_a_health_log_that_cannot_be_read_stops_nothing(
    archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file, where a folder should be")
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    package = archives.seal_one(archive, program)
    assert health_of(package) == []
    assert archive.verify(package) == []


def test_an_attempt_that_was_stopped_leaves_no_event_twice(tmp_path: Path, program: Path) -> None:
    def stop(step: str, path: Path) -> None:
        if path.name == bag.TAG_MANIFEST_FILE:
            raise OSError(5, "stopped")

    archive = archives.archive_at(tmp_path / "arsip", DurableFiles(stop))
    with archives.recorded(archive, program) as work:
        with pytest.raises(StorageError):
            archive.seal(work, archives.FACTS)
        package = archives.archive_at(tmp_path / "arsip").seal(work, archives.FACTS)
    assert len(events_of(package.folder)) == 4
