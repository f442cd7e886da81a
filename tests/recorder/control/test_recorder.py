"""A recorder's claims: from planning until its devices are closed."""

import dataclasses
import os
import queue
import threading
from pathlib import Path
from typing import Never

import msgspec
import pytest

from capture.sources.worker import DeviceSupervision, FixedLocator
from config.errors import DeviceError
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from devices.model.device import Device, DeviceKind
from recorder.control import recorder
from recorder.control.recorder import MainThreadInbox, Recorder
from recorder.control.spec import Handshake, RecorderSpec, decode_spec
from recorder.model.status import SessionResult, SessionState
from recorder.running import runtime_directory
from recorder.running.client import read_result
from recorder.running.protocol import RecorderFailure, RecorderReady
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from recorder.session.planning import PreparedSession, plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.support.errors import because
from tests.support.leftovers import event

CAMERA = Device(
    id="046d:0825:CAM0001",
    kind=DeviceKind.CAMERA,
    name="Rig Webcam",
    vid="046d",
    pid="0825",
    serial="CAM0001",
    port="1-1",
)  # fmt: skip


class Heard(Handshake):
    """Leaves this process its output, too, and keeps the line."""

    def __init__(self) -> None:
        self.lines: list[RecorderReady | RecorderFailure] = []

    def say(self, line: RecorderReady | RecorderFailure) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def own_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process its output."""
    monkeypatch.setattr(recorder, "redirect_output", Path.touch)
    monkeypatch.setattr(recorder, "rotate_log", Path.exists)


def planned(archive: Path, title: str) -> PreparedSession:
    """Return the plan of a synthetic session that says it has the camera."""
    asked = SessionRequest(title=title, videos=("synthetic",), archive=archive, reserve=0)
    plan = plan_session(asked, Settings(), SystemClock())
    context = msgspec.structs.replace(plan.plan.context, devices=(CAMERA,))
    return dataclasses.replace(plan, plan=dataclasses.replace(plan.plan, context=context))


def made(archive: Path, title: str) -> Recorder:
    return Recorder(planned(archive, title), RecorderSpec(asked=SessionRequest(title=title)), SystemClock())


def test_a_device_is_anothers_until_that_sessions_devices_are_closed(tmp_path: Path) -> None:
    with made(tmp_path, "Satu") as first:
        ((folder, _),) = runtime_directory.known_recorders()
        with pytest.raises(
            DeviceError, match=rf'Rig Webcam is used by the session "Satu" \({folder.id}\)', check=because("busy")
        ):
            made(tmp_path, "Dua")
        assert len(runtime_directory.known_recorders()) == 1  # which left nothing
        first._on_progress(1, 2)  # it is being sealed
        with made(tmp_path, "Dua"):
            assert len(runtime_directory.known_recorders()) == 2
    assert runtime_directory.known_recorders() == []


def test_it_says_into_which_folder_it_records_also_after_a_change_of_disk(tmp_path: Path) -> None:
    first = tmp_path / "cadangan" / ".incoming" / "2026-11-24_0900_rapat_3f2a91c0"
    with made(tmp_path, "Satu") as one:
        ((folder, _),) = runtime_directory.known_recorders()
        one._on_event(event(0, "session-live", first.name, folder=str(first), clock_ns=0))
        assert said(folder).work == str(first), "which need not be in the archive that was asked for"
        one._on_event(event(60, "storage-switched", str(tmp_path / "lain"), part=2, offset_s=60.0, left="cadangan"))
        assert said(folder).work == str(tmp_path / "lain" / ".incoming" / f"{first.name}.2")
        one._on_event(event(90, "storage-switched", str(tmp_path / "ketiga"), part=3, offset_s=90.0, left="lain"))
        assert said(folder).work == str(tmp_path / "ketiga" / ".incoming" / f"{first.name}.3")


def test_the_folder_of_a_killed_one_goes_once_the_next_records(tmp_path: Path) -> None:
    old = runtime_directory.make_recorder_folder(
        runtime_directory.new_recorder_info("Satu", tmp_path, SystemClock().now()), b"{}"
    )
    spec = RecorderSpec(asked=SessionRequest(title="Satu"), replaces=old.id)
    with Recorder(planned(tmp_path, "Satu"), spec, SystemClock()) as one:
        assert [said(folder).replaces for folder, _ in runtime_directory.known_recorders() if folder.id != old.id] == [
            old.id
        ]
        assert old.path.exists()
        one._on_event(event(0, "source-lost"))
        assert old.path.exists()
        one._on_event(event(0, "session-live", "rapat", folder=str(tmp_path), clock_ns=0))
        assert not old.path.exists()


def test_what_another_session_has_is_missing_where_that_is_allowed(tmp_path: Path) -> None:
    supervision = DeviceSupervision(FixedLocator(CAMERA), may_miss=True)
    with made(tmp_path, "Satu"):
        plan = dataclasses.replace(planned(tmp_path, "Dua"), supervisions={CAMERA.id: supervision})
        with Recorder(plan, RecorderSpec(asked=SessionRequest(title="Dua")), SystemClock()):
            assert len(runtime_directory.known_recorders()) == 2
    assert supervision.missing
    assert "used by the session" in supervision.missing.message


def test_what_is_changed_meanwhile_is_remembered_for_whoever_goes_on(tmp_path: Path) -> None:
    with made(tmp_path, "Satu") as one:
        ((folder, _),) = runtime_directory.known_recorders()
        one._on_event(event(1, "layout-changed", "pause", before="single", media_s=1.0))
        one._on_event(event(2, "sound-muted", "mik", media_s=2.0, muted=["mik"]))
        asked = decode_spec(folder.spec.read_bytes()).asked
        assert (asked.layout, asked.muted, asked.videos, asked.audios) == (
            "pause", ("mik",), ("synthetic",), ("synthetic",),
        )  # fmt: skip
        one._on_event(event(3, "sound-unmuted", "all sound", media_s=3.0, muted=[]))
        assert decode_spec(folder.spec.read_bytes()).asked.muted == ()


def said(folder: RecorderFolder) -> RecorderInfo:
    info = folder.info()
    assert info
    return info


def test_the_end_of_a_recorder_is_the_end_of_its_claims_and_descriptors(tmp_path: Path) -> None:
    def open_files() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, not paths

    with made(tmp_path, "Nol"):
        pass
    before = open_files()
    for _ in range(3):
        with made(tmp_path, "Satu"):
            pass
    assert open_files() == before


def ended_of(archive: Path, inbox: MainThreadInbox) -> SessionResult | RecorderFailure | None:
    """Run a session until `inbox` or itself ends it, and return how it ended."""
    with made(archive, "Satu") as one:
        one.run(Heard(), inbox)
    return read_result(one._folder)


def test_a_mistake_while_it_is_looked_after_costs_the_session_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox: MainThreadInbox = queue.SimpleQueue()

    def look() -> None:
        inbox.put("end")
        raise MemoryError

    monkeypatch.setattr(recorder, "garbage_collector", lambda _clock: look)
    monkeypatch.setattr(recorder, "LINGER_S", 0)
    ended = ended_of(tmp_path, inbox)
    assert isinstance(ended, SessionResult)
    assert ended.state is SessionState.SEALED


def test_where_nobody_can_look_after_it_the_session_ends_and_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_given: object) -> Never:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(recorder, "rotate_log", failing)
    monkeypatch.setattr(recorder, "LOOK_S", 0.0)
    monkeypatch.setattr(recorder, "LINGER_S", 0)
    with pytest.raises(ZeroDivisionError), made(tmp_path, "Satu") as one:
        one.run(Heard(), queue.SimpleQueue())
    ended = read_result(one._folder)
    assert isinstance(ended, SessionResult)  # of no picture at all it may have been
    assert ended.state in {SessionState.SEALED, SessionState.IDLE}
    assert not [thread for thread in threading.enumerate() if thread.name == "session"]


def test_a_session_that_breaks_has_failed_and_no_thread_of_it_is_told_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_session: Session) -> Never:
        raise ZeroDivisionError("a bug")

    broken: list[object] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    monkeypatch.setattr(Session, "run", failing)
    monkeypatch.setattr(recorder, "LINGER_S", 0)
    ended = ended_of(tmp_path, queue.SimpleQueue())
    assert isinstance(ended, RecorderFailure)
    assert "ZeroDivisionError" in ended.message
    assert broken == []


def test_a_thread_that_breaks_is_told_and_the_recording_is_not_taken_for_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox: MainThreadInbox = queue.SimpleQueue()

    def break_one() -> None:
        thread = threading.Thread(target=[].pop, name="preview")
        thread.start()
        thread.join()
        inbox.put("end")

    monkeypatch.setattr(threading, "excepthook", lambda broken: None)  # pytest would fail the test for it
    monkeypatch.setattr(recorder, "garbage_collector", lambda _clock: break_one)
    monkeypatch.setattr(recorder, "LINGER_S", 0)
    ended = ended_of(tmp_path, inbox)
    assert isinstance(ended, SessionResult)
    assert "thread-failed: preview" in ended.degraded
