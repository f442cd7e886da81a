"""Slates and cards: readable at every size, in the right colours, never mistaken for a missing signal."""

import cv2
import numpy as np
import pytest

from capture.compose.cards import draw_card, draw_slate
from capture.detectors.picture_measures import BLACK_MEAN
from capture.detectors.picture_measures import signal_slate as slate_of_a_stick
from capture.media.pictures import plane_views
from capture.source import ColorMatrix
from capture.sources.worker import OutageKind
from config.locale.lookup import LANGUAGES, ProgramCard, picture_text
from tests.support.bars import tagged_rgb

SIZES = [(320, 240), (320, 180), (480, 270), (1280, 720), (1080, 1920), (3840, 2160), (64, 64)]
MATRICES = [ColorMatrix.BT601, ColorMatrix.BT709]
LOST = picture_text(OutageKind.LOST, "id")


@pytest.mark.parametrize("size", SIZES)
def test_a_slate_is_dark_with_light_letters(size: tuple[int, int]) -> None:
    picture = draw_slate(*size, name="Kamera podium", reason=LOST, matrix=ColorMatrix.BT709)
    assert (picture.width, picture.height, picture.format.name) == (*size, "yuv420p")
    assert (picture.color_range, picture.colorspace, picture.pict_type, picture.pts) == (1, 1, 0, None)
    y, u, v = plane_views(picture)
    assert BLACK_MEAN < y.mean() < 90
    assert 16 <= y.min() <= y.max() <= 235
    assert 0.01 < np.mean(y > 140) < 0.35  # letters, and room around them
    for plane in (u, v):
        assert 60 <= plane.min() <= plane.max() <= 196
    frame = np.concatenate([plane[edge].ravel() for plane in (y, u, v) for edge in (0, -1, np.s_[:, 0], np.s_[:, -1])])
    assert len(np.unique(frame)) == 3, "nothing reaches the edge"


@pytest.mark.parametrize("matrix", MATRICES)
def test_colours_are_the_same_in_both_matrices(matrix: ColorMatrix) -> None:
    picture = draw_slate(640, 360, name="I", reason=LOST, matrix=matrix)
    rgb = tagged_rgb(picture).astype(int)
    assert np.abs(rgb[4, 320] - (30, 34, 42)).max() <= 3
    y, u, _ = plane_views(picture)
    row, column = np.argwhere(u < 90)[len(np.argwhere(u < 90)) // 2]
    assert np.abs(rgb[2 * row, 2 * column] - (240, 170, 40)).max() <= 4, "amber"
    assert y.max() == pytest.approx(16 + 219 * 240 / 255, abs=1), "white letters"


def test_letters_have_no_colour_of_their_own() -> None:
    picture = draw_slate(1280, 720, name="III", reason=LOST, matrix=ColorMatrix.BT709)
    y, u, v = plane_views(picture)
    inside = cv2.erode(y, np.ones((5, 5)))[::2, ::2] > 200
    assert np.count_nonzero(inside) > 50
    assert {*u[inside].tolist(), *v[inside].tolist()} <= {127, 128, 129}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", OutageKind)
def test_no_slate_looks_like_what_a_stick_sends_without_a_signal(size: tuple[int, int], kind: OutageKind) -> None:
    picture = draw_slate(*size, name="", reason=picture_text(kind, "en"), matrix=ColorMatrix.BT601)
    y, u, v = (
        cv2.resize(plane, (320, 180), interpolation=cv2.INTER_NEAREST).astype(np.uint8)
        for plane in plane_views(picture)
    )
    assert slate_of_a_stick(y, u, v) is None


def test_each_reason_is_told_apart_in_a_small_inset() -> None:
    small = [
        cv2.resize(
            plane_views(
                draw_slate(1920, 1080, name="Slide", reason=picture_text(kind, "id"), matrix=ColorMatrix.BT709)
            )[0],
            (384, 216),
            interpolation=cv2.INTER_AREA,
        ).astype(int)
        for kind in OutageKind
    ]
    for number, picture in enumerate(small):
        assert np.mean(picture > 120) > 0.01, "letters are still light"
        for other in small[number + 1 :]:
            assert np.mean(np.abs(picture - other) > 60) > 0.001


def test_names_that_are_too_long_are_cut_off() -> None:
    picture = draw_slate(
        320, 240, name="Kamera " * 60, reason=picture_text(OutageKind.BUS_FULL, "id"), matrix=ColorMatrix.BT601
    )
    luma = plane_views(picture)[0]
    assert luma[:10].max() == luma[-10:].max() == luma[:, -8:].max() == luma.min()


def test_every_sentence_is_there_in_each_language_and_short() -> None:
    for language in LANGUAGES:
        sentences = [picture_text(word, language) for word in (*OutageKind, *ProgramCard)]
        assert len(set(sentences)) == len(sentences)
        assert all(3 < len(sentence) <= 42 for sentence in sentences)
    assert LOST == "Terputus - menunggu dipasang kembali"
    assert picture_text(OutageKind.LOST, "xx") == picture_text(OutageKind.LOST, "en")


def test_a_card_has_both_its_lines() -> None:
    title = picture_text(ProgramCard.WAITING, "id")
    full = draw_card(1280, 720, title=title, line="Seminar Kearsipan Nasional", matrix=ColorMatrix.BT709)
    bare = draw_card(1280, 720, title=title, line="", matrix=ColorMatrix.BT709)
    assert (full.width, full.height, full.colorspace) == (1280, 720, 1)
    lights = [np.flatnonzero((plane_views(picture)[0] > 140).any(axis=1)) for picture in (full, bare)]
    assert np.ptp(lights[0]) > 1.5 * np.ptp(lights[1])
