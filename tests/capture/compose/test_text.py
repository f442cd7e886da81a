"""Text masks: Latin spellings, lines that fit, no crash."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.compose.text import draw_text, fit_text, letters, text_width

NAMES = "Đỗ Thị Hà, Łukasz, Søren Åse, François, Müller, Žižek, Gülşen Șerban, Ñandú, Ðuro, Ħal, Őry, Bùi, Trần Ơn"


def rows_of(text: str, size: int = 100) -> tuple[int, int]:
    """Return the first and last row with ink."""
    inked = np.flatnonzero(draw_text(fit_text(text, 10_000, size, lines=1, least=size)).max(axis=1))
    return int(inked[0]), int(inked[-1])


def test_letters_keep_their_marks() -> None:
    assert letters("é") == letters("e\u0301") == (("e", "\u0301"),)
    assert letters("Łż") == (("L", "\u0335"), ("z", "\u0307"))
    assert "?" not in {base for base, _ in letters(NAMES)}


@pytest.mark.parametrize(("plain", "marked"), [("e", "é"), ("A", "Å"), ("z", "ž"), ("o", "ỗ"), ("n", "ñ")])
def test_a_mark_stands_above_its_letter(plain: str, marked: str) -> None:
    (top, bottom), (top_of_marked, bottom_of_marked) = rows_of(plain), rows_of(marked)
    assert top_of_marked < top - 5
    assert bottom_of_marked == bottom


def test_a_mark_stands_below_its_letter() -> None:
    assert rows_of("ç")[1] > rows_of("c")[1] + 5
    assert rows_of("ç")[0] == rows_of("c")[0]


def test_a_mark_goes_through_its_letter() -> None:
    plain, barred = (draw_text(fit_text(letter, 1000, 100, lines=1, least=100)) for letter in "Lł".upper())
    assert np.count_nonzero(barred) > np.count_nonzero(plain)
    assert rows_of("Ł") == rows_of("L")


def test_an_accent_takes_the_place_of_the_dot() -> None:
    # With the dot there would be ink in all rows from the accent down to the stem.
    inked = draw_text(fit_text("í", 1000, 200, lines=1, least=200)).max(axis=1) > 128
    assert np.count_nonzero(np.diff(inked.astype(int)) == 1) == 2


def test_other_scripts_become_question_marks() -> None:
    assert [base for base, _ in letters("A中 \u0436\u200bの\n☺")] == ["A", "?", " ", "?", "?", " ", "?"]


def test_long_text_is_broken_then_shrunk_then_cut_off() -> None:
    text = "Rapat Koordinasi Kearsipan Nasional Tahun Ini"
    assert fit_text(text, 5000, 50, lines=2, least=20).lines == (text,)
    broken = fit_text(text, text_width("Rapat Koordinasi Kearsipan", 50), 50, lines=2, least=20)
    assert (broken.lines, broken.size) == (("Rapat Koordinasi Kearsipan", "Nasional Tahun Ini"), 50)
    shrunk = fit_text(text, 300, 50, lines=2, least=20)
    assert 20 <= shrunk.size < 50
    assert " ".join(shrunk.lines) == text
    cut = fit_text(text, 100, 50, lines=2, least=20)
    assert cut.size == 20
    assert cut.lines[-1].endswith("…")


@given(text=st.text(max_size=60), width=st.integers(1, 600), size=st.integers(1, 80), lines=st.integers(1, 3))
def test_any_text_can_be_drawn_into_any_width(text: str, width: int, size: int, lines: int) -> None:
    found = fit_text(text, width, size, lines=lines, least=size // 2)
    assert len(found.lines) <= lines
    mask = draw_text(found)
    assert mask.shape[0] == max(1, found.height)
    assert all(text_width(line, found.size) <= width or line == "…" for line in found.lines)
