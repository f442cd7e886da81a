"""The program's video: encodes the frames of its scene, once, without a gap.

The track follows one input, the driver, and keeps the kernel's times. After PATIENCE_S without a frame it repeats the
last one, that far behind the clock. The muxer waits for a quiet track, and would hold back the others.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass

import av

from capture.cpu_stages import CpuStage
from capture.source import Frame
from devices.host.clock import NANOSECONDS, whole_units
from recorder.encode.encoder import Encoder
from recorder.encode.x264 import STILL_RATE, VIDEO_TIME_BASE
from recorder.model.packet import EncodedPacket, Track
from recorder.program.scene import Scene
from recorder.program.timeline import RunContext, StallDetector
from recorder.program.video_input import VideoInput, frame_thinner

PATIENCE_S = 0.3  # wait before the last frame of a live source repeats; a kill may lose this time
PATIENCE_FRAMES = 3
LEAST_STEP_NS = 1_000_000  # of two frames closer than this (FLV's resolution) one is dropped
MAX_HOLE = 1.25  # intervals; a longer hole before a frame is filled, even before PATIENCE_S
IDLE_S = 0.05  # longest wait between two looks at the session's end

SETTLING_FRAMES = 2  # frames encoded after a change: x264 then gives out the change, and refines it

_STILL_NS = round(NANOSECONDS / STILL_RATE)


class StaticFrameSkipper:
    """Encodes a static program STILL_RATE times a second, and each change with SETTLE further frames."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._settling = 0
        self._encoded_ns = 0

    def wants(self, version: int, at_ns: int, interval_ns: int, *, is_due: bool) -> bool:
        """Return whether to encode the frame at `at_ns`: a new `version`, a keyframe `is_due`, or STILL_RATE."""
        if version != self._version:
            self._version, self._settling = version, SETTLING_FRAMES
        elif self._settling:
            self._settling -= 1
        elif not is_due and at_ns + interval_ns // 2 < self._encoded_ns + _STILL_NS:  # the next frame would be too late
            return False
        self._encoded_ns = at_ns
        return True


@dataclass(slots=True)
class FrameCounts:
    """Frames encoded, dropped, and not encoded."""

    frames: int = 0
    repeated: int = 0  # of the encoded ones
    late: int = 0  # dropped
    not_taken: int = 0  # dropped from a full queue
    left_out: int = 0  # not encoded, by load shedding
    still: int = 0  # not encoded, equal to the frame before

    @property
    def dropped(self) -> int:
        return self.late + self.not_taken

    def since(self, before: "FrameCounts") -> "FrameCounts":
        return FrameCounts(*(now - then for now, then in zip(astuple(self), astuple(before), strict=True)))


type ChooseSpacing = Callable[[int, float], int]
"""Takes nanoseconds waited and fill of the queue (0 to 1); returns n to encode one frame of n."""


class VideoTrack:
    """Runs on its own thread from the first frame to the end of the session."""

    def __init__(
        self,
        scene: Scene,
        encoder: Encoder,
        run: RunContext,
        *,
        put: Callable[[EncodedPacket], None],
        also: Callable[[av.VideoFrame, int], object],
        spacing: ChooseSpacing,
        stillness: StaticFrameSkipper | None = None,
    ) -> None:
        """`also` gets each frame and its pts; `spacing` lowers the frame rate; `stillness` skips static frames."""
        self.counts = FrameCounts()
        self._scene = scene
        self._keyframe_is_due = encoder.keyframe_is_due
        self._encode_video = run.timing(CpuStage.ENCODE_VIDEO, encoder.encode_video)
        self._flush = run.timing(CpuStage.ENCODE_VIDEO, encoder.flush)
        self._timeline = run.timeline
        self._put = put
        self._also = also
        self._choose_spacing = spacing
        self._skipper = stillness
        self._skipped: tuple[av.VideoFrame, int] | None = None  # the last frame and its pts, if skipped
        self._spacing = 1
        self._thinning: Callable[[int], bool] | None = None
        self._nominal_ns = self._interval_ns = round(NANOSECONDS / scene.rate)
        self._patience_ns = max(int(PATIENCE_S * NANOSECONDS), PATIENCE_FRAMES * self._interval_ns)
        self._driver = scene.driver
        self._has_picture = False
        self._position_ns = 0  # time of the next frame
        self._is_filling = False
        self._is_new_driver = False
        self._stalls = StallDetector()

    def run(self, first: tuple[VideoInput, Frame] | None) -> None:
        """Encode from the `first` frame on, or from slates, to the session's end; then flush. The scene has begun."""
        self._stalls.update(self._timeline.now_ns(), came=True)
        if first is not None:
            self._driver, frame = first
            self._take(frame)
        while not self._has_reached_end():
            self._choose_driver()
            came = self._next()
            # Excuse the inputs for a stall of this PC, or for the time spent on its backlog.
            if stood_ns := self._stalls.update(self._timeline.now_ns(), came=came is not None):
                self._scene.excuse(stood_ns)
            if came is not None:
                self._take(came)
            else:
                self._repeat_if_due()
        if self._skipped is not None:  # it ends the duration of the static frame
            self.counts.still -= 1
            self._encode_frame(*self._skipped)
        self._put_all(self._flush(Track.VIDEO))

    def _next(self) -> Frame | None:
        queue = self._driver.queue
        before_ns = self._timeline.now_ns()
        came = queue.get(self._wait_s())
        end_ns, now_ns = self._timeline.end_ns, self._timeline.now_ns()
        if end_ns is not None and now_ns >= end_ns:  # frames left at the end have time
            return came
        spacing = self._choose_spacing(now_ns - before_ns, queue.filled)
        if spacing != self._spacing:
            interval_ns = self._nominal_ns * spacing
            self._position_ns += interval_ns - self._interval_ns
            self._spacing, self._interval_ns = spacing, interval_ns
            self._thinning = frame_thinner(interval_ns) if spacing > 1 else None
        return came

    def _choose_driver(self) -> None:
        """Change the driver if it is missing or hidden."""
        driver = self._scene.driver
        if driver is not self._driver:
            self._driver = driver
            # Its earlier frames were shown with the old driver; until its next one frames are due.
            last_ns = self._position_ns - self._interval_ns
            driver.take_newest(self._timeline.zero_ns + last_ns, last_ns)
            self._is_filling = self._is_new_driver = True

    def _has_reached_end(self) -> bool:
        end = self._timeline.end_ns
        # Half an interval: a session's end is not on the grid of frames.
        return end is not None and self._position_ns > end - self._interval_ns // 2

    def _wait_s(self) -> float:
        if not self._timeline.live or self._is_excused:
            return IDLE_S
        return max(0.0, min((self._position_ns - self._due_ns()) / NANOSECONDS, IDLE_S))

    @property
    def _is_excused(self) -> bool:
        """Whether frames of a stall may still arrive. Not while filling in, which takes long itself."""
        return self._stalls.is_excused and not self._is_filling

    def _due_ns(self) -> int:
        """Time up to which repeated frames are due: behind the clock, so a returning source finds its places free."""
        has_an_end = self._driver.queue.is_over and self._timeline.end_ns is not None
        return self._timeline.now_ns() - (0 if has_an_end else self._patience_ns)

    def _take(self, frame: Frame) -> None:
        at_ns = self._timeline.program_ns(frame.timestamp_ns)
        end_ns = self._timeline.end_ns
        if end_ns is not None and at_ns >= end_ns:
            self._repeat_until(end_ns)
            self._position_ns = max(self._position_ns, end_ns)
            return
        driver = self._driver
        if not driver.wants(at_ns):
            return
        if self._thinning and not self._thinning(at_ns):
            self.counts.left_out += 1
            return
        if self._has_picture and at_ns < self._position_ns - self._interval_ns + LEAST_STEP_NS:
            # A new driver's waiting frames are not dropped: their moments have been shown.
            self.counts.late += not self._is_new_driver
            return
        self._is_new_driver = False
        if self._is_filling or self._leaves_a_hole(at_ns):
            self._repeat_until(at_ns - self._interval_ns // 2)
        self._is_filling = False
        self._encode(at_ns, is_fresh=driver.take(frame))

    def _leaves_a_hole(self, at_ns: int) -> bool:
        """Return whether more than one frame would be missing before `at_ns`; players stumble over that."""
        return self._timeline.live and self._has_picture and at_ns - self._position_ns > MAX_HOLE * self._interval_ns

    def _repeat_if_due(self) -> None:
        if self._driver.queue.is_over:
            self._timeline.source_ended(Track.VIDEO)
        elif self._is_excused:
            return  # frames of the stall need their places
        if self._timeline.live:
            if (due_ns := self._due_ns()) >= self._position_ns:
                self._scene.check_outages(self._position_ns)  # a lost source is not silent
                self._driver.report_silence(self._position_ns)
                self._is_filling = True
                self._repeat_until(due_ns)
        elif self._driver.queue.is_over:
            self._repeat_until(self._timeline.now_ns() - self._interval_ns // 2)

    def _repeat_until(self, until_ns: int) -> None:
        """Encode the scene at each step of the grid up to `until_ns`, and not past the end."""
        before = self.counts.frames
        while self._position_ns <= until_ns and not self._has_reached_end():
            if not self._encode(self._position_ns):  # nothing to show yet
                self._position_ns = max(self._position_ns, until_ns + self._interval_ns)
                break
        self.counts.repeated += self.counts.frames - before

    def _encode(self, at_ns: int, *, is_fresh: bool = False) -> bool:
        picture = self._scene.picture(at_ns, self._driver, is_fresh=is_fresh)
        if picture is None:
            return False
        self._has_picture = True
        pts = whole_units(at_ns, VIDEO_TIME_BASE)
        is_due = self._keyframe_is_due(pts)
        if self._skipper is None or self._skipper.wants(self._scene.version, at_ns, self._interval_ns, is_due=is_due):
            self._encode_frame(picture, pts)
        else:
            self.counts.still += 1
            self._skipped = picture, pts
        self._also(picture, pts)
        self._position_ns = at_ns + self._interval_ns
        self._timeline.advance(Track.VIDEO, self._position_ns)
        return True

    def _encode_frame(self, picture: av.VideoFrame, pts: int) -> None:
        self._skipped = None
        self._put_all(self._encode_video(picture, pts))
        self.counts.frames += 1

    def _put_all(self, packets: list[EncodedPacket]) -> None:
        for packet in packets:
            self._put(packet)
