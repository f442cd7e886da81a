"""Pictures on their way to the conference: copied while they are wanted, the newest only, never one that is in use."""

import av
import pytest

from capture.pictures import plane_views, tagged
from capture.source import Matrix
from devices.host.clock import NANOSECONDS
from recorder.conference.camera import NearInput
from recorder.video_input import VideoInput
from tests.support.footage import THIRTY
from tests.support.simulated import SimulatedClock
from tests.support.tracks import Camera, Rig

SIZE = 64, 36


def picture(level: int, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    frame = tagged(av.VideoFrame(*size, "yuv420p"), Matrix.BT709)
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
    assert level(tap.newest()) == 39
    assert tap.newest() is None
    assert len(news) == 21


def test_the_meaning_of_its_samples_and_its_size_go_with_a_picture() -> None:
    tap, _, _ = made()
    tap.take(picture(1))
    first = tap.newest()
    assert first is not None
    assert (first.colorspace, first.width) == (Matrix.BT709, SIZE[0])
    tap.take(picture(2, (128, 72)))
    second = tap.newest()
    assert second is not None
    assert (second.width, second.height, level(second)) == (128, 72, 2)


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
        ((160, 90), (1280, 720), (1280, 720)),
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
