"""The daemon's part: it hears every session, whatever its recorder does, and tells people what is wrong."""

import json
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.alarms import recorder_watcher
from agent.alarms.message import Message
from agent.alarms.part import AlarmsPart
from agent.alarms.throttle import GATHER_S
from agent.health.alarm import Alarm, NoticeBoard
from agent.sessions.receiver import HOST, free_port
from config.settings.schema import Settings, read_settings
from devices.host.clock import SystemClock
from recorder.model.status import SessionState
from recorder.running import access
from recorder.running.protocol import RecorderFailure, encode
from tests.support import command
from tests.support.alarms import alarm, message
from tests.support.buses import Bus, Notifications
from tests.support.processes import runs
from tests.support.scripted_session import RESULT, ServedRecorder
from tests.support.servers import HookServer, SmtpServer
from tests.support.simulated import SimulatedClock
from tests.support.waiting import wait_for


class Kept:
    """A way that keeps what it is given."""

    name = "mail"
    to = "somebody"

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def send(self, message: Message) -> None:
        self.sent.append(message)


class Going:
    """The part, on a thread of its own as the daemon runs it."""

    def __init__(self) -> None:
        self.channel = Kept()
        self.told: list[str] = []
        self.beats = 0
        clock = SystemClock()
        self.others: tuple[Alarm, ...] = ()
        self.board = NoticeBoard(clock)
        self.part = AlarmsPart(Settings(), clock, self.told.append, self.board)
        self.part.channels = [self.channel]
        self.board.sources.append(lambda: self.others)
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self.part.run, args=(self.stop, self._beat))
        self._thread.start()

    def _beat(self) -> None:
        self.beats += 1

    def close(self) -> None:
        self.stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def kinds(self) -> list[str]:
        return [alarm.kind for alarm in self.board.alarms()]

    def until(self, *kinds: str) -> None:
        wait_for(lambda: sorted(self.kinds()) == sorted(kinds), what=f"{kinds}, and not {self.kinds()}")


@pytest.fixture
def going() -> Iterator[Going]:
    made = Going()
    yield made
    made.close()


def test_what_a_session_tells_is_present_told_and_over(going: Going) -> None:
    with ServedRecorder() as recorder:
        recorder.tell("mark", "Tanya")
        recorder.tell("source-lost")
        recorder.tell("destination-lost", "youtube", reason="rejected")
        going.until("source-lost", "destination-lost")
        wait_for(lambda: going.channel.sent)
        recorder.tell("source-found")
        recorder.tell("destination-live", "youtube")
        going.until()
        wait_for(lambda: len(going.channel.sent) == 2)
    first, last = going.channel.sent
    assert {alarm.kind for alarm in first.began} == {"source-lost", "destination-lost"}
    assert {alarm.kind for alarm in last.over} == {"source-lost", "destination-lost"}
    assert {alarm.session for alarm in first.began} == {recorder.info.id}
    assert going.told == []


def test_what_is_wrong_with_no_session_is_an_alarm_too(going: Going) -> None:
    going.others = (alarm("package-damaged", "2026-11-25_0812_rapat"),)
    going.until("package-damaged")
    wait_for(lambda: going.channel.sent)
    going.others = ()
    going.until()
    wait_for(lambda: len(going.channel.sent) == 2)
    assert (going.channel.sent[0].began, going.channel.sent[1].over) == (
        (alarm("package-damaged", "2026-11-25_0812_rapat"),),
    ) * 2


def test_what_happened_before_it_began_is_heard_and_what_it_told_of_is_over_with_the_session() -> None:
    with ServedRecorder() as recorder, ServedRecorder("Wisuda") as other:
        recorder.tell("source-lost", "slides")
        recorder.tell("source-found", "slides")
        recorder.tell("source-lost")
        other.tell("disk-critical", "/arsip")
        going = Going()
        try:
            going.until("source-lost", "disk-critical")
            assert {alarm.title for alarm in going.part.present()} == {"Rapat senat", "Wisuda"}
            recorder.end()
            going.until("disk-critical")
        finally:
            going.close()


def test_a_failure_in_the_last_moment_of_a_session_is_told(going: Going) -> None:
    with ServedRecorder() as recorder:
        wait_for(lambda: recorder.session.asked)
        recorder.tell("sealing-failed", "paket")
        recorder.end(RESULT)
        wait_for(lambda: going.channel.sent)
    assert [alarm.kind for alarm in going.channel.sent[0].began] == ["sealing-failed"]
    assert going.kinds() == []


def test_a_recorder_that_was_killed_is_an_alarm_until_somebody_goes_on(going: Going) -> None:
    with ServedRecorder() as recorder:
        recorder.tell("source-lost")
        going.until("source-lost")
        recorder.kill()
        going.until("recorder-killed")
        (alarm,) = going.part.present()
        assert (alarm.session, alarm.subject) == (recorder.info.id, "Rapat senat")
        recorder.folder.remove()
        going.until()


def test_a_session_that_nobody_goes_on_with_has_failed_and_is_not_said_to_be_over(going: Going) -> None:
    with ServedRecorder() as recorder:
        wait_for(lambda: recorder.session.asked)
        recorder.kill()
        going.until("recorder-killed")
        wait_for(lambda: going.channel.sent)
        recorder.folder.end(
            encode(RecorderFailure(message="its recorder was killed, and no other could go on with it"))
        )
        wait_for(lambda: len(going.channel.sent) == 2)
        going.until()
        beats = going.beats
        wait_for(lambda: going.beats > beats + GATHER_S * 3, what="time for another message")
    killed, failed = going.channel.sent
    assert [alarm.kind for alarm in killed.began] == ["recorder-killed"]
    assert ([alarm.kind for alarm in failed.began], failed.over) == (["session-failed"], ())
    assert failed.began[0].session == recorder.info.id
    assert "mulai rekaman baru sekarang" in failed.began[0].text.id


def test_a_recorder_that_hangs_is_an_alarm_and_the_others_are_heard(
    going: Going, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder_watcher, "SILENT_S", 1.0)
    monkeypatch.setattr(recorder_watcher, "STATUS_S", 0.2)
    with ServedRecorder("Macet") as hung, ServedRecorder() as recorder:
        hung.close()
        hung.folder.control.unlink()
        with closing(access.listen_at(hung.folder.control)):
            recorder.tell("source-lost")
            going.until("source-lost", "recorder-silent")
            before = going.beats
            wait_for(lambda: going.beats > before + 3)
            assert "jangan matikan PC" in going.part.present()[0].text.id


def test_whoever_comes_later_hears_it_from_the_beginning_and_goes_when_it_is_told_to(going: Going) -> None:
    with ServedRecorder() as recorder:
        recorder.tell("source-lost")
        going.until("source-lost")
        since = going.part.present()[0].since
        watcher = recorder_watcher.RecorderWatcher(SystemClock())
        watcher.look()
        wait_for(lambda: watcher.present())
        (alarm,) = watcher.present()
        assert alarm.since == since
        assert alarm.text.id.endswith("Rekaman tetap berjalan."), "that it records is known before the first alarm"
        watcher.close()
        wait_for(lambda: runs(f"part-alarms-{recorder.info.id}") == 1)  # that of the part


# With the real daemon


@pytest.mark.slow
@pytest.mark.server
def test_a_stream_that_is_refused_is_told_everywhere_and_over_when_it_is_removed(tmp_path: Path) -> None:
    with (
        Bus(tmp_path / "bus") as bus,
        Notifications(bus.address) as screen,
        HookServer(tmp_path / "web") as web,
        SmtpServer(tmp_path / "smtp", password="kata-sandi-rahasia") as post,
    ):
        config = tmp_path / "liput.toml"
        config.write_text(
            f"""
            [general]
            room = "Aula"
            [archive]
            path = "arsip"
            reserve = "1 MB"
            [alarms]
            mail_server = "smtp://localhost:{post.port}"
            mail_user = "liput"
            mail_from = "liput@kampus.example"
            mail_to = ["humas@kampus.example"]
            webhook = "{web.url}"
            ca_file = "semua.pem"
            [destinations.tutup]
            url = "rtmp://{HOST}:{free_port()}/live"
            """
        )
        (tmp_path / "semua.pem").write_text(post.authority.read_text() + web.authority.read_text())
        keys = tmp_path / "keys.toml"
        keys.write_text('tutup = "kunci-rahasia"\n[alarms]\nmail_password = "kata-sandi-rahasia"\n')
        keys.chmod(0o600)
        (tmp_path / "arsip").mkdir()
        more = {"LIPUT_CONFIG": str(config), "DBUS_SESSION_BUS_ADDRESS": bus.address}
        options = ("--title", "Rapat", "--video", "synthetic", "--profile", "240p15", "--stream", "tutup", "--json")
        with (
            command.running(tmp_path, "serve", "--json", more=more) as daemon,
            command.running(tmp_path, "record", *options, more=more) as client,
        ):
            daemon.until("note", text="ready")
            client.until("event", kind="destination-lost")
            wait_for(lambda: web.posted and post.letters and screen.shown)
            body = json.loads(web.posted[0].body)
            assert [alarm["kind"] for alarm in body["began"]] == ["destination-lost"]
            assert "tutup" in post.letters[0]["Subject"]
            assert [shown.body.count("tutup") for shown in screen.shown.values()] == [1]
            assert command.liput(tmp_path, "destination", "remove", "tutup", more=more).returncode == 0
            wait_for(lambda: len(web.posted) == 2 and len(post.letters) == 2 and not screen.shown)
            assert [alarm["kind"] for alarm in json.loads(web.posted[1].body)["over"]] == ["destination-lost"]
            client.signal(signal.SIGTERM)
            assert client.until("result")["state"] == str(SessionState.SEALED)
            daemon.signal(signal.SIGTERM)
            assert daemon.wait() == 0
            assert "rahasia" not in json.dumps(daemon.seen) + daemon.errors()
    assert "rahasia" not in str([posted.body for posted in web.posted]) + str(post.letters)


# What the settings say


def test_a_file_of_keys_that_others_can_read_leaves_the_desktop(tmp_path: Path) -> None:
    (tmp_path / "keys.toml").write_text('[alarms]\nmail_password = "rahasia-sekali"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    settings = read_settings(
        '[alarms]\nmail_server = "smtp://s.example"\nmail_user = "u"\nmail_from = "a@b"\nmail_to = ["c@d"]\n',
        tmp_path / "liput.toml",
    )
    told: list[str] = []
    part = AlarmsPart(settings, SystemClock(), told.append, NoticeBoard(SystemClock()))
    assert [channel.name for channel in part.channels] == ["desktop"]
    assert len(told) == 1
    assert "rahasia" not in told[0]
    assert AlarmsPart(Settings(), SystemClock(), told.append, NoticeBoard(SystemClock())).herald.most_per_hour == 12


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
def begin(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[AlarmsPart], None]]:
    """Provide what runs the part until the test is over, and takes its settings now."""
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    stop, threads = threading.Event(), list[threading.Thread]()

    def run(part: AlarmsPart) -> None:
        count = len(part.channels)
        threads.append(threading.Thread(target=part.run, args=(stop, lambda: None)))
        threads[-1].start()
        wait_for(lambda: len(part.senders) == count)

    yield run
    stop.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.server
def test_what_waits_for_a_server_that_was_wrong_goes_to_the_right_one(
    tmp_path: Path, begin: Callable[[AlarmsPart], None]
) -> None:
    wrong = changed(tmp_path, f'webhook = "http://{HOST}:{free_port()}/"\n')
    told: list[str] = []
    with HookServer(tmp_path / "web", tls=False) as web, ServedRecorder() as recorder:
        part = AlarmsPart(wrong, SystemClock(), told.append, NoticeBoard(SystemClock()))
        begin(part)
        hook = next(sender for sender in part.senders.values() if sender.channel.name == "webhook")
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
def test_a_way_that_is_new_is_used_and_one_that_is_gone_is_not(
    tmp_path: Path, begin: Callable[[AlarmsPart], None]
) -> None:
    told: list[str] = []
    with HookServer(tmp_path / "web", tls=False) as web, ServedRecorder() as recorder:
        part = AlarmsPart(Settings(), SystemClock(), told.append, NoticeBoard(SystemClock()))
        begin(part)
        part.take(changed(tmp_path, f'desktop = false\nwebhook = "{web.url}"\n'))
        wait_for(lambda: [channel.name for channel in part.channels] == ["webhook"])
        wait_for(lambda: not runs("part-alarms-desktop"))
        recorder.tell("source-lost")
        wait_for(lambda: web.posted)
    assert told == []


def test_keys_that_are_wrong_leave_the_ways_as_they_are(tmp_path: Path, begin: Callable[[AlarmsPart], None]) -> None:
    told: list[str] = []
    settings = changed(tmp_path, f'webhook = "http://{HOST}:{free_port()}/"\n')
    part = AlarmsPart(settings, SystemClock(), told.append, NoticeBoard(SystemClock()))
    begin(part)
    channels = list(part.channels)
    wrong = changed(tmp_path, "repeat_s = 60\n", 'mail_password = "rahasia-sekali"\n[alarms]\nbell = "x"\n')
    part.take(wrong)
    wait_for(lambda: told)
    assert list(part.channels) == channels
    assert part.herald.repeat_s == 60
    assert told[0].startswith("alarms go where they went before: ")
    assert "rahasia" not in told[0]
