"""What is wrong is told to the page in words, each thing once, from what sessions and alarms say."""

import re
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from agent.health.alarm import SENTENCES, Alarm, new_alarm
from agent.sessions.control import SessionLine
from agent.web.api.state import device_shown, package_shown, troubles_of
from config.locale.lookup import BilingualText
from devices.health.faults import Fault
from devices.model.device import Device, DeviceKind, Health, HealthState
from recorder.model.session_faults import kind_of_fault
from recorder.model.status import STATES_BEFORE, SessionState, SessionStatus, SourceLine
from recorder.package.metadata import INTERRUPTED, Package, PackageState
from tests.support.reports import material

AT = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def line(*troubles: str, faults: tuple[str, ...] = (), session: str = "a1b2c3") -> SessionLine:
    sources = [
        SourceLine(id=fault, name="Rig Webcam", role="podium", health=Health(HealthState.DEGRADED, "...", AT, fault))
        for fault in faults
    ]
    status = SessionStatus(
        state=SessionState.DEGRADED, elapsed_s=1.0, media_time_s=0.5, bytes=5, frames=1, dropped=0, repeated=0,
        fps=30.0, levels_dbfs=[], disk_left_s=None, destinations=[], sources=sources, troubles=list(troubles),
    )  # fmt: skip
    return SessionLine(
        id=session, title="Rapat", state=status.state, archive="/srv", work=None, started_at=AT.isoformat(), pid=1,
        folder="/run", status=status,
    )  # fmt: skip


def alarm(kind: str, subject: str, reason: str | None = None, session: str = "a1b2c3") -> Alarm:
    return new_alarm(session, "Rapat", kind, subject, AT, "...", reason)


@pytest.mark.parametrize("state", STATES_BEFORE)
def test_of_a_session_that_does_not_record_yet_it_is_not_said_that_it_does(state: SessionState) -> None:
    armed = msgspec.structs.replace(line("source-lost: podium", "conference-lost: camera"), state=state)
    told = troubles_of([armed], [alarm("source-lost", "podium"), alarm("destination-slow", "kampus")])
    assert [one.text.en.rpartition(". ")[2] for one in told] == ["Nothing is recorded yet."] * 3


def test_the_same_trouble_comes_once_with_the_reason_that_its_alarm_knows() -> None:
    told = troubles_of([line("destination-lost: kampus")], [alarm("destination-lost", "kampus", "rejected")])
    assert len(told) == 1
    assert "kunci siarannya salah" in told[0].text.id


def test_what_no_session_tells_is_there_too_and_what_has_a_colon_in_its_name() -> None:
    session = line("storage-full: /mnt/arsip: dua", faults=("hum", "lost"))
    told = troubles_of([session], [alarm("package-damaged", "2026_rapat", session="")])
    assert [(one.kind, one.subject) for one in told] == [
        ("package-damaged", "2026_rapat"), ("storage-full", "/mnt/arsip: dua"), ("source-hum", "podium"),
    ]  # fmt: skip
    assert "Disk /mnt/arsip: dua penuh" in told[1].text.id
    assert troubles_of([msgspec.structs.replace(session, status=None)], []) == []


def test_a_device_with_a_fault_has_words_for_it() -> None:
    for fault in Fault:
        health = Health(HealthState.DEGRADED, "...", AT, str(fault))
        mic = Device(id="a", kind=DeviceKind.MICROPHONE, name="Rig Mic", role="microphone", health=health)
        text, words = device_shown(mic).text, SENTENCES[kind_of_fault(fault)]
        assert text
        expected = words.english.format(subject="Microphone")
        assert text.en == re.sub(r" The recording .*", "", expected), "nobody may record"


def test_one_pulled_cable_is_one_trouble_whoever_has_heard_more_of_it() -> None:
    session = line("source-silent: podium", "source-missing: podium")
    (before,) = troubles_of([line("source-silent: podium")], [alarm("source-silent", "podium")])
    (after,) = troubles_of([session], [alarm("source-lost", "podium")])
    assert (after.kind, after.session, after.is_grave) == ("source-lost", "a1b2c3", True)
    assert before.id == after.id, "or the page would say that it is over"
    (newer,) = troubles_of([line("source-lost: podium", "source-silent: podium")], [alarm("source-silent", "podium")])
    assert newer.kind == "source-lost"
    (why,) = troubles_of([session], [alarm("source-missing", "podium", "busy")])
    assert "program lain" in why.text.id
    assert len(troubles_of([line("source-lost: podium", "source-lost: slides")], [])) == 2


def test_a_fault_that_is_an_event_of_the_devices_own_name_is_one_trouble_of_its_role() -> None:
    session = line("source-black: Rig Webcam", faults=("black",))
    for alarms in ([], [alarm("source-black", "Rig Webcam")], [alarm("source-black", "podium")]):
        (black,) = troubles_of([session], alarms)
        assert (black.kind, black.subject) == ("source-black", "podium")
        assert black.text.en.startswith("Podium camera is black: ")
        assert black.over == BilingualText("Kamera podium pulih.", "Podium camera has recovered.")


def test_a_device_that_is_well_or_newer_than_this_program_has_none() -> None:
    device = Device(id="a", kind=DeviceKind.CAMERA, name="Rig Webcam", port="1-1")
    assert device_shown(device).text is None
    odd = msgspec.structs.replace(device, health=Health(HealthState.DEGRADED, "odd", AT, "of-tomorrow"))
    assert device_shown(odd).text is None
    plain: dict[str, Any] = msgspec.to_builtins(device)
    assert msgspec.to_builtins(device_shown(device)) == {**plain, "text": None}


def test_a_package_says_in_words_what_its_recording_lacks() -> None:
    degraded = ("source-lost: podium", INTERRUPTED, "frames-dropped: podium", "letter-missing: surat.pdf", "odd: x")
    package = Package(
        id="p", uuid="u", title="Rapat", started_at=AT, duration_s=1.0, bytes=1, path="/srv/p",
        state=PackageState.SEALED,
    )  # fmt: skip
    assert package_shown(package).lacks == ()
    full = msgspec.structs.replace(package, recording=msgspec.structs.replace(material().recording, degraded=degraded))
    source, _, _, letter, odd = (lack.id for lack in package_shown(full).lacks)
    assert (source, odd) == ("Tidak memberi gambar atau suara (Kamera podium).", "odd (x).")
    assert letter.endswith(" (surat.pdf).")
