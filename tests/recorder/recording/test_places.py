"""Where a session can begin, also beside disks that do not answer."""

import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from config.settings.schema import StorageSettings
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.recording import replica_opener
from recorder.recording.replica_opener import check_archives


class Hanging(Archive):
    """An archive on a server that does not answer."""

    def __init__(self, root: Path, over: threading.Event) -> None:
        super().__init__(root, SystemClock(), 1)
        self.over = over

    def check(self) -> int:
        self.over.wait(30)
        return super().check()


def test_a_disk_that_does_not_answer_takes_none_and_the_next_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_opener, "DISK_ANSWER_S", 0.2)
    over = threading.Event()
    hangs, well = Hanging(tmp_path / "macet", over), Archive(tmp_path / "baik", SystemClock(), 1)
    check_archives([hangs, well], StorageSettings(), SystemClock())
    with pytest.raises(StorageError, match=r"macet.* 0 s"):
        check_archives([hangs], StorageSettings(), SystemClock())
    over.set()
