"""The report as a page that stands alone: one template, of which everything else is a picture or a text in it."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from recorder.archive.names import one_line
from recorder.archive.wishes import ReportWishes
from recorder.report.levels import SILENCE_DBFS, Levels
from recorder.report.material import Material
from recorder.report.numbers import length
from recorder.report.view import ReportView

if TYPE_CHECKING:
    from jinja2 import Template

WIDTH, HEIGHT = 720, 80
_LEFT, _BOTTOM, _TOP = 26, 14, 4
_FLOOR = -60.0
_LINES = (0, -20, -40, -60)
_STEPS_S = (10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)
_MOST_TIMES = 9


def level_plot(levels: Levels) -> Markup:
    """Return an `<svg>` with a line for the mean, a shade up to the peak, and times below; a picture for people."""
    total_s = max(levels.step_s * len(levels.rms_dbfs), 0.001)
    parts = [*_grid(total_s), _shade(levels), _line(levels)]
    return Markup(  # noqa: S704 - numbers only, and the clock's digits
        f'<svg xmlns="http://www.w3.org/2000/svg" class="level" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"{''.join(parts)}</svg>"
    )


def _x(place: float) -> float:
    return _LEFT + place * (WIDTH - _LEFT)


def _y(level: float) -> float:
    part = (max(_FLOOR, min(0.0, level)) - _FLOOR) / -_FLOOR
    return HEIGHT - _BOTTOM - part * (HEIGHT - _BOTTOM - _TOP)


def _grid(total_s: float) -> list[str]:
    style = 'stroke="#bbb" stroke-width="0.5"'
    letters = 'font-size="8" fill="#444" font-family="Liberation Sans, Arial, DejaVu Sans, sans-serif"'
    found = []
    for level in _LINES:
        y = _y(level)
        found.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{WIDTH}" y2="{y:.1f}" {style}/>')
        found.append(f'<text x="{_LEFT - 4}" y="{y + 3:.1f}" text-anchor="end" {letters}>{level}</text>')
    step_s = next((step for step in _STEPS_S if total_s / step <= _MOST_TIMES), _STEPS_S[-1])
    for number in range(int(total_s // step_s) + 1):
        x = _x(number * step_s / total_s)
        anchor = "start" if number == 0 else "end" if x > WIDTH - 20 else "middle"
        found.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{HEIGHT - _BOTTOM}" {style}/>')
        found.append(
            f'<text x="{x:.1f}" y="{HEIGHT - 3}" text-anchor="{anchor}" {letters}>{length(number * step_s)}</text>'
        )
    return found


def _points(values: tuple[float, ...]) -> list[str]:
    """Return each value in the middle of its step, the first and the last also at the ends."""
    places = [0.0, *((number + 0.5) / len(values) for number in range(len(values))), 1.0]
    shown = [values[0], *values, values[-1]]
    return [f"{_x(place):.1f},{_y(value):.1f}" for place, value in zip(places, shown, strict=True)]


def _shade(levels: Levels) -> str:
    base = f"{WIDTH},{_y(SILENCE_DBFS):.1f} {_LEFT},{_y(SILENCE_DBFS):.1f}"
    return f'<polygon points="{" ".join(_points(levels.peak_dbfs))} {base}" fill="#c9dbe8"/>'


def _line(levels: Levels) -> str:
    return f'<polyline points="{" ".join(_points(levels.rms_dbfs))}" fill="none" stroke="#1f5b83" stroke-width="0.9"/>'


_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def report_page(material: Material, wishes: ReportWishes, language: str) -> bytes:
    """Return the report of `material` as HTML, in UTF-8; it loads nothing from anywhere."""
    view = ReportView(material, wishes, language)
    plot = level_plot(material.levels) if material.levels and material.levels.rms_dbfs else None
    return _template().render(v=view, t=view.t, plot=plot).encode("utf-8", "replace")


def _shown(value: object) -> object:
    """Return what people have typed without what nobody sees: control characters, and what turns letters round."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else _TURNING.sub("", one_line(value))


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))
