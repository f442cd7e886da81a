"""Hardware encoding in a child process, which may hang or crash; shared memory keeps its frames."""

import mmap
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from math import ceil

import av
from av.video.frame import PictureType

from capture.media.h264 import IDR, SLICE, has_keyframe, is_annex_b, nal_type, nal_units, parameter_sets
from devices.host import threads
from devices.host.child import REAP_S, ChildProcess
from devices.host.clock import NANOSECONDS, Clock, SystemClock
from recorder.encode.hardware_kinds import WORKER, EncoderFailure, EncoderKind, HardwareFailed
from recorder.encode.hardware_worker import (
    REPLY_DECODER,
    EncodeFrame,
    HardwarePacket,
    OpenEncoder,
    SharedFrames,
    WorkerRequest,
    pack_message,
    read_messages,
)
from recorder.encode.x264 import VIDEO_TIME_BASE, VideoSettings, frame_interval
from recorder.encode.x264_stream import X264Stream
from recorder.model.packet import EncodedPacket, Track

OPEN_S = 5.0
MAX_HELD_S = 0.45  # seconds of frames that may wait in the encoder. x264 gets a smaller budget, which it obeys
PATIENCE_S = 1.0  # time without a packet after which an encoder with too many frames has failed
ROOM_S = 0.5  # of shared memory, beyond PATIENCE_S
END_S = 2.0
OVER_S = 2.0
MAX_RATE_FACTOR = 3  # most bits over OVER_S, as a multiple of the rate: hardware keeps it less closely than x264


class EncoderProcess:
    """The encoder process, for one thread; the kernel kills the process when that thread ends."""

    def __init__(
        self,
        kind: EncoderKind,
        settings: VideoSettings,
        *,
        command: Sequence[str] = WORKER,
        clock: Clock | None = None,
        patience_s: float = PATIENCE_S,
        open_s: float = OPEN_S,
    ) -> None:
        """Start the process and wait until the encoder is open. Raises HardwareFailed."""
        self._settings = settings
        self._clock = clock or SystemClock()
        self.patience_s = patience_s
        self._most_held = max(1, int(MAX_HELD_S * settings.rate))
        self._waiting: deque[EncodeFrame] = deque()
        self._progress_ns = self._clock.now_ns()
        self._changed = threading.Condition()
        self._packets: deque[HardwarePacket] = deque()
        self._header: bytes | None = None
        self._ended: HardwareFailed | None = None  # set by the reader when no more packets come
        self._is_finished = False
        self.error: HardwareFailed | None = None  # why the encoder failed; packets that `take` returned are good
        count = self._most_held + ceil((patience_s + ROOM_S) * settings.rate) + 1
        descriptor = os.memfd_create("liput-pictures", os.MFD_CLOEXEC)
        try:
            os.ftruncate(descriptor, count * settings.picture_bytes)
            self._pictures = SharedFrames(mmap.mmap(descriptor, 0), settings)
            self._free_slots = list(range(count - 1, -1, -1))  # reversed: reuses the first slots
            self.child = ChildProcess(command, pass_fds=[descriptor])
            self._reader = threads.start_thread(self._read, name="hardware-encoder", otherwise=self.child.end)
            self._send(OpenEncoder(kind, settings, descriptor))
        except (OSError, RuntimeError) as error:
            raise HardwareFailed(EncoderFailure.CANNOT_OPEN, str(error)) from error
        finally:
            os.close(descriptor)
        self.header = self._wait_for_header(open_s)
        self._sanity = StreamCheck(settings, self.header)

    def _wait_for_header(self, timeout_s: float) -> bytes:
        self._wait(lambda: self._header is not None or self._ended is not None, timeout_s)
        if self._header is not None:
            return self._header
        self.error = self._ended or HardwareFailed(EncoderFailure.SILENT, f"not open after {timeout_s:g} s")
        self.close()
        raise self.error

    @property
    def held(self) -> int:
        """Number of frames without a packet yet."""
        return len(self._waiting)

    def give(self, picture: av.VideoFrame, pts: int, *, is_key: bool) -> bool:
        """Copy `picture` to the encoder, shown from `pts` on; return False if no slot is free."""
        if not self._free_slots or self.error is not None:
            return False
        if not self._waiting:
            self._progress_ns = self._clock.now_ns()
        slot = self._free_slots.pop()
        self._pictures.fill(slot, picture)
        given = EncodeFrame(slot, pts, is_key)
        self._waiting.append(given)
        self._send(given)
        return True

    def take(self, next_pts: int | None = None) -> list[EncodedPacket]:
        """Return new packets; check `error` afterwards. `next_pts` is the time of the next frame to be given."""
        good: list[EncodedPacket] = []
        while self.error is None and self._packets:
            coded = self._packets.popleft()
            if (problem := self._sanity.problem(coded, self._waiting[0] if self._waiting else None)) is not None:
                self.error = HardwareFailed(EncoderFailure.WRONG_STREAM, problem)
                break
            self._free_slots.append(self._waiting.popleft().slot)
            self._progress_ns = self._clock.now_ns()
            until = self._waiting[0].pts if self._waiting else next_pts
            good.append(
                EncodedPacket(
                    track=Track.VIDEO,
                    data=coded.data,
                    pts=coded.pts,
                    dts=coded.pts,  # no B-frames
                    duration=frame_interval(self._settings) if until is None else until - coded.pts,
                    time_base=VIDEO_TIME_BASE,
                    is_keyframe=has_keyframe(coded.data),
                )
            )
        self.error = self.error or self._find_silence()
        return good

    def _find_silence(self) -> HardwareFailed | None:
        if self._ended is not None and not self._packets:
            return self._ended
        waited_s = (self._clock.now_ns() - self._progress_ns) / NANOSECONDS
        if self._waiting and waited_s > self.patience_s and (len(self._waiting) > self._most_held or self._is_finished):
            return HardwareFailed(EncoderFailure.SILENT, f"nothing for {waited_s:.1f} s")
        return None

    def wait(self, timeout_s: float) -> None:
        """Wait for packets or the end of the process."""
        self._wait(lambda: bool(self._packets) or self._ended is not None, timeout_s)

    def finish(self) -> None:
        """Let the encoder flush; call `take` until `held` is 0 or `error` is set."""
        self._is_finished = True
        self._progress_ns = self._clock.now_ns()
        self._send(None)

    def unencoded(self) -> Iterator[tuple[av.VideoFrame, int, bool]]:
        """Yield the frames without packets: frame, pts, whether it should be a keyframe."""
        for given in self._waiting:
            yield self._pictures.frame(given.slot), given.pts, given.is_key

    def close(self) -> None:
        """End the process, also one that hangs; blocks some seconds at most."""
        self.child.close_input()
        if not self.child.wait(0 if self._waiting or self.error else END_S):
            self.child.send(signal.SIGKILL)
        self._reader.join(REAP_S)  # the reader must leave the pipe before it closes
        self.child.end()

    def _send(self, message: WorkerRequest) -> None:
        with suppress(OSError):  # the process died; the reader finds the reason
            self.child.give(pack_message(message))

    def _wait(self, until: Callable[[], bool], timeout_s: float) -> None:
        with self._changed:
            self._changed.wait_for(until, timeout_s)

    # Reader thread

    def _read(self) -> None:
        over = None
        try:
            for message in read_messages(lambda: self.child.read(None), REPLY_DECODER):
                with self._changed:
                    match message:
                        case bytes():
                            self._header = message
                        case HardwarePacket():
                            self._packets.append(message)
                        case reason, detail:
                            over = HardwareFailed(reason, detail)
                    self._changed.notify_all()
                if over is not None:
                    break
        except (OSError, ValueError) as error:
            over = HardwareFailed(EncoderFailure.FAILED, str(error))
        with self._changed:
            self._ended = over or self._exit_reason()
            self._changed.notify_all()

    def _exit_reason(self) -> HardwareFailed:
        if not self.child.wait(REAP_S) or (status := self.child.status) is None:
            return HardwareFailed(EncoderFailure.CRASHED, "it closed its end")
        if status < 0:
            return HardwareFailed(EncoderFailure.CRASHED, signal.Signals(-status).name)
        return HardwareFailed(EncoderFailure.CRASHED, f"exit status {status}")


class StreamCheck:
    """Checks packets without decoding. Packets come in the order of frames: there are no B-frames."""

    def __init__(self, settings: VideoSettings, header: bytes) -> None:
        self._header = parameter_sets(header)
        self._picture_bytes = settings.picture_bytes
        self._most_bytes = MAX_RATE_FACTOR * settings.max_rate * OVER_S / 8
        self._last_dts: int | None = None
        self._recent: deque[tuple[int, int]] = deque()
        self._recent_bytes = 0

    def problem(self, coded: HardwarePacket, given: EncodeFrame | None) -> str | None:
        """Return a packet's fault, or None; `given` is the oldest frame without a packet."""
        if given is None:
            return "a picture more than it was given"
        data = coded.data
        kinds = {nal_type(unit) for unit in nal_units(data)}
        sets = parameter_sets(data)
        last_dts, self._last_dts = self._last_dts, coded.dts
        faults = {
            f"a picture of {len(data)} bytes": len(data) >= self._picture_bytes or not is_annex_b(data),
            "no picture in its output": not kinds & {SLICE, IDR},
            "a picture is missing, or out of its order": coded.pts != given.pts,
            "times that cannot be": coded.dts > coded.pts or (last_dts is not None and coded.dts <= last_dts),
            "no keyframe where one was asked for": given.is_key and IDR not in kinds,
            "other parameter sets than at first": bool(sets) and sets != self._header,
            "far more bits than were asked for": self._has_too_many(given.pts, len(data)),
        }
        return next((fault for fault, is_so in faults.items() if is_so), None)

    def _has_too_many(self, pts: int, count: int) -> bool:
        self._recent.append((pts, count))
        self._recent_bytes += count
        while self._recent[0][0] <= pts - OVER_S / VIDEO_TIME_BASE:
            self._recent_bytes -= self._recent.popleft()[1]
        return self._recent_bytes > self._most_bytes


WAIT_S = 0.05
BY_X264 = 1  # format number of x264's packets; hardware packets have 0

type _Picture = tuple[av.VideoFrame, int, bool]  # a frame, its pts, and whether it is a keyframe


class HardwareStream:
    """Encodes the frames of a session, with X264Stream's interface; for one thread.

    After the first failure x264 encodes all frames without a packet again, in another stream format.
    """

    open_x264: Callable[[int], X264Stream]  # opens x264 at a decode timestamp (VIDEO_TIME_BASE); set by the encoder

    def __init__(self, process: EncoderProcess, failed: Callable[[HardwareFailed, int], object]) -> None:
        """Take a process, and a function for the failure and the number of frames to encode again."""
        self.header = process.header
        self._process = process
        self._failed = failed
        self.by_x264: X264Stream | None = None  # the x264 stream after a failure; None before it

    def encode(self, picture: av.VideoFrame, pts: int) -> list[EncodedPacket]:
        """Encode a frame; `pts` grows. Raises EncoderError if x264 fails, too."""
        if self.by_x264 is not None:
            return [_of_x264(packet) for packet in self.by_x264.encode(picture, pts)]
        is_key = picture.pict_type == PictureType.I
        # Taken before the next frame goes in: `pts` ends the last packet's duration.
        packets = self._process.take(pts)
        while not (is_given := self._process.give(picture, pts, is_key=is_key)) and self._process.error is None:
            self._process.wait(WAIT_S)
            packets += self._process.take(pts)
        if self._process.error is None:
            return packets
        return packets + self._fall_back(self._process.error, None if is_given else (picture, pts, is_key))

    def flush(self) -> list[EncodedPacket]:
        """Return all remaining packets; encode nothing afterwards. Raises EncoderError."""
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
        self._process.close()
        if self.by_x264 is not None:
            self.by_x264.close()

    def _fall_back(self, error: HardwareFailed, also: _Picture | None) -> list[EncodedPacket]:
        """Encode the frames without packets by x264; `also` is a frame that the process never got."""
        left = chain(self._process.unencoded(), [also] if also else [])
        count = self._process.held + (also is not None)
        packets: list[EncodedPacket] = []
        for picture, pts, is_key in left:
            if self.by_x264 is None:
                self._failed(error, count)
                self.by_x264 = self.open_x264(pts)
            picture.pts, picture.time_base = pts, VIDEO_TIME_BASE
            picture.pict_type = PictureType.I if is_key else PictureType.NONE
            packets += [_of_x264(packet) for packet in self.by_x264.encode(picture, pts)]
        self._process.close()
        return packets


def _of_x264(packet: EncodedPacket) -> EncodedPacket:
    return replace(packet, form=BY_X264)
