"""The screen of a real X server: frames, loss, hangs, and the words for an area."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from capture.detectors.detector_factory import DetectorFactory
from capture.media.pictures import plane_views
from capture.pacing import FastPace
from capture.source import Frame
from capture.sources.kinds.screen import ScreenArea, ScreenSource, parse_screen
from capture.sources.source_kind import SourceContext
from capture.sources.source_selector import SourceSelector
from capture.sources.worker import OutageKind, VideoWorker
from capture.synthetic.marks import write_number
from config.errors import DeviceError, DeviceNotFound, UsageError
from config.settings.schema import Profile, Settings
from devices.host.clock import SystemClock
from tests.support.bars import bars, tagged_rgb
from tests.support.errors import because
from tests.support.markers import frame_number
from tests.support.waiting import wait_for
from tests.support.xvfb import Xvfb

WIDTH, HEIGHT = 640, 360
RATE = Fraction(30)
X11 = {"DISPLAY": ":7", "XDG_SESSION_TYPE": "x11"}
WAYLAND = {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "XDG_SESSION_TYPE": "wayland"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Xvfb]:
    with Xvfb(tmp_path, WIDTH, HEIGHT) as server:
        yield server


def source_of(server: Xvfb, width: int = WIDTH, height: int = HEIGHT, **area: object) -> ScreenSource:
    return ScreenSource(ScreenArea(server.display, **area), width=width, height=height, rate=RATE)  # type: ignore[arg-type] # of ScreenArea


def numbered(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return a grey screen with marks of a synthetic frame, in full-range grey."""
    luma = np.full((HEIGHT, WIDTH), 128, np.uint8)
    write_number(luma, number)
    return np.where(luma == 235, 255, np.where(luma == 16, 0, luma)).astype(np.uint8)


def taken(source: ScreenSource | VideoWorker, number: int | None = None) -> Frame:
    """Return the next frame, or the first that shows `number`."""

    def found() -> Frame | None:
        frame = source.read(0.2)
        is_wanted = frame is not None and number in {None, frame_number(plane_views(source.decode(frame))[0])}
        return frame if is_wanted else None

    frame = wait_for(found)
    assert frame is not None
    return frame


def test_what_is_painted_on_the_screen_is_in_the_picture(server: Xvfb) -> None:
    with closing(source_of(server)) as source:
        opened = source.open()
        assert (opened.width, opened.height, opened.rate, opened.matrix) == (WIDTH, HEIGHT, RATE, 5)
        for number in (7, 12345, 7):
            server.show(numbered(number))
            frame = taken(source, number)
        assert 0 <= time.monotonic_ns() - frame.timestamp_ns < 5_000_000_000
        inset = source.decode(frame, (320, 180))
        assert (inset.width, inset.height) == (320, 180)
        assert frame_number(plane_views(inset)[0]) == 7


def test_colours_are_those_of_the_screen(server: Xvfb) -> None:
    rgb = bars(HEIGHT)
    server.pixels[:, : rgb.shape[1], :3] = rgb[:, :, ::-1]
    with closing(source_of(server)) as source:
        source.open()
        frame = taken(source)
        for limit in (None, (320, 180)):
            picture = source.decode(frame, limit)
            part = picture.width / WIDTH
            middles = [round((column + 0.5) * 32 * part) for column in range(12)]
            shown = tagged_rgb(picture)[picture.height // 2, middles].astype(int)
            assert np.abs(shown - rgb[0, 16::32]).max() <= 4


def test_a_screen_that_stands_still_is_converted_once(server: Xvfb) -> None:
    server.show(numbered(1))
    with closing(source_of(server)) as source:
        source.open()
        frames = [taken(source) for _ in range(5)]
        pictures = {id(source.decode(frame)) for frame in frames[-3:]}
    assert len(pictures) == 1
    assert frames[-1].payload is frames[-2].payload
    times = [frame.timestamp_ns for frame in frames]
    assert times == sorted(set(times))


def test_a_part_of_the_screen(server: Xvfb) -> None:
    server.pixels[:, :, :3] = 0
    server.pixels[100:280, 200:520, :3] = 255
    with closing(source_of(server, x=200, y=100, size=(320, 180))) as source:
        opened = source.open()
        assert (opened.width, opened.height) == (320, 180)
        picture = source.decode(taken(source))
        # All but the pointer, which is shown in the middle of the screen.
        assert np.mean(plane_views(picture)[0] >= 234) > 0.99


def test_a_part_that_is_not_on_the_screen_is_refused(server: Xvfb) -> None:
    source = source_of(server, x=400, y=0, size=(320, 180))
    with closing(source), pytest.raises(DeviceError, match="is not within the screen", check=because("unsupported")):
        source.open()


def test_a_display_that_is_not_there() -> None:
    source = ScreenSource(ScreenArea(":987"), width=WIDTH, height=HEIGHT, rate=RATE)
    with closing(source), pytest.raises(DeviceNotFound, match="no screen :987 that this user may see") as caught:
        source.open()
    assert "XAUTHORITY" in caught.value.hint


def test_an_x_server_that_hangs_blocks_neither_reading_nor_closing(server: Xvfb) -> None:
    source = source_of(server)
    source.open()
    taken(source)
    server.hang()
    wait_for(lambda: source.read(0.05) is None)
    closing_thread = threading.Thread(target=source.close)
    closing_thread.start()
    closing_thread.join(60)
    assert not closing_thread.is_alive()
    assert source.abandoned == 1
    threads = threading.active_count()
    for _ in range(3):
        with pytest.raises(DeviceError, match="does not answer", check=because("lost")):
            source.open()
    assert threading.active_count() <= threads, "each try would keep two threads and a descriptor"
    server.go_on()
    wait_for(lambda: not source.abandoned)
    source.open()
    taken(source)
    source.close()


def test_a_screen_comes_back_with_its_server(tmp_path: Path) -> None:
    clock = SystemClock()
    watcher = DetectorFactory(Settings(), clock)
    profile = Profile(width=WIDTH, height=HEIGHT, fps=RATE, video_bitrate=300_000)
    context = SourceContext(profile, FastPace(("video",)), clock, threading.Event(), live=True, watcher=watcher)
    with Xvfb(tmp_path, WIDTH, HEIGHT) as first:
        (screen,) = SourceSelector(context).choose((f"screen:{first.display}",), ("none",)).pictures
        assert screen.device is None, "any number of sessions may record a screen"
        with closing(VideoWorker(screen.source, clock, supervision=screen.supervision)) as kept:
            kept.open()
            taken(kept)
            first.kill()
            wait_for(lambda: kept.read(0.1) is None and kept.outage)
            assert kept.outage is not None
            assert kept.outage.kind is OutageKind.LOST
            with Xvfb(tmp_path, WIDTH, HEIGHT, display=first.display) as second:
                second.show(numbered(42))
                taken(kept, 42)


# Words


@pytest.mark.parametrize(
    ("word", "area"),
    [
        ("screen", ScreenArea(":7")),
        ("screen:host:1.0", ScreenArea("host:1.0")),
        ("screen::0.1+0,0,1920x1080", ScreenArea(":0.1", 0, 0, (1920, 1080))),
    ],
)
def test_words_for_screens(word: str, area: ScreenArea) -> None:
    assert parse_screen(word, X11) == area
    assert parse_screen(area.id, {}) == area


@pytest.mark.parametrize("word", ["screen:0", "screen::0+1,2,3", "screens"])
def test_words_that_are_nearly_screens_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_screen(word, X11)


@pytest.mark.parametrize(
    ("word", "gone"),
    [("screen", "XDG_SESSION_TYPE"), ("screen::0.0", "WAYLAND_DISPLAY"), ("screen+0,0,64x64", "DISPLAY")],
)
def test_wayland_is_said_plainly(word: str, gone: str) -> None:
    environment = {name: value for name, value in WAYLAND.items() if name != gone}
    with pytest.raises(DeviceError, match="Wayland session", check=because("unsupported")):
        parse_screen(word, environment)
    assert parse_screen("screen::99", environment) == ScreenArea(":99"), "another X server beside it"


def test_without_a_display_there_is_no_screen() -> None:
    with pytest.raises(DeviceNotFound, match="DISPLAY is not set"):
        parse_screen("screen", {})
