"""Where a session can begin, also beside disks that do not answer."""

import threading
from pathlib import Path

import pytest

from config.errors import StorageError
from config.settings.schema import Storage
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.recording import opening
from recorder.recording.opening import check_places


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
    monkeypatch.setattr(opening, "OPEN_S", 0.2)
    over = threading.Event()
    hangs, well = Hanging(tmp_path / "macet", over), Archive(tmp_path / "baik", SystemClock(), 1)
    check_places([hangs, well], Storage(), SystemClock())
    with pytest.raises(StorageError, match=r"macet.* 0 s"):
        check_places([hangs], Storage(), SystemClock())
    over.set()
