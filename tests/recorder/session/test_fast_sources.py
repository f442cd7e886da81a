"""Several sources as fast as they go: each shows the picture that belongs to the moment, however slow it is to read."""

import threading
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest
from av.video.frame import VideoFrame

from capture.pacing import FastPace, Pace
from capture.source import Frame, Size
from capture.sources.source_kind import ChosenSource
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.settings.layouts import LayoutSettings
from config.settings.schema import BUILT_IN_PROFILES
from devices.host.clock import NANOSECONDS, SystemClock
from recorder.archive.archive import Archive
from recorder.program.mixer import SoundInput
from recorder.session.session import Session
from tests.support.plans import session_plan

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

PROFILE = BUILT_IN_PROFILES["240p15"]
SECONDS = 2


class Source(SyntheticVideo):
    """Pictures that take `read_s` each to be read, with the times of those that were decoded."""

    def __init__(self, name: str, rate: int, read_s: float, pace: Pace, stop: threading.Event) -> None:
        super().__init__(PROFILE.width, PROFILE.height, Fraction(rate), pace, stop)
        self.name = name
        self.decoded_ns: list[int] = []
        self._read_s = read_s

    def read(self, timeout_s: float) -> Frame | None:
        frame = super().read(timeout_s)
        time.sleep(self._read_s)
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> VideoFrame:
        self.decoded_ns.append(frame.timestamp_ns)
        return super().decode(frame, within)


ALL = LayoutSettings(kind="side-by-side")


def recorded(
    folder: Path,
    *,
    rates: Sequence[int],
    read_s: Sequence[float],
    has_sound: bool = True,
    layout: LayoutSettings = ALL,
) -> list[Source]:
    """Return the sources of a session of SECONDS that showed them as `layout` does."""
    clock, stop = SystemClock(), threading.Event()
    pace = FastPace(("video", "audio") if has_sound else ("video",))
    made = zip(rates, read_s, strict=True)
    sources = [Source(f"camera {number}", *asked, pace, stop) for number, asked in enumerate(made)]
    sound = SyntheticAudio(pace, stop)
    plan = session_plan(
        title="Seminar",
        profile=PROFILE,
        pictures=[ChosenSource(source.name, source) for source in sources],
        sounds=[SoundInput(sound.name, sound)] if has_sound else [],
        archives=[Archive(folder / "arsip", clock, reserve_bytes=1)],
        pace=pace,
        stop=stop,
        live=False,
        layout="asked",
        layouts={"asked": layout},
        duration_s=SECONDS,
    )
    session = Session(plan, clock=clock)
    session.start()
    result = session.run()
    assert (result.frames, result.degraded) == (int(PROFILE.fps) * SECONDS, [])
    return sources


@pytest.mark.parametrize("has_sound", [True, False])
def test_a_source_that_is_slow_to_read_is_waited_for(tmp_path: Path, has_sound: bool) -> None:
    sources = recorded(tmp_path, rates=(15, 15, 15), read_s=(0, 0.02, 0.005), has_sound=has_sound)
    first, *others = (source.decoded_ns for source in sources)
    assert len(first) == PROFILE.fps * SECONDS
    for decoded_ns in others:
        assert decoded_ns == first


def test_each_shows_its_newest_picture_whatever_its_rate(tmp_path: Path) -> None:
    driver, slow, fast = recorded(tmp_path, rates=(15, 2, 60), read_s=(0, 0.02, 0.001))
    assert slow.decoded_ns == [round(number * NANOSECONDS / 2) for number in range(2 * SECONDS)]
    assert len(fast.decoded_ns) == len(driver.decoded_ns)
    apart_ns = [ours - theirs for ours, theirs in zip(driver.decoded_ns, fast.decoded_ns, strict=True)]
    assert all(0 <= one_ns < NANOSECONDS / 60 for one_ns in apart_ns)


def test_one_that_is_not_shown_holds_up_nobody(tmp_path: Path) -> None:
    layout = LayoutSettings(kind="single", show=("camera 1",))
    hidden, shown = recorded(tmp_path, rates=(15, 15), read_s=(0.01, 0), layout=layout)
    assert len(shown.decoded_ns) == PROFILE.fps * SECONDS
    assert 1 <= len(hidden.decoded_ns) <= 2 * SECONDS  # its watch glances at it
