"""The report of a session: a self-contained HTML page and its PDF. Both are tag files."""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from markupsafe import Markup

from config.errors import LiputError
from config.files import read_file
from recorder.disk.durable import PRIVATE, Disk
from recorder.features.report.material import SILENCE_DBFS, Levels, Material, gather
from recorder.features.report.numbers import length
from recorder.features.report.printing import print_pdf
from recorder.features.report.view import ReportView
from recorder.model.names import one_line
from recorder.package.wishes import Derived, ReportWishes
from recorder.package.work import DERIVED_FILE

if TYPE_CHECKING:
    from jinja2 import Template

WIDTH, HEIGHT = 720, 80
_LEFT, _BOTTOM, _TOP = 26, 14, 4
_FLOOR = -60.0
_LINES = (0, -20, -40, -60)
_STEPS_S = (10, 30, 60, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200)
_MOST_TIMES = 9


def level_plot(levels: Levels) -> Markup:
    """Return an `<svg>`: a line for the mean, a shade up to the peak, and times below."""
    total_s = max(levels.step_s * len(levels.rms_dbfs), 0.001)
    base = f"{WIDTH},{_y(SILENCE_DBFS):.1f} {_LEFT},{_y(SILENCE_DBFS):.1f}"
    mean, peak = " ".join(_points(levels.rms_dbfs)), " ".join(_points(levels.peak_dbfs))
    parts = [
        *_grid(total_s),
        f'<polygon points="{peak} {base}" fill="#c9dbe8"/>',
        f'<polyline points="{mean}" fill="none" stroke="#1f5b83" stroke-width="0.9"/>',
    ]
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
    places = [0.0, *((number + 0.5) / len(values) for number in range(len(values))), 1.0]
    shown = [values[0], *values, values[-1]]
    return [f"{_x(place):.1f},{_y(value):.1f}" for place, value in zip(places, shown, strict=True)]


_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TEMPLATE = Path(__file__).with_name("report.html.j2")


def report_page(material: Material, wishes: ReportWishes, language: str) -> bytes:
    """Return the report as HTML in UTF-8; it loads nothing."""
    view = ReportView(material, wishes, language)
    plot = level_plot(material.levels) if material.levels and material.levels.rms_dbfs else None
    return _template().render(v=view, t=view.t, plot=plot).encode("utf-8", "replace")


def _shown(value: object) -> object:
    """Return typed text without control characters, also those that change its direction."""
    return value if isinstance(value, Markup) or not isinstance(value, str) else _TURNING.sub("", one_line(value))


@cache
def _template() -> "Template":
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, finalize=_shown, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8"))


HTML_FILE = "report.html"
PDF_FILE = "report.pdf"


def write_report(folder: Path, name: str, wishes: ReportWishes, language: str, disk: Disk) -> str:
    """Write the report of the package `name` into `folder`, over an earlier one.

    The payload manifest must exist; the tag manifest is made later. Returns the reason for a missing PDF, "" if there
    is one or none is wanted. Raises OSError, and as `gather`.
    """
    material = gather(folder, name)
    page = report_page(material, wishes, language)
    mode = PRIVATE if material.request or material.recording.request else 0o666  # the report names the applicant
    disk.write(folder / HTML_FILE, page, mode=mode)
    reason = ""
    try:
        if wishes.pdf:
            disk.write(folder / PDF_FILE, print_pdf(page), mode=mode)
            return ""
    except LiputError as error:
        reason = error.message
    if (folder / PDF_FILE).exists():
        disk.unlink(folder / PDF_FILE)
    return reason


def report_of_changed(folder: Path, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the report's files for a package with `changed` files, by name; writes nothing.

    It looks as it did at sealing; a package without a report gets none. Raises LiputError if an existing PDF cannot be
    made again: two different reports are worse than none.
    """
    if not (folder / HTML_FILE).exists():
        return {}
    try:
        derived = msgspec.json.decode(read_file(folder / DERIVED_FILE), type=Derived)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        derived = Derived()
    wishes = derived.report or ReportWishes()
    page = report_page(gather(folder, folder.name, changed), wishes, derived.language)
    files = {HTML_FILE: page}
    if (folder / PDF_FILE).exists():
        files[PDF_FILE] = print_pdf(page)
    return files
