"""A recorder's claims from planning until its devices are closed, and what it remembers for one that goes on."""

import dataclasses
import queue
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Never

import msgspec
import pytest

from capture.sources.worker import DeviceSupervision, FixedLocator
from config.errors import DeviceError, SecretError, UsageError
from config.events import Emit
from config.settings.schema import Settings, load_settings
from config.settings.secrets import StreamTarget
from devices.host.clock import Clock, SystemClock
from devices.model.device import Device, DeviceKind
from recorder.control import recorder
from recorder.control.destination_changes import change_destinations
from recorder.control.recorder import MainThreadInbox, Recorder
from recorder.control.spec import Handshake, RecorderSpec, decode_spec, encode_spec_for_disk
from recorder.live.destinations import Destinations
from recorder.model.eventlog import EventLog, Listener
from recorder.model.status import SessionResult, SessionState
from recorder.package.fixity import Progress
from recorder.running import runtime_directory
from recorder.running.client import read_result
from recorder.running.protocol import (
    AddDestinationCommand,
    DestinationChange,
    RecorderFailure,
    RecorderReady,
    RemoveDestinationCommand,
    RestartDestinationCommand,
)
from recorder.running.runtime_directory import RecorderFolder, RecorderInfo
from recorder.session.planning import PreparedSession, plan_session
from recorder.session.request import SessionRequest
from recorder.session.session import Session
from tests.support.errors import because
from tests.support.leftovers import event
from tests.support.scripted_session import RESULT, ScriptedSession
from tests.support.streams import Events
from tests.support.waiting import wait_for

CAMERA = Device(id="046d:0825:CAM0001", kind=DeviceKind.CAMERA, name="Rig Webcam")


class Heard(Handshake):
    """Leaves this process its output, too, and keeps the line."""

    def __init__(self) -> None:
        self.lines: list[RecorderReady | RecorderFailure] = []

    def say(self, line: RecorderReady | RecorderFailure) -> None:
        self.lines.append(line)


@pytest.fixture(autouse=True)
def own_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave this process its output, and wait for no client at the end."""
    monkeypatch.setattr(recorder, "redirect_output", Path.touch)
    monkeypatch.setattr(recorder, "rotate_log", Path.exists)
    monkeypatch.setattr(recorder, "LINGER_S", 0)


def planned(archive: Path, title: str) -> PreparedSession:
    """Return the plan of a synthetic session that says it has the camera."""
    asked = SessionRequest(title=title, videos=("synthetic",), profile="240p15", archive=archive, reserve=0)
    plan = plan_session(asked, Settings(), SystemClock())
    context = msgspec.structs.replace(plan.plan.context, devices=(CAMERA,))
    return dataclasses.replace(plan, plan=dataclasses.replace(plan.plan, context=context))


def made(archive: Path, title: str, replaces: str | None = None) -> Recorder:
    spec = RecorderSpec(asked=SessionRequest(title=title), replaces=replaces)
    return Recorder(planned(archive, title), spec, SystemClock())


def known() -> list[RecorderFolder]:
    return [folder for folder, _ in runtime_directory.known_recorders()]


def said(folder: RecorderFolder) -> RecorderInfo:
    info = folder.info()
    assert info
    return info


def run(one: Recorder, inbox: MainThreadInbox | None = None) -> SessionResult | RecorderFailure | None:
    """Run a recorder until `inbox` or its session ends it; return how it ended."""
    heard = Heard()
    with one:
        one.run(heard, inbox or queue.SimpleQueue())
    (ready,) = heard.lines
    assert isinstance(ready, RecorderReady)
    return read_result(runtime_directory.ended_recorder_folder(ready.id))


type Script = Callable[[Listener, Progress], object]
type Follow = Callable[..., None]


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follow:
    """Provide what runs a recorder whose session follows a script: it tells events and the progress of sealing."""

    def follow(script: Script, replaces: str | None = None) -> None:
        class Scripted(ScriptedSession):
            def __init__(self, *_plan: object, listener: Listener, progress: Progress, **_more: object) -> None:
                super().__init__()
                self.emit = EventLog(SystemClock(), listener)
                self.destinations = Destinations(clock=SystemClock(), emit=self.emit)
                self._tells = listener, progress

            def run(self) -> SessionResult:
                script(*self._tells)
                return RESULT

        monkeypatch.setattr(recorder, "Session", Scripted)
        assert run(made(tmp_path, "Satu", replaces)) == RESULT

    return follow


def test_a_device_is_anothers_until_that_sessions_devices_are_closed(tmp_path: Path, follow: Follow) -> None:
    def script(_tell: Listener, progress: Progress) -> None:
        (first,) = known()
        with pytest.raises(
            DeviceError, match=rf'Rig Webcam is used by the session "Satu" \({first.id}\)', check=because("busy")
        ):
            made(tmp_path, "Dua")
        assert len(known()) == 1  # which left nothing
        progress(1, 2)  # it is being sealed
        with made(tmp_path, "Dua"):
            assert len(known()) == 2

    follow(script)
    assert known() == []


def test_what_another_session_has_is_missing_where_that_is_allowed(tmp_path: Path) -> None:
    supervision = DeviceSupervision(FixedLocator(CAMERA), may_miss=True)
    with made(tmp_path, "Satu"):
        plan = dataclasses.replace(planned(tmp_path, "Dua"), supervisions={CAMERA.id: supervision})
        with Recorder(plan, RecorderSpec(asked=SessionRequest(title="Dua")), SystemClock()):
            assert len(known()) == 2
    assert supervision.missing
    assert "used by the session" in supervision.missing.message


def test_it_says_into_which_folder_it_records_also_after_a_change_of_disk(tmp_path: Path, follow: Follow) -> None:
    first = tmp_path / "cadangan" / ".incoming" / "2026-11-24_0900_rapat_3f2a91c0"

    def script(tell: Listener, _progress: Progress) -> None:
        (folder,) = known()
        tell(event(0, "session-live", first.name, folder=str(first), clock_ns=0))
        assert said(folder).work == str(first), "which need not be in the archive that was asked for"
        for part, disk in ((2, "lain"), (3, "ketiga")):
            tell(event(60, "storage-switched", str(tmp_path / disk), part=part, offset_s=60.0, left="cadangan"))
            assert said(folder).work == str(tmp_path / disk / ".incoming" / f"{first.name}.{part}")

    follow(script)


def test_the_folder_of_a_killed_one_goes_once_the_next_records(tmp_path: Path, follow: Follow) -> None:
    old = runtime_directory.make_recorder_folder(
        runtime_directory.new_recorder_info("Satu", tmp_path, SystemClock().now()), b"{}"
    )

    def script(tell: Listener, _progress: Progress) -> None:
        (new,) = (folder for folder in known() if folder.id != old.id)
        assert said(new).replaces == old.id
        tell(event(0, "source-lost"))
        assert old.path.exists()
        tell(event(0, "session-live", "rapat", folder=str(tmp_path), clock_ns=0))
        assert not old.path.exists()

    follow(script, old.id)


def test_what_is_changed_meanwhile_is_remembered_for_whoever_goes_on(follow: Follow) -> None:
    def script(tell: Listener, _progress: Progress) -> None:
        (folder,) = known()
        tell(event(1, "layout-changed", "pause", before="single", media_s=1.0))
        tell(event(2, "sound-muted", "mik", media_s=2.0, muted=["mik"]))
        asked = decode_spec(folder.spec.read_bytes()).asked
        assert (asked.layout, asked.muted, asked.videos) == ("pause", ("mik",), ("synthetic",))
        tell(event(3, "sound-unmuted", "all sound", media_s=3.0, muted=[]))
        tell(event(4, "title-changed", "Rapat Lain", media_s=4.0))
        tell(event(5, "end-moved", "Rapat Lain", duration_s=900.0, media_s=5.0))
        again = decode_spec(folder.spec.read_bytes()).asked
        assert (again.muted, again.title, again.duration_s, said(folder).title) == ((), "Rapat Lain", 900, "Rapat Lain")

    follow(script)


# Mistakes of ours


def test_a_mistake_while_it_is_looked_after_costs_nothing_and_a_thread_that_breaks_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox: MainThreadInbox = queue.SimpleQueue()

    def look() -> Never:
        thread = threading.Thread(target=[].pop, name="preview")
        thread.start()
        thread.join()
        wait_for(lambda: said(known()[0]).work, what="a recording")
        inbox.put("end")
        raise MemoryError

    monkeypatch.setattr(threading, "excepthook", lambda broken: None)  # pytest would fail the test for it
    monkeypatch.setattr(recorder, "garbage_collector", lambda _clock: look)
    ended = run(made(tmp_path, "Satu"), inbox)
    assert isinstance(ended, SessionResult)
    assert ended.state is SessionState.SEALED
    assert "thread-failed: preview" in ended.degraded, "it is not taken for a whole one"


def test_where_nobody_can_look_after_it_the_session_ends_and_is_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_given: object) -> Never:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(recorder, "rotate_log", failing)
    monkeypatch.setattr(recorder, "LOOK_S", 0.0)
    heard = Heard()
    with pytest.raises(ZeroDivisionError), made(tmp_path, "Satu") as one:
        one.run(heard, queue.SimpleQueue())
    (ready,) = heard.lines
    assert isinstance(ready, RecorderReady)
    ended = read_result(runtime_directory.ended_recorder_folder(ready.id))
    assert isinstance(ended, SessionResult)  # of no picture at all it may have been
    assert ended.state in {SessionState.SEALED, SessionState.IDLE}
    assert not [thread for thread in threading.enumerate() if thread.name == "session"]


def test_a_session_that_breaks_has_failed_and_no_thread_of_it_is_told_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_session: Session) -> Never:
        raise ZeroDivisionError("a bug")

    broken: list[object] = []
    monkeypatch.setattr(threading, "excepthook", broken.append)
    monkeypatch.setattr(Session, "run", failing)
    ended = run(made(tmp_path, "Satu"))
    assert isinstance(ended, RecorderFailure)
    assert "ZeroDivisionError" in ended.message
    assert broken == []


# What people change about destinations, and what is remembered of it

SECRET = "gUARDED-w0rd"


class Noting(Destinations):
    """Destinations that take note of the addresses that they are given."""

    def __init__(self, *, clock: Clock, emit: Emit) -> None:
        super().__init__(clock=clock, emit=emit)
        self.given: list[str | None] = []

    def add(self, target: StreamTarget) -> None:
        super().add(target)
        self.given.append(target.url.reveal())

    def restart(self, name: str, target: StreamTarget | None = None) -> None:
        super().restart(name, target)
        self.given.append(target.url.reveal() if target else None)


class Streaming:
    """Destinations that were never begun, what is told to them, and what their recorder remembers of them."""

    def __init__(self, folder: Path) -> None:
        self.keys, self._file = folder / "keys.toml", folder / "liput.toml"
        self._file.write_text('[destinations.kampus]\nurl = "rtmp://live.kampus.example/live"\n')
        self.keys.touch(0o600)
        self.keys.write_text(f'kampus = "{SECRET}"')
        self.events = Events()
        self.destinations = Noting(clock=SystemClock(), emit=self.events)
        self.spec = RecorderSpec(asked=SessionRequest(title="Rapat"), unsaved=("stdin",))

    def settings(self) -> Settings:
        return load_settings(self._file)

    def command(self, request: DestinationChange, *, is_live: bool = True) -> str:
        return change_destinations(request, self.destinations, self.settings, self._remember, is_live=is_live)

    def _remember(self, change: Callable[[RecorderSpec], RecorderSpec]) -> RecorderSpec:
        self.spec = change(self.spec)
        return self.spec

    def on_disk(self) -> tuple[list[str], tuple[str, ...]]:
        """Return the words for destinations that are saved, and the names of those that are not."""
        saved = encode_spec_for_disk(self.spec)
        assert SECRET.encode() not in saved
        return list(decode_spec(saved).asked.streams), decode_spec(saved).unsaved


@pytest.fixture
def streaming(tmp_path: Path) -> Streaming:
    return Streaming(tmp_path)


def test_a_name_is_looked_up_by_the_recorder_and_remembered(streaming: Streaming) -> None:
    with pytest.raises(UsageError, match="in real time"):
        streaming.command(AddDestinationCommand(name="kampus"), is_live=False)
    assert streaming.command(AddDestinationCommand(name="kampus")) == ""
    assert streaming.destinations.given == [f"rtmp://live.kampus.example/live/{SECRET}"]
    assert streaming.on_disk() == (["kampus"], ("stdin",))
    assert streaming.command(RemoveDestinationCommand(name="kampus")) == ""
    assert streaming.on_disk() == ([], ("stdin",))
    assert streaming.destinations.names == ()


def test_an_address_is_in_the_file_that_it_came_from_or_nowhere(streaming: Streaming) -> None:
    address = f"rtmp://h/live/{SECRET}"
    from_file = AddDestinationCommand(name="alamat", address=address, file="/srv/alamat.txt")
    assert streaming.command(from_file) == ""
    note = streaming.command(AddDestinationCommand(name="stdin", address=address))
    assert "the address of stdin would be lost" in note
    assert streaming.on_disk() == (["@/srv/alamat.txt"], ("stdin",))
    streaming.command(RemoveDestinationCommand(name="stdin"))
    streaming.command(RemoveDestinationCommand(name="alamat"))
    assert streaming.on_disk() == ([], ())
    assert SECRET not in repr(streaming.events.seen)


def test_a_restart_takes_the_key_that_is_there_now_else_the_one_that_it_had(streaming: Streaming) -> None:
    streaming.command(AddDestinationCommand(name="kampus"))
    streaming.keys.write_text('kampus = "lain"')
    assert streaming.command(RestartDestinationCommand(name="kampus")) == ""
    streaming.keys.write_text("")
    note = streaming.command(RestartDestinationCommand(name="kampus"))
    assert note.startswith("it is connected to the address that it had: there is no key")
    assert streaming.destinations.given[1:] == ["rtmp://live.kampus.example/live/lain", None]
    assert [kind for _, kind, *_ in streaming.events.seen][1:] == ["destination-restarted"] * 2


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (RemoveDestinationCommand(name="lain"), UsageError),
        (AddDestinationCommand(name="kampus"), SecretError),
        (AddDestinationCommand(name="x", address=f"live.example.org/app/{SECRET}"), SecretError),
        (AddDestinationCommand(name="x", address=f"gopher://h/app/{SECRET}"), SecretError),
    ],
)
def test_what_is_refused_is_neither_remembered_nor_repeated(
    streaming: Streaming, request_: DestinationChange, error: type[Exception]
) -> None:
    streaming.keys.write_text("")
    with pytest.raises(error) as refused:
        streaming.command(request_)
    assert SECRET not in "".join(traceback.format_exception(refused.value))
    assert streaming.on_disk() == ([], ("stdin",))


def test_a_session_is_gone_on_with_without_a_destination_that_is_lost_of_whose_address_nothing_is_said(
    streaming: Streaming, tmp_path: Path
) -> None:
    # An address stands where a name should: as in a plan that was changed with an editor.
    words = ("kampus", "hilang", "@/no/file", f"rtmp://live.example.org/app/{SECRET}")
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path, reserve=0, streams=words)
    with pytest.raises(UsageError):
        plan_session(asked, streaming.settings(), SystemClock())
    planned = plan_session(asked, streaming.settings(), SystemClock(), unattended=True)
    assert [target.name for target in planned.plan.targets] == ["kampus"]
    assert set(planned.left_out) >= {"hilang", "file"}
    assert len(planned.left_out) == 3
    assert SECRET not in str(planned.left_out)
