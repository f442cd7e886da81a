"""The settings of x264: a chosen delay, the cores of this machine, and streams that may change their encoder.

A `kill -9` costs the encoder's delay: `x264_settings` keeps it under DELAY_S at every frame rate and number of cores.
"""

import os
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from capture.source import Matrix, VideoFormat
from config.settings.schema import LEAN, Profile
from recorder.encode.thread_clocks import called

VIDEO_TIME_BASE = Fraction(1, 90_000)
STILL_RATE = Fraction(5)
"""Pictures a second that are encoded of what stands still: what waits for the next one is lost in a kill."""
DELAY_S = 0.4
"""The most that pictures may wait in the encoder, in seconds."""
MOST_LOOKAHEAD = 7
"""More pictures than this ahead do not look better, and cost delay (docs/decisions/0059)."""
LIMITED_RANGE = 1
MOST_THREADS = 4
"""More frame threads than this buy no speed at 1080p30 and cost a frame of delay each."""
LEAN_BASE = "veryfast"
LEAN_PARAMS = "me=dia:subme=1:partitions=i8x8,i4x4:deadzone-inter=16:aq-strength=0.7:qpmin=15"
"""What makes the preset LEAN of LEAN_BASE, with no B-frames: less CPU at no lower a VMAF (docs/decisions/0050)."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """What the H.264 encoder is asked for: pixels, nominal frames a second, bits a second, seconds."""

    width: int
    height: int
    rate: Fraction
    matrix: Matrix
    bit_rate: int
    max_rate: int
    preset: str = LEAN_BASE
    keyframe_s: float = 2.0
    delay_s: float = DELAY_S
    low_latency: bool = False
    """Whether none waits: each picture is a packet before the next one goes in."""
    slowest: Fraction | None = None
    """How few pictures a second may come for a while; None where they come at `rate`."""
    buffer_s: float = 1.0
    """Seconds of `max_rate` that a burst may have: the size of the encoder's buffer model (VBV)."""
    x264_params: str | None = None
    """Overrides the delay settings, for pictures of which no delay matters, and comparisons with others' defaults."""
    more_params: str = ""
    """x264 parameters behind all others (`NAME=VALUE:...`), which change none of the parameter sets."""
    thread_name: str = "x264"
    """What its threads are called: it is told which encoder takes what of the processor."""

    @property
    def picture_bytes(self) -> int:
        """Bytes of a yuv420p picture without padding."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, slots=True)
class X264Settings:
    """The settings that decide x264's delay; `delay_frames` is their sum.

    Threads take a picture each, or with `slices` a part of one. With `at_once` x264 does not wait for the next picture,
    which tells it how long one lasts: all are to last the same.
    """

    threads: int
    lookahead: int
    b_frames: int
    slices: bool = False
    at_once: bool = False

    @property
    def delay_frames(self) -> int:
        """Frames that go in before the first packet comes out (x264: encoder.c, i_delay; one more for VFR input)."""
        in_threads = 0 if self.slices else self.threads - 1
        return max(self.lookahead, self.b_frames) + in_threads + (0 if self.at_once else 1)

    @property
    def options(self) -> dict[str, str]:
        """The settings as FFmpeg's options: with `at_once` x264's own tuning, else the parameters one by one."""
        if self.at_once:
            return {"tune": "zerolatency"}
        return {"x264-params": f"rc-lookahead={self.lookahead}:sync-lookahead=0:bframes={self.b_frames}"}


def x264_settings(
    rate: Fraction,
    cores: int | None = None,
    delay_s: float = DELAY_S,
    *,
    low_latency: bool = False,
    slowest: Fraction | None = None,
) -> X264Settings:
    """Return the settings that use this machine's cores and keep the delay within `delay_s` at `rate`, or at none.

    Where pictures may come at the `slowest` rate, one may wait, and no thread keeps any: delay is counted in pictures.
    """
    cores = cores or os.cpu_count() or 2
    if low_latency or slowest is not None:
        return X264Settings(min(MOST_THREADS, cores), 0, 0, slices=True, at_once=low_latency)
    threads = min(MOST_THREADS, cores * 3 // 2)
    budget = int(delay_s * rate) - 1
    threads = max(1, min(threads, budget // 2))
    lookahead = max(0, min(MOST_LOOKAHEAD, budget - (threads - 1)))
    return X264Settings(threads, lookahead, min(3, lookahead))


def open_video(master: OutputContainer, settings: VideoSettings) -> tuple[VideoStream, av.VideoCodecContext]:
    """Open x264; return a stream of `master` that says what it makes, and what encodes.

    The stream is a copy without an encoder of its own: it stays to the end, whichever encoders follow the first.
    """
    with av.open(os.devnull, "w", format="null") as opened, called(settings.thread_name):
        stream = opened.add_stream("libx264", rate=settings.rate, options=options(settings))
        configure(stream.codec_context, settings)
        opened.start_encoding()
        return master.add_stream_from_template(stream, opaque=True), stream.codec_context


def small(settings: VideoSettings) -> VideoSettings:
    """Return settings for an x264 that only stands for another encoder: it takes next to no memory."""
    plain = "rc-lookahead=0:sync-lookahead=0:bframes=0:threads=1"
    return replace(settings, preset="ultrafast", low_latency=False, x264_params=plain)


def options(settings: VideoSettings, *more: str) -> dict[str, str]:
    """Return what x264 is asked for beyond what FFmpeg's contexts have fields for; `more` are parameters of its own."""
    asked = {
        "preset": LEAN_BASE if settings.preset == LEAN else settings.preset,
        "profile": "high",
        "maxrate": str(settings.max_rate),
        "bufsize": str(round(settings.max_rate * settings.buffer_s)),
        "forced-idr": "1",
    }
    lean = ""
    if settings.x264_params is None:
        asked |= _tuned(settings).options
        lean = LEAN_PARAMS if settings.preset == LEAN else ""
    else:
        asked["x264-params"] = settings.x264_params
    params = asked.pop("x264-params", "")
    if joined := ":".join(part for part in (lean, params, settings.more_params, *more) if part):
        asked["x264-params"] = joined
    return asked


def video_settings(profile: Profile, video: VideoFormat) -> VideoSettings:
    """Return what the encoder is asked for: the profile's rates, the size and meaning of what the source gives."""
    return VideoSettings(
        width=video.width,
        height=video.height,
        rate=min(profile.fps, video.rate),
        matrix=video.matrix,
        bit_rate=profile.video_bitrate,
        max_rate=profile.max_bitrate,
        preset=profile.preset,
        keyframe_s=profile.keyframe_s,
        low_latency=profile.low_latency,
    )


def configure(context: av.VideoCodecContext, settings: VideoSettings) -> None:
    """Ask for `settings`, before it is opened."""
    context.width, context.height, context.pix_fmt = settings.width, settings.height, "yuv420p"
    context.time_base = VIDEO_TIME_BASE
    context.framerate = settings.rate
    context.bit_rate = settings.bit_rate
    context.gop_size = max(1, round(settings.rate * Fraction(settings.keyframe_s)))
    context.color_range, context.colorspace = LIMITED_RANGE, settings.matrix
    context.flags |= Flags.global_header
    tuned = _tuned(settings)
    # SLICE, PyAV's default, makes x264 cut each picture into slices: 5 % more bits.
    context.thread_type = "SLICE" if tuned.slices else "FRAME"
    context.thread_count = tuned.threads


def _tuned(settings: VideoSettings) -> X264Settings:
    tuned = x264_settings(
        settings.rate, delay_s=settings.delay_s, low_latency=settings.low_latency, slowest=settings.slowest
    )
    return replace(tuned, b_frames=0) if settings.preset == LEAN else tuned


def interval(settings: VideoSettings) -> int:
    """Return how long a picture nominally lasts, in VIDEO_TIME_BASE."""
    return round(1 / settings.rate / VIDEO_TIME_BASE)


def level(parameter_sets: bytes) -> int:
    """Return the level that a sequence parameter set states (`level_idc`), ten times what people call it."""
    # Behind a start code and the head of the unit: profile, constraints, level. ISO/IEC 14496-10, 7.3.2.1.1.
    return parameter_sets[parameter_sets.index(b"\x00\x00\x01\x67") + 6]
