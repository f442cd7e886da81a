"""The daemon's part: it hears every session, whatever its recorder does, and tells people what is wrong."""

import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.alarms import recorder_watcher
from agent.alarms.part import AlarmsPart
from agent.health.alarm import Alarm, NoticeBoard
from agent.sessions.receiver import HOST, free_port
from config.settings.schema import Settings, read_settings
from devices.host.clock import SystemClock
from recorder.running import access
from recorder.running.protocol import RecorderFailure, encode
from tests.support.alarms import ScriptedChannel, alarm
from tests.support.processes import runs
from tests.support.scripted_session import RESULT, ServedRecorder
from tests.support.servers import HookServer
from tests.support.waiting import wait_for


class FastClock(SystemClock):
    def now_ns(self) -> int:
        return 10 * super().now_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return super().wait(event, timeout_s / 10)


class Going:
    def __init__(self, settings: Settings | None = None) -> None:
        self.channel = ScriptedChannel()
        self.told: list[str] = []
        self.beats = 0
        clock = FastClock()
        self.others: tuple[Alarm, ...] = ()
        self.board = NoticeBoard(clock)
        self.part = AlarmsPart(settings or Settings(), clock, self.told.append, self.board)
        if settings is None:
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

    def sent(self, what: str) -> dict[str, Alarm]:
        """Return by kind which alarms `began` or were `over` in what was sent."""
        return {one.kind: one for message in self.channel.sent for one in getattr(message, what)}

    def until(self, *kinds: str) -> None:
        wait_for(lambda: sorted(self.kinds()) == sorted(kinds), what=f"{kinds}, and not {self.kinds()}")


@pytest.fixture
def going() -> Iterator[Going]:
    with closing(Going()) as made:
        yield made


def test_what_a_session_tells_and_what_others_find_is_present_told_and_over(going: Going) -> None:
    troubles = {"source-lost", "destination-lost", "package-damaged"}
    with ServedRecorder() as recorder:
        recorder.tell("mark", "Tanya")
        recorder.tell("source-lost")
        recorder.tell("destination-lost", "youtube", reason="rejected")
        going.others = (alarm("package-damaged", "2026-11-25_0812_rapat"),)
        going.until(*troubles)
        wait_for(lambda: going.sent("began").keys() == troubles)
        recorder.tell("source-found")
        recorder.tell("destination-live", "youtube")
        going.others = ()
        going.until()
        wait_for(lambda: going.sent("over").keys() == troubles)
    assert going.sent("began")["source-lost"].session == recorder.info.id
    assert going.told == []


def test_what_happened_before_it_began_is_heard_and_what_it_told_of_is_over_with_the_session() -> None:
    with ServedRecorder() as recorder, ServedRecorder("Wisuda") as other:
        recorder.tell("source-lost", "slides")
        recorder.tell("source-found", "slides")
        recorder.tell("source-lost")
        other.tell("disk-critical", "/arsip")
        with closing(Going()) as going:
            going.until("source-lost", "disk-critical")
            assert {alarm.title for alarm in going.part.present()} == {"Rapat senat", "Wisuda"}
            recorder.end()
            going.until("disk-critical")
            wait_for(lambda: not runs(f"part-alarms-{recorder.info.id}"))


def test_a_failure_in_the_last_moment_of_a_session_is_told(going: Going) -> None:
    with ServedRecorder() as recorder:
        wait_for(lambda: recorder.session.asked)
        recorder.tell("sealing-failed", "paket")
        recorder.end(RESULT)
        wait_for(lambda: going.channel.sent)
    assert [alarm.kind for alarm in going.channel.sent[0].began] == ["sealing-failed"]
    assert going.kinds() == []


def test_a_recorder_that_was_killed_is_an_alarm_and_its_session_has_failed_where_nobody_goes_on(going: Going) -> None:
    with ServedRecorder() as recorder:
        recorder.tell("source-lost")
        going.until("source-lost")
        recorder.kill()
        going.until("recorder-killed")
        (killed,) = going.part.present()
        assert (killed.session, killed.subject) == (recorder.info.id, "Rapat senat")
        wait_for(lambda: going.channel.sent)
        end = RecorderFailure(message="its recorder was killed, and no other could go on with it")
        recorder.folder.end(encode(end))
        wait_for(lambda: "session-failed" in going.sent("began"))
        going.until()
    failed = going.sent("began")["session-failed"]
    assert failed.session == recorder.info.id
    assert "mulai rekaman baru sekarang" in failed.text.id
    assert "recorder-killed" not in going.sent("over")


def test_a_recorder_that_hangs_is_an_alarm_beside_the_others(going: Going, monkeypatch: pytest.MonkeyPatch) -> None:
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


# What the settings say, and where they change while it runs


def changed(tmp_path: Path, text: str, keys: str = "") -> Settings:
    """Return settings with these alarms, and write the file of keys beside them."""
    file = tmp_path / "keys.toml"
    file.touch(0o600)
    file.write_text(keys)
    return read_settings(f"[alarms]\n{text}", tmp_path / "liput.toml")


def test_a_file_of_keys_that_others_can_read_leaves_the_desktop(tmp_path: Path) -> None:
    text = 'mail_server = "smtp://s.example"\nmail_user = "u"\nmail_from = "a@b"\nmail_to = ["c@d"]\n'
    settings = changed(tmp_path, text, '[alarms]\nmail_password = "rahasia-sekali"\n')
    (tmp_path / "keys.toml").chmod(0o644)
    told: list[str] = []
    part = AlarmsPart(settings, SystemClock(), told.append, NoticeBoard(SystemClock()))
    assert [channel.name for channel in part.channels] == ["desktop"]
    assert len(told) == 1
    assert "rahasia" not in told[0]


@pytest.mark.server
def test_settings_that_change_are_used_but_for_wrong_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
    wrong = changed(tmp_path, f'webhook = "http://{HOST}:{free_port()}/"\n')
    with HookServer(tmp_path / "web", tls=False) as web, ServedRecorder() as recorder, closing(Going(wrong)) as going:
        wait_for(lambda: len(going.part.senders) == 2)
        going.part.take(changed(tmp_path, f'desktop = false\nwebhook = "{web.url}"\n'))
        wait_for(lambda: [channel.name for channel in going.part.channels] == ["webhook"])
        wait_for(lambda: not runs("part-alarms-desktop"))
        keys = 'mail_password = "rahasia-sekali"\n[alarms]\nbell = "x"\n'
        going.part.take(changed(tmp_path, "repeat_s = 60\n", keys))
        wait_for(lambda: going.told)
        recorder.tell("source-lost")
        wait_for(lambda: web.posted)
    assert going.part.herald.repeat_s == 60
    (said,) = going.told
    assert said.startswith("alarms go where they went before: ")
    assert "rahasia" not in said
