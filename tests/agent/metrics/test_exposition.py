"""What Prometheus is given: read with its own parser, from recorders, disks and what is remembered."""

import re
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
import yaml  # type: ignore[import-untyped] # comes with schemathesis; its types would be one more dependency
from prometheus_client.parser import text_string_to_metric_families

from agent.checks.check import CheckResult, CheckVerdict
from agent.checks.history import CheckRun, keep_run
from agent.metrics import exposition
from agent.metrics.exposition import METRICS, ROOM, DeadlineQueries, expose
from config.locale.lookup import LocalizedText
from config.settings.schema import GeneralSettings, Settings
from config.settings.serving import CopyTarget
from devices.model.device import Health, HealthState
from recorder.features.copies.copy_queue import CopyLedger, CopyRecord, PlaceFailure
from recorder.model.status import DestinationLine, LoadLine, SessionStatus, SoundLine, SourceLine, StreamLine
from tests.support import archives
from tests.support.pages import ROOT, rows, section
from tests.support.scripted_session import ServedRecorder, hanging
from tests.support.waiting import wait_for

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
SETTINGS = Settings(general=GeneralSettings(room="Aula"))

type Values = Mapping[tuple[str, ...], float]


class Scraped:
    """An answer, read."""

    def __init__(self, answer: bytes) -> None:
        self.text = answer.decode()
        self.families = {family.name: family for family in text_string_to_metric_families(self.text)}

    def of(self, name: str) -> Values:
        """Return the values of a metric, by those of its labels; each has that of its room."""
        family = self.families.get(name.removesuffix("_total"))
        if family is None:
            return {}
        found = {}
        for sample in family.samples:
            assert sample.name == name
            assert set(sample.labels) == {ROOM, *METRICS[name][1]}
            assert sample.labels[ROOM] == "Aula"
            found[tuple(sample.labels[label] for label in METRICS[name][1])] = sample.value
        return found


@pytest.fixture(autouse=True)
def _asked_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exposition, "gathering", DeadlineQueries())
    monkeypatch.setattr(exposition, "DEADLINE_S", 5.0)


def scrape(tmp_path: Path, settings: Settings = SETTINGS) -> Scraped:
    return Scraped(expose(settings, [tmp_path], ["sessions", "web"], ["web"]))


def everything(status: SessionStatus) -> SessionStatus:
    """Return a status in which all is said that can be."""
    return msgspec.structs.replace(
        status, elapsed_s=61.0, media_time_s=60.5, bytes=1000, frames=1830, dropped=3, repeated=4, fps=29.9,
        levels_dbfs=[-18.5, -19.0], disk_left_s=3600.0, troubles=["source-lost: podium", "source-lost: slides"],
        destinations=[
            DestinationLine(name="youtube", state="waiting", reason="refused", dropped=7, reconnects=2, backlog_s=1.5)
        ],
        sources=[
            SourceLine(id="046d:0825:A", name='Cam "1"', role="podium", health=Health(state=HealthState.LOST)),
            SourceLine(id="046d:0825:B", name="Cam 2", role=None, health=Health()),
        ],
        sounds=[SoundLine(name="mik", muted=True, levels_dbfs=[-60.0], ppm=None)],
        stream=StreamLine(encode="separate", why="headroom", bitrate=2_000_000),
        load=LoadLine(steps=["encoder", "frame rate"], behind_s=0.42, busy=0.97, left_out=12),
    )  # fmt: skip


def test_all_that_a_recorder_says(tmp_path: Path) -> None:
    with ServedRecorder("Rapat senat", everything) as recorder:
        found = scrape(tmp_path)
    of, me = found.of, recorder.info.id
    assert of("liput_session_info") == {(me, "Rapat senat"): 1}
    assert of("liput_session_answers") == {(me,): 1}
    assert {labels[1]: value for labels, value in of("liput_session_state").items() if value} == {"live": 1}
    assert len(of("liput_session_state")) == 7
    assert of("liput_session_troubles") == {(me, "source-lost"): 2}
    for name, value in {
        "session_elapsed_seconds": 61, "recording_media_seconds": 60.5, "recording_bytes": 1000,
        "recording_frames_total": 1830, "recording_dropped_frames_total": 3, "recording_repeated_frames_total": 4,
        "recording_fps": 29.9, "recording_left_seconds": 3600,
    }.items():  # fmt: skip
        assert of(f"liput_{name}") == {(me,): value}, name
    steps = {"encoder": 1, "viewers": 0, "frame rate": 1, "detail": 0}
    assert of("liput_overload_step") == {(me, step): value for step, value in steps.items()}
    assert of("liput_overload_behind_seconds") == {(me,): 0.42}
    assert of("liput_overload_busy_ratio") == {(me,): 0.97}
    assert of("liput_recording_left_out_frames_total") == {(me,): 12}
    assert of("liput_sound_level_dbfs") == {(me, "1"): -18.5, (me, "2"): -19.0}
    assert of("liput_sound_input_level_dbfs") == {(me, "mik", "1"): -60.0}
    assert of("liput_sound_input_muted") == {(me, "mik"): 1}
    assert of("liput_destination_state") == {(me, "youtube", "waiting", "refused"): 1}
    assert of("liput_destination_dropped_frames_total") == {(me, "youtube"): 7}
    assert of("liput_destination_reconnects_total") == {(me, "youtube"): 2}
    assert of("liput_destination_backlog_seconds") == {(me, "youtube"): 1.5}
    assert of("liput_stream_bytes_per_second") == {(me, "separate"): 250_000}
    health = {labels[1:]: value for labels, value in of("liput_device_health").items() if value}
    assert health == {
        ("046d:0825:A", 'Cam "1"', "podium", "lost"): 1, ("046d:0825:B", "Cam 2", "", "ok"): 1,
    }  # fmt: skip
    assert found.families["liput_recording_frames"].type == "counter"
    assert of("liput_scrape_missing") == {}


def test_a_recorder_that_hangs_is_missing_and_the_other_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposition, "DEADLINE_S", 0.3)
    with hanging("Macet") as (hung, _), ServedRecorder() as recorder:

        def is_there() -> bool:
            found = scrape(tmp_path)
            assert found.of("liput_scrape_missing")[f"session {hung.id}",] == 1
            assert found.of("liput_session_answers")[hung.id,] == 0
            return {session for session, _ in found.of("liput_session_state")} == {recorder.info.id}

        wait_for(is_there)


def test_the_disk_the_archive_and_the_copies(tmp_path: Path, program: Path) -> None:
    archive = archives.archive_at(tmp_path)
    packages = [archives.seal_one(archive, program, title) for title in ("Rapat", "Wisuda", "Seminar")]
    gudang = CopyTarget(url="file:///mnt/gudang", automatic=False)
    settings = msgspec.structs.replace(SETTINGS, copies={"nas": CopyTarget(url="file:///mnt/nas"), "gudang": gudang})
    ledger = CopyLedger()
    ledger.put(CopyRecord(package=packages[0].id, target="nas", state="copied"))
    ledger.put(CopyRecord(package=packages[0].id, target="gudang", state="waiting"))
    ledger.put(PlaceFailure(target="nas", attempts=1, next_s=0.0, reason="unreachable", message="away", since=AT))
    found = scrape(tmp_path, settings)
    assert found.of("liput_archive_packages") == {(str(tmp_path),): 3}
    assert found.of("liput_copies_waiting") == {("nas",): 2, ("gudang",): 1}
    assert found.of("liput_copies_blocked") == {("nas", "unreachable"): 1}
    assert 0 < found.of("liput_disk_free_bytes")[str(tmp_path),] < found.of("liput_disk_size_bytes")[str(tmp_path),]


def test_the_last_check_and_the_last_time_that_the_uplink_was_measured(tmp_path: Path) -> None:
    def result(name: str, verdict: CheckVerdict, **measured: float | None) -> CheckResult:
        return CheckResult(name=name, verdict=verdict, code="x", measured=measured, reason=LocalizedText("a", "b"))

    uplink = result("uplink", CheckVerdict.OK, up_bps=8e6, up_p10_bps=6e6, down_bps=None, need_bps=5e6, idle_s=0.012)
    keep_run(CheckRun(at=AT, results=[uplink]))
    later = [result("pc", CheckVerdict.FAILURE), result("uplink", CheckVerdict.OK)]
    keep_run(CheckRun(at=AT + timedelta(hours=1), results=later))
    found = scrape(tmp_path)
    assert found.of("liput_check_ready") == {(): 0}
    assert found.of("liput_check_timestamp_seconds") == {(): AT.timestamp() + 3600}
    assert found.of("liput_uplink_timestamp_seconds") == {(): AT.timestamp()}
    assert found.of("liput_uplink_bytes_per_second") == {("up",): 1e6, ("up-least",): 0.75e6}
    assert found.of("liput_uplink_needed_bytes_per_second") == {(): 0.625e6}
    assert found.of("liput_uplink_rtt_seconds") == {(): 0.012}


def test_the_parts_of_the_daemon_and_a_room_without_anything(tmp_path: Path) -> None:
    archive = tmp_path / "a" / "b"  # which the first session makes
    found = scrape(archive)
    assert found.of("liput_daemon_part_stands") == {("sessions",): 0, ("web",): 1}
    assert found.of("liput_archive_packages") == {(str(archive),): 0}
    assert found.of("liput_disk_size_bytes")[str(archive),] > 0
    assert found.of("liput_scrape_seconds")[()] < 5.0
    assert "liput_session_state" not in found.families
    assert "liput_check_ready" not in found.families
    assert not re.search(r"python_|process_", found.text), "it has a registry of its own"


def test_a_room_may_have_any_name(tmp_path: Path) -> None:
    name = 'Aula "2"\nlantai \udc80'
    info = scrape(tmp_path, Settings(general=GeneralSettings(room=name))).families["liput_info"]
    assert info.samples[0].labels[ROOM] == name.replace("\udc80", "\N{REPLACEMENT CHARACTER}")


def test_what_hangs_is_missing_and_not_asked_again() -> None:
    let_go, asked = threading.Event(), list[int]()

    def hang() -> int:
        asked.append(1)
        let_go.wait(30)
        return len(asked)

    gathering = DeadlineQueries[object]()
    for _ in range(2):
        wait_for(lambda: gathering.gather({"a": lambda: 1, "b": hang, "c": lambda: 3}, 0.1) == {"a": 1, "c": 3})
    assert asked == [1]
    let_go.set()
    wait_for(lambda: gathering.gather({"b": hang}, 10.0) == {"b": 2})


# The page about metrics, and the example rules, say what the program gives


def test_every_metric_is_on_the_page_with_its_labels() -> None:
    found, page = {}, (ROOT / "docs" / "metrics.md").read_text()
    for heading, labels in (("## Of a session", ("session",)), ("## Of the PC", ())):
        for name, (more, _text) in rows(section(page, heading)).items():
            found[name] = (*labels, *re.findall(r"`(\w+)`", more))
    assert found == {name: labels for name, (_help, labels) in METRICS.items()}


def test_the_example_rules_are_of_metrics_and_labels_that_there_are() -> None:
    (group,) = yaml.safe_load((ROOT / "docs/examples/liput-alerts.yml").read_text())["groups"]
    assert len({rule["alert"] for rule in group["rules"]}) == len(group["rules"]) > 8
    for rule in group["rules"]:
        names = set(re.findall(r"\bliput_\w+", rule["expr"]))
        assert names, rule["alert"]
        assert names <= METRICS.keys(), rule["alert"]
        labels = {ROOM, *(label for name in names for label in METRICS[name][1])}
        matched = re.findall(r"(\w+)=~?\"", rule["expr"])
        listed = re.findall(r"(?:on|group_left|by) \(([\w, ]*)\)", rule["expr"])
        shown = re.findall(r"\$labels\.(\w+)", str(rule["annotations"]))
        used = {*matched, *shown, *(word for words in listed for word in words.split(", ") if word)}
        assert used <= labels, rule["alert"]
