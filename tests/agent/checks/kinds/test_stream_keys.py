"""A key is tried where nobody watches, and nowhere else."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.checks.kinds.stream_keys import SECONDS, look
from agent.sessions.receiver import HOST, free_port
from config.settings.schema import load_settings
from config.settings.secrets import StreamTarget, secret_url
from recorder.live.attempt import STEP_S
from recorder.live.stream_test import harmless_target
from recorder.model.status import DestinationLine, SessionState
from tests.support.encoded import SmallEncoder
from tests.support.rtmp_server import NginxRtmp
from tests.support.servers import RawServer, says
from tests.support.situations import session
from tests.support.streamed import codes, looked, streamed
from tests.support.streams import Events, Pump, is_live, running
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.alone("servers must answer in time", lane="links"), pytest.mark.server]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NginxRtmp]:
    with NginxRtmp(tmp_path_factory.mktemp("rtmp") / "nginx") as server:
        yield server


KAMPUS = ("kampus",)


def kampus(port: int, *, test: bool = True) -> str:
    return f'[destinations.kampus]\nurl = "rtmp://{HOST}:{port}/live"\n' + "test = true\n" * test


def test_a_key_that_is_right_is_accepted_beside_an_address_that_is_none(tmp_path: Path, server: NginxRtmp) -> None:
    address = tmp_path / "salah"
    address.touch(0o600)
    address.write_text(f"rtmp://{HOST}\n")
    before = len(server.recordings())
    situation = streamed(tmp_path, kampus(server.port), 'kampus = "good"', streams=(*KAMPUS, f"@{address}"))
    assert codes(look, situation) == {"key: kampus": "ok"}
    assert len(server.recordings()) == before + 1


def test_a_key_that_is_wrong_is_rejected_and_shown_to_nobody(tmp_path: Path, server: NginxRtmp) -> None:
    found, _ = looked(look, streamed(tmp_path, kampus(server.port), 'kampus = "bad-secret"', streams=KAMPUS))
    assert found["key: kampus"].code == "rejected"
    assert "bad-secret" not in str(found)


def test_a_key_with_which_somebody_streams_already_is_told(tmp_path: Path, server: NginxRtmp) -> None:
    encoder = SmallEncoder()
    with running(server.url("good"), encoder, Events()) as other, Pump(encoder, other):
        wait_for(lambda: is_live(other))
        found = codes(look, streamed(tmp_path, kampus(server.port), 'kampus = "good"', streams=KAMPUS))
    encoder.close()
    assert found == {"key: kampus": "already-publishing"}


def test_a_key_is_not_tried_where_that_would_disturb_or_there_is_none(tmp_path: Path) -> None:
    status = session(SessionState.LIVE, destinations=[DestinationLine(name="kampus", state="live")])
    folder = f'[destinations.kampus]\nurl = "file://{tmp_path}"\ntest = true'
    with RawServer(says(b"")) as server:
        shown, tested = kampus(server.port, test=False), kampus(server.port)
        measured = f'[check]\nuplink = "ingest"\n{tested}'  # which tries the keys
        for settings, held, found in (
            (shown, {}, {"key: kampus": "no-test"}),
            (tested, {"Rapat": status}, {}),
            (measured, {}, {}),
            (folder, {}, {}),
        ):
            situation = streamed(tmp_path, settings, 'kampus = "good"', streams=KAMPUS, held=held)
            assert codes(look, situation) == found
        assert server.asked == []


def test_a_server_that_cannot_be_reached_or_hangs_up_says_nothing_of_the_key(tmp_path: Path) -> None:
    assert codes(look, streamed(tmp_path, kampus(free_port()), 'kampus = "good"', streams=KAMPUS)) == {
        "key: kampus": "not-reached"
    }
    with RawServer(says(b"", then_waits=False)) as server:
        found, _ = looked(look, streamed(tmp_path, kampus(server.port), 'kampus = "good"', streams=KAMPUS))
    assert found["key: kampus"].code == "hung-up"


def test_twitch_is_asked_to_show_the_stream_to_nobody(tmp_path: Path) -> None:
    (tmp_path / "liput.toml").write_text('[destinations.twitch]\nurl = "rtmps://jkt02.contribute.live-video.net/app"')
    target = StreamTarget("twitch", secret_url("rtmps://jkt02.contribute.live-video.net/app/live_1_key"))
    changed = harmless_target(load_settings(tmp_path / "liput.toml"), target)
    assert changed
    assert changed.url.reveal() == "rtmps://jkt02.contribute.live-video.net/app/live_1_key?bandwidthtest=true"
    elsewhere = StreamTarget("other", secret_url("rtmps://nottwitch.tv.example/app/live_1_key"))
    assert harmless_target(load_settings(tmp_path / "liput.toml"), elsewhere) is None


def test_a_try_that_is_stopped_ends_long_before_it_would_by_itself(tmp_path: Path) -> None:
    with RawServer(says(b"")) as server:
        situation = streamed(tmp_path, kampus(server.port), 'kampus = "good"', streams=KAMPUS)
        threading.Timer(0.7, situation.stop.set).start()
        began = time.monotonic()
        assert codes(look, situation) == {}
        assert time.monotonic() - began < SECONDS + STEP_S
        wait_for(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("live-")])
