"""Whole sessions whose disk has to be left: what the status says, and what becomes of them."""

import shutil
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from capture.pacing import RealPace
from config.errors import StorageError
from config.settings.schema import StorageSettings as StorageSettings
from config.settings.schema import read_settings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.model.status import SessionResult, SessionState
from recorder.package.metadata import Package
from recorder.package.work_folder import WorkFolder
from recorder.recovery.recover import Recovery, RecoveryState
from recorder.recovery.unfinished import find_unfinished
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import FROM_THE_FIRST_PICTURE, Session
from tests.support import media
from tests.support.media import is_continuous
from tests.support.sessions import RATE, Armed, JpegCamera, program
from tests.support.storage import almost_full
from tests.support.waiting import wait_for

pytestmark = pytest.mark.alone("it judges how long a disk takes", lane="disks")


def second(folder: Path) -> Archive:
    return Archive(folder / "cadangan", SystemClock(), reserve_bytes=1)


def test_a_session_that_fills_its_disk_is_one_package_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Armed(tmp_path, further=[second(tmp_path)], storage=StorageSettings(low_s=0, critical_s=0)) as armed:
        armed.session.start(FROM_THE_FIRST_PICTURE)
        armed.wait(4)
        left_s = armed.session.status().disk_left_s
        assert left_s
        assert left_s > 60
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(tmp_path / "arsip", 1_000_000))
        wait_for(lambda: "storage-switched" in armed.kinds)
        assert armed.session.status().state is SessionState.DEGRADED
        at_s = armed.session.status().elapsed_s
        wait_for(lambda: armed.session.status().media_time_s > at_s)
        armed.session.mark("Penutup")
        armed.wait(at_s + 2.5)
        result = armed.end()
    file = program(result)
    assert result.degraded == [f"storage-full: {tmp_path / 'arsip'}"]
    media.decodes_cleanly(file)
    is_continuous([(file, 0.0)], float(RATE), result.duration_s)
    assert media.decoded(file, "v").frames == result.frames
    assert "Penutup" in media.run("ffprobe", "-v", "error", "-show_chapters", file)
    assert list(tmp_path.glob("*/.incoming/*")) == []


def test_parts_that_were_put_together_but_not_sealed_are_where_the_result_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = Archive.seal

    def refuse(archive: Archive, work: WorkFolder, *given: Any) -> Package:
        if work.name.endswith(".joined"):
            raise StorageError("no space is left", why="full")
        return seal(archive, work, *given)

    with Armed(tmp_path, further=[second(tmp_path)], storage=StorageSettings(low_s=0, critical_s=0)) as armed:
        armed.session.start(FROM_THE_FIRST_PICTURE)
        armed.wait(4)
        with monkeypatch.context() as full:
            full.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(tmp_path / "arsip", 1_000_000))
            wait_for(lambda: "storage-switched" in armed.kinds)
        armed.wait(armed.session.status().elapsed_s + 1.5)
        with monkeypatch.context() as refusing:
            refusing.setattr(Archive, "seal", refuse)
            result = armed.end()
    assert result.state is SessionState.FAILED
    assert result.package
    assert media.decoded(Path(result.package) / "data/media/program.mp4", "v").frames == result.frames
    assert armed.events[-2:] == [
        ("part-left", str(tmp_path / "cadangan")), ("sealing-failed", Path(result.package).name),
    ]  # fmt: skip
    assert "parts-apart" not in armed.kinds
    folders = [folder for event in armed.heard[-2:] if (folder := event.detail.get("folder"))]
    assert folders == [result.package]
    both = [Archive(tmp_path / "arsip", SystemClock(), 1), second(tmp_path)]
    (left,) = find_unfinished(both)
    assert Recovery(both, clock=SystemClock()).recover(left).state is RecoveryState.SEALED


class Configured:
    """A session as a settings file has it, of a synthetic picture in small, on a thread of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        small = (
            "[profiles.720p30]\nwidth = 320\nheight = 180\nvideo_bitrate = '400k'\nmaxrate = '400k'\nkeyframe_s = 0.5\n"
        )
        settings = read_settings(f"{text}\n[video]\nprofile = '720p30'\n{small}", folder / "liput.toml")
        asked = SessionRequest(
            title="Rapat", videos=("synthetic",), audios=("none",), archive=folder / "arsip", reserve=1
        )
        clock, self.kinds = SystemClock(), list[str]()
        planned = plan_session(asked, settings, clock)
        self.session = Session(
            planned.plan, clock=clock,
            listener=lambda event: self.kinds.append(event.kind),
        )  # fmt: skip
        self._results: list[SessionResult] = []
        self._thread = threading.Thread(target=lambda: self._results.append(self.session.run()))
        self._thread.start()
        wait_for(lambda: self.session.status().state is SessionState.ARMED)

    def end(self) -> SessionResult:
        self.session.stop()
        self._thread.join(60)
        return self._results[0]


def test_a_result_names_every_package_and_has_the_length_of_all_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Configured(tmp_path, "[storage]\npaths = ['cadangan']\nlow_s = 0\ncritical_s = 0\nkeep_free = 0\n")
    session.session.start()
    wait_for(lambda: session.session.status().media_time_s > 3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(tmp_path / "arsip", 1_000_000))
    wait_for(lambda: "storage-switched" in session.kinds)
    wait_for(lambda: session.session.status().elapsed_s > 6)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage._replace(free=1000))
    result = session.end()
    packages = [Archive(tmp_path / name, SystemClock()).list()[0] for name in ("arsip", "cadangan")]
    assert sorted(result.packages) == sorted(package.path for package in packages)
    assert result.package in result.packages
    assert [package.part for package in packages] == [1, 2]
    last_s = max(part.offset_s + part.duration_s for package in packages for part in package.recording.parts)  # type: ignore[union-attr]
    assert result.duration_s == pytest.approx(last_s, abs=0.2), "what both hold is not counted twice"


def test_what_is_recorded_apart_goes_on_on_the_next_disk_with_no_picture_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()
    camera = JpegCamera(RealPace(SystemClock(), stop), stop)
    settings = StorageSettings(low_s=0, critical_s=0)
    with Armed(tmp_path, camera, isolate=True, further=[second(tmp_path)], storage=settings) as armed:
        armed.session.start(FROM_THE_FIRST_PICTURE)
        armed.wait(3)
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(tmp_path / "arsip", 1_000_000))
        wait_for(lambda: "storage-switched" in armed.kinds)
        armed.wait(armed.session.status().elapsed_s + 1.5)
        stop.set()
        result = armed.end()
    assert f"storage-full: {tmp_path / 'arsip'}" in result.degraded
    assert not [reason for reason in result.degraded if reason.startswith("isolated")]
    assert sorted(path.name for path in program(result).parent.iterdir()) == ["program.mp4", "source-1.mkv"]
    with av.open(str(program(result).with_name("source-1.mkv"))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    first = camera.sent.index(bytes(packets[0]))
    assert [bytes(packet) for packet in packets] == camera.sent[first:]
    shown = [float((packet.pts or 0) * packet.time_base) for packet in packets]
    assert max(after - before for before, after in pairwise(shown)) < 2.5 / RATE
    assert shown[-1] == pytest.approx(result.duration_s, abs=0.2)
