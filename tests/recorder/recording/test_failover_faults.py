"""What may go wrong while a copy is on its way to another disk."""

import threading
from pathlib import Path
from typing import Any, Never

import pytest

from config.errors import StorageError
from devices.host.clock import SystemClock
from recorder.archive.archive import Archive
from recorder.disk.place import MountMemory
from recorder.model.packet import KeptPackets
from recorder.recording.opening import Opener
from recorder.recording.replica import Replica
from tests.support import media
from tests.support.stored import RATE, Show, Shows, facts
from tests.support.timeline import is_continuous
from tests.support.waiting import wait_for


def lose_the_first_disk(session: Show) -> None:
    wait_for(lambda: session.storage.on_disk.media_time_s > 3)
    session.roots[0].rename(session.roots[0].with_name("away"))


def test_a_part_that_fails_before_its_copy_has_come_to_it_is_left_like_any_other(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = show(3)
    session.feed(5)
    open_replica = Opener.open

    def open_and_fail(opener: Opener, *place: Any) -> Replica:
        replica = open_replica(opener, *place)
        if replica.work.path.is_relative_to(session.roots[1]):
            replica.fail(StorageError("the second disk has gone, too"))
        return replica

    monkeypatch.setattr(Opener, "open", open_and_fail)
    lose_the_first_disk(session)
    session.feed_until(lambda: session.kinds.count("storage-switched") == 2)
    session.feed(2)
    session.close()
    assert session.kinds == ["storage-vanished", "storage-switched", "storage-failed", "storage-switched"]
    first, _, third = session.folders
    assert third.is_relative_to(session.roots[2])
    session.folders = [session.roots[0].with_name("away") / first.relative_to(session.roots[0]), third]
    is_continuous(session.files(), RATE, session.seconds())
    assert not session.failures


def ends_with_its_disk(session: Show) -> None:
    """See that the loss of a disk ends the session in order though there is another, and that both are told."""
    lose_the_first_disk(session)
    session.feed_until(lambda: session.failures)
    session.close()
    assert [error.why for error in session.failures] == ["vanished"]
    assert session.kinds == ["storage-vanished", "storage-failed"]


def test_a_mistake_of_ours_ends_the_session_in_order(show: Shows, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_nothing(*_given: object) -> Never:
        raise ZeroDivisionError("a bug")

    session = show(2)
    session.feed(5)
    monkeypatch.setattr(KeptPackets, "from_the_start", give_nothing)
    ends_with_its_disk(session)
    assert "a bug" in session.told("storage-failed").message
    wait_for(lambda: not list(session.roots[1].rglob("program.mp4")))


def test_where_there_are_too_many_threads_the_session_ends_in_order(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_more(*_given: object, **_named: object) -> Never:
        raise RuntimeError("can't start new thread")

    session = show(2)
    session.feed(5)
    monkeypatch.setattr("recorder.recording.failover.DeadlineTask", none_more)
    ends_with_its_disk(session)
    assert "no more threads" in session.told("storage-failed").message


def test_the_next_disk_is_not_kept_waiting_by_the_one_that_the_state_folder_is_on(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where its disk is mounted is noted there: in the home, whose disk may be the one that hangs."""
    session, goes_on = show(2), threading.Event()
    asked: list[Path] = []

    def hang(_memory: MountMemory, root: Path) -> None:
        asked.append(root)
        goes_on.wait(30)

    session.feed(5)
    monkeypatch.setattr(MountMemory, "remember", hang)
    lose_the_first_disk(session)
    session.feed_until(lambda: "storage-switched" in session.kinds)
    session.feed(2)
    session.close()
    goes_on.set()
    assert session.kinds == ["storage-vanished", "storage-switched"]
    assert asked == [session.roots[1]]
    assert not session.failures


def test_a_picture_that_changes_its_form_goes_on_in_a_further_file_with_nothing_missing(show: Shows) -> None:
    session = show(1, changes_form=True)
    session.feed(3)
    session.change_form()
    session.feed(3)
    session.close()
    assert session.kinds == []
    assert [replica.form for replica in session.storage.replicas] == [0, 1]
    is_continuous(session.files(), RATE, session.seconds())


def test_a_picture_that_changes_its_form_while_the_next_disk_opens_goes_on_there_in_the_new_form(
    show: Shows, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, opens, go_on, open_replica = show(2, changes_form=True), threading.Event(), threading.Event(), Opener.open

    def slow(opener: Opener, *place: Any) -> Replica:
        opens.set()
        go_on.wait(30)
        return open_replica(opener, *place)

    session.feed(5)
    monkeypatch.setattr(Opener, "open", slow)
    lose_the_first_disk(session)
    session.feed_until(opens.is_set)
    began_s = session.seconds()
    session.change_form()
    session.feed(2)
    go_on.set()
    wait_for(lambda: len(session.storage.replicas) == 3)
    session.feed(1)
    session.close()
    assert session.kinds[:2] == ["storage-vanished", "storage-switched"]
    _, between, last = session.storage.replicas
    assert (between.form, between.is_void, last.form) == (0, True, 1)
    assert {replica.folder for replica in (between, last)} == {str(session.roots[1])}
    assert float(last.start) == pytest.approx(began_s, abs=0.001)
    assert media.decoded(last.file.path, "v").frames == session.fed - round(began_s * RATE)
    session.storage.seal(facts(session))
    (package,) = Archive(session.roots[1], SystemClock()).list()
    assert [file.file for file in package.recording.media if "program" in file.file] == ["data/media/program.mp4"]  # type: ignore[union-attr]
