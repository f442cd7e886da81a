"""Child process that measures headroom: `python -m recorder.live_encode.measure_child`, a HeadroomQuery on stdin."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import LiputError
from devices.host.child import end_with_parent
from devices.host.priority import NICEST, ensure_niceness
from recorder.live_encode.headroom import Headroom, HeadroomQuery

if TYPE_CHECKING:
    import av

    from capture.source import VideoFormat

MOST_CPU_S = 120


def main() -> None:
    """Answer the question on standard input."""
    end_with_parent()
    ensure_niceness(NICEST)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))  # SIGXCPU at the first limit
    text = sys.stdin.buffer.read()
    asked = msgspec.json.decode(text, type=HeadroomQuery, dec_hook=lambda _kind, rate: Fraction(rate))
    sys.stdout.buffer.write(msgspec.json.encode(_answer(asked)))


def _answer(asked: HeadroomQuery) -> Headroom:
    # Imported after lowering the priority: loading media libraries is work, too.
    from config.settings.schema import load_settings
    from devices.host.clock import SystemClock
    from recorder.live_encode.source_frames import source_frames

    if asked.videos is not None:
        settings = load_settings(Path(asked.settings) if asked.settings else None)
        with suppress(LiputError), source_frames(asked.videos, asked.profile, settings, SystemClock()) as given:
            return _measured(asked, *given)
    return _measured(asked)


def _measured(
    asked: HeadroomQuery,
    form: "VideoFormat | None" = None,
    count: int = 0,
    pictures: "Iterator[av.VideoFrame] | None" = None,
) -> Headroom:
    """Measure with the frames of `count` sources; a single one keeps its `form`."""
    from capture.source import ColorMatrix, VideoFormat
    from recorder.encode.encoder import AudioSettings
    from recorder.encode.x264 import video_settings
    from recorder.live_encode.measurement import measure_headroom

    profile = asked.profile
    if form is None or count > 1:
        form = VideoFormat(profile.width, profile.height, profile.fps, form.matrix if form else ColorMatrix.BT601)
    sound = AudioSettings(profile.audio_channels, profile.audio_bitrate)
    found = measure_headroom(video_settings(profile, form), sound, asked.most, pictures)
    return msgspec.structs.replace(found, real_sources=count)


if __name__ == "__main__":
    main()
