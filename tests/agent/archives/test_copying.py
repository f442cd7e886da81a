"""The daemon copies what is sealed, beside no session, and nothing of it outlives the daemon for long."""

import contextlib
import os
import signal
from pathlib import Path

import psutil
import pytest

from agent.archives.maintenance import CopyRunner
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from tests.support import command, copies, recorders
from tests.support.waiting import wait_for


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path / "arsip", SystemClock(), 1)


@pytest.mark.slow
def test_what_is_sealed_is_copied_by_the_daemon_and_not_beside_a_session(
    tmp_path: Path, archive: Archive, program: Path
) -> None:
    package = copies.large_package(archive, program, 12_000_000)
    nas = copies.folder_place(tmp_path / "nas")
    settings = copies.write_settings(tmp_path, nas, more=f'[archive]\npath = "{archive.root}"')
    settings.write_text(settings.read_text() + 'max_rate = "16 Mbit/s"\n')
    more = {"LIPUT_CONFIG": str(settings)}
    there = tmp_path / "nas" / copies.place_of(package)
    options = ("--title", "Rapat", "--video", "synthetic", "--profile", "240p15", "--json")
    with command.running(tmp_path, "serve", "--json", more=more) as daemon:
        daemon.until("note", text="ready")
        wait_for(lambda: list((tmp_path / "nas").rglob(".*.part")), what="a copy that has begun")
        with command.running(tmp_path, "record", *options, more=more) as session:
            session.until("status", state="live")
            wait_for(lambda: not copying(daemon.pid), what="the end of the copy")
            assert not there.exists()
            session.signal(signal.SIGINT)
            session.wait()
        wait_for(lambda: not recorders.recorders(daemon.runtime), what="the end of the session")
        daemon.signal(signal.SIGTERM)
        daemon.wait()
    settings.write_text(settings.read_text().replace('max_rate = "16 Mbit/s"', ""))
    with command.running(tmp_path, "serve", "--json", more=more) as daemon:
        daemon.until("note", text="ready")
        wait_for(lambda: len(list((tmp_path / "nas").glob("2*/*/*"))) == 2, 60.0, "copies of both")
    assert not Archive(tmp_path / "nas", SystemClock()).verify(
        Archive(tmp_path / "nas", SystemClock()).find(package.id)
    )


def copying(daemon: int) -> list[psutil.Process]:
    """Return the daemon's children that copy."""
    found = []
    for child in psutil.Process(daemon).children():
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "copy" in child.cmdline():
                found.append(child)
    return found


@pytest.mark.slow
def test_a_copy_that_does_not_end_beside_a_session_is_killed_and_one_that_runs_ends_with_the_daemon(
    tmp_path: Path, archive: Archive, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies.large_package(archive, program, 12_000_000)
    settings = copies.write_settings(
        tmp_path, copies.folder_place(tmp_path / "nas"), more=f'[archive]\npath = "{archive.root}"'
    )
    settings.write_text(settings.read_text() + 'max_rate = "8 Mbit/s"\n')
    busy: list[bool] = []
    daemon = CopyRunner(SystemClock(), config_file=settings, every_s=0.0, is_busy=lambda: bool(busy))
    monkeypatch.setattr("agent.archives.maintenance.PATIENCE_S", 0.5)
    daemon.look()
    wait_for(lambda: list((tmp_path / "nas").rglob(".*.part")), what="a copy that has begun")
    (child,) = copying(os.getpid())
    busy.append(True)

    def ended() -> bool:
        daemon.look()
        return not child.is_running()

    wait_for(ended, what="the end of the copy")
    busy.clear()
    daemon.look()
    (child,) = wait_for(lambda: copying(os.getpid()), what="the next one")
    daemon.close()
    assert not child.is_running()
