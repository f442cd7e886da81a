"""What people change about destinations through the control socket, and what is remembered of it."""

import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from config.errors import LiputError, SecretError, UsageError
from config.settings.schema import Settings, load_settings
from config.settings.secrets import Secret, StreamTarget
from devices.host.clock import SystemClock
from recorder.control.destination_changes import change_destinations
from recorder.control.server import MOST_CHANGES, MOST_CLIENTS, ControlServer
from recorder.control.spec import RecorderSpec, decode_spec, encode_spec_for_disk
from recorder.live.destinations import Destinations
from recorder.model.status import SessionState
from recorder.running.client import ControlClient, send_command
from recorder.running.protocol import (
    AddDestinationCommand,
    DestinationChange,
    MarkCommand,
    RecorderRefused,
    RemoveDestinationCommand,
    RestartDestinationCommand,
    StatusCommand,
    encode,
)
from recorder.running.runtime_directory import RecorderFolder
from recorder.session.planning import plan_session
from recorder.session.request import SessionRequest
from tests.support.scripted_session import ScriptedSession
from tests.support.streams import Events
from tests.support.waiting import wait_for

SECRET = "gUARDED-w0rd"


@pytest.fixture
def settings(tmp_path: Path) -> Callable[[], Settings]:
    file = tmp_path / "liput.toml"
    file.write_text('[destinations.kampus]\nurl = "rtmp://live.kampus.example/live"\n')
    write_keys(tmp_path, f'kampus = "{SECRET}"')
    return lambda: load_settings(file)


def write_keys(folder: Path, text: str) -> None:
    keys = folder / "keys.toml"
    keys.touch(0o600)
    keys.write_text(text)


class Recording:
    """A session's destinations, not begun, and what its recorder remembers of them."""

    def __init__(self, settings: Callable[[], Settings], *, is_live: bool = True) -> None:
        self.events = Events()
        self.destinations = Destinations(clock=SystemClock(), emit=self.events)
        self.spec = RecorderSpec(asked=SessionRequest(title="Rapat"), unsaved=("stdin",))
        self._settings, self._is_live = settings, is_live

    def command(self, request: DestinationChange) -> str:
        return change_destinations(request, self.destinations, self._settings, self._remember, is_live=self._is_live)

    def _remember(self, change: Callable[[RecorderSpec], RecorderSpec]) -> RecorderSpec:
        self.spec = change(self.spec)
        return self.spec

    def target(self, name: str) -> StreamTarget:
        return self.destinations._targets[name]

    @property
    def on_disk(self) -> RecorderSpec:
        assert SECRET.encode() not in encode_spec_for_disk(self.spec)
        return decode_spec(encode_spec_for_disk(self.spec))


def test_a_name_is_looked_up_by_the_recorder_and_remembered(settings: Callable[[], Settings]) -> None:
    one = Recording(settings)
    assert one.command(AddDestinationCommand(name="kampus")) == ""
    assert one.target("kampus").url == Secret(f"rtmp://live.kampus.example/live/{SECRET}")
    assert (one.on_disk.asked.streams, one.on_disk.unsaved) == (["kampus"], ("stdin",))
    assert one.command(RemoveDestinationCommand(name="kampus")) == ""
    assert one.on_disk.asked.streams == []
    assert one.destinations.names == ()


def test_an_address_is_in_the_file_that_it_came_from_or_nowhere(settings: Callable[[], Settings]) -> None:
    one = Recording(settings)
    address = f"rtmp://h/live/{SECRET}"
    assert one.command(AddDestinationCommand(name="alamat", address=address, file="/srv/alamat.txt")) == ""
    note = one.command(AddDestinationCommand(name="stdin", address=address))
    assert "the address of stdin would be lost" in note
    assert (one.on_disk.asked.streams, one.on_disk.unsaved) == (["@/srv/alamat.txt"], ("stdin",))
    one.command(RemoveDestinationCommand(name="stdin"))
    one.command(RemoveDestinationCommand(name="alamat"))
    assert (one.on_disk.asked.streams, one.on_disk.unsaved) == ([], ())
    assert SECRET not in repr(one.events.seen)


def test_a_restart_takes_the_key_that_is_there_now(settings: Callable[[], Settings], tmp_path: Path) -> None:
    one = Recording(settings)
    one.command(AddDestinationCommand(name="kampus"))
    write_keys(tmp_path, 'kampus = "lain"')
    assert one.command(RestartDestinationCommand(name="kampus")) == ""
    assert one.target("kampus").url.reveal().endswith("/live/lain")
    write_keys(tmp_path, "")
    note = one.command(RestartDestinationCommand(name="kampus"))
    assert note.startswith("it is connected to the address that it had: there is no key")
    assert one.target("kampus").url.reveal().endswith("/live/lain")
    assert [kind for _, kind, *_ in one.events.seen][1:] == ["destination-restarted"] * 2


def test_what_is_refused_is_not_remembered(settings: Callable[[], Settings], tmp_path: Path) -> None:
    one = Recording(settings)
    for request in (
        AddDestinationCommand(name="lain"),
        RemoveDestinationCommand(name="lain"),
        RestartDestinationCommand(name="lain"),
    ):
        with pytest.raises(UsageError, match="destination"):
            one.command(request)
    write_keys(tmp_path, "")
    with pytest.raises(SecretError):
        one.command(AddDestinationCommand(name="kampus"))
    with pytest.raises(UsageError, match="in real time"):
        Recording(settings, is_live=False).command(AddDestinationCommand(name="kampus"))
    assert one.spec == RecorderSpec(asked=SessionRequest(title="Rapat"), unsaved=("stdin",))


@pytest.mark.parametrize("address", [SECRET, f"live.example.org/app/{SECRET}", f"gopher://h/app/{SECRET}", ""])
def test_an_address_that_is_none_is_refused_and_not_repeated(settings: Callable[[], Settings], address: str) -> None:
    one = Recording(settings)
    with pytest.raises(SecretError, match="does not begin with") as error:
        one.command(AddDestinationCommand(name="x", address=address))
    assert SECRET not in "".join(traceback.format_exception(error.value))
    assert one.spec.asked.streams == ()


def test_a_session_is_gone_on_with_without_a_destination_that_is_lost(
    settings: Callable[[], Settings], tmp_path: Path
) -> None:
    asked = SessionRequest(
        title="Rapat", videos=("synthetic",), archive=tmp_path, reserve=0, streams=("kampus", "hilang", "@/no/file")
    )
    with pytest.raises(UsageError):
        plan_session(asked, settings(), SystemClock())
    planned = plan_session(asked, settings(), SystemClock(), unattended=True)
    assert [target.name for target in planned.plan.targets] == ["kampus"]
    assert set(planned.forgotten) == {"hilang", "file"}


def test_of_an_address_that_stands_where_a_name_should_nothing_is_said(
    settings: Callable[[], Settings], tmp_path: Path
) -> None:
    """As in a plan that was changed with an editor."""
    streams = ("kampus", f"rtmp://live.example.org/app/{SECRET}")
    asked = SessionRequest(title="Rapat", videos=("synthetic",), archive=tmp_path, reserve=0, streams=streams)
    planned = plan_session(asked, settings(), SystemClock(), unattended=True)
    assert [target.name for target in planned.plan.targets] == ["kampus"]
    assert len(planned.forgotten) == 1
    assert SECRET not in str(planned.forgotten)


class Slow:
    """Changes that take as long as a test wants."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.asked: list[DestinationChange] = []

    def __call__(self, request: DestinationChange) -> str:
        self.asked.append(request)
        self.may_end.wait(30)
        if isinstance(request, RemoveDestinationCommand):
            raise UsageError("no such", hint="another")
        return "noted"


def test_a_change_that_takes_its_time_holds_up_nobody_else(tmp_path: Path) -> None:
    folder, session, slow = RecorderFolder(tmp_path), ScriptedSession(), Slow()
    server = ControlServer(folder.control, SystemClock())
    server.start(session, slow)
    answers: list[str] = []

    def change() -> None:
        with ControlClient(folder) as connection:
            answers.append(connection.request(AddDestinationCommand(name="kampus"), 30.0).note)
            answers.append(str(connection.request(MarkCommand(text="sesudah"), 30.0).ok))
            try:
                connection.request(RemoveDestinationCommand(name="kampus"), 30.0)
            except RecorderRefused as error:
                answers.append(f"{error.message}, {error.hint}, {error.exit_status}")

    thread = threading.Thread(target=change)
    with closing(server):
        thread.start()
        wait_for(lambda: slow.asked)
        assert send_command(folder, StatusCommand()).status
        assert send_command(folder, MarkCommand(text="sela")).ok
        assert (answers, session.calls) == ([], [("mark", "sela")])
        slow.may_end.set()
        thread.join(30.0)
        assert answers == ["noted", "True", "no such, another, 2"]
        session.state = SessionState.SEALING
        with pytest.raises(LiputError, match="its recording has ended"):
            send_command(folder, AddDestinationCommand(name="kampus"))
    assert len(slow.asked) == 2


def test_changes_that_hang_leave_places_for_everybody_else(tmp_path: Path) -> None:
    folder, slow = RecorderFolder(tmp_path), Slow()
    server = ControlServer(folder.control, SystemClock())
    server.start(ScriptedSession(), slow)
    with closing(server):
        for number in range(MOST_CLIENTS):  # as a script does that gives up and tries again
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(folder.control))
                client.sendall(encode(AddDestinationCommand(name=f"d{number}")))
            wait_for(lambda: slow.asked)
        wait_for(lambda: len(server._clients) <= 1 + MOST_CHANGES)
        assert send_command(folder, StatusCommand()).status
        with pytest.raises(LiputError, match="are still in progress"):
            send_command(folder, AddDestinationCommand(name="kampus"))
        slow.may_end.set()
        wait_for(lambda: not server._clients)
    assert len(slow.asked) == 1 + MOST_CHANGES


def test_an_address_is_not_repeated_in_what_is_refused(tmp_path: Path) -> None:
    folder = RecorderFolder(tmp_path)
    server = ControlServer(folder.control, SystemClock())
    server.start(ScriptedSession(), Slow())
    with closing(server), ControlClient(folder) as connection:
        wrong = AddDestinationCommand(name="x", address=SECRET * 1000)
        with pytest.raises(RecorderRefused) as error:
            connection.request(wrong)
    assert SECRET not in error.value.message
    assert repr(wrong) == "AddDestinationCommand(id=None, name='x', file=None)"
