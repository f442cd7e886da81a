"""What a PC can do: measured with the real encoders, remembered, and chosen by."""

import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import msgspec
import pytest

from capture.source import ColorMatrix
from config.errors import LiputError
from config.settings.schema import BUILT_IN_PROFILES
from config.state import state_folder
from recorder.encode.encoder import AudioSettings
from recorder.encode.x264 import VideoSettings
from recorder.live_encode import headroom
from recorder.live_encode.headroom import (
    SPARE,
    EncodeMode,
    EncodeReason,
    Headroom,
    HeadroomQuery,
    choose_encode,
    usable_cores,
)
from recorder.live_encode.measurement import measure_headroom, synthetic_frames
from tests.support.patterns import Moving
from tests.support.waiting import wait_for

SMALL = VideoSettings(320, 240, Fraction(15), ColorMatrix.BT601, 300_000, 300_000)
SOUND = AudioSettings(2, 64_000)
ASKED = HeadroomQuery(BUILT_IN_PROFILES["240p15"], 300_000)
PLENTY = Headroom(one_encode=0.4, two_encodes=0.7, cores=4)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LIPUT_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def with_preset(preset: str) -> HeadroomQuery:
    return msgspec.structs.replace(ASKED, profile=msgspec.structs.replace(ASKED.profile, preset=preset))


def test_two_encodes_take_more_than_one_and_the_cores_are_counted() -> None:
    found = measure_headroom(SMALL, SOUND, 300_000, seconds=4.0)

    assert 0 < found.one_encode < found.two_encodes < 3 * found.one_encode
    assert found.cores == usable_cores()


def test_a_larger_picture_takes_more() -> None:
    large = VideoSettings(960, 540, Fraction(15), ColorMatrix.BT601, 1_500_000, 1_500_000)

    assert measure_headroom(large, SOUND, 1_500_000, seconds=2.0).one_encode > 2 * (
        measure_headroom(SMALL, SOUND, 300_000, seconds=2.0).one_encode
    )


def test_pictures_of_whoever_calls_are_taken_and_what_they_cost_counts() -> None:
    asked: list[int] = []

    def pictures() -> Iterator[av.VideoFrame]:
        moving = Moving(320, 240)
        for number in range(1000):
            asked.append(number)
            yield moving.picture(number)

    found = measure_headroom(SMALL, None, 300_000, pictures(), seconds=2.0)

    assert len(asked) == 4 + 30  # the first ones are not counted
    assert found.one_encode > 0


def test_the_synthetic_camera_moves_and_has_noise() -> None:
    pictures = synthetic_frames(SMALL)
    first = next(pictures).to_ndarray().astype(int)
    second = next(pictures).to_ndarray().astype(int)

    assert abs(second - first)[:240].mean() > 0.5
    assert second[:240].max() > 200


@pytest.mark.parametrize(
    ("two", "count", "affords"), [(1.4, 2, True), (1.41, 2, False), (2.0, 2, False), (2.8, 4, True), (0.7, 1, True)]
)
def test_thirty_per_cent_are_to_spare(two: float, count: int, affords: bool) -> None:
    found = Headroom(one_encode=two / 2, two_encodes=two, cores=count)

    assert found.affords_two is affords
    assert found.affords_two == (found.spare >= SPARE)


NONE = Headroom(one_encode=1.2, two_encodes=2.2, cores=2)


@pytest.mark.parametrize(
    ("wish", "known", "expected"),
    [
        ("shared", PLENTY, ("shared", "set")),
        ("separate", NONE, ("separate", "set")),
        ("auto", PLENTY, ("separate", "headroom")),
        ("auto", NONE, ("shared", "no-headroom")),
        ("auto", None, ("shared", "not-measured")),
    ],
)
def test_the_choice(wish: str, known: Headroom | None, expected: tuple[EncodeMode, EncodeReason]) -> None:
    assert choose_encode(wish, known) == expected


def test_what_was_measured_is_remembered_for_its_profile_only() -> None:
    assert headroom.remembered(ASKED) is None
    found = headroom.HeadroomMeasurement().run(ASKED)

    assert 0 < found.one_encode < found.two_encodes
    assert headroom.remembered(ASKED) == found
    assert headroom.remembered(with_preset("medium")) is None
    assert headroom.remembered(msgspec.structs.replace(ASKED, most=123_456)) == found, "bit rates hardly matter"


def test_a_figure_of_another_processor_is_none_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    headroom.remember(ASKED, PLENTY)
    assert headroom.remembered(ASKED) == PLENTY
    monkeypatch.setattr(headroom, "_cpu", lambda: "a faster one")
    assert headroom.remembered(ASKED) is None


def test_a_figure_of_another_program_is_none_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    headroom.remember(ASKED, PLENTY)
    monkeypatch.setattr(headroom, "VERSION", "9.9")
    assert headroom.remembered(ASKED) is None


def test_a_file_that_cannot_be_read_is_no_figure(state: Path) -> None:
    headroom.remember(ASKED, PLENTY)
    (state_folder() / "headroom.json").write_text("{")

    assert headroom.remembered(ASKED) is None


def test_beside_a_session_it_is_measured_and_remembered() -> None:
    measuring = headroom.HeadroomMeasurement().look_up(ASKED, measures=True)

    assert wait_for(lambda: measuring.found, 120) == headroom.remembered(ASKED)


def test_a_pc_that_is_not_done_in_time_has_nothing_to_spare_and_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(headroom, "LONGEST_S", 0.01)
    found = headroom.HeadroomMeasurement().run(ASKED)

    assert not found.affords_two
    assert headroom.remembered(ASKED) == found


def test_a_start_ends_it_at_once_and_nothing_is_remembered() -> None:
    slow = HeadroomQuery(BUILT_IN_PROFILES["1080p60"], 7_000_000)
    measuring = headroom.HeadroomMeasurement().look_up(slow, measures=True)
    child = wait_for(lambda: measuring.child)
    assert child is not None
    measuring.stop()

    wait_for(lambda: child.status is not None)
    assert headroom.remembered(slow) is None


def test_a_folder_that_hangs_delays_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()
    monkeypatch.setattr(headroom, "remembered", lambda _: PLENTY if answers.wait(120) else None)
    measuring = headroom.HeadroomMeasurement().look_up(ASKED, measures=False)
    assert measuring.found is None
    answers.set()
    assert wait_for(lambda: measuring.found) == PLENTY


def test_one_that_was_ended_before_it_began_starts_nothing() -> None:
    measurement = headroom.HeadroomMeasurement()
    measurement.stop()

    with pytest.raises(LiputError, match="ended"):
        measurement.run(ASKED)
    assert measurement.child is None


def test_what_cannot_be_measured_says_so() -> None:
    with pytest.raises(LiputError, match="could not be measured"):
        headroom.HeadroomMeasurement().run(with_preset("no such preset"))
