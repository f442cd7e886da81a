"""The screen of a real X server: frames, loss, hangs, and the words for an area."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from capture.detectors.detector_factory import DetectorFactory
from capture.media.convert import FrameConverter
from capture.media.pictures import plane_views
from capture.pacing import FastPace
from capture.source import ColorMatrix, Frame
from capture.sources.kinds.screen import BgraConverter, ScreenArea, ScreenSource, parse_screen
from capture.sources.source_kind import SourceContext
from capture.sources.source_selector import SourceSelector
from capture.sources.worker import OutageKind, VideoWorker
from capture.synthetic.marks import write_number
from config.errors import DeviceError, DeviceNotFound, MediaError, UsageError
from config.settings.schema import Profile, Settings
from devices.host.clock import SystemClock
from tests.support.bars import bars, smooth, tagged_rgb
from tests.support.errors import because
from tests.support.markers import frame_number
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


def within(seconds: float, read: Callable[[], Frame | None], wanted: Callable[[Frame], bool]) -> Frame:
    """Return the first frame that is `wanted`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        frame = read()
        if frame is not None and wanted(frame):
            return frame
    pytest.fail("it never came")


def test_what_is_painted_on_the_screen_is_in_the_picture(server: Xvfb) -> None:
    with closing(source_of(server)) as source:
        opened = source.open()
        assert (opened.width, opened.height, opened.rate, opened.matrix) == (WIDTH, HEIGHT, RATE, 5)
        for number in (7, 12345, 7):
            server.show(numbered(number))
            frame = within(
                10,
                lambda: source.read(0.5),
                lambda frame, number=number: frame_number(plane_views(source.decode(frame))[0]) == number,  # type: ignore[misc] # a default
            )
        assert 0 <= time.monotonic_ns() - frame.timestamp_ns < 5_000_000_000
        inset = source.decode(frame, (320, 180))
        assert (inset.width, inset.height) == (320, 180)
        assert frame_number(plane_views(inset)[0]) == 7


def test_colours_are_those_of_the_screen(server: Xvfb) -> None:
    rgb = bars(HEIGHT)
    server.pixels[:, : rgb.shape[1], :3] = rgb[:, :, ::-1]
    with closing(source_of(server)) as source:
        source.open()
        frame = within(10, lambda: source.read(0.5), lambda _: True)
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
        frames = [within(10, lambda: source.read(0.5), lambda _: True) for _ in range(5)]
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
        picture = source.decode(within(10, lambda: source.read(0.5), lambda _: True))
        # All but the pointer, which is shown in the middle of the screen.
        assert np.mean(plane_views(picture)[0] >= 234) > 0.99


def test_a_part_that_is_not_on_the_screen_is_refused(server: Xvfb) -> None:
    source = source_of(server, x=400, y=0, size=(320, 180))
    with closing(source), pytest.raises(DeviceError, match="is not within the screen", check=because("unsupported")):
        source.open()


def test_a_screen_is_scaled_down_to_what_is_wanted(server: Xvfb) -> None:
    with closing(source_of(server, 320, 320)) as source:
        opened = source.open()
        assert (opened.width, opened.height) == (320, 180)
        assert source.decode(within(10, lambda: source.read(0.5), lambda _: True)).width == 320


def test_a_display_that_is_not_there() -> None:
    source = ScreenSource(ScreenArea(":987"), width=WIDTH, height=HEIGHT, rate=RATE)
    with closing(source), pytest.raises(DeviceNotFound, match="no screen :987 that this user may see") as caught:
        source.open()
    assert "XAUTHORITY" in caught.value.hint


def test_an_x_server_that_dies_is_a_lost_device(server: Xvfb) -> None:
    with closing(source_of(server)) as source:
        source.open()
        within(10, lambda: source.read(0.5), lambda _: True)
        server.kill()
        with pytest.raises(DeviceError, match="has gone", check=because("lost")):
            within(10, lambda: source.read(0.5), lambda _: False)
        with pytest.raises(DeviceError, check=because("lost")):
            source.read(0.0)


def test_an_x_server_that_hangs_blocks_neither_reading_nor_closing(server: Xvfb) -> None:
    source = source_of(server)
    source.open()
    within(10, lambda: source.read(0.5), lambda _: True)
    server.hang()
    deadline = time.monotonic() + 10
    while source.read(0.05) is not None:
        assert time.monotonic() < deadline
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
    deadline = time.monotonic() + 10
    while source.abandoned:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    source.open()
    within(10, lambda: source.read(0.5), lambda _: True)
    source.close()


def test_a_screen_comes_back_with_its_server(tmp_path: Path) -> None:
    with Xvfb(tmp_path, WIDTH, HEIGHT) as first:
        kept = chosen_screen(f"screen:{first.display}")
        with closing(kept):
            kept.open()
            within(10, lambda: kept.read(0.2), lambda _: True)
            first.kill()
            deadline = time.monotonic() + 10
            while kept.outage is None:
                kept.read(0.1)
                assert time.monotonic() < deadline
            assert kept.outage.kind is OutageKind.LOST
            with Xvfb(tmp_path, WIDTH, HEIGHT, display=first.display) as second:
                second.show(numbered(42))
                within(
                    15,
                    lambda: kept.read(0.2),
                    lambda frame: frame_number(plane_views(kept.decode(frame))[0]) == 42,
                )


def test_what_is_no_picture_of_the_screen_is_refused() -> None:
    source = ScreenSource(ScreenArea(":987"), width=WIDTH, height=HEIGHT, rate=RATE)
    with pytest.raises(MediaError):
        source.decode(Frame(0, b""))


def chosen_screen(word: str) -> VideoWorker:
    clock = SystemClock()
    context = SourceContext(
        Profile(width=WIDTH, height=HEIGHT, fps=RATE, video_bitrate=300_000),
        FastPace(("video",)),
        clock,
        threading.Event(),
        live=True,
        watcher=DetectorFactory(Settings(), clock),
    )
    chosen = SourceSelector(context).choose((word,), ("none",))
    (screen,) = chosen.pictures
    assert chosen.devices == [], "any number of sessions may record a screen"
    return VideoWorker(screen.source, clock, supervision=screen.supervision)


# Words


@pytest.mark.parametrize(
    ("word", "area"),
    [
        ("screen", ScreenArea(":7")),
        ("screen::0", ScreenArea(":0")),
        ("screen:host:1.0", ScreenArea("host:1.0")),
        ("screen+10,20,640x480", ScreenArea(":7", 10, 20, (640, 480))),
        ("screen::0.1+0,0,1920x1080", ScreenArea(":0.1", 0, 0, (1920, 1080))),
    ],
)
def test_words_for_screens(word: str, area: ScreenArea) -> None:
    assert parse_screen(word, X11) == area
    assert parse_screen(area.id, {}) == area


@pytest.mark.parametrize(
    "word", ["screen:", "screen:0", "screen::0+10,20", "screen::0+1,2,3", "screen+0,0,1x1", "screens"]
)
def test_words_that_are_nearly_screens_are_refused(word: str) -> None:
    with pytest.raises(UsageError):
        parse_screen(word, X11)


@pytest.mark.parametrize("word", ["screen", "screen::0", "screen::0.0", "screen+0,0,64x64"])
@pytest.mark.parametrize("gone", [set(), {"DISPLAY"}, {"WAYLAND_DISPLAY"}, {"XDG_SESSION_TYPE"}])
def test_wayland_is_said_plainly_with_what_it_needs(word: str, gone: set[str]) -> None:
    environment = {name: value for name, value in WAYLAND.items() if name not in gone}
    if "DISPLAY" in gone and ":" in word:
        parse_screen(word, environment)  # another server's, not the desktop's
        return
    with pytest.raises(
        DeviceError, match="Wayland session; Liput cannot record its screen", check=because("unsupported")
    ) as caught:
        parse_screen(word, environment)
    assert "X11 session" in caught.value.hint
    assert "PipeWire portal" in caught.value.hint


def test_beside_wayland_another_x_server_can_be_recorded() -> None:
    assert parse_screen("screen::99", WAYLAND) == ScreenArea(":99")


def test_without_a_display_there_is_no_screen() -> None:
    with pytest.raises(DeviceNotFound, match="DISPLAY is not set"):
        parse_screen("screen", {})


# Pixels


def test_pixels_become_the_same_samples_as_by_swscale() -> None:
    rgb = smooth(320, 180)
    pixels = np.dstack([rgb[..., ::-1], np.zeros((180, 320), np.uint8)]).astype(np.uint8)
    picture = BgraConverter((320, 180), 320, 180).convert(pixels.tobytes())
    assert (picture.colorspace, picture.color_range) == (5, 1)
    meant = FrameConverter(320, 180, ColorMatrix.BT601).convert(av.VideoFrame.from_ndarray(pixels, "bgra"))
    for plane, exact in zip(plane_views(picture), plane_views(meant), strict=True):
        assert np.abs(plane.astype(int) - exact).max() <= 2
