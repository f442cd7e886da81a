"""What a second encode for live destinations takes of this PC, beside the recording.

    python -m tests.bench.second_encode [--profiles 1080p30,720p30] [--runs 3]

CPU seconds for a second of media: a synthetic camera's MJPEG decoded, a picture composed, H.264 and AAC encoded; and
the same with the live side's encode. The least of several runs in turn; the ratio is of those. The third figure is what
the copy of each picture takes on the thread that encodes the recording.
"""

import argparse
import time

import av

from capture.source import ColorMatrix, VideoFormat
from config.settings.schema import BUILT_IN_PROFILES, Profile
from recorder.encode.encoder import AudioSettings
from recorder.encode.x264 import VideoSettings, video_settings
from recorder.live_encode.headroom import Headroom
from recorder.live_encode.live_encoder import FrameSlot
from recorder.live_encode.measurement import measure_headroom

COPIES = 300


def once(profile: Profile, seconds: float = 3.0) -> Headroom:
    """Run both for a moment."""
    return measure_headroom(
        _video(profile),
        AudioSettings(profile.audio_channels, profile.audio_bitrate),
        profile.video_bitrate,
        seconds=seconds,
    )


def copying(profile: Profile) -> float:
    """Return the CPU seconds that copying takes for a second of media."""
    slot = FrameSlot(profile.width, profile.height)
    picture = av.VideoFrame(profile.width, profile.height, "yuv420p")
    began = time.thread_time()
    for number in range(COPIES):
        slot.fill(picture, number)
    return (time.thread_time() - began) / COPIES * float(profile.fps)


def _video(profile: Profile) -> VideoSettings:
    return video_settings(profile, VideoFormat(profile.width, profile.height, profile.fps, ColorMatrix.BT601))


def main() -> None:
    """Print a line for each profile."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--profiles", default="1080p30,720p30")
    parser.add_argument("--runs", type=int, default=3)
    words = parser.parse_args()
    for name in words.profiles.split(","):
        profile = BUILT_IN_PROFILES[name]
        runs = [once(profile) for _ in range(words.runs)]
        one, two = min(run.one_encode for run in runs), min(run.two_encodes for run in runs)
        print(f"{name}: one {one:.2f}, two {two:.2f} ({two / one:.2f} times), copies {copying(profile):.3f}")


if __name__ == "__main__":
    main()
