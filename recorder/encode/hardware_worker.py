"""Child process of a hardware encoder (`python -m recorder.encode.hardware_worker`), and its messages.

A driver that crashes ends only this process. A message is a length of four bytes and MessagePack; frames are in shared
memory.
"""

import mmap
import os
import resource
import struct
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import av
import av.logging
import msgspec
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from capture.media.h264 import parameter_sets
from capture.media.pictures import Plane, copy_planes, plane_views, split_planes, tag_frame
from devices.host.child import end_with_parent
from devices.host.framing import ReceiveBuffer, length_prefixed
from recorder.encode.hardware_kinds import MODELS, EncoderFailure, EncoderKind, HardwareFailed, failure_of_log
from recorder.encode.x264 import LIMITED_RANGE, VIDEO_TIME_BASE, VideoSettings

_LENGTH = struct.Struct("<I")
READ_BYTES = 65_536
MAX_MESSAGE_BYTES = 64 << 20  # bytes; no encoded frame is larger


class OpenEncoder(msgspec.Struct, frozen=True, tag="open"):
    """The first message. `descriptor` is the file of shared frames, each yuv420p without padding."""

    kind: EncoderKind
    settings: VideoSettings
    descriptor: int


class EncodeFrame(msgspec.Struct, frozen=True, tag="give"):
    """Encode the frame in `slot`, shown from `pts` (90,000 a second) on."""

    slot: int
    pts: int
    is_key: bool


class HardwarePacket(msgspec.Struct, frozen=True):
    pts: int
    dts: int
    data: bytes


type WorkerRequest = OpenEncoder | EncodeFrame | None  # None asks for a flush; no message follows it
type WorkerReply = bytes | HardwarePacket | tuple[EncoderFailure, str]  # parameter sets; packets; at last a failure

REQUEST_DECODER = msgspec.msgpack.Decoder[WorkerRequest](
    WorkerRequest.__value__, dec_hook=lambda _kind, rate: Fraction(rate)
)
REPLY_DECODER = msgspec.msgpack.Decoder[WorkerReply](WorkerReply.__value__)
_ENCODER = msgspec.msgpack.Encoder(enc_hook=str)  # for the frame rate, a fraction


def pack_message(message: WorkerRequest | WorkerReply) -> bytes:
    """Return a message as bytes for the pipe."""
    return length_prefixed(_ENCODER.encode(message), _LENGTH)


def read_messages[T](read: Callable[[], bytes | None], decoder: msgspec.msgpack.Decoder[T]) -> Iterator[T]:
    """Yield messages until the pipe closes; `read` blocks. Raises ValueError for invalid data."""
    buffer = ReceiveBuffer(MAX_MESSAGE_BYTES)
    while data := read():
        buffer.add(data)
        while (body := buffer.block(_LENGTH)) is not None:
            yield decoder.decode(body)


class SharedFrames:
    """Slots for frames in shared memory, numbered from 0."""

    def __init__(self, memory: mmap.mmap, settings: VideoSettings) -> None:
        self._width, self._height, self._matrix = settings.width, settings.height, settings.matrix
        self._bytes = settings.picture_bytes
        self._memory = memory

    def fill(self, slot: int, picture: av.VideoFrame) -> None:
        """Copy a yuv420p frame into a slot."""
        copy_planes(plane_views(picture), self._planes(slot))

    def frame(self, slot: int) -> av.VideoFrame:
        """Return a copy of the frame in a slot."""
        picture = av.VideoFrame(self._width, self._height, "yuv420p")
        copy_planes(self._planes(slot), plane_views(picture))
        return tag_frame(picture, self._matrix)

    def _planes(self, slot: int) -> tuple[Plane, ...]:
        samples = np.frombuffer(self._memory, np.uint8, self._bytes, slot * self._bytes)
        return split_planes(samples, self._width, self._height)


STDIN, STDOUT, STDERR = 0, 1, 2
HEADER_PICTURES = 16  # frames within which an encoder gives its parameter sets


class LibavCodec:
    """One of FFmpeg's encoders."""

    def __init__(self, kind: EncoderKind, settings: VideoSettings) -> None:
        """Open it; raises HardwareFailed."""
        self._context, self._pixels = _open_context(kind, settings)
        self._reformatter = VideoReformatter()
        self.header = parameter_sets(self._context.extradata or b"") or self._find_header(kind, settings)

    def _find_header(self, kind: EncoderKind, settings: VideoSettings) -> bytes:
        """Return the parameter sets of an encoder that sends them with its first packet; opens it a second time."""
        picture = tag_frame(av.VideoFrame(settings.width, settings.height, "yuv420p"), settings.matrix)
        for plane in plane_views(picture):
            plane[:] = 128
        found = b""
        for number in range(HEADER_PICTURES):
            picture.pts, picture.time_base = round(number / settings.rate / VIDEO_TIME_BASE), VIDEO_TIME_BASE
            found = b"".join(parameter_sets(coded.data) for coded in self.encode(picture))
            if found:
                break
        else:
            found = b"".join(parameter_sets(coded.data) for coded in self.encode(None))
        if not found:
            raise HardwareFailed(EncoderFailure.WRONG_STREAM, "it says no parameter sets")
        del self._context  # some devices take one encoder at a time
        self._context, self._pixels = _open_context(kind, settings)
        return found

    def encode(self, picture: av.VideoFrame | None) -> Sequence[HardwarePacket]:
        """Encode a frame; None flushes. Raises FFmpegError or ValueError."""
        if picture is not None and self._pixels != "yuv420p":
            pts, kind = picture.pts, picture.pict_type
            picture = self._reformatter.reformat(picture, format=self._pixels)
            picture.pts, picture.time_base, picture.pict_type = pts, VIDEO_TIME_BASE, kind
        return [
            HardwarePacket(
                int(packet.pts or 0), int(packet.dts if packet.dts is not None else packet.pts or 0), bytes(packet)
            )
            for packet in self._context.encode(picture)
        ]


def _open_context(kind: EncoderKind, settings: VideoSettings) -> tuple[av.VideoCodecContext, str]:
    model, log = MODELS[kind], ""
    options = dict(model.options)
    if kind is EncoderKind.NVENC and settings.bit_rate == settings.max_rate:
        options["rc"] = "cbr"
    for pixels in model.pixels:
        try:
            context = av.CodecContext.create(model.codec, "w")
        except (FFmpegError, ValueError) as error:
            raise HardwareFailed(EncoderFailure.NOT_IN_BUILD, model.codec) from error
        assert isinstance(context, av.VideoCodecContext)  # noqa: S101 - a video codec
        context.options = options
        context.width, context.height, context.pix_fmt = settings.width, settings.height, pixels
        context.time_base, context.framerate = VIDEO_TIME_BASE, settings.rate
        context.bit_rate, context.max_bit_rate = settings.bit_rate, settings.max_rate
        context.rc_buffer_size = round(settings.max_rate * settings.buffer_s)
        context.gop_size = max(1, round(settings.rate * Fraction(settings.keyframe_s)))
        context.max_b_frames = 0
        context.color_range, context.colorspace = LIMITED_RANGE, settings.matrix
        context.flags |= Flags.global_header
        with av.logging.Capture() as lines:
            try:
                context.open()
            except (FFmpegError, ValueError) as error:
                log = "; ".join(text.strip() for _, _, text in lines) or str(error)
            else:
                return context, pixels
    raise HardwareFailed(failure_of_log(log), log)


type OpenCodec = Callable[[EncoderKind, VideoSettings], LibavCodec]


def run(make: OpenCodec) -> None:
    """Serve the parent through standard input and output until it closes them."""
    end_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    answers = os.dup(STDOUT)
    os.dup2(STDERR, STDOUT)  # some drivers print to standard output

    def tell(message: WorkerReply) -> None:
        left = memoryview(pack_message(message))
        while left:
            left = left[os.write(answers, left) :]

    try:
        _serve(read_messages(lambda: os.read(STDIN, READ_BYTES), REQUEST_DECODER), tell, make)
    except HardwareFailed as error:
        tell((error.reason, error.detail))
    except (FFmpegError, ValueError) as error:
        tell((EncoderFailure.FAILED, str(error)))


def _serve(messages: Iterator[WorkerRequest], tell: Callable[[WorkerReply], None], make: OpenCodec) -> None:
    first = next(messages, None)
    if not isinstance(first, OpenEncoder):
        return
    codec = make(first.kind, first.settings)
    pictures = SharedFrames(mmap.mmap(first.descriptor, 0), first.settings)
    tell(codec.header)
    for message in messages:
        picture = None
        if isinstance(message, EncodeFrame):
            picture = pictures.frame(message.slot)
            picture.pts, picture.time_base = message.pts, VIDEO_TIME_BASE
            picture.pict_type = PictureType.I if message.is_key else PictureType.NONE
        for coded in codec.encode(picture):
            tell(coded)


if __name__ == "__main__":
    run(LibavCodec)
