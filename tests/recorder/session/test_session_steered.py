"""What people change in a session while it records, in this process and in real time; and how loud it says it is."""

import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from capture.pacing import RealPace
from capture.synthetic.video import SyntheticVideo
from config.errors import UsageError
from devices.host.clock import SystemClock
from recorder.model.status import SessionState
from recorder.session import session_program as recorder_program
from tests.support import media
from tests.support.sessions import HEIGHT, LAYOUTS, RATE, WIDTH, Armed, picture_numbers, program
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


def test_marks_are_kept_with_their_times_and_are_chapters(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        with pytest.raises(UsageError, match="nothing is being recorded"):
            armed.session.mark("too early")
        armed.session.mute(None, on=True)
        armed.session.layout("pause")
        armed.session.mute(None, on=False)
        armed.session.layout("single")
        changes = [event for event in armed.heard if event.kind.startswith(("sound-", "layout-"))]
        assert [event.detail["media_s"] for event in changes] == [None] * 4
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(1)
        first = armed.session.mark("Pembukaan")
        with pytest.raises(UsageError, match="no text"):
            armed.session.mark("  ")
        armed.wait(first.media_s + 1)
        second = armed.session.mark("Tanya\njawab")
        told = [(mark.media_s, mark.text) for mark in armed.session.status().marks]
        assert told == [(first.media_s, "Pembukaan"), (second.media_s, "Tanya jawab")]
        for number in range(9):
            armed.session.mark(f"{number}")
        assert [mark.text for mark in armed.session.status().marks] == list("12345678")
        result = armed.end()
    assert second.text == "Tanya jawab"
    assert second.media_s - first.media_s >= 1
    (package,) = armed.archive.list()
    assert package.recording
    assert [mark.text for mark in package.recording.marks] == ["Pembukaan", "Tanya jawab", *"012345678"]
    assert [mark.media_s for mark in package.recording.marks[:2]] == [first.media_s, second.media_s]
    assert result.degraded == []
    probed = media.run("ffprobe", "-v", "error", "-show_chapters", "-of", "compact", program(result))
    chapters = [line for line in probed.splitlines() if line.startswith("chapter")]
    assert len(chapters) >= 3, "those at the same moment are one"
    assert "Pembukaan" in chapters[1]
    assert "Tanya jawab" in chapters[2]
    assert f"start_time={first.media_s:.6f}" in chapters[1]


def test_a_layout_is_switched_at_a_picture_and_none_is_lost(tmp_path: Path) -> None:
    stop = threading.Event()
    pace = RealPace(SystemClock(), stop)
    sources = [SyntheticVideo(WIDTH, HEIGHT, RATE, pace, stop) for _ in range(2)]
    with Armed(tmp_path, *sources, layouts=LAYOUTS, layout="1") as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        for layout in ("2", "1", "waiting", "2"):
            armed.wait(armed.session.status().elapsed_s + 0.7)
            armed.session.layout(layout)
            assert armed.session.status().layout == layout
        with pytest.raises(UsageError, match="no layout"):
            armed.session.layout("3")
        armed.wait(armed.session.status().elapsed_s + 0.7)
        stop.set()
        result = armed.end()
    assert result.degraded == []
    times = media.run(
        "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0",
        program(result),
    ).split()  # fmt: skip
    at = [float(time.strip(",")) for time in times]
    assert max(after - before for before, after in pairwise(at)) < 2.1 / RATE
    numbers = picture_numbers(program(result))
    assert -1 in numbers  # the card
    shown = [number for number in numbers if number >= 0]
    until = shown.index(max(shown))
    assert all(after - before > 0 for before, after in pairwise(shown[: until + 1]))


def test_sound_that_is_muted_is_silent_from_there_to_where_it_is_heard_again(tmp_path: Path) -> None:
    with Armed(tmp_path) as armed:
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(1.5)
        with pytest.raises(UsageError, match="mimbar"):
            armed.session.mute("mimbar", on=True)
        assert -50 < (armed.session.status().loudness.momentary_lufs or 0) < -5
        armed.session.mute(None, on=True)
        muted_s = armed.session.status().elapsed_s
        assert [(sound.name, sound.muted) for sound in armed.session.status().sounds] == [("synthetic sound", True)]
        armed.wait(muted_s + 1.5)
        loudness = armed.session.status().loudness
        assert loudness.momentary_lufs is None
        assert -50 < (loudness.integrated_lufs or 0) < -5
        armed.session.mute("synthetic sound", on=False)
        heard_s = armed.session.status().elapsed_s
        armed.wait(heard_s + 1.5)
        result = armed.end()
    assert result.degraded == []
    assert [kind for kind in armed.kinds if kind.startswith("sound-")] == ["sound-muted", "sound-unmuted"]
    raw = subprocess.run(
        ["ffmpeg", "-v", "error", "-i", program(result), "-ac", "1", "-f", "s16le", "-"],
        capture_output=True,
        check=True,
    ).stdout
    samples = np.abs(np.frombuffer(raw, np.int16).astype(np.int32))

    def peak(begin_s: float, end_s: float) -> int:
        return int(samples[round(begin_s * 48_000) : round(end_s * 48_000)].max())

    assert peak(0.2, muted_s - 0.2) > 1000
    assert peak(muted_s + 0.4, heard_s - 0.4) < 20
    assert peak(heard_s + 0.4, heard_s + 1.3) > 1000


def test_how_loud_it_is_is_told_while_it_records_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_program, "SOUND_EVERY_S", 0.5)
    with Armed(tmp_path) as armed:
        wait_for(lambda: armed.session.status().pre_roll_s > 1)
        assert "sound-measured" not in [event.kind for event in armed.heard], "nothing is recorded yet"
        armed.session.start()
        armed.until(SessionState.LIVE)
        armed.wait(3)
        armed.end()
    told = [event.detail for event in armed.heard if event.kind in {"sound-measured", "session-ended"}]
    assert len(told) >= 3
    assert set(told[0]) >= {"loudness_lufs", "loudness_range_lu", "drift_ppm"}
    (package,) = armed.archive.list()
    assert package.recording
    assert package.recording.loudness_lufs == told[-1]["loudness_lufs"]
    assert isinstance(package.recording.loudness_lufs, float)
