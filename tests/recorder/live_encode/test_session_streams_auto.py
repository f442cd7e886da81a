"""A session that finds out by itself what its live side can have: measured while it is armed, and never waited for."""

import dataclasses
import threading
from pathlib import Path

import pytest

from config.settings.schema import BUILT_IN_PROFILES
from recorder.live_encode import headroom
from recorder.live_encode.headroom import HeadroomQuery
from tests.support.rtmp_server import NginxRtmp
from tests.support.streams import SEPARATE, Streamed
from tests.support.waiting import wait_for

pytestmark = pytest.mark.server


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))


AUTO = dataclasses.replace(SEPARATE, encode="auto")


@pytest.mark.usefixtures("state")
def test_auto_measures_while_it_is_armed_and_uses_what_was_found(tmp_path: Path, server: NginxRtmp) -> None:
    asked = AUTO.question
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    found = wait_for(lambda: headroom.remembered(asked), 120.0, "the figure")
    streamed.session.start()
    begun = streamed.until("session-live")
    streamed.until_frames(15)
    streamed.end()

    assert found
    expected = ("separate", "headroom") if found.affords_two else ("shared", "no-headroom")
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == expected


@pytest.mark.usefixtures("state")
def test_auto_measures_nothing_at_a_start_at_once(tmp_path: Path, server: NginxRtmp) -> None:
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start()
    begun = streamed.until("session-live")
    assert not any(thread.name == "headroom" for thread in threading.enumerate())
    streamed.until_frames(15)
    streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
    assert headroom.remembered(AUTO.question) is None


@pytest.mark.usefixtures("state")
def test_a_start_does_not_wait_for_the_figure(tmp_path: Path, server: NginxRtmp) -> None:
    slow = dataclasses.replace(AUTO, question=HeadroomQuery(BUILT_IN_PROFILES["1080p60"], 7_000_000))
    streamed = Streamed(tmp_path, server, slow)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    assert any(thread.name == "headroom" for thread in threading.enumerate())
    streamed.session.start()
    begun = streamed.until("session-live")
    wait_for(lambda: not any(thread.name == "headroom" for thread in threading.enumerate()))
    streamed.until_frames(15)
    streamed.end()

    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
    assert headroom.remembered(slow.question) is None


@pytest.mark.usefixtures("state")
def test_a_folder_that_hangs_delays_neither_arming_nor_a_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: NginxRtmp
) -> None:
    answers = threading.Event()
    monkeypatch.setattr(headroom, "remembered", lambda _: answers.wait(120) and None)
    streamed = Streamed(tmp_path, server, AUTO)
    streamed.start(at_once=False)
    streamed.until("session-armed")
    streamed.session.start()
    begun = streamed.until("session-live")
    streamed.until("destination-live")
    streamed.end()
    is_held_up = not answers.is_set()
    answers.set()

    assert is_held_up
    assert (begun.detail["stream_encode"], begun.detail["stream_why"]) == ("shared", "not-measured")
