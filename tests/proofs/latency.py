"""How long people wait: start to disk, loss to slate, plug to picture, layout to picture; a session in this process."""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np

from capture.pacing import RealPace
from capture.source import Frame, Size, VideoFormat, VideoSource
from capture.sources.source_kind import ChosenSource
from capture.sources.worker import DeviceLocator, DeviceSupervision, LocatedDevice
from capture.synthetic.audio import SyntheticAudio
from capture.synthetic.video import SyntheticVideo
from config.errors import DeviceError
from config.settings.layouts import SINGLE, LayoutSettings
from config.settings.schema import BUILT_IN_PROFILES
from devices.host.clock import NANOSECONDS, SystemClock
from devices.model.device import Device, DeviceKind
from recorder.archive.archive import Archive
from recorder.model.status import SessionState
from recorder.program.mixer import SoundInput
from recorder.program.scene import PROGRAM
from recorder.session.session import Session
from tests.support.plans import session_plan
from tests.support.waiting import wait_for

BOUNDS_S = {"start": 0.2, "start_reaching_back": 0.2, "slate": 1.0, "return": 3.0, "layout": 0.1}
"""What is promised; a layout has at most three pictures' time."""
DARK = 75
LAYOUTS = {one: LayoutSettings(kind=SINGLE, show=(one,)) for one in ("1", "2")}


class Plug(VideoSource, DeviceLocator):
    """A synthetic camera that can be pulled; `shade` makes it a plain picture that is told from another's."""

    def __init__(self, source: SyntheticVideo, shade: int | None = None) -> None:
        self.name = source.name
        self.is_in = True
        self._source = source
        self._shade = shade
        self._behind = False

    def open(self) -> VideoFormat:
        return self._source.open()

    def read(self, timeout_s: float) -> Frame | None:
        frame = self._source.read(timeout_s)
        if not self.is_in:
            self._behind = True
            raise DeviceError("it was pulled", why="lost")
        if frame is not None and self._behind:  # what it has missed: no camera gives that
            self._behind = frame.timestamp_ns < time.monotonic_ns() - NANOSECONDS // 5
            return None if self._behind else frame
        return frame

    def decode(self, frame: Frame, within: Size | None = None) -> av.VideoFrame:
        picture = self._source.decode(frame, within)
        if self._shade is not None:
            shade = np.full((picture.height * 3 // 2, picture.width), self._shade, np.uint8)
            shade[picture.height :] = 128
            plain = av.VideoFrame.from_ndarray(shade, "yuv420p")
            plain.color_range, plain.colorspace = picture.color_range, picture.colorspace
            return plain
        return picture

    def close(self) -> None:
        pass  # it is opened again

    def find(self) -> LocatedDevice | None:
        return LocatedDevice(Device(id="x", kind=DeviceKind.CAMERA, name="Podium")) if self.is_in else None


class Shown:
    """The mean luma of the program's last picture, with the time it was composed at."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._luma = 0.0
        self._at_s = 0.0

    def offer(self, name: str, picture: av.VideoFrame) -> None:
        if name == PROGRAM:
            plane = picture.planes[0]
            luma = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[::8, : picture.width : 8]
            with self._changed:
                self._luma, self._at_s = float(luma.mean()), time.monotonic()
                self._changed.notify_all()

    def until(self, wanted: Callable[[float], bool]) -> float:
        """Return when a picture was composed whose luma is `wanted`."""
        with self._changed:
            assert self._changed.wait_for(lambda: wanted(self._luma), 20), "it was never shown"
            return self._at_s


@contextmanager
def armed(folder: Path, shown: Shown, profile: str) -> Iterator[tuple[Session, Plug]]:
    """Provide an armed session of two synthetic cameras, the second plain white, and the first one's plug."""
    clock, stop = SystemClock(), threading.Event()
    pace = RealPace(clock, stop)
    chosen = BUILT_IN_PROFILES[profile]
    form = chosen.width, chosen.height, chosen.fps
    first, second = (Plug(SyntheticVideo(*form, pace, stop), shade) for shade in (None, 230))
    sound = SyntheticAudio(pace, stop)
    plan = session_plan(
        title="Latensi",
        profile=chosen,
        pictures=[
            ChosenSource(name, plug, supervision=DeviceSupervision(plug))
            for name, plug in (("podium", first), ("slides", second))
        ],
        sounds=[SoundInput(sound.name, sound)],
        archives=[Archive(folder, clock, 1)],
        pace=pace,
        stop=stop,
        live=True,
        layout="1",
        layouts=LAYOUTS,
    )
    session = Session(plan, clock=clock, offer=shown.offer)
    thread = threading.Thread(target=session.run)
    thread.start()
    try:
        wait_for(lambda: session.status().state is SessionState.ARMED)
        yield session, first
    finally:
        session.stop()
        thread.join()


def start(folder: Path, shown: Shown, profile: str, pre_roll_s: float) -> float:
    """Return how long a start takes until what it reaches back to (without a pre-roll: anything) is on the disk."""
    with armed(folder, shown, profile) as (session, _):
        wait_for(lambda: session.status().pre_roll_s > pre_roll_s + BUILT_IN_PROFILES[profile].keyframe_s)
        began_s = time.monotonic()
        session.start(pre_roll_s)
        while session.status().media_time_s <= max(0.0, pre_roll_s - 0.2):  # the last fragment waits until it is full
            time.sleep(0.001)
        return time.monotonic() - began_s


def others(folder: Path, shown: Shown, profile: str) -> dict[str, float]:
    """Return how long a slate, a return and a change of layout take until a picture shows it."""
    with armed(folder, shown, profile) as (session, plug):
        session.start()
        wait_for(lambda: session.status().elapsed_s > 1)
        shown.until(lambda luma: DARK < luma < 200)
        began_s = time.monotonic()
        plug.is_in = False
        slate_s = shown.until(lambda luma: luma < DARK) - began_s
        time.sleep(0.5)
        began_s = time.monotonic()
        plug.is_in = True
        return_s = shown.until(lambda luma: DARK < luma < 200) - began_s
        time.sleep(0.5)
        began_s = time.monotonic()
        session.layout("2")
        layout_s = shown.until(lambda luma: luma > 200) - began_s
    return {"slate": slate_s, "return": return_s, "layout": layout_s}


def prove(arguments: argparse.Namespace) -> Mapping[str, object]:
    """Measure each `--count` times."""
    return run(arguments.count)


def run(count: int, profile: str = "720p30", slack: float = 1, reaches_back_s: float = 15) -> Mapping[str, object]:
    """Return median and worst of each latency, in seconds, over `count` sessions; `slack` widens what is promised."""
    figures: dict[str, list[float]] = {name: [] for name in BOUNDS_S}
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="liput-latency-") as name:
            figures["start"].append(start(Path(name) / "start", Shown(), profile, 0.0))
            figures["start_reaching_back"].append(start(Path(name) / "back", Shown(), profile, reaches_back_s))
            for kind, seconds in others(Path(name) / "others", Shown(), profile).items():
                figures[kind].append(seconds)
    return {
        "profile": profile,
        "count": count,
        "reaches_back_s": reaches_back_s,
        "promise_s": BOUNDS_S,
        "median_s": {name: round(statistics.median(found), 3) for name, found in figures.items()},
        "worst_s": {name: round(max(found), 3) for name, found in figures.items()},
        "holds": all(max(found) <= slack * BOUNDS_S[name] for name, found in figures.items()),
    }
