"""Half of a conference: why it is not live is told once for each reason, of it alone, until it is live again."""

import threading
from collections.abc import Callable
from fractions import Fraction

import pytest

from config.errors import DeviceError
from config.events import Event
from config.settings.layouts import BUILT_IN_LAYOUTS, ProgramSettings
from config.settings.schema import ConferenceSettings as Settings
from config.settings.schema import Settings as AllSettings
from devices.host.clock import SystemClock
from recorder.features.conference.camera import ConferenceCamera
from recorder.features.conference.conference_hook import ConferenceHook
from recorder.features.conference.conference_task import ConferenceTask
from recorder.features.conference.plan import ConferencePlan
from recorder.model.session_faults import ActiveFaults
from recorder.program.scene import Appearance
from recorder.session.request import SessionRequest
from tests.recorder.features.conference.test_sound import Heardable
from tests.support.simulated import EventList
from tests.support.tracks import run_context
from tests.support.waiting import wait_for

type NoThread = Callable[[str], None]


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> NoThread:
    """Return what lets the next thread of a name fail to start."""
    start = threading.Thread.start

    def refuse(name: str) -> None:
        def fail(thread: threading.Thread) -> None:
            if thread.name == name:
                monkeypatch.setattr(threading.Thread, "start", start)
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", fail)

    return refuse


class Told(ConferenceTask):
    """A half whose tries end as they are told to, and what a session makes of what it tells."""

    def __init__(self, subject: str = "camera") -> None:
        super().__init__(subject, "picture", run_context(SystemClock(), self._hear))
        self.troubles = ActiveFaults(SystemClock())
        self.events: list[tuple[str, str, object]] = []
        self.errors: list[Exception] = []

    def _serve(self) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.live("It goes there", node="/dev/video42")
        self.stopped.wait()

    def _hear(self, kind: str, subject: str, message: str, **detail: object) -> None:
        self.troubles(Event(SystemClock().now(), kind, subject, detail, message))
        self.events.append((kind, subject, detail.get("reason")))


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.features.conference.conference_task.RETRY_S", 0.01)


def test_why_it_is_not_live_is_told_once_for_each_reason_and_is_over_when_it_is_live() -> None:
    told = Told()
    told.errors = [
        DeviceError("in use", why="busy"),
        DeviceError("in use", why="busy"),
        ZeroDivisionError("a bug"),
        ZeroDivisionError("a bug"),
    ]
    told.start()
    wait_for(lambda: told.line.state == "live")
    assert told.events == [
        ("conference-lost", "camera", "busy"),
        ("conference-lost", "camera", "failed"),
        ("conference-live", "camera", None),
    ]
    assert told.troubles.all == ["conference-lost: camera"]
    assert told.troubles.now == []
    told.close(60)
    assert told.line.state == "stopped"


@pytest.mark.parametrize("subject", ["camera", "microphone"])
def test_that_there_is_no_thread_for_it_is_its_trouble_until_it_is_live(no_thread: NoThread, subject: str) -> None:
    told = Told(subject)
    no_thread(f"conference-{subject}")
    told.start()
    assert told.troubles.now == [f"conference-lost: {subject}"]
    assert (told.line.state, told.line.reason) == ("stopped", "failed")
    told.start()
    wait_for(lambda: told.line.state == "live")
    assert told.troubles.now == []
    told.close(60)


def test_one_half_for_which_there_is_no_thread_keeps_the_other_from_nothing(no_thread: NoThread) -> None:
    events, heard = EventList(), Heardable(["mimbar"], set())
    plan = ConferencePlan(Settings(width=160, height=90, fps=Fraction(30)))
    appearance = Appearance(BUILT_IN_LAYOUTS, ProgramSettings(), "Rapat", "id")
    run = run_context(SystemClock(), events)
    conference = ConferenceHook(SessionRequest(title="Rapat"), AllSettings())
    conference.tasks = ConferenceCamera(plan, [], appearance, shows=lambda: "single", run=run), heard.bus
    no_thread("conference-camera")
    conference.start()
    wait_for(lambda: heard.bus.line.state == "live")
    conference.close()
    assert events == [("conference-lost", "camera")]
    assert heard.events == [("conference-live", "microphone")]
