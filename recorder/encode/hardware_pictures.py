"""A session's pictures by hardware, and from its first failure on by x264, in another form, with none missing."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain

import av
from av.video.frame import PictureType

from recorder.encode.hardware_kinds import HardwareFailed
from recorder.encode.hardware_process import EncoderProcess
from recorder.encode.picture_stream import PictureStream
from recorder.encode.x264 import VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket

WAIT_S = 0.05
BY_X264 = 1
"""The form of the packets that x264 makes; those of the hardware have 0."""

type TakeOver = Callable[[HardwareFailed, int, int], PictureStream]
"""Opens x264 because of a failure, for a stream in which decoding is at a time so far; the last is how many pictures
are encoded again."""

type _Picture = tuple[av.VideoFrame, int, bool]
"""A picture, when it is shown, and whether it is to be a keyframe."""


class HardwarePictures:
    """Encodes the pictures of a session; used by one thread. It looks as PictureStream does."""

    def __init__(self, process: EncoderProcess, take_over: TakeOver) -> None:
        """Begin with an encoder that is open."""
        self._process = process
        self._take_over = take_over
        self.by_x264: PictureStream | None = None
        """What encodes since the hardware has failed."""

    def encode(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a picture shown from `pts` on, which grows. Raises EncoderError where x264 fails, too."""
        if self.by_x264 is not None:
            return [_of_x264(packet) for packet in self.by_x264.encode(picture, pts)]
        is_key = picture.pict_type == PictureType.I
        # Taken before the next one is given: of all that comes out now it is known how long it lasts.
        packets = self._process.take(pts)
        while not (is_given := self._process.give(picture, pts, is_key=is_key)) and self._process.error is None:
            self._process.wait(WAIT_S)
            packets += self._process.take(pts)
        if self._process.error is None:
            return packets
        return packets + self._fall_back(self._process.error, None if is_given else (picture, pts, is_key))

    def flush(self) -> list[EncodedPacket]:
        """Return all that is held back; nothing may be encoded after this. Raises EncoderError."""
        packets: list[EncodedPacket] = []
        if self.by_x264 is None:
            self._process.finish()
            packets += self._process.take()
            while self._process.held and self._process.error is None:
                self._process.wait(WAIT_S)
                packets += self._process.take()
            if self._process.held and self._process.error is not None:
                packets += self._fall_back(self._process.error, None)
        if self.by_x264 is not None:
            packets += [_of_x264(packet) for packet in self.by_x264.flush()]
        return packets

    def close(self) -> None:
        """End whatever encodes."""
        self._process.close()
        if self.by_x264 is not None:
            self.by_x264.close()

    def _fall_back(self, error: HardwareFailed, also: _Picture | None) -> list[EncodedPacket]:
        """Go on with x264, from the first picture that has not come out on; `also` is one that was not even given."""
        left = chain(self._process.left(), [also] if also else [])
        count = self._process.held + (also is not None)
        packets: list[EncodedPacket] = []
        for picture, pts, is_key in left:
            if self.by_x264 is None:
                self.by_x264 = self._take_over(error, pts, count)
            picture.pts, picture.time_base = pts, VIDEO_TIME_BASE
            picture.pict_type = PictureType.I if is_key else PictureType.NONE
            packets += [_of_x264(packet) for packet in self.by_x264.encode(picture, pts)]
        self._process.close()
        return packets


def _of_x264(packet: EncodedPacket) -> EncodedPacket:
    return replace(packet, form=BY_X264)
