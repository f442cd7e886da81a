"""The report as a page that stands alone: one template, of which everything else is a picture or a text in it."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup

from recorder.archive.names import one_line
from recorder.archive.wishes import ReportWishes
from recorder.report.material import Material
from recorder.report.plot import level_plot
from recorder.report.view import ReportView

if TYPE_CHECKING:
    from jinja2 import Template

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
