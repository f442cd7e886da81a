"""Colour bars have their colours, in their order."""

import threading
from fractions import Fraction

from capture.detectors.detector_factory import DetectorFactory
from capture.media.pictures import plane_views
from capture.pacing import FastPace
from capture.sources.source_kind import SourceContext, source_kind
from config.settings.schema import Profile, Settings
from devices.host.clock import SystemClock


def test_grey_is_at_the_left_and_red_at_the_right() -> None:
    kind, clock = source_kind("bars"), SystemClock()
    assert kind
    assert kind.picture
    profile = Profile(width=320, height=240, fps=Fraction(15), video_bitrate=300_000)
    watcher = DetectorFactory(Settings(), clock)
    context = SourceContext(profile, FastPace(("video",)), clock, threading.Event(), live=True, watcher=watcher)
    source = kind.picture("bars", context).source
    source.open()
    frame = source.read(1.0)
    assert frame
    y, u, v = plane_views(source.decode(frame))
    assert (y[0, 0], u[0, 0], v[0, 0]) == (180, 128, 128)
    assert (y[-1, -1], u[-1, -1], v[-1, -1]) == (65, 100, 212)
