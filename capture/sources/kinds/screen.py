"""`screen`: what an X11 screen shows, or a part of it (capture/sources/screen_area.py has the words)."""

import os

from capture.source import VideoSource
from capture.sources.kind import ChosenSource, SourceContext, SourceKind, refuse_fast
from capture.sources.locator import AlwaysThere
from capture.sources.screen_area import ScreenArea, as_screen
from capture.sources.worker import Supervision
from config.errors import DeviceError, DeviceNotFound, UsageError
from devices.model.device import Device, DeviceKind


def area_of(word: str) -> ScreenArea:
    """Return the part of a screen that `word` means; raises as `as_screen`."""
    area = as_screen(word, os.environ)
    if area is None:
        raise UsageError(f'"{word}" means no screen')
    return area


def picture(word: str, context: SourceContext) -> ChosenSource[VideoSource]:
    """Return a screen; one that may be missing has no display."""
    try:
        area = area_of(word)
    except DeviceNotFound as error:
        if not context.allow_missing:
            raise
        return _chosen(ScreenArea(""), word, context, error)
    return _chosen(area, area.id, context)


def _chosen(
    area: ScreenArea, word: str, context: SourceContext, missing: DeviceError | None = None
) -> ChosenSource[VideoSource]:
    """Return a screen, judged with the patience of a capture card: slides may stand still on it."""
    from capture.sources.x11grab import ScreenSource

    asked = context.requirements
    stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
    refuse_fast(stand_in, live=context.live)
    screen = ScreenSource(area, width=asked.width, height=asked.height, rate=asked.rate, clock=context.clock)
    health = context.watcher.video(screen, stand_in)
    supervision = Supervision(AlwaysThere(stand_in), health, context.allow_missing, missing)
    # It is no device of this session: any number may record it at once.
    return ChosenSource(area.name, screen, word, supervision=supervision)


KIND = SourceKind(picture, name=lambda word: area_of(word).name)
