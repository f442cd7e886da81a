"""From the settings, and the inputs of a session, to what is made of its recording when it is sealed."""

from collections.abc import Mapping, Sequence

from capture.compose.layout import Layout, Rect, letterboxed
from config.errors import UsageError
from config.settings.layouts import LayoutSettings
from config.settings.schema import Settings
from recorder.package.wishes import Area, ReportWishes, SlidesView, SlideWishes, Wishes
from recorder.recording.iso import file_names

_ACROSS, _DOWN = 1920, 1080
"""A picture in which places are worked out; slides are taken to be of its shape."""


def wishes_of(settings: Settings, pictures: Sequence[str], layout: str, *, isolate: bool) -> Wishes | None:
    """Return what the settings want made of a session with these inputs of pictures, which begins with `layout`."""
    slides = _slides(settings, pictures, layout, isolate=isolate)
    report = report_wishes(settings)
    return Wishes(language=settings.general.language, slides=slides, report=report) if slides or report else None


def report_wishes(settings: Settings) -> ReportWishes | None:
    """Return how a report is to look; None where none is wanted."""
    report = settings.report
    if not report.made:
        return None
    return ReportWishes(pdf=report.pdf, address=report.address, logo=str(report.logo or ""), signers=report.signers[:3])


def _slides(settings: Settings, pictures: Sequence[str], layout: str, *, isolate: bool) -> SlideWishes | None:
    wanted = settings.slides
    names = {name.lower() for name in wanted.inputs}
    inputs = [name for name in pictures if name.lower() in names]
    if not wanted.chapters or not inputs:
        return None
    files = file_names(pictures) if isolate else {}
    return SlideWishes(
        inputs=tuple(inputs),
        isolated=tuple(files[name] for name in inputs if name in files),
        layout=layout,
        views=_views(settings.layouts, pictures, inputs[0]),
        least_s=wanted.least_s,
        languages=wanted.languages if wanted.text else (),
        text_s=wanted.text_s,
    )


def _views(layouts: Mapping[str, LayoutSettings], pictures: Sequence[str], slides: str) -> dict[str, SlidesView]:
    found = {}
    for name, settings in layouts.items():
        try:
            places = Layout(name, settings).places(_ACROSS, _DOWN, pictures)
        except UsageError:  # names inputs that this session does not have
            continue
        if slides not in places:
            continue
        rects = list(places.values())
        shown = letterboxed(_ACROSS, _DOWN, places[slides])
        above = (rect.common(shown) for rect in rects[list(places).index(slides) + 1 :])
        found[name] = SlidesView(area=_area(shown), covered=tuple(_area(rect) for rect in above if rect))
    return found


def _area(rect: Rect) -> Area:
    return Area(x=rect.x / _ACROSS, y=rect.y / _DOWN, width=rect.width / _ACROSS, height=rect.height / _DOWN)
