"""The headroom of this PC, measured in a process of its own: `python -m recorder.streaming.measure`.

It reads a Question from standard input, to its end, and prints a Headroom. It takes only what nobody else wants of the
processor, and ends with whoever asked.
"""

import os
import resource
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from config.errors import LiputError
from config.schema import Profile
from devices.tied import end_with_parent
from recorder.niceness import NICEST, be_at_least

if TYPE_CHECKING:
    from recorder.streaming.given import Given
    from recorder.streaming.headroom import Headroom

MOST_CPU_S = 120


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a session would encode: pixels, pictures a second (a fraction as text), bits a second, x264's preset.

    `videos` are the words for its sources, whose pictures are taken where they can be opened, () for the best that is
    plugged in; None is a synthetic camera. `settings` is the settings file that says what is set on cameras.
    """

    width: int
    height: int
    rate: str
    preset: str
    keyframe_s: float
    video_bitrate: int
    max_bitrate: int
    audio_bitrate: int
    audio_channels: int
    most: int
    videos: tuple[str, ...] | None = None
    settings: str | None = None
    low_latency: bool = False


def question(profile: Profile, most: int) -> Question:
    """Return what to measure for sessions of `profile` whose live side has at most `most` bits a second."""
    return Question(
        width=profile.width,
        height=profile.height,
        rate=str(profile.fps),
        preset=profile.preset,
        keyframe_s=profile.keyframe_s,
        video_bitrate=profile.video_bitrate,
        max_bitrate=profile.max_bitrate,
        audio_bitrate=profile.audio_bitrate,
        audio_channels=profile.audio_channels,
        most=most,
        low_latency=profile.low_latency,
    )


def main() -> None:
    """Answer the question on standard input."""
    end_with_parent()
    be_at_least(NICEST)
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))  # the first ends it by SIGXCPU
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)

    sys.stdout.buffer.write(msgspec.json.encode(_answer(asked)))


def _answer(asked: Question) -> "Headroom":
    # Only now: what loads the media libraries is to be as modest as what uses them.
    from capture.chosen import Wanted
    from config.settings import load_settings
    from devices.clock import SystemClock
    from recorder.streaming.given import given_pictures

    if asked.videos is not None:
        wanted = Wanted(asked.width, asked.height, Fraction(asked.rate), asked.audio_channels)
        settings = load_settings(Path(asked.settings) if asked.settings else None)
        with suppress(LiputError), given_pictures(asked.videos, wanted, settings, SystemClock()) as given:
            return _measured(asked, given)
    return _measured(asked, None)


def _measured(asked: Question, given: "Given | None") -> "Headroom":
    """Measure with the pictures that are given, which are of a session's own size where there is one source only."""
    from capture.source import Matrix
    from recorder.encoder import AudioSettings
    from recorder.streaming.measuring import measure_headroom
    from recorder.x264 import VideoSettings

    form = given.form if given and given.count == 1 else None
    rate = Fraction(asked.rate)
    recorded = VideoSettings(
        width=form.width if form else asked.width,
        height=form.height if form else asked.height,
        rate=min(rate, form.rate) if form else rate,
        matrix=given.form.matrix if given else Matrix.BT601,
        bit_rate=asked.video_bitrate,
        max_rate=asked.max_bitrate,
        preset=asked.preset,
        keyframe_s=asked.keyframe_s,
        low_latency=asked.low_latency,
    )
    sound = AudioSettings(asked.audio_channels, asked.audio_bitrate)
    found = measure_headroom(recorded, sound, asked.most, given.pictures if given else None)
    return msgspec.structs.replace(found, real_sources=given.count if given else 0)


if __name__ == "__main__":
    main()
