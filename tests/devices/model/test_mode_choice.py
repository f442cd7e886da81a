"""The runners-up of a mode choice: their order, and the reason each lost."""

from collections.abc import Iterable

import pytest

from devices.model.device import Mode
from devices.model.mode_choice import ChosenMode, PictureRequirements, RunnerUp, needed_bps, rank_modes
from devices.model.quirks import quirk_of

HD30 = PictureRequirements(1920, 1080, 30)
USB2_BPS = 196_608_000  # three packets of 1024 bytes in each of 8000 microframes a second

YUYV_1080 = Mode("YUYV", 1920, 1080, (20.0, 5.0))
YUYV_720 = Mode("YUYV", 1280, 720, (10.0, 5.0))
MJPG_1080 = Mode("MJPG", 1920, 1080, (30.0, 15.0))
MJPG_720 = Mode("MJPG", 1280, 720, (60.0, 30.0))


def reasons(runners_up: Iterable[RunnerUp]) -> dict[str, str]:
    return {f"{mode.format} {mode.width}x{mode.height}": reason for mode, _, reason in runners_up}


def test_each_runner_up_says_why_it_lost() -> None:
    odd, grey = Mode("YUYV", 641, 481, (30.0,)), Mode("GREY", 1920, 1080, (30.0,))
    h264, large = Mode("H264", 1920, 1080, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    modes = [grey, YUYV_1080, large, odd, h264, MJPG_720, MJPG_1080, YUYV_720]
    chosen, runners_up = rank_modes(modes, HD30, usable_bps=USB2_BPS)
    assert chosen == ChosenMode(MJPG_1080, 30.0)
    assert reasons(runners_up) == {
        "H264 1920x1080": "each picture needs those before it",
        "MJPG 1280x720": "smaller",
        "YUYV 1280x720": "smaller, a third of the rate",
        "YUYV 1920x1080": "needs 664 Mbit/s at 20 frames a second, the link gives 197",
        "MJPG 3840x2160": "larger than wanted",
        "GREY 1920x1080": "GREY cannot be recorded",
        "YUYV 641x481": "its size is odd",
    }


def test_the_order_is_the_one_they_would_be_taken_in() -> None:
    modes = [YUYV_1080, Mode("MJPG", 640, 480, (30.0,)), Mode("MJPG", 2560, 1440, (30.0,)), MJPG_720, MJPG_1080]
    chosen, runners_up = rank_modes(modes, HD30)
    order = [mode for mode, _, _ in runners_up]
    left = list(modes)
    for expected in [chosen and chosen.mode, *order]:
        best = rank_modes(left, HD30)[0]
        assert best is not None
        assert best.mode == expected
        left.remove(best.mode)
    assert not left
    assert rank_modes([MJPG_1080, MJPG_1080], HD30)[1] == [], "one that is listed twice counts once"


def test_a_rate_that_the_link_does_not_carry_is_not_asked_for() -> None:
    assert rank_modes([YUYV_1080], HD30)[0] == ChosenMode(YUYV_1080, 20.0)
    assert rank_modes([YUYV_1080], HD30, usable_bps=USB2_BPS)[0] == ChosenMode(YUYV_1080, 5.0)
    small = Mode("MJPG", 640, 480, (30.0,))
    assert rank_modes([YUYV_1080, small], HD30, usable_bps=USB2_BPS)[0] == ChosenMode(small, 30.0)
    only = Mode("YUYV", 1920, 1080, (60.0, 30.0))
    chosen, runners_up = rank_modes([only, Mode("YUYV", 1280, 720, (60.0,))], HD30, usable_bps=USB2_BPS)
    assert chosen == ChosenMode(only, 30.0)
    assert reasons(runners_up) == {"YUYV 1280x720": "needs 885 Mbit/s, the link gives 197"}
    silent, small = Mode("YUYV", 1920, 1080, ()), Mode("YUYV", 640, 480, (30.0,))
    assert rank_modes([small, silent], HD30, usable_bps=USB2_BPS)[0] == ChosenMode(silent, None)
    dear = Mode("YUYV", 1920, 1080, (30.0,))
    assert rank_modes([small, dear], HD30, usable_bps=USB2_BPS)[0] == ChosenMode(small, 30.0)
    takes = needed_bps(YUYV_1080, 20.0)
    assert takes is not None
    assert rank_modes([YUYV_1080], HD30, usable_bps=takes)[0] == ChosenMode(YUYV_1080, 20.0)
    assert rank_modes([YUYV_1080], HD30, usable_bps=takes - 1)[0] == ChosenMode(YUYV_1080, 5.0)


@pytest.mark.parametrize(
    ("best", "loser", "reason"),
    [
        (Mode("YUYV", 1920, 1080, (30.0,)), MJPG_1080, "must be decoded"),
        (Mode("NV12", 1920, 1080, (30.0,)), Mode("YUYV", 1920, 1080, (30.0,)), "more bytes for the same picture"),
        (Mode("YUYV", 1920, 1080, (30.0,)), Mode("UYVY", 1920, 1080, (30.0,)), "no better"),
        (Mode("NV12", 1920, 1080, (30.0,)), MJPG_720, "smaller"),
        (MJPG_1080, Mode("H264", 1920, 1080, (29.7,)), "each picture needs those before it"),
        (MJPG_1080, Mode("H264", 1920, 1080, (29.6,)), "29.6 frames a second instead of 30"),
        (MJPG_1080, Mode("YUYV", 1920, 1080, (15.0,)), "half the rate"),
        (MJPG_1080, Mode("YUYV", 1920, 1080, (20.0,)), "20 frames a second instead of 30"),
        (Mode("MJPG", 2560, 1440, (30.0,)), Mode("MJPG", 640, 480, (30.0,)), "smaller"),
    ],
)
def test_the_reasons_in_plain_words(best: Mode, loser: Mode, reason: str) -> None:
    chosen, runners_up = rank_modes([loser, best], HD30)
    assert (chosen and chosen.mode) == best
    assert [why for _, _, why in runners_up] == [reason]


def test_a_rate_that_a_make_only_claims_is_not_asked_for() -> None:
    stick = quirk_of("534d", "2109")
    wanted = PictureRequirements(1920, 1080, 60)
    claims = Mode("MJPG", 1920, 1080, (60.0, 30.0))
    assert rank_modes([claims], wanted)[0] == ChosenMode(claims, 60.0)
    assert rank_modes([claims], wanted, quirk=stick)[0] == ChosenMode(claims, 30.0)
    fake, real = Mode("MJPG", 1920, 1080, (60.0,)), Mode("MJPG", 1280, 960, (60.0,))
    assert rank_modes([fake, real], wanted)[0] == ChosenMode(fake, 60.0)
    chosen, runners_up = rank_modes([fake, real], wanted, quirk=stick)
    assert chosen == ChosenMode(real, 60.0)
    assert [reason for _, _, reason in runners_up] == ["lists 60 frames a second and gives 30"]
    camera = quirk_of("046d", "082b")
    assert rank_modes([MJPG_720, YUYV_720], PictureRequirements(1280, 720, 30), quirk=camera)[0] == ChosenMode(
        MJPG_720, None
    )


@pytest.mark.parametrize(("pixel_format", "bits"), [("NV12", 12), ("YUYV", 16), ("UYVY", 16), ("YU12", 12)])
def test_each_uncompressed_format_takes_its_bits_of_each_pixel(pixel_format: str, bits: int) -> None:
    assert needed_bps(Mode(pixel_format, 640, 480, ()), 25.0) == 640 * 480 * bits * 25
    assert needed_bps(Mode(pixel_format, 640, 480, ()), None) is None
    assert needed_bps(Mode("MJPG", 640, 480, ()), 25.0) is None


HD720 = PictureRequirements(1280, 720, 30)


def chosen(wanted: PictureRequirements, *modes: Mode) -> ChosenMode:
    best = rank_modes(modes, wanted)[0]
    assert best is not None
    return best


def test_compressed_only_where_needed_and_what_cannot_be_converted_never() -> None:
    slow, fast = Mode("YUYV", 1280, 720, (10.0, 5.0)), Mode("MJPG", 1280, 720, (60.0, 30.0))
    assert chosen(HD720, slow, fast) == ChosenMode(fast, 30.0)
    assert chosen(PictureRequirements(1280, 720, 10), slow, fast) == ChosenMode(slow, 10.0)
    h264, mjpeg = Mode("H264", 1280, 720, (30.0,)), Mode("MJPG", 1280, 720, (30.0,))
    assert chosen(HD720, h264, mjpeg).mode == mjpeg
    assert chosen(HD720, h264).mode == h264
    assert rank_modes([Mode("RGB3", 1280, 720, (30.0,)), Mode("YUYV", 641, 481, (30.0,))], HD720)[0] is None
    assert rank_modes([], HD720)[0] is None


def test_nothing_larger_than_wanted_while_something_but_a_thumbnail_fits() -> None:
    fits, larger = Mode("MJPG", 1024, 576, (30.0,)), Mode("MJPG", 1920, 1080, (30.0,))
    assert chosen(HD720, larger, fits).mode == fits
    thumbnail = Mode("YUYV", 160, 120, (30.0,))
    nearest, largest = Mode("MJPG", 1920, 1080, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD720, largest, nearest).mode == nearest
    assert chosen(HD720, thumbnail, largest, nearest).mode == nearest
    assert chosen(HD720, thumbnail).mode == thumbnail


def test_a_usable_rate_weighs_more_than_pixels() -> None:
    slideshow, moving = Mode("YUYV", 1280, 720, (5.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD720, slideshow, moving).mode == moving
    nearly, small = Mode("YUYV", 1280, 720, (25.0,)), Mode("YUYV", 640, 480, (30.0,))
    assert chosen(HD720, nearly, small).mode == nearly
    half = Mode("MJPG", 1280, 720, (12.0,))
    less, more = Mode("MJPG", 624, 352, (30.0,)), Mode("MJPG", 656, 368, (30.0,))
    assert chosen(HD720, less, half).mode == half
    assert chosen(HD720, more, half).mode == more


def test_where_nothing_fits_a_picture_is_worth_less_the_more_of_it_is_thrown_away() -> None:
    wide, large = Mode("MJPG", 1600, 400, (30.0,)), Mode("MJPG", 3840, 2160, (30.0,))
    assert chosen(HD720, large, wide).mode == wide
    assert chosen(HD720, large, Mode("MJPG", 1600, 50, (30.0,))).mode == large


@pytest.mark.parametrize(("width", "height"), [(641, 480), (640, 479)])
def test_of_an_odd_size_only_compressed_pictures_are_chosen(width: int, height: int) -> None:
    assert rank_modes([Mode("YUYV", width, height, (30.0,))], HD720)[0] is None
    compressed = Mode("MJPG", width, height, (30.0,))
    assert rank_modes([compressed], HD720)[0] == ChosenMode(compressed, 30.0)


@pytest.mark.parametrize(
    ("rates", "wanted", "expected"),
    [((60.0, 30.0, 15.0), 30, 30.0), ((60.0, 30.0), 25, 30.0), ((29.97, 15.0), 30, 29.97), ((15.0,), 30, 15.0)],
)
def test_the_slowest_rate_that_is_enough(rates: tuple[float, ...], wanted: float, expected: float) -> None:
    assert chosen(PictureRequirements(640, 480, wanted), Mode("MJPG", 640, 480, rates)).rate == expected
    assert chosen(PictureRequirements(640, 480, wanted), Mode("MJPG", 640, 480, ())).rate is None
