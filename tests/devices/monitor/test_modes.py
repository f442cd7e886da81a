"""Ranges of sizes and rates as lists, and which mode is opened for what is wanted."""

import pytest

from devices.model.device import Mode
from devices.model.mode_choice import ChosenMode, Wanted, choose_mode
from devices.monitor.modes import fourcc, rates_within, sizes_within

HD30 = Wanted(1280, 720, 30)


def test_a_range_of_sizes_becomes_the_largest_and_the_usual_ones() -> None:
    sizes = list(sizes_within((16, 1920, 16), (16, 1080, 8)))
    assert sizes[0] == (1920, 1080)
    assert {(1280, 720), (640, 480), (320, 240)} <= set(sizes)
    assert not any(width > 1920 or (width - 16) % 16 for width, _ in sizes)


def test_a_range_of_rates_becomes_the_usual_ones() -> None:
    assert list(rates_within(5.0, 30.0)) == [30.0, 30.0, 25.0, 24.0, 20.0, 15.0, 10.0, 5.0]
    assert next(rates_within(0.0, 1e9)) == 120.0


def test_pixel_formats_have_their_four_letters() -> None:
    assert fourcc(int.from_bytes(b"MJPG", "little")) == "MJPG"
    assert fourcc(int.from_bytes(b"Y16 ", "little") | 1 << 31) == "Y16-BE"


def chosen(wanted: Wanted, *modes: Mode) -> ChosenMode:
    best = choose_mode(modes, wanted)
    assert best is not None
    return best


def test_mjpeg_where_uncompressed_pictures_do_not_reach_the_rate() -> None:
    slow, fast = Mode("YUYV", 1280, 720, (10.0, 5.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))
    assert chosen(HD30, slow, fast) == ChosenMode(fast, 30.0)
    assert chosen(Wanted(1280, 720, 10), slow, fast) == ChosenMode(slow, 10.0)


def test_nothing_larger_than_wanted_while_something_fits() -> None:
    fits, larger = Mode("MJPG", 1024, 576, (30.0,)), Mode("MJPG", 1920, 1080, (30.0,))
    assert chosen(HD30, larger, fits).mode == fits


def test_the_nearest_larger_one_where_nothing_or_only_a_thumbnail_fits() -> None:
    thumbnail = Mode("YUYV", 160, 120, (30.0,))
    nearest, largest = Mode("MJPG", 1920, 1080, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD30, largest, nearest).mode == nearest
    assert chosen(HD30, thumbnail, largest, nearest).mode == nearest
    assert chosen(HD30, thumbnail).mode == thumbnail


def test_a_usable_rate_weighs_more_than_pixels() -> None:
    slideshow, moving = Mode("YUYV", 1280, 720, (5.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD30, slideshow, moving).mode == moving
    nearly, small = Mode("YUYV", 1280, 720, (25.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD30, nearly, small).mode == nearly


def test_half_the_rate_is_worth_a_quarter_of_the_pixels() -> None:
    half = Mode("MJPG", 1280, 720, (12.0,))
    less, more = Mode("MJPG", 624, 352, (30.0,)), Mode("MJPG", 656, 368, (30.0,))
    assert chosen(HD30, less, half).mode == half
    assert chosen(HD30, more, half).mode == more


def test_where_nothing_fits_a_picture_is_worth_less_the_more_of_it_is_thrown_away() -> None:
    wide, large = Mode("MJPG", 1600, 400, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD30, large, wide).mode == wide
    assert chosen(HD30, large, Mode("MJPG", 1600, 50, (30.0,))).mode == large


@pytest.mark.parametrize(("width", "height"), [(641, 480), (640, 479)])
def test_uncompressed_pictures_of_an_odd_width_or_height_are_not_chosen_and_compressed_ones_are(
    width: int, height: int
) -> None:
    assert choose_mode([Mode("YUYV", width, height, (30.0,))], HD30) is None
    compressed = Mode("MJPG", width, height, (30.0,))
    assert choose_mode([compressed], HD30) == ChosenMode(compressed, 30.0)


def test_h264_only_where_there_is_nothing_else() -> None:
    h264, mjpeg = Mode("H264", 1280, 720, (30.0,)), Mode("MJPG", 1280, 720, (30.0,))
    assert chosen(HD30, h264, mjpeg).mode == mjpeg
    assert chosen(HD30, h264).mode == h264


def test_formats_and_sizes_that_cannot_be_converted_are_never_chosen() -> None:
    assert choose_mode([Mode("RGB3", 1280, 720, (30.0,)), Mode("YUYV", 641, 481, (30.0,))], HD30) is None
    assert choose_mode([], HD30) is None


@pytest.mark.parametrize(
    ("rates", "wanted", "expected"),
    [((60.0, 30.0, 15.0), 30, 30.0), ((60.0, 30.0), 25, 30.0), ((29.97, 15.0), 30, 29.97), ((15.0,), 30, 15.0)],
)
def test_the_slowest_rate_that_is_enough(rates: tuple[float, ...], wanted: float, expected: float) -> None:
    assert chosen(Wanted(640, 480, wanted), Mode("MJPG", 640, 480, rates)).rate == expected
    assert chosen(Wanted(640, 480, wanted), Mode("MJPG", 640, 480, ())).rate is None
