"""A folder of HLS that is not there, not to be written into, full, hung, or full of what others planted."""

import contextlib
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest

from devices.host.deadline import hung_closings
from recorder.live import attempt
from recorder.live.attempt import StopRequest
from recorder.live.destination import LiveDestination
from recorder.live.kind import Outcome
from recorder.live.kinds.hls import PLAYLIST
from recorder.live.kinds.hls_folder import reach_folder
from recorder.live.reason import NotLive
from recorder.live.url import FolderUrl
from tests.support.confined import be_powerless_root, confined
from tests.support.copies import small_disk
from tests.support.encoded import SmallEncoder
from tests.support.hung_disk import hung_disk
from tests.support.live import Events, Pump, is_live, playlist, running
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server

ANOTHER = 54321
"""A user who is not this one."""


def test_a_folder_that_is_missing_may_come(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    folder.rmdir()
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason == "folder-missing")
        assert str(folder) in (destination.status().message or "")
        folder.mkdir()
        wait_for(lambda: is_live(destination))


def test_a_folder_that_may_not_be_written_into(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    folder.chmod(0o555)

    def run() -> None:
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: destination.status().reason == "not-writable")

    confined(be_powerless_root if os.geteuid() == 0 else lambda: None, run)
    folder.chmod(0o755)


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to another user")
def test_a_folder_that_another_user_has_streamed_to_is_streamed_to(
    url: str, folder: Path, encoder: SmallEncoder, events: Events
) -> None:
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\nlive-41.ts\n"
    for name in (".live.lock", PLAYLIST, f".{PLAYLIST}.{16 * '0'}.new", "live-40.ts", "live-41.ts", "live-42.ts"):
        (folder / name).write_text(text)
        os.chown(folder / name, ANOTHER, ANOTHER)
    folder.chmod(0o777)

    def run() -> None:
        reach_folder(FolderUrl(str(folder)))
        with running(url, encoder, events) as destination, Pump(encoder, destination):
            wait_for(lambda: len(playlist(folder).segments) > 1 and is_live(destination))
            with running(url, encoder, Events()) as second:
                wait_for(lambda: second.status().reason == "already-publishing")

    confined(be_powerless_root, run)
    assert [segment.number for segment in playlist(folder).segments][:2] == [41, 42]
    assert events.reasons() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_disk_that_is_full_is_told_and_tried_again(
    url: str, folder: Path, encoder: SmallEncoder, events: Events
) -> None:
    with small_disk(folder), running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: is_live(destination))
        with (folder / "others").open("wb", buffering=0) as others, contextlib.suppress(OSError):
            while True:
                others.write(bytes(1 << 16))
        wait_for(lambda: destination.status().reason == "disk-full")
        (folder / "others").unlink()
        wait_for(lambda: is_live(destination))


def test_a_playlist_that_cannot_be_replaced_is_told_and_tried_again(
    url: str, folder: Path, encoder: SmallEncoder, events: Events
) -> None:
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: playlist(folder).segments)
        (folder / PLAYLIST).unlink()
        (folder / PLAYLIST).mkdir()
        wait_for(lambda: destination.status().reason == "disk-failed")
        (folder / PLAYLIST).rmdir()
        wait_for(lambda: is_live(destination))


@pytest.mark.skipif(os.geteuid() != 0, reason="acts as another user")
@pytest.mark.parametrize("plant", [os.symlink, os.link, lambda _victim, file: os.mkfifo(file)])
def test_a_file_that_another_user_plants_is_not_written_into(
    url: str, folder: Path, tmp_path: Path, encoder: SmallEncoder, events: Events, plant: Callable[[Path, Path], None]
) -> None:
    """In a folder that everybody may write to; a link that root makes may be one to a file of root's, too."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"secret")
    victim.chmod(0o600)
    folder.chmod(0o777)
    number = int(time.time())
    for name in (PLAYLIST, f"{PLAYLIST}.new", f".{PLAYLIST}.new", *(f"live-{number + add}.ts" for add in range(60))):
        plant(victim, folder / name)
        os.chown(folder / name, ANOTHER, ANOTHER, follow_symlinks=False)
    os.chown(victim, 0, 0)
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: len(playlist(folder).segments) > 1 and is_live(destination))
        planted = [folder / f"live-{playlist(folder).segments[-1].number + add}.ts" for add in range(1, 4)]
        for path in planted:
            with contextlib.suppress(FileExistsError):
                plant(victim, path)
        wait_for(lambda: {path.name for path in planted} <= {each.name for each in playlist(folder).segments})
        assert stat.S_IMODE((folder / PLAYLIST).stat().st_mode) == 0o644
    assert (victim.read_bytes(), stat.S_IMODE(victim.stat().st_mode)) == (b"secret", 0o600)
    assert events.reasons() == []


def test_a_lock_that_is_no_file_is_told(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    os.mkfifo(folder / ".live.lock")
    with pytest.raises(NotLive):
        reach_folder(FolderUrl(str(folder)))
    with running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason == "disk-failed")
        assert ".live.lock is no regular file" in (destination.status().message or "")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_child_whose_disk_hangs_is_given_up(url: str, folder: Path, encoder: SmallEncoder, events: Events) -> None:
    with hung_disk(folder), running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: destination.status().reason == "timeout")
        assert "its disk does not answer" in (destination.status().message or "")


class Unkillable(subprocess.Popen[bytes]):
    """Waits for a disk within the kernel: no signal ends it."""

    made: ClassVar[list["Unkillable"]] = []

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.made.append(self)

    def kill(self) -> None:
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_child_that_cannot_be_killed_holds_up_nobody_and_no_other_is_started_beside_it(
    url: str, folder: Path, encoder: SmallEncoder, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Unkillable, "made", [])
    monkeypatch.setattr(subprocess, "Popen", Unkillable)
    tries: list[Outcome] = []
    try_once = LiveDestination._run_attempt

    def spy(destination: LiveDestination, stop: StopRequest) -> Outcome:
        tries.append(try_once(destination, stop))
        return tries[-1]

    monkeypatch.setattr(LiveDestination, "_run_attempt", spy)
    disk = hung_disk(folder)
    monkeypatch.setattr(attempt, "STEP_S", 0.5)
    with disk, running(url, encoder, events) as destination, Pump(encoder, destination):
        wait_for(lambda: len(tries) >= 3)
        assert destination.status().state == "waiting"
        assert "its disk does not answer" in (destination.status().message or "")
        (hung,) = Unkillable.made
        hung.send_signal(signal.SIGKILL)  # the disk is back
        wait_for(lambda: hung.returncode)
        wait_for(lambda: len(Unkillable.made) == 2)
        destination.restart()
        wait_for(lambda: len(Unkillable.made) == 3)
    for one in Unkillable.made:
        one.send_signal(signal.SIGKILL)
    wait_for(lambda: not hung_closings())
    assert events.reasons() == ["timeout"] * len(events.reasons())
