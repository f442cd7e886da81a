"""The conference's picture: what is in it, where it goes; a node that fails costs nothing and is tried again."""

import threading
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from capture.media.pictures import plane_views, tag_frame
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind, SourceOutage
from config.errors import DeviceError, DeviceNotFound, LiputError
from config.settings.layouts import BUILT_IN_LAYOUTS, LayoutSettings, ProgramSettings
from config.settings.schema import ConferenceSettings
from devices.host.clock import NANOSECONDS, SystemClock
from devices.video_outputs import VideoOutput, VideoOutputWriter
from recorder.features.conference.camera import ConferenceCamera, ConferencePainter, NearInput
from recorder.features.conference.plan import ConferencePlan
from recorder.program.scene import Appearance
from recorder.program.video_input import VideoInput
from tests.support.scenes import THIRTY
from tests.support.simulated import EventList, SimulatedClock
from tests.support.tracks import Camera, Rig, in_time, run_context
from tests.support.waiting import wait_for

SIZE = 160, 90

FAR, NEAR, OTHER = 200, 120, 60
INFO = VideoOutput("/dev/video42", "Liput", is_loopback=True)


def areas(luma: NDArray[np.uint8]) -> set[int]:
    """Return the levels of luma that more than a fiftieth of a picture has: letters have all others."""
    levels, counts = np.unique(luma, return_counts=True)
    return set(levels[counts > luma.size / 50].tolist())


class Node:
    """Stands for an output node: keeps the areas of each picture."""

    def __init__(self) -> None:
        self.format, self.size = "YU12", SIZE
        self.pictures: list[set[int]] = []
        self.is_looked_at: bool | None = None
        self.error: LiputError | None = None
        self.closed = threading.Event()

    def stay(self) -> None:
        """Be a camera for ever."""

    def write(self, data: memoryview) -> bool:
        if self.error:
            raise self.error
        self.pictures.append(areas(np.frombuffer(data, np.uint8)[: SIZE[0] * SIZE[1]]))
        return True

    def close(self) -> None:
        self.closed.set()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.features.conference.conference_task.RETRY_S", 0.01)


class Room:
    """Inputs that give one level of luma each, and a conference of them."""

    def __init__(self, names: Mapping[str, int], layout: str = "", **more: LayoutSettings) -> None:
        self.rig = Rig()
        self.videos: list[VideoInput] = [self.rig.video([], rate=THIRTY, name=name) for name in names]
        self.levels = names
        settings = ConferenceSettings(layout=layout, width=SIZE[0], height=SIZE[1], fps=Fraction(30))
        self.plan = ConferencePlan(settings, far_pictures=frozenset({"zoom"}))
        self.appearance = Appearance({**BUILT_IN_LAYOUTS, **more}, ProgramSettings(), "Rapat", "id")
        self.program = "single"
        self.events = EventList()

    def started(self, *nodes: Node, find: Callable[[str], VideoOutput] = lambda _: INFO) -> ConferenceCamera:
        """Return one that has started, and opens these nodes one after the other."""
        left = list(nodes)
        camera = ConferenceCamera(
            self.plan, self.videos, self.appearance,
            shows=lambda: self.program, run=run_context(SystemClock(), self.events),
            find=find, open_node=cast("Callable[..., VideoOutputWriter]", lambda *_: left.pop(0)),
        )  # fmt: skip
        camera.start()
        return camera

    def give(self) -> None:
        """Have every input give a picture, as the picture track does."""
        for video in self.videos:
            if video.tap:
                video.tap.take(picture(self.levels[video.name], SIZE))

    def until(self, condition: Callable[[], bool]) -> None:
        """Have pictures given until something is so."""

        def is_so() -> bool:
            self.give()
            return condition()

        wait_for(is_so)

    def painted(self, program: str) -> set[int]:
        """Return the levels of luma in what is shown while the program shows `program`."""
        near = []
        for video in self.videos:
            if video.name not in self.plan.far_pictures:
                video.tap = one = NearInput(video, self.rig.clock, lambda: None)
                near.append(one)
        painter = ConferencePainter(self.plan, near, self.appearance, SIZE, [video.name for video in self.videos])
        painter.picture(program)
        self.give()
        painter.update(0.0)
        frame = painter.picture(program)
        return areas(plane_views(frame)[0])


ROOM = {"zoom": FAR, "podium": NEAR, "slides": OTHER}


@pytest.mark.parametrize(
    ("program", "levels"),
    [
        ("single", {NEAR}),  # the program shows the far side there
        ("side-by-side", {NEAR, OTHER, 16}),
        ("only_far", {NEAR}),
        ("of-another-session", {NEAR}),
    ],
)
def test_the_far_side_is_in_no_picture_whatever_the_program_shows(program: str, levels: set[int]) -> None:
    only_far = LayoutSettings(kind="single", show=("zoom",))
    assert Room(ROOM, only_far=only_far).painted(program) == levels


def test_a_layout_of_its_own_does_not_follow_the_program() -> None:
    mine = LayoutSettings(kind="single", show=("slides",))
    assert Room(ROOM, "mine", mine=mine).painted("single") == {OTHER}


def test_the_slate_of_a_far_input_is_not_shown_either() -> None:
    room = Room(ROOM)
    for video in room.videos:
        video.outage = SourceOutage(OutageKind.LOST, "gone", "", 0)
    slates = room.painted("side-by-side")
    assert not slates & {FAR, NEAR, OTHER}
    assert slates


@pytest.mark.parametrize(("names", "program"), [({"zoom": FAR}, "single"), (ROOM, "pause")])
def test_a_card_stands_where_nothing_near_is_shown(names: Mapping[str, int], program: str) -> None:
    levels = Room(names).painted(program)
    assert levels
    assert not levels & {FAR, NEAR, OTHER}


def test_pictures_are_written_as_they_come_and_a_card_is_the_last() -> None:
    room, node = Room(ROOM), Node()
    camera = room.started(node)
    room.until(lambda: {NEAR} in node.pictures)
    assert camera.line.state == "live"
    room.program = "pip"
    room.until(lambda: {NEAR, OTHER} in node.pictures)
    camera.close()
    assert not node.pictures[-1] & {NEAR, OTHER, FAR}
    assert node.closed.is_set()
    assert (camera.line.state, room.events) == ("stopped", [("conference-live", "camera")])
    assert not any(video.is_tapped for video in room.videos)
    assert not any(FAR in levels for levels in node.pictures)


def test_a_node_that_is_missing_busy_or_gone_is_told_once_each_and_tried_again() -> None:
    room, first, second = Room(ROOM), Node(), Node()
    errors: list[LiputError] = [DeviceNotFound("none")] * 3 + [DeviceError("taken", why="busy")] * 3

    def find(_word: str) -> VideoOutput:
        if errors:
            raise errors.pop(0)
        return INFO

    camera = room.started(first, second, find=find)
    wait_for(lambda: len(first.pictures) > 3)
    first.error = DeviceError("gone", why="lost")
    wait_for(lambda: len(second.pictures) > 3)
    camera.close()
    kinds = [kind.removeprefix("conference-") for kind, _ in room.events]
    assert kinds == ["lost", "lost", "live", "lost", "live"]
    assert first.closed.is_set()


def test_a_node_that_takes_no_picture_any_more_is_not_called_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorder.features.conference.camera.TAKES_S", 0.05)
    takes = threading.Event()

    class Full(Node):
        def write(self, data: memoryview) -> bool:
            return super().write(data) and (takes.is_set() or len(self.pictures) < 5)

    room, node = Room(ROOM), Full()
    camera = room.started(node)
    room.until(lambda: camera.line.reason == "stalled")
    written = len(node.pictures)
    room.until(lambda: len(node.pictures) > written + 5)  # is tried on, and told once
    assert (camera.line.state, camera.line.reason) == ("waiting", "stalled")
    takes.set()
    room.until(lambda: camera.line.state == "live")
    camera.close()
    assert room.events == [("conference-live", "camera"), ("conference-lost", "camera"), ("conference-live", "camera")]


def test_while_nobody_looks_hardly_anything_is_asked_of_the_recording() -> None:
    room, node = Room(ROOM), Node()
    node.is_looked_at = False
    camera = room.started(node)
    wait_for(lambda: camera.line.state == "idle")
    podium = room.videos[1]
    room.until(lambda: not podium.is_tapped)  # it has one for this second
    node.is_looked_at = True
    room.until(lambda: camera.line.state == "live")
    wait_for(lambda: podium.is_tapped)
    camera.close()


def test_a_node_whose_driver_hangs_holds_up_neither_pictures_nor_the_end() -> None:
    released, hangs = threading.Event(), threading.Event()

    class Hanging(Node):
        def write(self, data: memoryview) -> bool:
            hangs.set()
            return released.wait(60)

    room, node = Room(ROOM), Hanging()
    camera = room.started(node)
    assert hangs.wait(60)
    for _ in range(200):
        in_time(room.give)
    in_time(camera.stop)
    in_time(lambda: camera.close(0.1))
    assert not node.closed.is_set()
    assert not any(video.is_tapped for video in room.videos)
    released.set()
    assert node.closed.wait(60)


# One input's picture, on its way to the conference


def picture(level: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    frame = tag_frame(av.VideoFrame(*size, "yuv420p"), ColorMatrix.BT709)
    for plane, value in zip(plane_views(frame), (level, 128, 128), strict=True):
        plane[:] = value
    return frame


def level(frame: av.VideoFrame | None) -> int:
    assert frame is not None
    return int(plane_views(frame)[0][0, 0])


def made() -> tuple[NearInput, SimulatedClock, list[int]]:
    clock, news = SimulatedClock(), list[int]()
    tap = NearInput(Rig().video([], rate=THIRTY), clock, lambda: news.append(1))
    tap.size = SIZE
    return tap, clock, news


def test_what_is_shown_stays_as_it_is_while_newer_ones_come() -> None:
    tap, _, news = made()
    given = picture(10)
    tap.take(given)
    shown = tap.newest()
    for plane in plane_views(given):
        plane[:] = 99  # the decoder's turn
    for number in range(20, 40):
        tap.take(picture(number))
        assert level(shown) == 10
    newest = tap.newest()
    assert newest is not None
    assert (level(newest), newest.colorspace, newest.width) == (39, ColorMatrix.BT709, SIZE[0])
    assert tap.newest() is None
    assert len(news) == 21


def test_nothing_is_copied_while_nothing_is_wanted_or_it_is_too_soon() -> None:
    tap, clock, news = made()
    tap.size = None
    tap.take(picture(1))
    assert news == []
    tap.size, tap.every_s = SIZE, 1.0
    tap.take(picture(2))
    tap.take(picture(3))
    assert (len(news), tap.wanted) == (1, None)
    clock.advance_to(clock.now_ns() + NANOSECONDS)
    assert tap.wanted == SIZE
    tap.take(picture(4))
    assert level(tap.newest()) == 4


def test_a_copy_that_fails_costs_the_recording_nothing_and_is_told_to_the_conference() -> None:
    tap, _, news = made()
    tap.take(av.VideoFrame(64, 36, "gray"))  # no copy of ours has that form
    assert isinstance(tap.failure, ValueError)
    assert news == []


@pytest.mark.parametrize(
    ("program", "conference", "decoded"),
    [
        (None, (320, 180), None),  # all of it is needed anyway
        ((160, 90), None, (160, 90)),
        ((480, 270), (320, 180), (480, 270)),
    ],
)
def test_a_picture_is_decoded_as_large_as_whoever_shows_it_largest_needs_it(
    program: tuple[int, int] | None, conference: tuple[int, int] | None, decoded: tuple[int, int] | None
) -> None:
    rig = Rig()
    asked: list[object] = []

    class Asked(Camera):
        def decode(self, frame: object, within: object = None) -> av.VideoFrame:
            asked.append(within)
            return picture(50)

    one: VideoInput = rig.video([], rate=THIRTY, camera=Asked())
    one.tap = tap = NearInput(one, rig.clock, lambda: None)
    tap.size, one.within = conference, program
    assert one.is_tapped == (conference is not None)
    one.take(rig.frame(0, 1))
    assert asked == [decoded]
    assert (tap.newest() is not None) == (conference is not None)
