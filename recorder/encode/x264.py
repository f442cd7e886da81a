"""Settings of x264. A `kill -9` loses the frames in it, so its delay stays under DELAY_S at any rate."""

import os
from dataclasses import dataclass, replace
from fractions import Fraction

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from capture.source import ColorMatrix, VideoFormat
from config.settings.schema import LEAN_PRESET, Profile
from recorder.encode.thread_clocks import new_threads_named

VIDEO_TIME_BASE = Fraction(1, 90_000)
STILL_RATE = Fraction(5)  # encoded frames a second of a static picture; a kill loses the time since the last one
DELAY_S = 0.4  # seconds of frames that may wait in the encoder
MAX_LOOKAHEAD = 7  # more frames do not look better, and add delay (docs/decisions/0059)
LIMITED_RANGE = 1
MAX_THREADS = 4  # more frame threads add no speed at 1080p30, and a frame of delay each
LEAN_BASE = "veryfast"
LEAN_PARAMS = "me=dia:subme=1:partitions=i8x8,i4x4:deadzone-inter=16:aq-strength=0.7:qpmin=15"
"""The preset LEAN is LEAN_BASE with these and no B-frames: less CPU at the same VMAF (docs/decisions/0050)."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """Settings of the H.264 encoder: pixels, nominal frames a second, bits a second, seconds."""

    width: int
    height: int
    rate: Fraction
    matrix: ColorMatrix
    bit_rate: int
    max_rate: int
    preset: str = LEAN_BASE
    keyframe_s: float = 2.0
    delay_s: float = DELAY_S
    low_latency: bool = False  # whether each frame is a packet before the next one goes in
    slowest: Fraction | None = None  # the lowest frame rate for a while; None for a constant `rate`
    buffer_s: float = 1.0  # size of the buffer model (VBV), in seconds of `max_rate`
    x264_params: str | None = None  # overrides the delay settings, for trials and comparisons
    more_params: str = ""  # further x264 parameters (`NAME=VALUE:...`); none of them changes the parameter sets
    thread_name: str = "x264"  # name of its threads; the profiler counts CPU by it

    @property
    def picture_bytes(self) -> int:
        """Bytes of a yuv420p frame without padding."""
        return self.width * self.height * 3 // 2


@dataclass(frozen=True, slots=True)
class X264Settings:
    """The settings that decide x264's delay, `delay_frames`.

    Threads encode a frame each, or with `slices` a part of one. With `at_once` x264 does not wait for the next frame to
    learn a duration; all frames then last the same.
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
        """FFmpeg's options: the tuning `zerolatency` with `at_once`, else single parameters."""
        if self.at_once:
            return {"tune": "zerolatency"}
        return {"x264-params": f"rc-lookahead={self.lookahead}:sync-lookahead=0:bframes={self.b_frames}"}


def x264_settings(settings: VideoSettings, cores: int | None = None) -> X264Settings:
    """Return settings that use the cores and keep the delay within `delay_s`.

    With `low_latency` no frame waits. With a `slowest` rate one frame may wait, and no thread holds any: delay counts
    in frames.
    """
    cores = cores or os.cpu_count() or 2
    if settings.low_latency or settings.slowest is not None:
        return X264Settings(min(MAX_THREADS, cores), 0, 0, slices=True, at_once=settings.low_latency)
    budget = int(settings.delay_s * settings.rate) - 1
    threads = max(1, min(MAX_THREADS, cores * 3 // 2, budget // 2))
    lookahead = max(0, min(MAX_LOOKAHEAD, budget - (threads - 1)))
    return X264Settings(threads, lookahead, 0 if settings.preset == LEAN_PRESET else min(3, lookahead))


def open_video(master: OutputContainer, settings: VideoSettings) -> tuple[VideoStream, av.VideoCodecContext]:
    """Open x264; return its stream in `master`, which stays across changes of encoders, and the encoder."""
    with av.open(os.devnull, "w", format="null") as opened, new_threads_named(settings.thread_name):
        stream = opened.add_stream("libx264", rate=settings.rate, options=x264_options(settings))
        configure_context(stream.codec_context, settings)
        opened.start_encoding()
        return master.add_stream_from_template(stream, opaque=True), stream.codec_context


def placeholder_settings(settings: VideoSettings) -> VideoSettings:
    """Return settings for an idle x264 that stands in for an external encoder; it needs little memory."""
    plain = "rc-lookahead=0:sync-lookahead=0:bframes=0:threads=1"
    return replace(settings, preset="ultrafast", low_latency=False, x264_params=plain)


def x264_options(settings: VideoSettings, *more: str) -> dict[str, str]:
    """Return x264's options that FFmpeg's context has no fields for; `more` are x264 parameters."""
    asked = {
        "preset": LEAN_BASE if settings.preset == LEAN_PRESET else settings.preset,
        "profile": "high",
        "maxrate": str(settings.max_rate),
        "bufsize": str(round(settings.max_rate * settings.buffer_s)),
        "forced-idr": "1",
    }
    lean = ""
    if settings.x264_params is None:
        asked |= x264_settings(settings).options
        lean = LEAN_PARAMS if settings.preset == LEAN_PRESET else ""
    else:
        asked["x264-params"] = settings.x264_params
    params = asked.pop("x264-params", "")
    if joined := ":".join(part for part in (lean, params, settings.more_params, *more) if part):
        asked["x264-params"] = joined
    return asked


def video_settings(profile: Profile, video: VideoFormat) -> VideoSettings:
    """Return the settings for a profile's rates and a source's size and matrix."""
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


def configure_context(context: av.VideoCodecContext, settings: VideoSettings) -> None:
    """Set the fields of an encoder before it opens."""
    context.width, context.height, context.pix_fmt = settings.width, settings.height, "yuv420p"
    context.time_base = VIDEO_TIME_BASE
    context.framerate = settings.rate
    context.bit_rate = settings.bit_rate
    context.gop_size = max(1, round(settings.rate * Fraction(settings.keyframe_s)))
    context.color_range, context.colorspace = LIMITED_RANGE, settings.matrix
    context.flags |= Flags.global_header
    tuned = x264_settings(settings)
    # PyAV's default, SLICE, makes x264 cut each frame into slices: 5 % more bits.
    context.thread_type = "SLICE" if tuned.slices else "FRAME"
    context.thread_count = tuned.threads


def frame_interval(settings: VideoSettings) -> int:
    """Return the nominal duration of a frame, in VIDEO_TIME_BASE."""
    return round(1 / settings.rate / VIDEO_TIME_BASE)


def level_idc(parameter_sets: bytes) -> int:
    """Return `level_idc` of a sequence parameter set: ten times the common level number."""
    # After a start code and the unit's header: profile, constraints, level. ISO/IEC 14496-10, 7.3.2.1.1.
    return parameter_sets[parameter_sets.index(b"\x00\x00\x01\x67") + 6]
