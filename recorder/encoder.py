"""Encode once: H.264 by x264 (or in hardware: recorder/hardware) and AAC, into packets that every sink shares.

Sinks build their own streams from those of a master container whose muxer writes nothing (`templates`), so a packet is
encoded once however many sinks take it.

What a `kill -9` costs is the encoder's delay plus one fragment of the recording, so the delay is chosen, not
left to defaults that grow with the number of cores: `x264_settings` keeps it under DELAY_S at every frame rate.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.frame import PictureType
from av.video.stream import VideoStream

from capture.source import SAMPLE_RATE, Matrix, Samples
from config.errors import EncoderError
from recorder.packet import EncodedPacket, Track, TrackId, sound_track
from recorder.picture_stream import PictureStream
from recorder.stages.clocks import called
from recorder.titles import set_title

VIDEO_TIME_BASE = Fraction(1, 90_000)
AUDIO_TIME_BASE = Fraction(1, SAMPLE_RATE)
AAC_FRAME = 1024
"""Samples per AAC frame."""
MIX_TITLE = "Mix"
"""What players call the program's sound where it is not the only track."""

DELAY_S = 0.45
"""The most that pictures may wait in the encoder, in seconds."""
LIMITED_RANGE = 1
MOST_THREADS = 4
"""More frame threads than this buy no speed at 1080p30 and cost a frame of delay each."""


@dataclass(frozen=True, slots=True)
class VideoSettings:
    """What the H.264 encoder is asked for: pixels, nominal frames a second, bits a second, seconds."""

    width: int
    height: int
    rate: Fraction
    matrix: Matrix
    bit_rate: int
    max_rate: int
    preset: str = "veryfast"
    keyframe_s: float = 2.0
    delay_s: float = DELAY_S
    """The most that pictures may wait in the encoder."""
    low_latency: bool = False
    """Whether none waits: each picture is a packet before the next one goes in."""
    slowest: Fraction | None = None
    """How few pictures a second may come for a while; None where they come at `rate`."""
    buffer_s: float = 1.0
    """Seconds of `max_rate` that a burst may have: the size of the encoder's buffer model (VBV)."""
    x264_params: str | None = None
    """Overrides the delay settings; for comparisons with other encoders' defaults only."""
    more_params: str = ""
    """x264 parameters behind all others (`NAME=VALUE:...`), which change none of the parameter sets."""
    thread_name: str = "x264"
    """What its threads are called: it is told which encoder takes what of the processor."""


@dataclass(frozen=True, slots=True)
class AudioSettings:
    """What the AAC encoder is asked for: channels (1 or 2) and bits a second, at SAMPLE_RATE."""

    channels: int
    bit_rate: int


@dataclass(frozen=True, slots=True)
class X264Settings:
    """The settings that decide x264's delay; `delay_frames` is what they add up to.

    Threads take a picture each, or with `slices` a part of the same picture, which none has to wait for. With `at_once`
    x264 does not wait for the next picture either, which tells it how long one lasts: all are to last the same.
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
    lookahead = max(0, min(10, budget - (threads - 1)))
    return X264Settings(threads, lookahead, min(3, lookahead))


class EncodesPictures(Protocol):
    """What encodes a session's pictures: PictureStream, or what uses other encoders than x264."""

    @property
    def by_x264(self) -> PictureStream | None:
        """The stream that x264 makes, once it is x264 that encodes."""
        ...

    def encode(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a picture shown from `pts` on, which grows. Raises EncoderError."""
        ...

    def flush(self) -> list[EncodedPacket]:
        """Return all that is held back; nothing may be encoded after this. Raises EncoderError."""
        ...

    def close(self) -> None:
        """Free what encodes."""
        ...


type OpenX264 = Callable[[int], PictureStream]
"""Opens x264 for a stream that goes on at a decoding time."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Pictures that are encoded by something else than x264: its parameter sets, and how to begin with it."""

    header: bytes
    begin: Callable[[OpenX264], EncodesPictures]


class Encoder:
    """The program's encoders; video and audio may be fed from two threads, each track from one."""

    def __init__(
        self,
        video: VideoSettings | None,
        audio: AudioSettings | None,
        own_sounds: Mapping[str, AudioSettings] = {},
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Open the program's encoders, and one for each input of sound that has a track of its own, by its name.

        Pictures may be encoded `elsewhere`; x264 may have to take over from that then.
        """
        self._master = av.open(os.devnull, "w", format="null")
        self._settings = video
        self._video: VideoStream | None = None
        self.may_change_form = elsewhere is not None
        """Whether packets of the picture may become ones of another form, or have become so."""
        self._later: list[tuple[OutputContainer, VideoStream]] = []  # of the forms after the first
        self._sounds: dict[TrackId, AudioStream] = {}
        if audio:
            self._sounds[Track.AUDIO] = self._add_audio(audio, MIX_TITLE if own_sounds else None)
        for name, settings in own_sounds.items():
            self._sounds[sound_track(name)] = self._add_audio(settings, name)
        self._buffer_s = video.buffer_s if video else 0.0
        self._keyframe_every = int((video.keyframe_s if video else 0) / VIDEO_TIME_BASE)
        self._next_keyframe = 0
        try:
            context = None
            if video:
                self._video, context = _open_video(self._master, _small(video) if elsewhere else video)
                if elsewhere:  # its stream says what it is to those who copy from it
                    self._video.codec_context.extradata = elsewhere.header
            self._master.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise EncoderError(
                f"the encoder refused its settings: {video or audio} ({error})",
                hint="choose another profile or preset in the settings (liput config show)",
            ) from error
        self._pictures = self._begin_pictures(context, elsewhere)

    def _begin_pictures(
        self, context: av.VideoCodecContext | None, elsewhere: Elsewhere | None
    ) -> EncodesPictures | None:
        if self._settings is None or context is None:
            return None
        if elsewhere is None:
            return PictureStream(context, VIDEO_TIME_BASE, _interval(self._settings))
        return elsewhere.begin(self._take_over)

    def _take_over(self, begins: int) -> PictureStream:
        """Open x264 for the next form of the picture, which `begins` at a decoding time; raises EncoderError."""
        settings = self._settings
        assert settings is not None  # noqa: S101 - there are pictures
        master = av.open(os.devnull, "w", format="null")
        try:
            stream, context = _open_video(master, settings)
            master.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise EncoderError(f"the encoder refused its settings: {settings} ({error})") from error
        self._later.append((master, stream))
        return PictureStream(context, VIDEO_TIME_BASE, _interval(settings), begins)

    def _add_audio(self, settings: AudioSettings, title: str | None) -> AudioStream:
        layout = "mono" if settings.channels == 1 else "stereo"
        stream = self._master.add_stream("aac", rate=SAMPLE_RATE, layout=layout)
        stream.codec_context.bit_rate = settings.bit_rate
        stream.codec_context.flags |= Flags.global_header
        if title is not None:
            set_title(stream, title)
        return stream

    @property
    def form(self) -> int:
        """The form of the newest packets of the picture."""
        return len(self._later)

    @property
    def templates(self) -> Mapping[TrackId, Stream]:
        """The streams that sinks copy their codec parameters and titles from; valid until `close`."""
        return self.templates_of(self.form)

    def templates_of(self, form: int) -> Mapping[TrackId, Stream]:
        """Return those of packets of that form."""
        streams: dict[TrackId, Stream] = {}
        if self._video:
            streams[Track.VIDEO] = self._later[form - 1][1] if form else self._video
        return streams | self._sounds

    def set_bit_rate(self, bit_rate: int) -> None:
        """Make the picture `bit_rate` bits a second from the next one on; from the thread that encodes it.

        Where the encoder began with a `max_rate` equal to its `bit_rate` (x264 keeps such a stream at a constant rate),
        the most at any moment, and the buffer that bursts come from, follow.
        """
        context = self._picture_stream.context
        context.bit_rate = context.max_bit_rate = bit_rate
        context.rc_buffer_size = round(bit_rate * self._buffer_s)

    def change_video(self, settings: VideoSettings) -> None:
        """Encode with `settings` from the next picture on, which is a keyframe; from the thread that encodes it.

        Nobody who decodes the stream has to know. Raises EncoderError where they would have to (the parameter sets
        would be others), or x264 refuses; then everything stays as it is.
        """
        if self.is_elsewhere:  # nothing is to be had there; x264 begins with them if it has to take over
            self._settings = settings
            return
        pictures, now = self._picture_stream, self._parameter_sets
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - it is a codec of pictures
        # x264 would find the level by the rate.
        context.options = _options(settings, f"level={_level(now)}")
        _configure(context, settings)
        try:
            with called(settings.thread_name):
                context.open(strict=False)
        except (FFmpegError, ValueError) as error:
            raise EncoderError(f"the encoder refused its settings: {settings} ({error})") from error
        if context.extradata != now:
            raise EncoderError(f"the encoder would make another stream of {settings}")
        pictures.change(context, _interval(settings))

    @property
    def is_elsewhere(self) -> bool:
        """Whether it is not x264 that encodes the picture."""
        return self._pictures is not None and self._pictures.by_x264 is None

    @property
    def _picture_stream(self) -> PictureStream:
        pictures = self._pictures.by_x264 if self._pictures else None
        if pictures is None:
            raise EncoderError("this session has no picture that x264 encodes")
        return pictures

    @property
    def _parameter_sets(self) -> bytes:
        stream = self.templates.get(Track.VIDEO)
        return (stream.codec_context.extradata if isinstance(stream, VideoStream) else None) or b""

    def keyframe_is_due(self, pts: int) -> bool:
        """Return whether a picture shown from `pts` on would be a keyframe because it is time for one."""
        return pts >= self._next_keyframe

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a yuv420p picture shown from `pts` (VIDEO_TIME_BASE units, growing); x264 takes a copy.

        A keyframe is asked for by time, not by count, so that it comes when it should whatever the camera's rate.
        """
        pictures = self._pictures
        if pictures is None:
            raise EncoderError("this session has no picture to encode")
        picture.pts, picture.time_base = pts, VIDEO_TIME_BASE
        picture.pict_type = PictureType.NONE
        if pictures.by_x264 is not None and pictures.by_x264.is_changing:
            self._next_keyframe = pts
        if pts >= self._next_keyframe:
            picture.pict_type = PictureType.I
            self._next_keyframe += self._keyframe_every * max(
                1, 1 + (pts - self._next_keyframe) // self._keyframe_every
            )
        return pictures.encode(picture, pts)

    def encode_audio(self, samples: Samples, pts: int, track: TrackId = Track.AUDIO) -> list[EncodedPacket]:
        """Encode (n, channels) int16 samples of a track of sound that start `pts` samples into the session."""
        stream = self._sounds.get(track)
        if stream is None:
            raise EncoderError(f"this session has no {track} to encode")
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1), format="s16", layout=stream.codec_context.layout.name
        )
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, pts, AUDIO_TIME_BASE
        return self._encode(track, stream, frame)

    def flush(self, track: TrackId) -> list[EncodedPacket]:
        """Return what the encoder of `track` still holds; it takes nothing after this."""
        if track == Track.VIDEO:
            return self._pictures.flush() if self._pictures else []
        stream = self._sounds.get(track)
        return [] if stream is None else self._encode(track, stream, None)

    def _encode(self, track: TrackId, stream: AudioStream, frame: av.AudioFrame | None) -> list[EncodedPacket]:
        try:
            packets = stream.encode(frame)
        except (FFmpegError, ValueError) as error:
            raise EncoderError(
                f"the {track} encoder failed: {error}", hint="the recording up to here is kept"
            ) from error
        return [
            EncodedPacket(
                track=track,
                data=bytes(packet),
                pts=int(packet.pts or 0),
                dts=int(packet.dts or 0),
                duration=int(packet.duration or AAC_FRAME),
                time_base=AUDIO_TIME_BASE,
                is_keyframe=packet.is_keyframe,
            )
            for packet in packets
        ]

    def close(self) -> None:
        """Free the codecs; sinks that copied the templates must be closed before."""
        if self._pictures:
            self._pictures.close()
        self._master.close()
        for master, _ in self._later:
            master.close()
        # Whoever still has this keeps no codec with it: a hundred megabytes of pictures and more.
        del self._master
        self._video, self._pictures, self._sounds, self._later = None, None, {}, []


def _open_video(master: OutputContainer, settings: VideoSettings) -> tuple[VideoStream, av.VideoCodecContext]:
    """Open x264; return a stream of `master` that says what it makes, and what encodes.

    The stream is a copy without an encoder of its own: it stays to the end, whichever encoders follow the first.
    """
    with av.open(os.devnull, "w", format="null") as opened, called(settings.thread_name):
        stream = opened.add_stream("libx264", rate=settings.rate, options=_options(settings))
        _configure(stream.codec_context, settings)
        opened.start_encoding()
        return master.add_stream_from_template(stream, opaque=True), stream.codec_context


def _small(settings: VideoSettings) -> VideoSettings:
    """Return settings for an x264 that only stands for another encoder: it takes next to no memory."""
    plain = "rc-lookahead=0:sync-lookahead=0:bframes=0:threads=1"
    return replace(settings, preset="ultrafast", low_latency=False, x264_params=plain)


def _options(settings: VideoSettings, *more: str) -> dict[str, str]:
    """Return what x264 is asked for beyond what FFmpeg's contexts have fields for; `more` are parameters of its own."""
    options = {
        "preset": settings.preset,
        "profile": "high",
        "maxrate": str(settings.max_rate),
        "bufsize": str(round(settings.max_rate * settings.buffer_s)),
        "forced-idr": "1",
    }
    if settings.x264_params is None:
        options |= _tuned(settings).options
    else:
        options["x264-params"] = settings.x264_params
    params = options.pop("x264-params", "")
    if joined := ":".join(part for part in (params, settings.more_params, *more) if part):
        options["x264-params"] = joined
    return options


def _configure(context: av.VideoCodecContext, settings: VideoSettings) -> None:
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
    return x264_settings(
        settings.rate, delay_s=settings.delay_s, low_latency=settings.low_latency, slowest=settings.slowest
    )


def _interval(settings: VideoSettings) -> int:
    return round(1 / settings.rate / VIDEO_TIME_BASE)


def _level(parameter_sets: bytes) -> int:
    """Return the level that a sequence parameter set states (`level_idc`), ten times what people call it."""
    # Behind a start code and the head of the unit: profile, constraints, level. ISO/IEC 14496-10, 7.3.2.1.1.
    return parameter_sets[parameter_sets.index(b"\x00\x00\x01\x67") + 6]
