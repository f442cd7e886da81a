"""`screen`: what an X11 screen shows, or a part of it (capture/screen_area.py has the words)."""

import os

from capture.chosen import ChosenSource, refuse_fast
from capture.kept import KeptVideo
from capture.screen_area import ScreenArea, as_screen
from capture.source import VideoSource
from capture.source_kind import SourceKind, Terms
from capture.whereabouts import AlwaysThere
from config.errors import DeviceError, DeviceNotFound, UsageError
from devices.model import Device, DeviceKind


def area_of(word: str) -> ScreenArea:
    """Return the part of a screen that `word` means; raises as `as_screen`."""
    area = as_screen(word, os.environ)
    if area is None:
        raise UsageError(f'"{word}" means no screen')
    return area


def picture(word: str, terms: Terms) -> ChosenSource[VideoSource]:
    """Return a screen; one that may be missing has no display."""
    try:
        area = area_of(word)
    except DeviceNotFound as error:
        if not terms.allow_missing:
            raise
        return _kept(ScreenArea(""), word, terms, error)
    return _kept(area, area.id, terms)


def _kept(area: ScreenArea, word: str, terms: Terms, missing: DeviceError | None = None) -> ChosenSource[VideoSource]:
    """Return a screen, watched with the patience of a capture card: slides may stand still on it."""
    from capture.screen import ScreenSource

    wanted = terms.wanted
    stand_in = Device(id=area.id, kind=DeviceKind.CAPTURE_CARD, name=area.name)
    refuse_fast(stand_in, live=terms.live)
    screen = ScreenSource(area, width=wanted.width, height=wanted.height, rate=wanted.rate, clock=terms.clock)
    # It is no device of this session: any number may record it at once.
    watched = terms.watcher.video(screen, stand_in)
    where, may_miss = AlwaysThere(stand_in), terms.allow_missing
    kept = KeptVideo(watched, where, terms.clock, missing=missing, may_miss=may_miss)
    return ChosenSource(area.name, kept, word)


KIND = SourceKind(picture, name=lambda word: area_of(word).name)
