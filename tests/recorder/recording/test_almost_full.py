"""A disk that fills up: people are warned, and it is left while its file can be closed."""

from functools import partial

import pytest

from devices.host.clock import SystemClock
from recorder.model.marks import Mark
from recorder.model.session_faults import ActiveFaults
from tests.support import archives, media
from tests.support.media import is_continuous
from tests.support.storage import RATE, Show, Shows, almost_full, facts
from tests.support.waiting import wait_for


def told(session: Show, kind: str) -> bool:
    return kind in session.kinds


def told_of(session: Show, count: int) -> bool:
    return len(session.kinds) == count


def test_a_disk_that_is_almost_full_is_left_in_order_and_the_parts_become_one_package(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(2, low_s=0.0, critical_s=0.0)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(4)
    session.close(Mark(at=archives.STARTED, media_s=session.seconds() - 1, text="Penutup"))
    assert session.kinds == ["storage-full", "storage-switched"]
    is_continuous(session.files(), RATE, session.seconds())
    for program, _ in session.files():
        media.decodes_cleanly(program)
    package = session.storage.seal(facts(session))[0]
    program = package.folder / "data/media/program.mp4"
    is_continuous([(program, 0.0)], RATE, session.seconds())
    media.decodes_cleanly(program)
    assert media.decoded(program, "v").frames == session.fed
    assert media.decoded(program, "a").end_s == pytest.approx(session.seconds(), abs=0.05)
    assert package.recording
    assert package.recording.gaps == ()
    assert [part.part for part in package.recording.parts] == [1, 2]
    assert [path for root in session.roots for path in (root / ".incoming").iterdir()] == []
    assert session.kinds == ["storage-full", "storage-switched"]


def test_an_almost_full_disk_that_is_the_only_one_ends_the_session_while_it_can_be_closed(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(1)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], 1_000_000))
    session.feed_until(lambda: session.failures)
    session.close()
    assert [error.why for error in session.failures] == ["full"]
    package = session.storage.seal(facts(session))[0]
    assert media.decoded(package.folder / "data/media/program.mp4", "v").frames == session.fed


def test_an_alarm_is_over_when_somebody_frees_space(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(1)
    troubles = ActiveFaults(SystemClock())
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    for free, kind in ((15_000_000, "disk-critical"), (900_000_000, "disk-enough"), (15_000_000, "disk-critical")):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told_of, session, len(session.kinds) + 1))
        assert session.kinds[-1] == kind
        troubles(session.events[-1])
        assert troubles.now == ([f"disk-critical: {session.roots[0]}"] if kind == "disk-critical" else [])
    session.close()
    left_s = session.events[1].detail["left_s"]
    assert isinstance(left_s, int)
    assert left_s > 1800


def test_an_alarm_is_over_when_its_disk_is_left(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    for free, kind in ((15_000_000, "disk-critical"), (1_000_000, "storage-switched")):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told, session, kind))
    session.close()
    troubles = ActiveFaults(SystemClock())
    for event in session.events:
        troubles(event)
    assert troubles.now == [f"storage-full: {session.roots[0]}"]


def test_a_warning_comes_before_an_alarm_before_the_disk_is_left(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    session = show(2)
    session.feed(5)
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    for free, kind in ((70_000_000, "disk-low"), (15_000_000, "disk-critical"), (1_000_000, "storage-switched")):
        monkeypatch.setattr("recorder.recording.mp4_file.os.fstatvfs", almost_full(session.roots[0], free))
        session.feed_until(partial(told, session, kind))
    session.close()
    assert session.kinds == ["disk-low", "disk-critical", "storage-full", "storage-switched"]
    left_s = session.events[0].detail["left_s"]
    assert isinstance(left_s, int)
    assert 600 < left_s < 1800
