import threading
from typing import Never

import pytest

from devices.host import threads
from tests.support.simulated import EventList


@pytest.fixture(autouse=True)
def broken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Take what breaks a thread from pytest, which would fail the test for it."""
    found: list[str] = []
    monkeypatch.setattr(threading, "excepthook", lambda args: found.append(repr(args.exc_value)))
    return found


def run(name: str) -> None:
    def fail() -> Never:
        raise ZeroDivisionError("rtmp://host/app/a-key")

    thread = threading.Thread(target=fail, name=name)
    thread.start()
    thread.join()


def test_a_thread_that_breaks_is_told_by_its_name_and_never_with_what_its_error_says(broken: list[str]) -> None:
    events, said = EventList(), []

    def emit(kind: str, subject: str, message: str, **detail: object) -> None:
        said.append(f"{message} {detail}")
        events(kind, subject, message, **detail)

    with threads.report_broken_threads(emit):
        run("live-youtube")
    run("read-podium")
    assert events == [("thread-failed", "live-youtube")]
    assert "ZeroDivisionError" in said[0]
    assert "a-key" not in said[0]
    assert len(broken) == 2, "its traceback goes to the recorder's log as ever"


def test_that_it_cannot_be_told_breaks_nothing_more(broken: list[str]) -> None:
    def emit(kind: str, subject: str, message: str, **detail: object) -> None:
        raise OSError(5, "Input/output error")

    with threads.report_broken_threads(emit):
        run("live-youtube")
    assert len(broken) == 1


def test_what_fails_on_a_thread_that_goes_on_is_none_that_has_broken(broken: list[str]) -> None:
    events = EventList()
    with threads.report_broken_threads(events):
        try:
            _ = 1 / 0
        except ZeroDivisionError:
            threads.report_error()
    assert events == []
    assert len(broken) == 1
