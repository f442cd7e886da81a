"""The slides of a synthetic session: a title, lines of text and a chart, as in a seminar."""

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from capture.synthetic.marks import FOOTER, Bgr, Colour, RelativeArea

SLIDE_SECONDS = 4  # display time of a slide

SPEAKER = RelativeArea(0.69, 0.06, 0.97, 0.44)
_CHART = RelativeArea(0.69, 0.5, 0.97, 0.86)
_TEXT = RelativeArea(0.05, 0.08, 0.65, 0.86)

_PAPER: Colour = (250, 248, 246)
_INK: Colour = (62, 44, 30)
_GREY: Colour = (150, 140, 132)
_FAINT: Colour = (226, 220, 214)
_FOOTER: Colour = (16, 16, 16)
_LEAST_WIDTH = 1280
_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True, slots=True)
class Slide:
    """Text, accent colour and bars of a slide; values from 0 to 1."""

    title: str
    subtitle: str
    lines: tuple[str, ...]
    accent: Colour
    chart_title: str
    values: tuple[float, ...]


def draw_slide(slide: Slide, width: int, height: int) -> Bgr:
    """Draw `slide` with room for the speaker and a dark footer; small ones are drawn larger and scaled down."""
    factor = math.ceil(_LEAST_WIDTH / width)
    picture = _draw(slide, width * factor, height * factor)
    if factor == 1:
        return picture
    result = np.empty((height, width, 3), np.uint8)
    cv2.resize(picture, (width, height), result, interpolation=cv2.INTER_AREA)
    return result


def _draw(slide: Slide, width: int, height: int) -> Bgr:
    picture = np.empty((height, width, 3), np.uint8)
    cv2.rectangle(picture, (0, 0), (width, height), _PAPER, -1)  # ten times faster than numpy
    unit = min(width / 1920, height / 1080)
    rows, columns = _TEXT.pixels(width, height)
    cv2.rectangle(picture, (0, 0), (max(1, round(16 * unit)), height), slide.accent, -1)
    _write(picture, slide.title, columns.start, rows.start + 62 * unit, 62 * unit, _INK, bold=True)
    _write(picture, slide.subtitle, columns.start, rows.start + 118 * unit, 34 * unit, _GREY)
    rule = round(rows.start + 156 * unit)
    cv2.line(picture, (columns.start, rule), (columns.stop, rule), slide.accent, max(1, round(4 * unit)), cv2.LINE_AA)
    step = (rows.stop - rule - 40 * unit) / len(slide.lines)
    for number, line in enumerate(slide.lines):
        base = rule + 40 * unit + step * (number + 0.62)
        centre = (round(columns.start + 14 * unit), round(base - 13 * unit))
        cv2.circle(picture, centre, max(1, round(9 * unit)), slide.accent, -1, cv2.LINE_AA)
        _write(picture, line, columns.start + 50 * unit, base, 40 * unit, _INK)
    chart_rows, chart_columns = _CHART.pixels(width, height)
    _write(picture, slide.chart_title, chart_columns.start, chart_rows.start + 26 * unit, 28 * unit, _GREY)
    _draw_bars(picture[round(chart_rows.start + 50 * unit) : chart_rows.stop, chart_columns], slide)
    picture[FOOTER.pixels(width, height)] = _FOOTER
    return picture


def _write(picture: Bgr, text: str, x: float, y: float, size: float, colour: Colour, *, bold: bool = False) -> None:
    """Write `text` from `x` on the base line `y`, with capitals about two thirds of `size` pixels high."""
    thickness = max(1, round(size / (12 if bold else 20)))
    cv2.putText(picture, text, (round(x), round(y)), _FONT, size / 32, colour, thickness, cv2.LINE_AA)


def _draw_bars(area: Bgr, slide: Slide) -> None:
    height, width = area.shape[:2]
    for step in range(5):
        y = round((height - 2) * step / 4)
        cv2.line(area, (0, y), (width, y), _FAINT, 1)
    pitch = width / len(slide.values)
    for number, value in enumerate(slide.values):
        left, right = round(pitch * (number + 0.2)), round(pitch * (number + 0.8))
        colour = slide.accent if value == max(slide.values) else _lighter(slide.accent)
        cv2.rectangle(area, (left, round((height - 2) * (1 - value))), (right, height - 2), colour, -1)


def _lighter(colour: Colour) -> Colour:
    blue, green, red = ((2 * level + 255) // 3 for level in colour)
    return blue, green, red


SLIDES = (
    Slide(
        "Rapat Koordinasi Kearsipan",
        "Universitas Contoh, Aula Lantai 2",
        ("Agenda dan tata tertib", "Laporan rekaman semester ini", "Perangkat ruang sidang", "Tanya jawab"),
        (150, 92, 20),
        "Sesi per bulan",
        (0.42, 0.55, 0.5, 0.71, 0.64, 0.93),
    ),
    Slide(
        "Laporan Semester Ini",
        "Januari sampai Juni",
        (
            "128 sesi terekam, tidak ada yang hilang",
            "Rata-rata 74 menit per sesi",
            "Arsip diperiksa setiap malam",
            "3 ruang, 7 kamera",
        ),
        (96, 128, 16),
        "Jam rekaman",
        (0.2, 0.34, 0.31, 0.52, 0.6, 0.58, 0.81, 0.9),
    ),
    Slide(
        "Perangkat Ruang Sidang",
        "Apa yang terpasang, apa yang kurang",
        (
            "Kamera podium dan kamera hadirin",
            "Dua mikrofon jepit, satu genggam",
            "Kartu tangkap untuk laptop pembicara",
            "Kabel cadangan di lemari",
        ),
        (40, 100, 200),
        "Sumber gambar",
        (0.5, 0.3, 0.2),
    ),
    Slide(
        "Jaringan dan Siaran",
        "Rekaman tidak menunggu jaringan",
        (
            "Unggah 12 Mbit/s, cukup untuk 1080p",
            "Siaran tersambung lagi sendiri",
            "Kunci siaran tidak pernah ditampilkan",
            "Uji coba 30 menit sebelum acara",
        ),
        (120, 60, 110),
        "Laju unggah",
        (0.7, 0.74, 0.69, 0.22, 0.68, 0.73, 0.75, 0.72),
    ),
    Slide(
        "Langkah Berikutnya",
        "Siapa mengerjakan apa, kapan selesai",
        (
            "Daftar periksa sebelum acara",
            "Pelatihan operator, dua kali sebulan",
            "Salinan arsip di gedung kedua",
            "Evaluasi pada akhir semester",
        ),
        (60, 60, 190),
        "Kemajuan",
        (0.95, 0.8, 0.55, 0.3),
    ),
)
