"""A disk that takes nothing: told, left for another one, and nobody waits for it."""

import time

import pytest

from config.errors import StorageStalled
from tests.support.disks import left_alone
from tests.support.stored import RATE, Disks, Shows, facts
from tests.support.timeline import is_continuous
from tests.support.waiting import wait_for


def test_a_disk_that_takes_nothing_is_told_and_left(show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.storing.part.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.CLOSE_S", 1.0)
    monkeypatch.setattr("recorder.storing.storage.CLOSE_S", 1.0)
    session = show(2, stalled_s=2.0)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    disks.hung = session.roots[0]
    began = time.monotonic()
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    assert time.monotonic() - began < 20
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    assert session.kinds[:4] == ["recording-stalled", "storage-stalled", "recording-resumed", "storage-switched"]
    assert left_alone(session.storage) == 1
    package = session.storage.seal(facts(session))
    assert package.path.startswith(str(session.roots[1]))
    assert "part-left" in session.kinds
    disks.let_go.set()
    second = package.folder / "data/media/program.mp4"
    offset_s = float(session.storage._tee.copies[0].part.start)
    wait_for(lambda: session.storage._tee.copies[0].parts[0].close().is_over)
    is_continuous([(session.folders[0] / "data/media/program.mp4", 0.0), (second, offset_s)], RATE, session.seconds())


def test_a_disk_that_goes_on_is_told_too(show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.storing.part.STALLED_S", 0.5)
    session = show(1)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
    disks.hung = session.roots[0]
    session.feed_until(lambda: "recording-stalled" in session.kinds)
    standing = session.storage.on_disk
    session.feed(1)
    assert session.storage.on_disk == standing
    disks.let_go.set()
    session.feed_until(lambda: "recording-resumed" in session.kinds)
    session.close()
    assert session.kinds == ["recording-stalled", "recording-resumed"]
    is_continuous(session.files(), RATE, session.seconds())


def test_only_a_disk_that_never_answers_leaves_a_session_that_says_so_and_ends(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.recording.CLOSE_S", 0.5)
    monkeypatch.setattr("recorder.storing.storage.CLOSE_S", 0.5)
    session = show(1)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
    disks.hung = session.roots[0]
    session.feed(1)
    session.close()
    assert [type(error) for error in session.failures] == [StorageStalled]
    with pytest.raises(StorageStalled):
        session.storage.seal(facts(session))
    assert left_alone(session.storage) == 1


def test_a_session_that_waits_for_its_disk_ends_where_that_takes_nothing_any_more(
    show: Shows, disks: Disks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorder.storing.part.STALLED_S", 0.5)
    monkeypatch.setattr("recorder.recording.CLOSE_S", 0.5)
    monkeypatch.setattr("recorder.storing.storage.CLOSE_S", 0.5)
    monkeypatch.setattr("recorder.recording.QUEUE_PACKETS", 100)
    monkeypatch.setattr("recorder.storing.storage.WATCH_S", 0.05)
    session = show(1, waits=True, stalled_s=1.0)
    session.feed(3)
    wait_for(lambda: session.storage.on_disk.media_time_s > 1)
    disks.hung = session.roots[0]
    disks.takes_writes = False
    time.sleep(2.0)  # its source gives nothing
    assert not session.failures
    session.feed(10)
    assert session.failures
    session.close()
    assert [type(error) for error in session.failures] == [StorageStalled]
    assert session.kinds == ["recording-stalled", "storage-stalled"]
