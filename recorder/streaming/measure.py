"""The headroom of this PC, measured in a process of its own: `python -m recorder.streaming.measure`.

It reads a Question from standard input, to its end, and prints a Headroom. It takes only what nobody else wants of the
processor, and ends with whoever asked.
"""

import os
import resource
import sys
from contextlib import suppress
from fractions import Fraction

import msgspec

from config.schema import Profile
from recorder.tied import end_with_parent

MOST_CPU_S = 120


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What a session would encode: pixels, pictures a second (a fraction as text), bits a second, x264's preset."""

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
    )


def main() -> None:
    """Answer the question on standard input."""
    end_with_parent()
    with suppress(OSError):
        os.nice(19)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_CPU_S, MOST_CPU_S + 1))  # the first ends it by SIGXCPU
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)

    # Only now: what loads the media libraries is to be as modest as what uses them.
    from capture.source import Matrix
    from recorder.encoder import AudioSettings, VideoSettings
    from recorder.streaming.headroom import measure_headroom

    recorded = VideoSettings(
        width=asked.width,
        height=asked.height,
        rate=Fraction(asked.rate),
        matrix=Matrix.BT601,
        bit_rate=asked.video_bitrate,
        max_rate=asked.max_bitrate,
        preset=asked.preset,
        keyframe_s=asked.keyframe_s,
    )
    found = measure_headroom(recorded, AudioSettings(asked.audio_channels, asked.audio_bitrate), asked.most)
    sys.stdout.buffer.write(msgspec.json.encode(found))


if __name__ == "__main__":
    main()
