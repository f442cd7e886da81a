"""The daemon's part and its settings: the ways that they say, and what becomes of these when they change."""

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.alarms.desktop import Desktop
from agent.alarms.part import Alarms, alarms_of
from agent.alarms.sender import Sender
from agent.sessions.receiver import HOST, free_port
from config.settings.reader import read_settings
from config.settings.schema import Settings
from devices.host.clock import SystemClock
from tests.support.alarms import alarm, message
from tests.support.hook_server import HookServer
from tests.support.served import ServedRecorder
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for

# What the settings say


def test_a_file_of_keys_that_others_can_read_leaves_the_desktop(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[alarms]\nmail_password = "rahasia-sekali"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    settings = read_settings(
        '[alarms]\nmail_server = "smtp://s.example"\nmail_user = "u"\nmail_from = "a@b"\nmail_to = ["c@d"]\n',
        tmp_path / "liput.toml",
    )
    told: list[str] = []
    part = alarms_of(settings, SystemClock(), told.append)
    assert [channel.name for channel in part.channels] == ["desktop"]
    assert len(told) == 1
    assert "rahasia" not in told[0]
    assert alarms_of(Settings(), SystemClock(), told.append).herald.most_per_hour == 12


# Settings that change while it runs


class Held(SimulatedClock):
    """A clock that stands still where somebody waits, until it may `go` on."""

    def __init__(self) -> None:
        super().__init__()
        self.waits, self.go = threading.Event(), threading.Event()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        self.waits.set()
        self.go.wait(30)
        return super().wait(event, timeout_s)


def changed(tmp_path: Path, text: str, keys: str = "") -> Settings:
    """Return settings with these alarms, and write the file of keys beside them."""
    file = tmp_path / "keys.toml"
    file.touch(0o600)
    file.write_text(keys)
    return read_settings(f"[alarms]\n{text}", tmp_path / "liput.toml")


@pytest.fixture
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Alarms], None]]:
    """Provide what runs the part until the test is over, and takes its settings now."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    stop, threads = threading.Event(), list[threading.Thread]()

    def run(part: Alarms) -> None:
        count = len(part.channels)
        threads.append(threading.Thread(target=part.run, args=(stop, lambda: None)))
        threads[-1].start()
        wait_for(lambda: len(part._senders) == count)

    yield run
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.server
def test_what_waits_for_a_server_that_was_wrong_goes_to_the_right_one(
    tmp_path: Path, begin: Callable[[Alarms], None]
) -> None:
    wrong = changed(tmp_path, f'webhook = "http://{HOST}:{free_port()}/"\n')
    told: list[str] = []
    with HookServer(tmp_path / "web", tls=False) as web, ServedRecorder() as recorder:
        part = alarms_of(wrong, SystemClock(), told.append)
        begin(part)
        hook = next(sender for sender in part._senders if sender.channel.name == "webhook")
        clock = hook.clock = Held()
        hook.enqueue(message())
        hook.enqueue(message(alarm("storage-full", "/arsip")))
        assert clock.waits.wait(30), "the first attempt has failed"
        part.take(changed(tmp_path, f'webhook = "{web.url}"\nmost_per_hour = 3\n'))
        wait_for(lambda: hook.channel.to == web.url.split("/")[2])
        clock.go.set()
        wait_for(lambda: len(web.posted) == 2)
        kinds = [json.loads(posted.body)["began"][0]["kind"] for posted in web.posted]
        assert kinds == ["source-lost", "storage-full"]
        recorder.tell("source-lost")
        wait_for(lambda: len(web.posted) == 3)
    assert told == []


@pytest.mark.server
def test_a_way_that_is_new_is_used_and_one_that_is_gone_is_not(tmp_path: Path, begin: Callable[[Alarms], None]) -> None:
    told: list[str] = []
    with HookServer(tmp_path / "web", tls=False) as web, ServedRecorder() as recorder:
        part = alarms_of(Settings(), SystemClock(), told.append)
        begin(part)
        (desktop,) = part._senders
        part.take(changed(tmp_path, f'desktop = false\nwebhook = "{web.url}"\n'))
        wait_for(lambda: [channel.name for channel in part.channels] == ["webhook"])
        assert desktop._thread
        wait_for(lambda: desktop._thread and not desktop._thread.is_alive())
        recorder.tell("source-lost")
        wait_for(lambda: web.posted)
    assert told == []


def test_keys_that_are_wrong_leave_the_ways_as_they_are(tmp_path: Path, begin: Callable[[Alarms], None]) -> None:
    told: list[str] = []
    part = alarms_of(
        changed(tmp_path, f'webhook = "http://{HOST}:{free_port()}/"\n'), SystemClock(), told.append
    )  # fmt: skip
    begin(part)
    channels = list(part.channels)
    wrong = changed(tmp_path, "repeat_s = 60\n", 'mail_password = "rahasia-sekali"\n[alarms]\nbell = "x"\n')
    part.take(wrong)
    wait_for(lambda: told)
    assert list(part.channels) == channels
    assert part.herald.repeat_s == 60
    assert told[0].startswith("alarms go where they went before: ")
    assert "rahasia" not in told[0]


def test_a_desktop_keeps_what_it_shows_when_the_room_is_called_otherwise() -> None:
    desktop = Desktop("Aula", "id")
    desktop._shown = 7
    sender = Sender(desktop, SystemClock(), lambda _: None)
    sender.use(Desktop("Aula Lantai 2", "en"))
    assert sender.channel is desktop
    assert (desktop.room, desktop.language, desktop._shown) == ("Aula Lantai 2", "en", 7)
