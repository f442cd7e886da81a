"""The program's H.264 and AAC encoders; every sink gets the same packets."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.error import FFmpegError
from av.stream import Stream
from av.video.frame import PictureType
from av.video.stream import VideoStream

from capture.source import SAMPLE_RATE, Samples
from config.errors import EncoderError
from recorder.encode.thread_clocks import new_threads_named
from recorder.encode.x264 import (
    VIDEO_TIME_BASE,
    VideoSettings,
    configure_context,
    frame_interval,
    level_idc,
    open_video,
    placeholder_settings,
    x264_options,
)
from recorder.encode.x264_stream import X264Stream, encoder_failed
from recorder.model.packet import EncodedPacket, Track, TrackId, sound_track
from recorder.model.titles import set_title

if TYPE_CHECKING:
    from recorder.encode.hardware_process import HardwareStream

AUDIO_TIME_BASE = Fraction(1, SAMPLE_RATE)
AAC_FRAME = 1024
MIX_TITLE = "Mix"  # title of the mixed audio track in players, where other audio tracks exist


@dataclass(frozen=True, slots=True)
class AudioSettings:
    """Settings of the AAC encoder: channels (1 or 2) and bits a second, at SAMPLE_RATE."""

    channels: int
    bit_rate: int


type FrameEncoder = X264Stream | HardwareStream


class Encoder:
    """The encoders of a session. One thread per track may feed it."""

    def __init__(
        self,
        video: VideoSettings | None,
        audio: AudioSettings | None,
        own_sounds: Mapping[str, AudioSettings] = {},
        elsewhere: "HardwareStream | None" = None,
    ) -> None:
        """Open the encoders; x264 takes over if `elsewhere` fails. Raises EncoderError."""
        self._master = av.open(os.devnull, "w", format="null")
        self._settings = video
        self._video: VideoStream | None = None
        self.may_change_form = elsewhere is not None  # whether the stream format may change
        self._later_formats: list[tuple[OutputContainer, VideoStream]] = []  # master and stream of each
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
                self._video, context = open_video(self._master, placeholder_settings(video) if elsewhere else video)
                if elsewhere:  # sinks copy the parameter sets from this stream
                    self._video.codec_context.extradata = elsewhere.header
            self._master.start_encoding()
        except (FFmpegError, ValueError) as error:
            hint = "choose another profile or preset in the settings (liput config show)"
            raise _refused(video or audio, error, hint) from error
        self._pictures: FrameEncoder | None = elsewhere
        if elsewhere:
            elsewhere.open_x264 = self._take_over
        elif video and context:
            self._pictures = X264Stream(context, frame_interval(video))

    def _take_over(self, begins: int) -> X264Stream:
        """Open x264 for the next stream format; `begins` is its first decode timestamp. Raises EncoderError."""
        settings = self._settings
        assert settings is not None  # noqa: S101 - it has video
        master = av.open(os.devnull, "w", format="null")
        try:
            stream, context = open_video(master, settings)
            master.start_encoding()
        except (FFmpegError, ValueError) as error:
            raise _refused(settings, error) from error
        self._later_formats.append((master, stream))
        return X264Stream(context, frame_interval(settings), begins)

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
        """Format number of the newest video packets."""
        return len(self._later_formats)

    @property
    def templates(self) -> Mapping[TrackId, Stream]:
        """The streams from which sinks copy codec parameters and titles; valid until `close`."""
        return self.templates_of(self.form)

    def templates_of(self, form: int) -> Mapping[TrackId, Stream]:
        """Return the streams for packets of format number `form`."""
        streams: dict[TrackId, Stream] = {}
        if self._video:
            streams[Track.VIDEO] = self._later_formats[form - 1][1] if form else self._video
        return streams | self._sounds

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set the mean and the peak rate of the video. Call it from the thread that encodes."""
        context = self._picture_stream.context
        context.bit_rate = context.max_bit_rate = bit_rate
        context.rc_buffer_size = round(bit_rate * self._buffer_s)

    def change_video(self, settings: VideoSettings) -> None:
        """Encode with `settings` from the next frame on, which is a keyframe. Call it from the thread that encodes.

        Raises EncoderError if x264 refuses them or would change the parameter sets; the old settings then stay.
        """
        if self.is_external:  # the external encoder cannot change; x264 uses these settings if it takes over
            self._settings = settings
            return
        pictures, stream = self._picture_stream, self.templates.get(Track.VIDEO)
        now = (stream.codec_context.extradata if isinstance(stream, VideoStream) else None) or b""
        context = av.CodecContext.create("libx264", "w")
        assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - a video codec
        # Without this option x264 derives the level from the rate.
        context.options = x264_options(settings, f"level={level_idc(now)}")
        configure_context(context, settings)
        try:
            with new_threads_named(settings.thread_name):
                context.open(strict=False)
        except (FFmpegError, ValueError) as error:
            raise _refused(settings, error) from error
        if context.extradata != now:
            raise EncoderError(f"the encoder would begin another stream with {settings}")
        pictures.change(context, frame_interval(settings))

    @property
    def is_external(self) -> bool:
        """Whether an external encoder, not x264, encodes the video."""
        return self._pictures is not None and self._pictures.by_x264 is None

    @property
    def _picture_stream(self) -> X264Stream:
        pictures = self._pictures.by_x264 if self._pictures else None
        if pictures is None:
            raise EncoderError("this session has no picture for x264")
        return pictures

    def keyframe_is_due(self, pts: int) -> bool:
        """Return whether the keyframe interval has passed at `pts`."""
        return pts >= self._next_keyframe

    def encode_video(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a yuv420p frame at `pts` (VIDEO_TIME_BASE); x264 copies it. Raises EncoderError."""
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
        """Encode (n, channels) int16 samples from sample number `pts` on. Raises EncoderError."""
        stream = self._sounds.get(track)
        if stream is None:
            raise EncoderError(f"this session has no {track} to encode")
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1), format="s16", layout=stream.codec_context.layout.name
        )
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, pts, AUDIO_TIME_BASE
        return self._encode(track, stream, frame)

    def flush(self, track: TrackId) -> list[EncodedPacket]:
        """Return the remaining packets of `track`; encode nothing on it afterwards. Raises EncoderError."""
        if track == Track.VIDEO:
            return self._pictures.flush() if self._pictures else []
        stream = self._sounds.get(track)
        return [] if stream is None else self._encode(track, stream, None)

    def _encode(self, track: TrackId, stream: AudioStream, frame: av.AudioFrame | None) -> list[EncodedPacket]:
        try:
            packets = stream.encode(frame)
        except (FFmpegError, ValueError) as error:
            raise encoder_failed(track, error) from error
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
        """Free the codecs. Close all sinks that copied the templates first."""
        if self._pictures:
            self._pictures.close()
        self._master.close()
        for master, _ in self._later_formats:
            master.close()
        # Others may still hold this object; without its codecs it keeps no hundred megabytes of frames.
        del self._master
        self._video, self._pictures, self._sounds, self._later_formats = None, None, {}, []


def _refused(settings: VideoSettings | AudioSettings | None, error: Exception, hint: str = "") -> EncoderError:
    return EncoderError(f"the encoder refused its settings: {settings} ({error})", hint=hint)
